#include "arguments.hpp"
#include "commands.hpp"
#include "interrupt.hpp"
#include "maker.hpp"
#include "output.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/json.hpp"
#include "ridge/base/parallel.hpp"
#include "ridge/report/pages.hpp"
#include "ridge/scenario/scenario_files.hpp"
#include "ridge/sweep/sweep.hpp"
#include "ridge/sweep/sweep_designs.hpp"
#include "ridge/sweep/sweep_output.hpp"
#include "ridge/sweep/sweep_picture.hpp"
#include "ridge/view/progress.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::tools {
namespace {

constexpr unsigned kMaxThreads = 1024;

struct SweepArguments {
  std::string scenario;
  std::vector<std::string> journals;  // one that is written to, or several to merge
  std::string shard;
  unsigned threads = 0;
  std::string picture;
  std::string color;
  std::string report;
  std::vector<std::string> fixed;
  OutputOptions output;
};

// With --fixed in its base, where the journal, shards and a page have it too.
JsonDocument asked_document(const SweepArguments& options) {
  JsonDocument document = JsonDocument::read(scenario::scenario_path(options.scenario));
  if (options.fixed.empty()) return document;
  const nlohmann::json::json_pointer kind("/base/kind");
  const nlohmann::json& file = document.json();
  if (!file.contains(kind) || (file[kind] != "simulate" && file[kind] != "plan")) {
    throw UserError(fmt::format(
        "--fixed goes with a sweep of simulations or plans: the base of {} draws nothing",
        document.name()));
  }
  if (!file.contains(nlohmann::json::json_pointer("/base/samples"))) {
    throw UserError(fmt::format(
        "--fixed goes with draws, and {} asks for none: expected how many at /base/samples",
        document.name()));
  }
  nlohmann::json& fixed = document.json()["base"]["fixed"];
  if (fixed.is_null()) fixed = nlohmann::json::array();
  if (fixed.is_array()) {
    for (const std::string& name : options.fixed) fixed.push_back(name);
  }
  return document;
}

void tell(const sweep::SweepResult& result) {
  if (result.invalid() > 0) {
    warn(fmt::format("{} of {} points left out as invalid", result.invalid(), result.points()));
  }
  if (result.kept() == 0) warn("no point passed the filters");
  for (const auto& note : result.notes()) warn(note);
}

// "2/8"
sweep::Shard shard_of(const std::string& text) {
  sweep::Shard out;
  char rest = 0;
  unsigned long long index = 0;
  unsigned long long count = 0;
  if (std::sscanf(text.c_str(), "%llu/%llu%c", &index, &count, &rest) != 2 || index < 1 ||
      index > count) {
    throw UserError(fmt::format(
        "--shard: expected a number and how many shards there are, such as 2/8, got \"{}\"", text));
  }
  out.index = index;
  out.count = count;
  return out;
}

void show(const SweepArguments& options, const sweep::SweepResult& result,
          const sweep::SweepOptions& how, const report::Asked& how_asked) {
  tell(result);
  if (!options.picture.empty()) {
    write_picture(options.picture, sweep::sweep_picture(result, options.color));
  }
  if (!options.report.empty()) {
    // As it is written where nothing is added.
    const auto question =
        options.fixed.empty()
            ? report::question_of(scenario::scenario_path(options.scenario), how_asked,
                                  "ridge sweep")
            : report::question_of(asked_document(options), how_asked, "ridge sweep");
    write_file(options.report, report::sweep_page(result, question, how_asked));
  }
  if (options.output.path.empty()) {
    const bool table = options.output.format == view::OutputFormat::table;
    sweep::write_sweep(result, options.output.format, how, table ? print : write_stdout);
  } else {
    FileWriter file(options.output.path);
    sweep::write_sweep(result, options.output.format, how,
                       [&](std::string_view text) { file.write(text); });
    file.finish();
  }
}

// `journal`, `ranks`: null for none.
void answer(const SweepArguments& options, sweep::SweepScenario scenario, sweep::Journal* journal,
            Ranks* ranks) {
  const unsigned cores = usual_threads();
  std::optional<view::Progress> bar;
  std::once_flag begun;
  // An interrupt ends the sweep at once and leaves nothing half-written. A second one changes
  // nothing: `timeout` sends two at once.
  sweep::SweepOptions how{.threads = options.threads > 0 ? options.threads : cores,
                          .stop = &stop_on_interrupt(),
                          .journal = journal,
                          .ranks = ranks};
  try {
    check_picture_path(options.picture);
    const report::Asked how_asked = asked(options.report);
    if (!options.picture.empty() || !options.report.empty()) sweep::check_picture(scenario);
    how.progress = [&, title = scenario.title](std::uint64_t more, std::uint64_t points) {
      std::call_once(begun, [&] { bar.emplace(title, points); });
      bar->add(more);
    };
    if (!options.shard.empty()) {
      sweep::run_shard(std::move(scenario), how, shard_of(options.shard));
      bar.reset();
      fmt::print(stderr, "ridge: shard {} is in {}; ridge merge puts all of them together\n",
                 options.shard, journal->name());
    } else {
      const sweep::SweepResult result = sweep::run_sweep(std::move(scenario), how);
      bar.reset();
      show(options, result, how, how_asked);
    }
  } catch (const sweep::Interrupted&) {
    fmt::print(stderr, "ridge: interrupted{}\n",
               options.journals.empty() || journal->read_only()
                   ? std::string()
                   : fmt::format("; what is done is in {}, and the same command goes on",
                                 journal->name()));
    // Whoever waits for this process sees the signal, as without a handler.
    interrupt_as_usual();
    std::raise(SIGINT);
  }
  interrupt_as_usual();
}

void run_sweep(const SweepArguments& options) {
  const std::unique_ptr<Ranks> ranks = Ranks::join();
  if (ranks && options.threads > 1) {
    throw UserError("--threads: under mpirun, each rank is one thread: start more ranks");
  }
  if (ranks && ranks->rank() > 0) {
    try {
      sweep::help_sweep(sweep::read_sweep(asked_document(options)), {.ranks = ranks.get()});
    } catch (const std::exception& e) {
      ranks->fail(e.what());
    }
    return;
  }
  std::optional<sweep::Journal> journal;
  if (!options.journals.empty() || ranks) {
    journal.emplace(options.journals.empty() ? std::string() : options.journals.front(), maker());
  }
  answer(options, sweep::read_sweep(asked_document(options)), journal ? &*journal : nullptr,
         ranks.get());
}

void run_merge(SweepArguments options) {
  const JsonDocument document = sweep::Journal::scenario_of(options.journals.front());
  options.scenario = document.name();
  sweep::Journal journal(options.journals, maker());
  answer(options, sweep::read_sweep(document), &journal, nullptr);
}

void add_ways_to_show(CLI::App& command, SweepArguments& options) {
  command
      .add_option("--threads", options.threads,
                  "Threads (default: one per core); the answer is the same for any number")
      ->check(whole_between(1, kMaxThreads))
      ->type_name("N");
  command
      .add_option("--picture", options.picture,
                  "Also draw the designs and their Pareto front as an SVG or PNG file")
      ->type_name("FILE");
  command
      .add_option("--color", options.color,
                  "With --picture: color the designs by this axis or column")
      ->check(not_empty())
      ->type_name("COLUMN")
      ->needs("--picture");
  add_report_option(command, options.report);
  add_output_options(command, options.output, "csv|json|table");
}

}  // namespace

