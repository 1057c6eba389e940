#include "arguments.hpp"
#include "commands.hpp"
#include "names.hpp"
#include "output.hpp"
#include "ridge/answer/support_report.hpp"
#include "ridge/base/format.hpp"
#include "ridge/scenario/cost_scenario.hpp"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace ridge::tools {
namespace {

struct SupportArguments {
  std::string model;
  std::string chips;
  std::string calibration;
  std::string context = "8K";
  double batch = 64.0;
  OutputOptions output;
};

void run_support(const SupportArguments& options) {
  const scenario::CostScenario defaults =
      scenario::load_cost_scenario(scenario::kDefaultCostScenario);
  answer::SupportQuestion question;
  question.model = load_models({options.model}, "model").front();
  question.context = parse_tokens(options.context, "--context");
  question.batch = options.batch;
  std::vector<hw::ChipSpec> chips = chips_or(options.chips, defaults);
  if (options.chips.empty()) chips.resize(1);
  for (const hw::ChipSpec& chip : chips) {
    question.chips.push_back(answer::supported_chip(chip, options.calibration));
  }
  write_output(options.output, answer::render(answer::answer(question), options.output.format));
}

}  // namespace

void add_support_command(CLI::App& app) {
  auto* command = app.add_subcommand(
      "support", "What a model's times rest on: measured, carried over, or theory alone");
  auto options = std::make_shared<SupportArguments>();
  command->add_option("model", options->model, "A model: its name or its file")
      ->required()
      ->check(not_empty())
      ->type_name("MODEL");
  command->add_option("-c,--chip", options->chips, "Chips: names (ridge list chips) or files")
      ->check(not_empty())
      ->type_name("A,B,...");
  command
      ->add_option("--calibration", options->calibration,
                   "Kernel times for all of them (default: each chip's own, else theory)")
      ->check(not_empty())
      ->type_name("CALIBRATION");
  command->add_option("--context", options->context, "Cached tokens per request")
      ->check(not_empty())
      ->type_name("TOKENS")
      ->capture_default_str();
  command->add_option("--batch", options->batch, "Requests that a launch serves")
      ->check(number_between(1.0, 1e6))
      ->capture_default_str();
  add_output_options(*command, options->output, "table|json|csv");
  command->footer([] {
    const ExampleNames names = example_names();
    return fmt::format(
        "Examples:\n"
        "  ridge support {0}\n"
        "  ridge support {0} --chip {1},{2} --context 128K\n"
        "  ridge support config.json --chip {2} --calibration {1}",
        names.other_model, names.chip, names.other_chip);
  });
  command->callback([options] { run_support(*options); });
}

}  // namespace ridge::tools
