// A whole answer from C++: the scenario read, resolved and simulated, its JSON written.
#include "ridge/answer/simulation_report.hpp"
#include "ridge/scenario/simulation_scenario.hpp"

#include <benchmark/benchmark.h>

namespace ridge {
namespace {

void BM_Answer(benchmark::State& state) {
  for (auto _ : state) {
    scenario::Library library;
    const auto located = scenario::read_scenario("step3-2a2f-4k-fp8");
    const auto report = answer::answer(located, library, {}, 0);
    benchmark::DoNotOptimize(answer::render(report, view::OutputFormat::json));
  }
}
BENCHMARK(BM_Answer)->Unit(benchmark::kMillisecond)->Iterations(1000);

}  // namespace
}  // namespace ridge
