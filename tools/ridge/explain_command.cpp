#include "arguments.hpp"
#include "commands.hpp"
#include "interrupt.hpp"
#include "output.hpp"
#include "ridge/answer/explanation.hpp"
#include "ridge/view/progress.hpp"

#include <memory>
#include <optional>

#include <CLI/CLI.hpp>

namespace ridge::tools {
namespace {

struct ExplainArguments {
  std::string scenario;
  std::optional<std::uint64_t> seed;
  bool verbose = false;
  OutputOptions output;
};

void run_explain(const ExplainArguments& options) {
  scenario::Library library;
  const auto scenario = scenario::read_scenario(options.scenario);
  constexpr std::uint64_t kParts = 1000;
  std::optional<view::Progress> progress(std::in_place, options.scenario, kParts);
  const answer::RunOptions run{
      .seed = options.seed, .stop = &stop_on_interrupt(), .progress = [&](double share) {
        progress->reach(static_cast<std::uint64_t>(share * kParts));
      }};
  const answer::Explanation explanation = answer::explain(scenario, library, run);
  progress.reset();  // before anything is said on its line
  warn_of(explanation.report, options.verbose);
  write_output(options.output, answer::render(explanation, options.output.format));
}

}  // namespace

void add_explain_command(CLI::App& app) {
  auto* command = app.add_subcommand(
      "explain", "Why a deployment is not faster: its kernels, and what a tenth more would bring");
  auto options = std::make_shared<ExplainArguments>();
  command
      ->add_option("scenario", options->scenario,
                   "A scenario's name (ridge list scenarios) or file")
      ->required();
  command->add_option("--seed", options->seed, "Seed of all randomness (default: the scenario's)")
      ->check(seed());
  command->add_flag("--verbose", options->verbose, "Name every operator that a warning is about");
  add_output_options(*command, options->output, "table|json");
  command->footer(
      "Examples:\n"
      "  ridge explain step3-2a2f-4k-fp8\n"
      "  ridge explain my-scenario.json --format json");
  command->callback([options] { run_explain(*options); });
}

}  // namespace ridge::tools
