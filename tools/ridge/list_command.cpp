#include "commands.hpp"
#include "output.hpp"
#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/models/model_spec.hpp"
#include "ridge/scenario/scenario_files.hpp"
#include "ridge/view/text_table.hpp"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace ridge::tools {
namespace {

void list_models() {
  view::TextTable table;
  table.column("model", view::Align::left);
  table.column("architecture", view::Align::left);
  for (const auto& name : models::model_names()) {
    table.row({name, models::load_model(name).title});
  }
  write_stdout(table.text());
}

void list_chips() {
  view::TextTable table;
  table.column("chip", view::Align::left);
  table.column("accelerator", view::Align::left);
  for (const auto& name : hw::chip_names()) table.row({name, hw::load_chip(name).title});
  write_stdout(table.text());
}

void list_calibrations() {
  view::TextTable table;
  table.column("calibration", view::Align::left);
  table.column("measured", view::Align::left);
  for (const auto& name : hw::calibrated::calibration_names()) {
    table.row({name, hw::calibrated::load_calibration(name).source});
  }
  table.fit(80);
  write_stdout(table.text());
}

void list_scenarios() {
  std::string out;
  for (const auto& name : scenario::scenario_names()) out += name + "\n";
  write_stdout(out);
}

}  // namespace

void add_list_command(CLI::App& app) {
  auto* command =
      app.add_subcommand("list", "What ships with Ridge: models, chips, calibrations, scenarios");
  command->require_subcommand(1);
  command->add_subcommand("models", "The shipped architectures")->callback(list_models);
  command->add_subcommand("chips", "The shipped accelerators")->callback(list_chips);
  command->add_subcommand("calibrations", "The shipped calibrations")->callback(list_calibrations);
  command->add_subcommand("scenarios", "The shipped scenarios")->callback(list_scenarios);
  command->footer("Examples:\n  ridge list models\n  ridge list chips");
}

}  // namespace ridge::tools
