#include "arguments.hpp"
#include "commands.hpp"
#include "output.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/file.hpp"
#include "ridge/report/pages.hpp"
#include "ridge/scenario/scenario_files.hpp"
#include "ridge/sweep/sweep.hpp"
#include "ridge/sweep/sweep_designs.hpp"
#include "ridge/sweep/sweep_output.hpp"
#include "ridge/sweep/sweep_picture.hpp"
#include "ridge/view/progress.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace ridge::tools {
namespace {

constexpr unsigned kMaxThreads = 1024;

std::atomic<bool> stop{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler raises it");

struct Options {
  std::string scenario;
  unsigned threads = 0;
  std::string picture;
  std::string color;
  std::string report;
  OutputOptions output;
};

void tell(const sweep::SweepResult& result) {
  if (result.invalid() > 0) {
    warn(fmt::format("{} of {} points left out as invalid", result.invalid(), result.points()));
  }
  if (result.kept() == 0) warn("no point passed the filters");
  for (const auto& note : result.notes()) warn(note);
}

void write_report(const Options& options, const sweep::SweepResult& result,
                  const report::Asked& how) {
  // A browser moves so many dots at once, and the page stays small enough to send.
  constexpr std::size_t kMostRows = 20000;
  const view::Designs designs = sweep::designs_of(result, {.most_rows = kMostRows});
  std::string words = fmt::format("{} points, {} kept", result.points(), result.kept());
  if (designs.rows.size() < result.kept()) {
    words += fmt::format("; here are {} of them, all of the front", designs.rows.size());
  }
  std::vector<std::string> warnings = result.notes();
  if (result.invalid() > 0) {
    warnings.insert(warnings.begin(),
                    fmt::format("{} points left out as invalid", result.invalid()));
  }
  const auto question =
      report::question_of(scenario::scenario_path(options.scenario), how, "ridge sweep");
  write_file(options.report, report::designs_page(designs, words, warnings, question, how));
}

void run_sweep(const Options& options) {
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  std::optional<view::Progress> bar;
  std::once_flag begun;
  sweep::SweepOptions how{.threads = options.threads > 0 ? options.threads : cores, .stop = &stop};
  // An interrupt ends the sweep at once and leaves nothing half-written. A second one changes
  // nothing: `timeout` sends two at once.
  std::signal(SIGINT, [](int) { stop = true; });
  try {
    sweep::SweepScenario scenario = sweep::load_sweep(options.scenario);
    if (!options.picture.empty()) check_picture_path(options.picture);
    const report::Asked how_asked = asked(options.report);
    if (!options.picture.empty() || !options.report.empty()) sweep::check_picture(scenario);
    how.progress = [&, title = scenario.title](std::uint64_t more, std::uint64_t points) {
      std::call_once(begun, [&] { bar.emplace(title, points); });
      bar->add(more);
    };
    const sweep::SweepResult result = sweep::run_sweep(std::move(scenario), how);
    bar.reset();
    tell(result);
    if (!options.picture.empty()) {
      write_picture(options.picture, sweep::sweep_picture(result, options.color));
    }
    if (!options.report.empty()) write_report(options, result, how_asked);
    if (options.output.path.empty()) {
      const bool table = options.output.format == view::OutputFormat::table;
      sweep::write_sweep(result, options.output.format, how, table ? print : write_stdout);
    } else {
      FileWriter file(options.output.path);
      sweep::write_sweep(result, options.output.format, how,
                         [&](std::string_view text) { file.write(text); });
      file.finish();
    }
  } catch (const sweep::Interrupted&) {
    fmt::print(stderr, "ridge: interrupted\n");
    // Whoever waits for this process sees the signal, as without a handler.
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);
  }
  std::signal(SIGINT, SIG_DFL);
}

}  // namespace

void add_sweep_command(CLI::App& app) {
  auto* command =
      app.add_subcommand("sweep", "Ask one question along axes: costs of a family of designs");
  auto options = std::make_shared<Options>();
  command
      ->add_option("scenario", options->scenario,
                   "A sweep scenario: a name (ridge list scenarios) or a file")
      ->required();
  command
      ->add_option("--threads", options->threads,
                   "Threads (default: one per core); the answer is the same for any number")
      ->check(whole_between(1, kMaxThreads))
      ->type_name("N");
  command
      ->add_option("--picture", options->picture,
                   "Also draw the designs and their Pareto front as an SVG or PNG file")
      ->type_name("FILE");
  command
      ->add_option("--color", options->color,
                   "With --picture: color the designs by this axis or column")
      ->check(not_empty())
      ->type_name("COLUMN")
      ->needs("--picture");
  add_report_option(*command, options->report);
  add_output_options(*command, options->output, "csv|json|table");
  command->footer(
      "Examples:\n"
      "  ridge sweep sweep-mfa-heads --format table\n"
      "  ridge sweep sweep-afd-ratio --format table --picture front.svg\n"
      "  ridge sweep sweep-afd-ratio --report designs.html\n"
      "  ridge sweep my-sweep.json --threads 2 -o designs.csv\n"
      "docs/sweeps.md tells how to write a scenario.");
  command->callback([options] { run_sweep(*options); });
}

}  // namespace ridge::tools
