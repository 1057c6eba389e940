#include "commands.hpp"
#include "output.hpp"
#include "ridge/base/error.hpp"
#include "ridge/files/file_kinds.hpp"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::tools {
namespace {

struct CheckArguments {
  std::vector<std::string> files;
  OutputOptions output;
};

void run_check(const CheckArguments& options) {
  std::string good;
  std::vector<std::string> problems;
  std::vector<files::CheckedFile> checked;
  for (const auto& file : options.files) {
    files::FileCheck check = files::check_file(file);
    if (check.problems.empty()) {
      good += fmt::format("{}: ok ({})\n", file, check.kind);
      for (const std::string& told : check.defaults) good += fmt::format("  by default {}\n", told);
    }
    problems.insert(problems.end(), check.problems.begin(), check.problems.end());
    checked.push_back({file, std::move(check)});
  }
  const bool json = options.output.format == view::OutputFormat::json;
  write_output(options.output, json ? files::check_json(checked) : good);
  if (!problems.empty()) throw UserError(fmt::format("{}", fmt::join(problems, "\n")));
}

}  // namespace

void add_check_command(CLI::App& app) {
  auto* command = app.add_subcommand("check", "Check files: every problem of every file at once");
  auto options = std::make_shared<CheckArguments>();
  command->add_option("files", options->files, "Models, chips, scenarios and other files of Ridge")
      ->required()
      ->type_name("FILE...");
  add_output_options(*command, options->output, "table|json");
  command->footer(
      "Exit status: 0 if all are in order, 2 if not.\n\n"
      "Examples:\n"
      "  ridge check my-model.json\n"
      "  ridge check models/data/*.json scenarios/*.json\n"
      "  ridge check my-model.json --format json");
  command->callback([options] { run_check(*options); });
}

}  // namespace ridge::tools
