#include "output.hpp"

#include "maker.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/format.hpp"
#include "ridge/scenario/cost_scenario.hpp"
#include "ridge/view/terminal.hpp"
#include "version.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace ridge::tools {

void add_output_options(CLI::App& command, OutputOptions& options, std::string_view choices) {
  static const std::map<std::string, view::OutputFormat> kFormats = {
      {"table", view::OutputFormat::table},
      {"csv", view::OutputFormat::csv},
      {"json", view::OutputFormat::json}};
  std::map<std::string, view::OutputFormat> offered;
  std::string first;
  for (std::size_t begin = 0; begin <= choices.size();) {
    const std::size_t end = std::min(choices.find('|', begin), choices.size());
    const std::string name(choices.substr(begin, end - begin));
    if (first.empty()) first = name;
    offered.insert(*kFormats.find(name));
    begin = end + 1;
  }
  options.format = offered.at(first);
  command
      .add_option_function<std::string>(
          "-f,--format",
          [&options, offered](const std::string& name) { options.format = offered.at(name); },
          fmt::format("How to write the answer: {} (default {})", choices, first))
      ->type_name("FORMAT")
      ->check(CLI::IsMember(offered));
  command.add_option("-o,--output", options.path, "Write to this file instead of standard output")
      ->type_name("FILE");
}

void write_stdout(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    if (errno == EPIPE) throw ReaderGone();
    throw UserError(fmt::format("cannot write to standard output: {}", std::strerror(errno)));
  }
}

void print(std::string_view text) {
  write_stdout(view::folded(text, view::output_width()));
}

namespace {

// A file has no colors, whatever standard output is.
std::string uncolored(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t color = std::min(text.find("\033["), text.size());
    out += text.substr(0, color);
    text.remove_prefix(color);
    if (!text.empty()) text.remove_prefix(std::min(text.find('m') + 1, text.size()));
  }
  return out;
}

}  // namespace

void write_output(const OutputOptions& options, std::string_view answer) {
  const std::string text = options.format == view::OutputFormat::table
                               ? view::folded(answer, view::output_width())
                               : std::string(answer);
  if (options.path.empty()) {
    write_stdout(text);
  } else {
    write_file(options.path, options.format == view::OutputFormat::table ? uncolored(text) : text);
  }
}

namespace {

constexpr const char* kConverter = "rsvg-convert";

bool ends_with(const std::string& path, std::string_view extension) {
  return std::filesystem::path(path).extension() == extension;
}

// Whether a program is found on PATH.
bool installed(const char* program) {
  const char* path = std::getenv("PATH");
  std::string_view folders = path == nullptr ? "" : path;
  while (!folders.empty()) {
    const std::size_t end = std::min(folders.find(':'), folders.size());
    const auto file = std::filesystem::path(folders.substr(0, end)) / program;
    if (::access(file.c_str(), X_OK) == 0) return true;
    folders.remove_prefix(std::min(end + 1, folders.size()));
  }
  return false;
}

}  // namespace

void check_picture_path(const std::string& path, std::string_view option) {
  if (path.empty() || ends_with(path, ".svg")) return;
  if (!ends_with(path, ".png")) {
    throw UserError(
        fmt::format("{}: expected a name that ends in .svg or .png, got \"{}\"", option, path));
  }
  if (!installed(kConverter)) {
    throw UserError(
        fmt::format("{}: {}: a PNG is made by {} (Debian's librsvg2-bin), which is not installed; "
                    "a name that ends in .svg needs nothing",
                    option, path, kConverter));
  }
}

void write_picture(const std::string& path, const std::string& svg) {
  if (!ends_with(path, ".png")) {
    write_file(path, svg);
    return;
  }
  const std::string source = path + ".svg";
  write_file(source, svg);
  std::string program = kConverter;
  std::string output = "--output=" + path;
  std::string input = source;
  char* const arguments[] = {program.data(), output.data(), input.data(), nullptr};
  pid_t child = 0;
  int status = -1;
  const int failure = ::posix_spawnp(&child, kConverter, nullptr, nullptr, arguments, environ);
  if (failure == 0) ::waitpid(child, &status, 0);
  std::error_code ignored;
  std::filesystem::remove(source, ignored);
  if (failure != 0 || status != 0) {
    throw UserError(fmt::format("{}: {} did not make it", path, kConverter));
  }
}

void add_report_option(CLI::App& command, std::string& path) {
  command
      .add_option(
          "--report", path,
          "Also write the answer as a page for a browser, in one file that holds all it needs")
      ->type_name("FILE.html");
}

report::Asked asked(const std::string& path) {
  report::check_page_path(path, "--report");
  return {.maker = maker(), .command = command_line(), .page = path};
}

ExampleNames example_names() {
  const scenario::CostScenario scenario =
      scenario::load_cost_scenario(scenario::kDefaultCostScenario);
  return {.model = scenario.models.front().name,
          .other_model = scenario.models.back().name,
          .chip = scenario.chips.front().name,
          .other_chip = scenario.chips.back().name};
}

void warn(std::string_view text) {
  fmt::print(stderr, "{}",
             view::folded(fmt::format("ridge: warning: {}", text), view::error_width()));
}

void warn_of(const answer::SimulationReport& report, bool verbose, std::string_view which) {
  const auto& range = report.out_of_range;
  const bool folded = !verbose && range.outside > 1;
  for (const auto& warning : report.warnings) {
    if (folded && warning.find(answer::kOutOfRange) != std::string::npos) continue;
    warn(fmt::format("{}{}", which, warning));
  }
  if (!folded) return;
  warn(fmt::format(
      "{}{} of {} operators are outside what they were measured on, their errors widened to up to "
      "{:.0f} %; --verbose names them",
      which, range.outside, range.operators, 100.0 * range.worst_error));
}

}  // namespace ridge::tools
