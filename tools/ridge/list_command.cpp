#include "commands.hpp"
#include "output.hpp"
#include "ridge/answer/cost_report.hpp"
#include "ridge/answer/fit_report.hpp"
#include "ridge/answer/simulation_figures.hpp"
#include "ridge/answer/sparsity_report.hpp"
#include "ridge/base/catalog.hpp"
#include "ridge/files/listing.hpp"
#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/models/model_spec.hpp"
#include "ridge/plan/goal.hpp"
#include "ridge/plan/plan_figures.hpp"
#include "ridge/scenario/scenario_files.hpp"
#include "ridge/view/text_table.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::tools {
namespace {

using files::Listing;

Listing models_listing() {
  Listing out{{}, {"model", "architecture"}, {}};
  for (const auto& name : models::model_names()) {
    out.entries.push_back({name, models::load_model(name).title});
  }
  return out;
}

Listing chips_listing() {
  Listing out{{}, {"chip", "accelerator"}, {}};
  for (const auto& name : hw::chip_names())
    out.entries.push_back({name, hw::load_chip(name).title});
  return out;
}

Listing calibrations_listing() {
  Listing out{{}, {"calibration", "measured"}, {}};
  for (const auto& name : hw::calibrated::calibration_names()) {
    out.entries.push_back({name, hw::calibrated::load_calibration(name).source});
  }
  return out;
}

Listing scenarios_listing() {
  Listing out{{}, {"scenario", "command", "question"}, {}};
  for (const auto& name : scenario::scenario_names()) {
    const JsonDocument document = JsonDocument::read(scenario::scenario_path(name));
    const auto text = [&](const char* key) { return document.json().value(key, std::string()); };
    out.entries.push_back({name, text("kind"), text("title")});
  }
  return out;
}

Listing goals_listing() {
  Listing out{{}, {"goal", "question"}, {}};
  for (const auto& name : plan::goal_names()) {
    out.entries.push_back({name, plan::read_goal(name).goal.title});
  }
  return out;
}

// Every figure that an answer, a sweep's column or a ledger may name.
Listing figures_listing() {
  Listing out{{}, {"figure", "unit", "of", "meaning"}, {}};
  const auto add = [&](const char* of, const auto& figures) {
    for (const auto& figure : figures) {
      out.entries.push_back({std::string(figure.spec.name), std::string(figure.spec.unit), of,
                             std::string(figure.spec.words)});
    }
  };
  add("model", answer::model_figures());
  add("cost", answer::chip_figures());
  add("cost", answer::pairing_figures());
  add("simulate", answer::simulation_figures());
  add("plan", plan::plan_figures());
  add("fit, attention", answer::attention_fit_figures());
  add("fit, FFN", answer::ffn_fit_figures());
  add("sparsity", answer::sparsity_figures());
  return out;
}

// What people list, and the library's folder of its kind.
struct Kind {
  const char* name;
  const char* help;
  Listing (*listing)();
  bool files = true;             // one file an entry, which may be the user's own
  const char* folder = nullptr;  // of the library, where it is not the kind's name
};

constexpr std::array kKinds = {
    Kind{"models", "The architectures", models_listing},
    Kind{"chips", "The accelerators", chips_listing},
    Kind{"calibrations", "The calibrations", calibrations_listing},
    Kind{"scenarios", "The scenarios and the commands that answer them", scenarios_listing},
    Kind{"goals", "The goals that ridge plan answers", goals_listing, true, "scenarios/plan"},
    Kind{"figures", "Every figure that answers, sweeps and ledgers name", figures_listing, false}};

// Where a part comes from is worth a column only to those who have parts of their own.
void add_origins(const Kind& kind, Listing& listing) {
  const std::filesystem::path library = own_library();
  if (!kind.files || library.empty()) return;
  const auto folder = library / (kind.folder != nullptr ? kind.folder : kind.name);
  const auto is_own = [&](const std::vector<std::string>& entry) {
    return std::filesystem::exists(folder / (entry.front() + ".json"));
  };
  if (std::none_of(listing.entries.begin(), listing.entries.end(), is_own)) return;
  listing.keys.insert(listing.keys.begin() + 1, "from");
  for (auto& entry : listing.entries) {
    entry.insert(entry.begin() + 1, is_own(entry) ? folder.string() : "Ridge");
  }
}

void write(const Listing& listing, const OutputOptions& output) {
  if (output.format == view::OutputFormat::json) {
    return write_output(output, files::listing_json(listing));
  }
  view::TextTable table;
  for (const auto& key : listing.keys) table.column(key, view::Align::left);
  for (const auto& entry : listing.entries) table.row(entry);
  write_output(output, table.text());
}

}  // namespace

void add_list_command(CLI::App& app) {
  auto* command = app.add_subcommand(
      "list", "What is known by name: models, chips, calibrations, scenarios, figures");
  command->require_subcommand(1);
  for (const Kind& kind : kKinds) {
    auto* listed = command->add_subcommand(kind.name, kind.help);
    auto output = std::make_shared<OutputOptions>();
    add_output_options(*listed, *output, "table|json");
    auto only_names = std::make_shared<bool>(false);
    listed->add_flag("--names", *only_names, "Names only, one a line");
    listed->callback([output, only_names, &kind] {
      Listing listing = kind.listing();
      listing.kind = kind.name;
      if (!*only_names) {
        add_origins(kind, listing);
        write(listing, *output);
        return;
      }
      std::string names;
      for (const auto& entry : listing.entries) names += entry.front() + "\n";
      write_output(*output, names);
    });
  }
  command->footer(
      "Files of your own are found by name in $XDG_CONFIG_HOME/ridge (else ~/.config/ridge), in "
      "its\n"
      "folders models, chips, calibrations and scenarios; a column then says where each comes "
      "from.\n"
      "Examples:\n  ridge list models\n  ridge list chips --format json");
}

}  // namespace ridge::tools
