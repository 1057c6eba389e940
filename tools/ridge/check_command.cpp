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

void run_check(const std::vector<std::string>& files) {
  std::string good;
  std::vector<std::string> problems;
  for (const auto& file : files) {
    const files::FileCheck check = files::check_file(file);
    if (check.problems.empty()) good += fmt::format("{}: ok ({})\n", file, check.kind);
    problems.insert(problems.end(), check.problems.begin(), check.problems.end());
  }
  write_stdout(good);
  if (!problems.empty()) throw UserError(fmt::format("{}", fmt::join(problems, "\n")));
}

}  // namespace

void add_check_command(CLI::App& app) {
  auto* command = app.add_subcommand("check", "Check files: every problem of every file at once");
  auto files = std::make_shared<std::vector<std::string>>();
  command->add_option("files", *files, "Models, chips, scenarios and other files of Ridge")
      ->required()
      ->type_name("FILE...");
  command->footer(
      "Exit status: 0 if all are in order, 2 if not.\n\n"
      "Examples:\n"
      "  ridge check my-model.json\n"
      "  ridge check models/data/*.json scenarios/*.json");
  command->callback([files] { run_check(*files); });
}

}  // namespace ridge::tools
