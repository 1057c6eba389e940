#include "arguments.hpp"
#include "commands.hpp"
#include "names.hpp"
#include "output.hpp"
#include "ridge/answer/fit_report.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/format.hpp"
#include "ridge/scenario/cost_scenario.hpp"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace ridge::tools {
namespace {

struct FitArguments {
  std::string model;
  std::string chips;
  std::string part = "both";
  std::string context = "8K";
  double tpot_ms = 50.0;
  int stages = 3;
  double stage_ms = 0.0;
  double micro_batch = 0.0;
  std::int64_t output_parallel = 0;
  double weights_share = hw::theory::FitAssumptions{}.weights_share;
  OutputOptions output;
};

void run_fit(const FitArguments& options) {
  const scenario::CostScenario defaults =
      scenario::load_cost_scenario(scenario::kDefaultCostScenario);
  answer::FitQuestion question;
  question.model = models_or(options.model, defaults).front();
  question.chips = chips_or(options.chips, defaults);
  question.attention = options.part != "ffn";
  question.ffn = options.part != "attention";
  auto& assumptions = question.assumptions;
  assumptions.context = parse_tokens(options.context, "--context");
  assumptions.stage_budget = Seconds{
      (options.stage_ms > 0.0 ? options.stage_ms : options.tpot_ms / options.stages) * 1e-3};
  assumptions.micro_batches = options.stages;
  assumptions.weights_share = options.weights_share;
  if (options.output_parallel > 0) assumptions.output_parallel = options.output_parallel;
  if (options.micro_batch > 0.0) assumptions.micro_batch = options.micro_batch;
  write_output(options.output, answer::render(answer::answer(question), options.output.format));
}

}  // namespace

void add_fit_command(CLI::App& app) {
  auto* command = app.add_subcommand(
      "fit", "Can a chip serve a model's attention or FFN in time, and with how many cards");
  auto options = std::make_shared<FitArguments>();
  command->add_option("-m,--model", options->model, "A model: its name or its file")
      ->check(not_empty())
      ->type_name("MODEL");
  command->add_option("-c,--chip", options->chips, "Chips: names (ridge list chips) or files")
      ->check(not_empty())
      ->type_name("A,B,...");
  command->add_option("--part", options->part, "What the chips are to serve")
      ->check(CLI::IsMember({"attention", "ffn", "both"}))
      ->capture_default_str();
  command->add_option("--context", options->context, "Cached tokens per request")
      ->check(not_empty())
      ->type_name("TOKENS")
      ->capture_default_str();
  command->add_option("--tpot-ms", options->tpot_ms, "Time per output token")
      ->check(number_between(0.001, 1e6))
      ->capture_default_str();
  command
      ->add_option("--stages", options->stages,
                   "Pipeline stages that share it, and micro-batches in flight")
      ->check(whole_between(1, 64))
      ->capture_default_str();
  command->add_option("--stage-ms", options->stage_ms, "A stage's time, in place of TPOT / stages")
      ->check(number_between(0.001, 1e6));
  command
      ->add_option("--micro-batch", options->micro_batch,
                   "Requests of a micro-batch to be served (default: whatever fits)")
      ->check(number_between(1.0, 1e9));
  command
      ->add_option("--output-parallel", options->output_parallel,
                   "Attention cards that split the output projection (default: a server)")
      ->check(whole_between(1, 4096));
  command
      ->add_option("--weights-share", options->weights_share,
                   "Share of an FFN stage spent on reading weights")
      ->check(number_between(0.01, 1.0))
      ->capture_default_str();
  add_output_options(*command, options->output, "table|json");
  command->footer([] {
    const ExampleNames names = example_names();
    return fmt::format(
        "Examples:\n"
        "  ridge fit\n"
        "  ridge fit --model {0} --chip {1},{2} --part attention --context 32K\n"
        "  ridge fit --model {0} --chip {1} --micro-batch 2048 --format json",
        names.other_model, names.chip, names.other_chip);
  });
  command->callback([options] { run_fit(*options); });
}

}  // namespace ridge::tools
