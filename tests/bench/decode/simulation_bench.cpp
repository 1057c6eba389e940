// Events per second of whole deployments, as they are shipped.

#include "ridge/decode/simulation.hpp"
#include "ridge/scenario/simulation_scenario.hpp"

#include <string>

#include <benchmark/benchmark.h>

namespace ridge::decode {
namespace {

void run_scenario(benchmark::State& state, const std::string& name, const Measurement& measurement,
                  NetworkModel network) {
  auto input = scenario::load_simulation(name).input;
  input.measurement = measurement;
  input.network_model = network;
  std::uint64_t events = 0;
  std::uint64_t tokens = 0;
  for (auto _ : state) {
    const auto result = Simulation(input).run();
    events += result.events;
    tokens += result.tokens;
  }
  state.counters["events_per_s"] =
      benchmark::Counter(static_cast<double>(events), benchmark::Counter::kIsRate);
  state.counters["simulated_tokens_per_s"] =
      benchmark::Counter(static_cast<double>(tokens), benchmark::Counter::kIsRate);
}

constexpr Measurement kSteps{.warmup_steps = 4, .steps = 200};
constexpr Measurement kShortTraffic{.warmup = Seconds{0.0}, .duration = Seconds{2.0}};

BENCHMARK_CAPTURE(run_scenario, afd, "step3-2a2f-4k-fp8", kSteps, NetworkModel::ports)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run_scenario, afd_max_min_fair, "step3-2a2f-4k-fp8", kSteps,
                  NetworkModel::max_min_fair)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run_scenario, wide_expert_parallel, "deepseek-v3-ep128-4k", kSteps,
                  NetworkModel::ports)
    ->Unit(benchmark::kMillisecond);
// The first two seconds, in which the cluster fills.
BENCHMARK_CAPTURE(run_scenario, cluster_of_1024_gpus, "cluster-1024-gpus", kShortTraffic,
                  NetworkModel::ports)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace ridge::decode
