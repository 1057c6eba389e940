#include "version.hpp"

#include "maker.hpp"
#include "ridge/base/catalog.hpp"
#include "ridge/hwmodels/calibrated/calibration.hpp"

#include <string_view>

#include <fmt/format.h>

namespace ridge::tools {
namespace {

std::string& remembered() {
  static std::string line;
  return line;
}

std::string shell_word(std::string_view word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./,=:+@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string_view::npos) {
    return std::string(word);
  }
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

std::string version(bool at_length) {
  std::string text = "ridge " RIDGE_VERSION;
  if (!at_length) return text;
  text += fmt::format("\ncommit       {}\nbuild        {}, {} {}\ndata         {}\n", commit(),
                      RIDGE_BUILD_TYPE, RIDGE_COMPILER, __VERSION__, data_root().string());
  text += fmt::format("own library  {}\n", own_library().string());
  for (const std::string& name : hw::calibrated::calibration_names()) {
    text +=
        fmt::format("calibration  {}: {}\n", name, hw::calibrated::load_calibration(name).source);
  }
  text.pop_back();
  return text;
}

void remember_command_line(int argc, char** argv) {
  std::string& line = remembered();
  line = "ridge";
  for (int i = 1; i < argc; ++i) line += " " + shell_word(argv[i]);
}

const std::string& command_line() {
  return remembered();
}

}  // namespace ridge::tools
