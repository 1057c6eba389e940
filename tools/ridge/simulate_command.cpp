#include "arguments.hpp"
#include "commands.hpp"
#include "interrupt.hpp"
#include "output.hpp"
#include "ridge/answer/latency_plots.hpp"
#include "ridge/answer/rate_search.hpp"
#include "ridge/answer/simulation_report.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/format.hpp"
#include "ridge/report/pages.hpp"
#include "ridge/scenario/scenario_files.hpp"
#include "ridge/view/progress.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace ridge::tools {
namespace {

struct SimulateArguments {
  std::string scenario;
  std::string compare;
  std::string trace;
  std::string picture;
  std::string report;
  std::string requests;
  std::string latencies;
  std::optional<std::uint64_t> seed;
  std::optional<int> samples;
  std::vector<std::string> fixed;
  bool verbose = false;
  bool largest_rate = false;
  OutputOptions output;
};

struct Run {
  answer::SimulationReport report;
  scenario::SimulationScenario scenario;  // that was simulated
};

// What the intervals of a scenario draw: names.
std::vector<std::string> drawn_names(const std::string& scenario) {
  if (scenario.empty()) return {};
  scenario::Library library;
  return scenario::InputDraws::names(
      *scenario::ranges_of(scenario::read_scenario(scenario), library));
}

Run run_one(const std::string& name, const SimulateArguments& options, bool compared) {
  scenario::Library library;
  const auto located = scenario::read_scenario(name);
  // A name may be of what the scenario beside this one draws alone.
  const auto others = options.fixed.empty() || options.compare.empty()
                          ? std::vector<std::string>()
                          : drawn_names(compared ? options.scenario : options.compare);
  const auto scenario = scenario::resolve(located, library);
  if (!compared && !options.requests.empty()) answer::check_requests(located, "--requests");
  if (!compared && !options.latencies.empty()) answer::check_requests(located, "--latencies");
  constexpr std::uint64_t kParts = 1000;
  std::optional<view::Progress> progress(std::in_place, scenario.name, kParts);
  auto report = answer::answer(
      located, library,
      {.seed = options.seed,
       .stop = &stop_on_interrupt(),
       .progress =
           [&](double share) { progress->reach(static_cast<std::uint64_t>(share * kParts)); },
       .trace_path = compared ? "" : options.trace,
       .picture = !compared && (!options.picture.empty() || !options.report.empty()),
       .requests = !compared && (!options.requests.empty() || !options.report.empty())},
      options.samples, options.fixed, others);
  progress.reset();  // before anything is said on its line
  warn_of(report, options.verbose,
          options.compare.empty() ? "" : fmt::format("{}: ", scenario.name));
  // No part of the answer, which is the same whenever it is asked for.
  if (options.verbose) {
    fmt::print(stderr, "ridge: {} events in {} s\n", report.result.events,
               significant(report.wall_seconds, 2));
  }
  return {std::move(report), scenario};
}

void run_simulate(const SimulateArguments& options) {
  // Ctrl-C ends the run with the statistics so far.
  stop_on_interrupt();
  check_picture_path(options.picture);
  check_picture_path(options.latencies, "--latencies");
  if (options.largest_rate) {
    scenario::Library library;
    const auto search = answer::largest_rate(scenario::read_scenario(options.scenario), library,
                                             options.seed, &stop_on_interrupt());
    write_output(options.output, answer::render(search, options.output.format));
    return;
  }
  const report::Asked how = asked(options.report);
  const Run run = run_one(options.scenario, options, false);
  const answer::SimulationReport& report = run.report;
  if (!options.picture.empty()) write_picture(options.picture, report.picture);
  if (!options.latencies.empty()) {
    write_picture(options.latencies, answer::latency_picture(report));
  }
  if (!options.requests.empty()) write_file(options.requests, answer::requests_csv(report));
  const auto format = options.output.format;
  std::optional<answer::SimulationReport> other;
  if (!options.compare.empty()) other = run_one(options.compare, options, true).report;
  if (!options.report.empty()) {
    const auto question = report::question_of(scenario::scenario_path(options.scenario), how,
                                              "ridge simulate", options.seed);
    write_file(options.report, report::simulation_page(report, run.scenario.input,
                                                       other ? &*other : nullptr, question, how));
  }
  write_output(options.output, other ? answer::render_comparison(report, *other, format)
                                     : answer::render(report, format));
}

}  // namespace

void add_simulate_command(CLI::App& app) {
  auto* command = app.add_subcommand("simulate", "What a deployment delivers, event by event");
  auto options = std::make_shared<SimulateArguments>();
  command
      ->add_option("scenario", options->scenario,
                   "A scenario's name (ridge list scenarios) or file")
      ->required();
  command->add_option("--compare", options->compare, "A second scenario to set beside it")
      ->check(not_empty())
      ->type_name("OTHER");
  command
      ->add_option("--trace", options->trace,
                   "Write a trace of the measurement, for ui.perfetto.dev")
      ->type_name("FILE");
  command
      ->add_option(
          "--picture", options->picture,
          "Draw a few layers of the measurement as an SVG or PNG file: who computes, who waits")
      ->type_name("FILE");
  command
      ->add_option("--requests", options->requests,
                   "Write a line for every request that arrived: when it came, was admitted, got "
                   "its first and last token, and its TPOT")
      ->type_name("FILE.csv");
  command
      ->add_option("--latencies", options->latencies,
                   "Draw how TPOT, queueing and the time in the system of requests that arrive are "
                   "spread, as an SVG or PNG file")
      ->type_name("FILE");
  add_report_option(*command, options->report);
  command->add_option("--seed", options->seed, "Seed of all randomness (default: the scenario's)")
      ->check(seed());
  command
      ->add_option(
          "--samples", options->samples,
          "Further runs with calibrations, inputs that the scenario leaves open, and seeds "
          "drawn anew, for an interval (default: 20 in closed loop, else 0)")
      ->check(whole_between(0, 10000));
  add_fixed_option(*command, options->fixed);
  command
      ->add_flag("--largest-rate", options->largest_rate,
                 "Instead: the largest rate of arrivals at which the SLA holds")
      ->excludes("--compare", "--trace", "--picture", "--samples", "--fixed", "--requests",
                 "--latencies", "--report");
  command->add_flag(
      "--verbose", options->verbose,
      "Name every operator that a warning is about, and tell how long the simulation took");
  add_output_options(*command, options->output, "table|json");
  command->footer(
      "Examples:\n"
      "  ridge list scenarios\n"
      "  ridge simulate my-scenario.json --trace trace.json\n"
      "  ridge simulate step3-2a2f-4k-fp8 --picture pipeline.svg\n"
      "  ridge simulate step3-2a2f-4k-fp8 --report report.html\n"
      "  ridge simulate my-scenario.json --compare other.json --format json\n"
      "  ridge simulate trace-replay --largest-rate\n"
      "Ctrl-C ends a run with the statistics so far, marked as partial.");
  command->callback([options] { run_simulate(*options); });
}

}  // namespace ridge::tools
