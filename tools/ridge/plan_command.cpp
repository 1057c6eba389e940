#include "arguments.hpp"
#include "commands.hpp"
#include "interrupt.hpp"
#include "output.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/format.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/base/parallel.hpp"
#include "ridge/plan/plan_report.hpp"
#include "ridge/report/pages.hpp"
#include "ridge/view/progress.hpp"

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace ridge::tools {
namespace {

struct PlanArguments {
  std::string goal;
  // The short form.
  std::string models;
  std::string chips;
  std::optional<std::int64_t> gpus;
  std::string context;
  std::optional<double> tpot_ms;
  std::optional<double> tokens_per_s;

  int samples = 100;
  std::vector<std::string> fixed;
  std::size_t top = 5;
  unsigned threads = 0;
  bool exhaustive = false;
  bool front = false;
  std::string picture;
  std::string write;
  std::string report;
  bool verbose = false;
  OutputOptions output;
};

// The goal of the short form, or the file's with what the command line says in its place.
plan::LocatedGoal goal_of(const PlanArguments& options) {
  plan::LocatedGoal located;
  plan::Goal& goal = located.goal;
  const bool from_file = !options.goal.empty();
  if (from_file) {
    located = plan::read_goal(options.goal);
  } else {
    located.file = "./command line";
    std::vector<std::string> missing;
    if (options.models.empty()) missing.emplace_back("--model");
    if (options.chips.empty()) missing.emplace_back("--chip");
    if (!options.tpot_ms) missing.emplace_back("--tpot-ms");
    if (!missing.empty()) {
      throw UserError(
          fmt::format("plan: expected a goal's name or file, or {}; ridge plan --help has examples",
                      fmt::join(missing, ", ")));
    }
  }
  if (!options.models.empty()) {
    goal.models.clear();
    for (const auto& name : split_list(options.models, "--model")) {
      goal.models.push_back({.name = name, .spec = {}});
    }
  }
  if (!options.chips.empty()) {
    goal.chips.clear();
    for (const auto& name : split_list(options.chips, "--chip")) {
      plan::Stock& stock = goal.chips.emplace_back();
      stock.chip.name = name;
    }
  }
  if (options.gpus) goal.gpus = *options.gpus;
  if (!options.context.empty() && goal.workload) {
    throw UserError(
        "--context: the goal's \"workload\" says already how long contexts are; change it there");
  }
  if (!options.context.empty()) {
    goal.context = parse_tokens(options.context, "--context");
  } else if (!from_file) {
    goal.context = plan::kUsualContext;
  }
  if (options.tpot_ms) goal.sla_tpot = Seconds{*options.tpot_ms * 1e-3};
  if (options.tokens_per_s) goal.rate = *options.tokens_per_s;
  if (!from_file) {
    goal.title = fmt::format("{} on {}", options.models, options.chips);
  }
  return located;
}

void write_report(const PlanArguments& options, const plan::Plan& plan, const report::Asked& how) {
  const view::PageQuestion question{.command = how.command,
                                    .json = json_text(plan.stock->goal()),
                                    .file_name = "goal.json",
                                    .again = "ridge plan"};
  write_file(options.report, report::plan_page(plan, question, how));
}

// What rank 0 gives out.
void help_rank_0(const PlanArguments& options, Ranks& ranks) {
  try {
    scenario::Library library;
    plan::help_plan(goal_of(options), library,
                    {.samples = options.samples,
                     .fixed = options.fixed,
                     .exhaustive = options.exhaustive,
                     .ranks = &ranks});
  } catch (const std::exception& e) {
    ranks.fail(e.what());
  }
}

void run_plan(const PlanArguments& options) {
  const std::unique_ptr<Ranks> ranks = Ranks::join();
  if (ranks && options.threads > 1) {
    throw UserError("--threads: under mpirun, each rank is one thread: start more ranks");
  }
  if (ranks && ranks->rank() > 0) {
    help_rank_0(options, *ranks);
    return;
  }
  // Ctrl-C ends the search with the best so far.
  stop_on_interrupt();
  check_picture_path(options.picture);
  scenario::Library library;
  const report::Asked how_asked = asked(options.report);
  constexpr std::uint64_t kParts = 1000;
  std::unique_ptr<view::Progress> bar;
  std::string doing;
  std::mutex telling;
  const unsigned cores = ranks ? 1U : usual_threads();
  const plan::PlanOptions how{
      .threads = options.threads > 0 ? options.threads : cores,
      .samples = options.samples,
      .fixed = options.fixed,
      .layouts = options.top,
      .front = options.front || !options.picture.empty() || !options.report.empty(),
      .exhaustive = options.exhaustive,
      .stop = &stop_on_interrupt(),
      .ranks = ranks.get(),
      .progress = [&](double share, const std::string& what) {
        const std::lock_guard lock(telling);
        if (what != doing) {
          bar.reset();
          bar = std::make_unique<view::Progress>(what, kParts);
          doing = what;
        }
        bar->reach(static_cast<std::uint64_t>(share * kParts));
      }};
  const plan::Plan plan = plan::make_plan(goal_of(options), library, how);
  bar.reset();
  for (const std::string& warning : plan.warnings) warn(warning);
  for (std::size_t i = 0; i < plan.ranking.size(); ++i) {
    warn_of(plan.ranking[i].report, options.verbose, fmt::format("#{}: ", i + 1));
  }
  if (options.verbose) {
    fmt::print(stderr, "ridge: the search took {} s\n", significant(plan.counts.seconds, 2));
  }
  if (!options.report.empty()) write_report(options, plan, how_asked);
  write_output(options.output, plan::render(plan, options.output.format));
  if (!options.picture.empty()) write_picture(options.picture, plan::plan_picture(plan));
  if (options.write.empty()) return;
  for (const std::string& file : plan::write_scenarios(plan, options.write)) {
    fmt::print(stderr, "ridge: wrote {}\n", file);
  }
}

}  // namespace

void add_plan_command(CLI::App& app) {
  auto* command = app.add_subcommand(
      "plan", "The best deployments for a goal: models, chips, a budget, an SLA");
  auto options = std::make_shared<PlanArguments>();
  command->add_option("goal", options->goal, "A goal: a name (ridge list goals) or a file");
  command->add_option("-m,--model", options->models, "Models: names (ridge list models) or files")
      ->check(not_empty())
      ->type_name("A,B,...");
  command->add_option("-c,--chip", options->chips, "Chips: names (ridge list chips) or files")
      ->check(not_empty())
      ->type_name("A,B,...");
  command->add_option("--gpus", options->gpus, "GPUs at most (default: 64)")
      ->check(whole_between(1, 65536));
  command
      ->add_option(
          "--context", options->context,
          fmt::format("Cached tokens per request (default: {})", tokens_words(plan::kUsualContext)))
      ->check(not_empty())
      ->type_name("TOKENS");
  command->add_option("--tpot-ms", options->tpot_ms, "Time per output token that shall be met")
      ->check(number_between(0.001, 1e6));
  command
      ->add_option("--tokens-per-s", options->tokens_per_s,
                   "A rate for all GPUs together: the fewest GPUs for it")
      ->check(number_between(1e-3, 1e12));
  command
      ->add_option("--samples", options->samples,
                   "Draws of the calibrations and of inputs that the goal leaves open, for the "
                   "share that meets the SLA; 0 for kernel times as fitted alone")
      ->check(whole_between(0, 10000))
      ->capture_default_str();
  add_fixed_option(*command, options->fixed);
  command->add_option("--top", options->top, "Deployments to rank")
      ->check(whole_between(1, 1000))
      ->capture_default_str();
  command
      ->add_option("--threads", options->threads,
                   "Threads (default: one per core); the answer is the same for any number")
      ->check(whole_between(1, 1024));
  command->add_flag("--front", options->front, "Also the best at other speeds than the SLA's");
  command
      ->add_option("--picture", options->picture,
                   "Draw that front as an SVG or PNG file: throughput against speed")
      ->type_name("FILE");
  command->add_flag("--exhaustive", options->exhaustive,
                    "Try every batch of every structure, to check the search");
  command
      ->add_option("--write", options->write,
                   "Write each deployment into this folder, as a scenario for ridge simulate")
      ->check(not_empty())
      ->type_name("DIR");
  command->add_flag(
      "--verbose", options->verbose,
      "Name every operator that a warning is about, and tell how long the search took");
  add_report_option(*command, options->report);
  add_output_options(*command, options->output, "table|csv|json");
  command->footer([] {
    const ExampleNames names = example_names();
    return fmt::format(
        "Examples:\n"
        "  ridge plan --model {0} --chip {1} --gpus 64 --context 8K --tpot-ms 50\n"
        "  ridge plan --model {0} --chip {1},{2} --tpot-ms 50 --write deployments\n"
        "  ridge plan my-goal.json --samples 0\n"
        "Ctrl-C ends the search with the best so far, marked as such.",
        names.other_model, names.chip, names.other_chip);
  });
  command->callback([options] { run_plan(*options); });
}

}  // namespace ridge::tools
