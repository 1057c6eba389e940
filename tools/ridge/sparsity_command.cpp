#include "arguments.hpp"
#include "commands.hpp"
#include "names.hpp"
#include "output.hpp"
#include "ridge/answer/sparsity_report.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/format.hpp"
#include "ridge/scenario/cost_scenario.hpp"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace ridge::tools {
namespace {

struct SparsityArguments {
  std::string model;
  std::string chips;
  std::int64_t hidden = 0;
  std::int64_t layers = 0;
  double tpot_ms = 50.0;
  int stages = 3;
  double stage_ms = 0.0;
  double nic_GBps = 0.0;
  std::int64_t nics = 0;
  OutputOptions output;
};

hw::theory::FfnTraffic traffic_of(const SparsityArguments& options,
                                  const scenario::CostScenario& defaults) {
  if (options.hidden == 0 && options.layers == 0) {
    return hw::theory::ffn_traffic(models_or(options.model, defaults).front());
  }
  if (options.hidden == 0 || options.layers == 0) {
    throw UserError("--hidden and --layers: expected both or neither");
  }
  if (!options.model.empty()) {
    throw UserError("--model: expected a model, or --hidden with --layers, got both");
  }
  return answer::plain_traffic(options.hidden, options.layers);
}

void run_sparsity(const SparsityArguments& options) {
  const scenario::CostScenario defaults =
      scenario::load_cost_scenario(scenario::kDefaultCostScenario);
  answer::SparsityQuestion question;
  question.traffic = traffic_of(options, defaults);
  question.chips = chips_or(options.chips, defaults);
  question.assumptions.stage_budget = Seconds{
      (options.stage_ms > 0.0 ? options.stage_ms : options.tpot_ms / options.stages) * 1e-3};
  if (options.nic_GBps > 0.0)
    question.assumptions.nic_bandwidth = BytesPerSecond{options.nic_GBps * 1e9};
  if (options.nics > 0) question.assumptions.nics_per_server = options.nics;
  write_output(options.output, answer::render(answer::answer(question), options.output.format));
}

}  // namespace

void add_sparsity_command(CLI::App& app) {
  auto* command = app.add_subcommand(
      "sparsity", "How sparse experts may be before their servers starve for tokens");
  auto options = std::make_shared<SparsityArguments>();
  command->add_option("-m,--model", options->model, "A model: its name or its file")
      ->check(not_empty())
      ->type_name("MODEL");
  command->add_option("--hidden", options->hidden, "Without a model: the hidden size")
      ->check(whole_between(1, 1048576));
  command->add_option("--layers", options->layers, "Without a model: the number of layers")
      ->check(whole_between(1, 10000));
  command->add_option("-c,--chip", options->chips, "Chips: names (ridge list chips) or files")
      ->check(not_empty())
      ->type_name("A,B,...");
  command->add_option("--tpot-ms", options->tpot_ms, "Time per output token")
      ->check(number_between(0.001, 1e6))
      ->capture_default_str();
  command->add_option("--stages", options->stages, "Pipeline stages that share it")
      ->check(whole_between(1, 64))
      ->capture_default_str();
  command->add_option("--stage-ms", options->stage_ms, "A stage's time, in place of these two")
      ->check(number_between(0.001, 1e6));
  command->add_option("--nic-GBps", options->nic_GBps, "NIC bandwidth in place of each chip's own")
      ->check(number_between(0.001, 1e6));
  command->add_option("--nics", options->nics, "NICs per server in place of one per chip")
      ->check(whole_between(1, 1000));
  add_output_options(*command, options->output, "table|csv|json");
  command->footer([] {
    const ExampleNames names = example_names();
    return fmt::format(
        "Examples:\n"
        "  ridge sparsity\n"
        "  ridge sparsity --model {0} --chip {1},{2} --nic-GBps 40\n"
        "  ridge sparsity --hidden 8192 --layers 80 --chip {1} --stages 4",
        names.other_model, names.chip, names.other_chip);
  });
  command->callback([options] { run_sparsity(*options); });
}

}  // namespace ridge::tools
