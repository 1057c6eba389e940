#include "output.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/format.hpp"
#include "ridge/scenario/cost_scenario.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

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
    throw UserError(fmt::format("cannot write to standard output: {}", std::strerror(errno)));
  }
}

void write_output(const OutputOptions& options, std::string_view text) {
  if (options.path.empty()) {
    write_stdout(text);
  } else {
    write_file(options.path, text);
  }
}

ExampleNames example_names() {
  const scenario::CostScenario scenario =
      scenario::load_cost_scenario(scenario::kDefaultCostScenario);
  return {.model = scenario.models.front(),
          .other_model = scenario.models.back(),
          .chip = scenario.chips.front(),
          .other_chip = scenario.chips.back()};
}

void warn(std::string_view text) {
  fmt::print(stderr, "ridge: warning: {}\n", text);
}

}  // namespace ridge::tools
