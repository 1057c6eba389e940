// How fast a sweep asks what a token costs. One "evaluation" is one model on one chip at one
// context: every operator emitted, its demand computed and priced.
#include "allocation_counter.hpp"
#include "ridge/hwmodels/theory/token_cost.hpp"
#include "ridge/sweep/sweep.hpp"
#include "ridge/sweep/sweep_output.hpp"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

namespace ridge {
namespace {

// The cost model alone, the model's numbers changing between evaluations.
void BM_TokenCost(benchmark::State& state, const char* name) {
  models::ModelSpec model = models::load_model(name);
  const hw::ChipSpec chip = hw::load_chip("h800");
  const hw::theory::RooflineChip roofline(chip);
  hw::theory::TokenTimeModel times;
  double context = 8192;
  const std::uint64_t before = bench::allocations();
  for (auto _ : state) {
    benchmark::DoNotOptimize(times.time(model, roofline, context));
    context = context < 1e6 ? context + 1 : 8192;
  }
  state.counters["allocations"] = static_cast<double>(bench::allocations() - before);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(BM_TokenCost, mfa, "step-3");
BENCHMARK_CAPTURE(BM_TokenCost, mla, "deepseek-v3");
BENCHMARK_CAPTURE(BM_TokenCost, gqa, "qwen3-235b-a22b");

constexpr int kHeads = 64;
constexpr int kDims = 64;
constexpr int kContexts = 256;

// Heads x head dimension x context: all columns of one chip, every row kept.
sweep::SweepScenario scenario() {
  return sweep::read_sweep(JsonDocument::parse(fmt::format(R"({{"kind": "sweep", "title": "bench",
        "base": {{"kind": "cost", "model": "step-3", "chip": "h800", "context_tokens": 8192}},
        "axes": [
          {{"pointer": "/model/attention/mfa/query_heads", "from": 1, "to": {}, "step": 1}},
          {{"pointer": "/model/attention/mfa/head_dim", "from": 8, "to": {}, "step": 8}},
          {{"pointer": "/context_tokens", "from": 1024, "to": {}, "step": 1024}}]}})",
                                                           kHeads, 8 * kDims, 1024 * kContexts),
                                               "bench"));
}

// Argument: threads. One evaluation per point.
void BM_Sweep(benchmark::State& state) {
  const sweep::SweepOptions options{.threads = static_cast<unsigned>(state.range(0))};
  const sweep::SweepScenario question = scenario();
  std::uint64_t points = 0;
  const std::uint64_t before = bench::allocations();
  for (auto _ : state) points += sweep::run_sweep(question, options).kept();
  state.counters["allocations_per_evaluation"] =
      static_cast<double>(bench::allocations() - before) / static_cast<double>(points);
  state.SetItemsProcessed(static_cast<std::int64_t>(points));
}
BENCHMARK(BM_Sweep)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);

// The rows as CSV. Argument: threads.
void BM_WriteCsv(benchmark::State& state) {
  const sweep::SweepOptions options{.threads = static_cast<unsigned>(state.range(0))};
  const sweep::SweepResult result = sweep::run_sweep(scenario(), options);
  std::int64_t bytes = 0;
  for (auto _ : state) {
    sweep::write_sweep(result, view::OutputFormat::csv, options, [&](std::string_view text) {
      bytes += static_cast<std::int64_t>(text.size());
    });
  }
  state.SetBytesProcessed(bytes);
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(result.kept()));
}
BENCHMARK(BM_WriteCsv)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace ridge
