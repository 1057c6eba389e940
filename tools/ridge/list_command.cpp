#include "commands.hpp"
#include "output.hpp"
#include "ridge/base/catalog.hpp"
#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/models/model_spec.hpp"
#include "ridge/scenario/scenario_files.hpp"
#include "ridge/view/text_table.hpp"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace ridge::tools {
namespace {

// One kind of part that is found by name.
struct Kind {
  const char* command;
  const char* help;
  const char* name_column;
  const char* words_column;
  std::vector<std::string> (*names)();
  // What a name stands for; none where the name says it.
  std::string (*words)(const std::string& name);
};

constexpr Kind kKinds[] = {
    {"models", "The architectures", "model", "architecture", models::model_names,
     [](const std::string& name) { return models::load_model(name).title; }},
    {"chips", "The accelerators", "chip", "accelerator", hw::chip_names,
     [](const std::string& name) { return hw::load_chip(name).title; }},
    {"calibrations", "The calibrations", "calibration", "measured",
     hw::calibrated::calibration_names,
     [](const std::string& name) { return hw::calibrated::load_calibration(name).source; }},
    {"scenarios", "The scenarios", "scenario", nullptr,
     [] { return std::vector<std::string>(scenario::scenario_names()); }, nullptr},
};

bool is_own(const Kind& kind, const std::string& name) {
  const std::filesystem::path library = own_library();
  return !library.empty() && std::filesystem::exists(library / kind.command / (name + ".json"));
}

void list(const Kind& kind, bool only_names) {
  const std::vector<std::string> names = kind.names();
  // Where a part comes from is worth a column only to those who have parts of their own.
  const bool some_own = std::any_of(names.begin(), names.end(),
                                    [&](const std::string& name) { return is_own(kind, name); });
  if (only_names || (kind.words == nullptr && !some_own)) {
    std::string out;
    for (const std::string& name : names) out += name + "\n";
    write_stdout(out);
    return;
  }
  view::TextTable table;
  table.column(kind.name_column, view::Align::left);
  if (some_own) table.column("from", view::Align::left);
  if (kind.words != nullptr) table.column(kind.words_column, view::Align::left);
  for (const std::string& name : names) {
    std::vector<std::string> row = {name};
    if (some_own) {
      row.push_back(is_own(kind, name) ? (own_library() / kind.command).string() : "Ridge");
    }
    if (kind.words != nullptr) row.push_back(kind.words(name));
    table.row(row);
  }
  if (kind.command == std::string_view("calibrations")) table.fit(80);
  write_stdout(table.text());
}

}  // namespace

void add_list_command(CLI::App& app) {
  auto* command = app.add_subcommand(
      "list", "What is known by name: models, chips, calibrations, scenarios, yours included");
  command->require_subcommand(1);
  for (const Kind& kind : kKinds) {
    auto* subcommand = command->add_subcommand(kind.command, kind.help);
    auto only_names = std::make_shared<bool>(false);
    subcommand->add_flag("--names", *only_names, "Names only, one a line");
    subcommand->callback([&kind, only_names] { list(kind, *only_names); });
  }
  command->footer(
      "Files of your own are found by name in $XDG_CONFIG_HOME/ridge (else ~/.config/ridge), in "
      "its\n"
      "folders models, chips, calibrations and scenarios; a column then says where each comes "
      "from.\n"
      "Examples:\n  ridge list models\n  ridge list chips");
}

}  // namespace ridge::tools
