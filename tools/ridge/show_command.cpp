#include "arguments.hpp"
#include "commands.hpp"
#include "names.hpp"
#include "output.hpp"
#include "ridge/answer/calibration_card.hpp"
#include "ridge/answer/chip_card.hpp"
#include "ridge/answer/model_card.hpp"
#include "ridge/base/catalog.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/format.hpp"
#include "ridge/base/nearest_name.hpp"
#include "ridge/files/file_kinds.hpp"

#include <algorithm>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::tools {
namespace {

struct ShowArguments {
  std::string name;
  std::string context = "8K";
  double batch = 1.0;
  OutputOptions output;
};

// Calibrations are named as scenarios name them: they share names with chips.
constexpr std::string_view kCalibrated = "calibrated:";

// "model", "chip" or "calibration".
std::string kind_of(const std::string& name) {
  if (name.starts_with(kCalibrated)) return "calibration";
  if (is_path(name)) {
    const files::FileCheck check = files::check_file(name);
    if (!check.problems.empty()) {
      throw UserError(fmt::format("{}", fmt::join(check.problems, "\n")));
    }
    if (check.kind != "model" && check.kind != "chip" && check.kind != "calibration") {
      throw UserError(
          fmt::format("{}: expected a model, a chip or a calibration, got a {}", name, check.kind));
    }
    return check.kind;
  }
  const auto models = models::model_names();
  const auto chips = hw::chip_names();
  const bool is_model = std::find(models.begin(), models.end(), name) != models.end();
  const bool is_chip = std::find(chips.begin(), chips.end(), name) != chips.end();
  if (is_model && is_chip) {
    throw UserError(fmt::format(
        "\"{}\" is both a model and a chip: give the path of the file that is meant", name));
  }
  if (is_model) return "model";
  if (is_chip) return "chip";
  std::vector<std::string> all = models;
  all.insert(all.end(), chips.begin(), chips.end());
  throw UserError(
      fmt::format("expected the name of a model or a chip (ridge list models, ridge list chips), "
                  "calibrated:NAME or the path of a JSON file, got \"{}\"{}",
                  name, did_you_mean(name, all)));
}

std::string card(const ShowArguments& options) {
  const std::string kind = kind_of(options.name);
  const auto format = options.output.format;
  if (kind == "model") {
    return answer::model_card(
        models::load_model(options.name),
        {.context = parse_tokens(options.context, "--context"), .batch = options.batch}, format);
  }
  if (kind == "chip") return answer::chip_card(hw::load_chip(options.name), format);
  const bool named = options.name.starts_with(kCalibrated);
  return answer::calibration_card(
      hw::calibrated::load_calibration(named ? options.name.substr(kCalibrated.size())
                                             : options.name),
      format);
}

void run_show(const ShowArguments& options) {
  write_output(options.output, card(options));
}

}  // namespace

void add_show_command(CLI::App& app) {
  auto* command = app.add_subcommand("show", "Everything about a model, a chip or a calibration");
  auto options = std::make_shared<ShowArguments>();
  command
      ->add_option("name", options->name,
                   "A model or a chip: its name or its file; calibrated:NAME for a calibration")
      ->required();
  command->add_option("--context", options->context, "Cached tokens per request, for a model")
      ->check(not_empty())
      ->type_name("TOKENS")
      ->capture_default_str();
  command->add_option("--batch", options->batch, "Requests that one launch serves, for a model")
      ->check(number_between(1.0, 1e9))
      ->capture_default_str();
  add_output_options(*command, options->output, "table|json");
  command->footer([] {
    const ExampleNames names = example_names();
    return fmt::format(
        "Examples:\n"
        "  ridge show {0}\n"
        "  ridge show {1}\n"
        "  ridge show calibrated:{2}\n"
        "  ridge show my-model.json --context 32K --batch 64 --format json",
        names.model, names.chip, hw::calibrated::calibration_names().front());
  });
  command->callback([options] { run_show(*options); });
}

}  // namespace ridge::tools
