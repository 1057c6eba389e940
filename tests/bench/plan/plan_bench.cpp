// How long a plan takes, and what the search looks at meanwhile. One "deployment" is one batch of
// one structure, of which a plan decides all that fit in memory: most by a bound, without looking
// at them one by one. One "evaluation" is one that is judged by a simulation or by the cycle ratio
// of its steps.
#include "ridge/plan/plan.hpp"

#include <string>

#include <benchmark/benchmark.h>

namespace ridge::plan {
namespace {

// The question that the page on planning begins with, of any model.
LocatedGoal goal_of(const std::string& model) {
  LocatedGoal located{.file = "./goal.json", .pointer = {}, .goal = {}};
  located.goal.models = {{.name = model, .spec = {}}};
  located.goal.chips.emplace_back().chip.name = "h800";
  located.goal.sla_tpot = Seconds{0.05};
  return located;
}

// Arguments: draws of the calibrations, threads.
void BM_Plan(benchmark::State& state, const char* model) {
  const PlanOptions options{.threads = static_cast<unsigned>(state.range(1)),
                            .samples = static_cast<int>(state.range(0))};
  const LocatedGoal goal = goal_of(model);
  SearchCounts counts;
  std::size_t evaluations = 0;
  std::int64_t deployments = 0;
  {
    scenario::Library library;
    for (const auto& one : candidates(Stocktaking(goal, library)).all) {
      deployments += one.most_requests;
    }
  }
  for (auto _ : state) {
    scenario::Library library;
    counts = make_plan(goal, library, options).counts;
    evaluations += counts.batches_simulated + counts.batches_by_cycle + counts.draws;
  }
  const auto each = [&](const char* name, std::size_t count) {
    state.counters[name] = static_cast<double>(count);
  };
  each("deployments", static_cast<std::size_t>(deployments));
  each("candidates", counts.possible);
  each("pruned", counts.pruned_by_attention + counts.pruned_by_floor);
  each("judged", counts.judged);
  each("simulated", counts.batches_simulated);
  each("by_cycle", counts.batches_by_cycle);
  each("stage_times", counts.stage_times);
  state.counters["deployments_per_s"] = benchmark::Counter(
      static_cast<double>(deployments * state.iterations()), benchmark::Counter::kIsRate);
  state.counters["evaluations_per_s"] =
      benchmark::Counter(static_cast<double>(evaluations), benchmark::Counter::kIsRate);
}
BENCHMARK_CAPTURE(BM_Plan, mfa, "step-3")
    ->ArgNames({"draws", "threads"})
    ->ArgsProduct({{0, 100}, {1, 2}})
    ->UseRealTime()
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Plan, mla, "deepseek-v3")
    ->ArgNames({"draws", "threads"})
    ->ArgsProduct({{0, 100}, {1, 2}})
    ->UseRealTime()
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMillisecond);

// Structures that are enumerated and found to fit, and their floors at the largest batch that does.
void BM_Floors(benchmark::State& state) {
  scenario::Library library;
  const Stocktaking stock(goal_of("step-3"), library);
  const Candidates all = candidates(stock);
  std::size_t floors = 0;
  for (auto _ : state) {
    Bounds bounds(stock, all);
    constexpr std::size_t kStride = 16;
    for (std::size_t i = 0; i < all.all.size(); i += kStride, ++floors) {
      benchmark::DoNotOptimize(bounds.floor(all.all[i].structure, all.all[i].most_requests));
    }
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(floors));
}
BENCHMARK(BM_Floors)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace ridge::plan
