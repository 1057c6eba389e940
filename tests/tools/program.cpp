#include "program.hpp"

#include "temporary_file.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <sys/wait.h>

namespace ridge::test {
namespace {

std::string quoted(const std::string& argument) {
  std::string out = "'";
  for (const char c : argument) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

}  // namespace

std::string contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

std::size_t lines(const std::string& path) {
  const std::string text = contents(path);
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

Outcome run(const std::string& program, const std::vector<std::string>& arguments) {
  const TemporaryFile out("out", "");
  const TemporaryFile err("err", "");
  std::string command = quoted(program);
  for (const auto& argument : arguments) command += " " + quoted(argument);
  command += " >" + quoted(out.path()) + " 2>" + quoted(err.path()) + " </dev/null";
  const int status = std::system(command.c_str());
  return {.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
          .out = contents(out.path()),
          .err = contents(err.path())};
}

Outcome ridge(const std::vector<std::string>& arguments) {
  return run(RIDGE_PROGRAM, arguments);
}

}  // namespace ridge::test