void add_sweep_command(CLI::App& app) {
  auto* command =
      app.add_subcommand("sweep", "Ask one question along axes: costs of a family of designs");
  auto options = std::make_shared<SweepArguments>();
  command
      ->add_option("scenario", options->scenario,
                   "A sweep scenario: a name (ridge list scenarios) or a file")
      ->required();
  add_ways_to_show(*command, *options);
  auto* journal =
      command
          ->add_option("--journal", options->journals,
                       "Keep every finished point in this file: whatever ends the run, the same "
                       "command goes on from there")
          ->check(not_empty())
          ->expected(1)
          ->type_name("FILE");
  command
      ->add_option("--shard", options->shard,
                   "Answer only the I-th of N parts of the points, into the journal")
      ->check(not_empty())
      ->type_name("I/N")
      ->needs(journal)
      ->excludes("--picture", "--report", "--output", "--format");
  add_fixed_option(*command, options->fixed);
  command->footer(
      "Examples:\n"
      "  ridge sweep sweep-mfa-heads --format table\n"
      "  ridge sweep sweep-afd-ratio --format table --picture front.svg\n"
      "  ridge sweep sweep-afd-ratio --report designs.html\n"
      "  ridge sweep my-sweep.json --threads 2 --journal my-sweep.journal -o designs.csv\n"
      "docs/sweeps.md tells how to write a scenario.");
  command->callback([options] { run_sweep(*options); });
}

void add_merge_command(CLI::App& app) {
  auto* command = app.add_subcommand(
      "merge", "Put the journals of a sweep's shards together: the answer of one run");
  auto options = std::make_shared<SweepArguments>();
  command
      ->add_option("journals", options->journals,
                   "What ridge sweep --shard I/N --journal FILE wrote, all N of them")
      ->required()
      ->check(not_empty())
      ->type_name("FILE");
  add_ways_to_show(*command, *options);
  command->footer(
      "Example:\n"
      "  ridge sweep sweep-afd-ratio --shard 1/2 --journal 1.journal\n"
      "  ridge sweep sweep-afd-ratio --shard 2/2 --journal 2.journal\n"
      "  ridge merge 1.journal 2.journal -o designs.csv");
  command->callback([options] { run_merge(*options); });
}

}  // namespace ridge::tools
