// Disturbances cost time, and a seed decides all of them.
#include "synthetic.hpp"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge::decode {
namespace {

constexpr test::StageSeconds kStages{
    .attention = 20e-6, .ffn = 10e-6, .ffn_per_row = 1e-7, .head = 3e-6};

// Every kind of disturbance, by name.
struct Disturbance {
  const char* name;
  std::function<void(Noise&)> add;
};
const std::vector<Disturbance>& disturbances() {
  static const std::vector<Disturbance> all = {
      {"kernel jitter", [](Noise& n) { n.kernel_jitter = 0.2; }},
      {"network jitter", [](Noise& n) { n.network_jitter = 0.5; }},
      {"a slow attention GPU",
       [](Noise& n) { n.slow_gpus = {{.pool = 0, .instance = 1, .gpu = 3, .factor = 1.5}}; }},
      {"a slow FFN GPU",
       [](Noise& n) { n.slow_gpus = {{.pool = 1, .instance = 0, .gpu = 0, .factor = 1.5}}; }},
      {"a slow link", [](Noise& n) { n.slow_links = {{.pool = 1, .instance = 0, .factor = 20}}; }},
      {"popular experts",
       [](Noise& n) { n.experts = {.kind = ExpertPopularity::Kind::power_law, .exponent = 1.5}; }},
  };
  return all;
}

TEST(Noise, EveryDisturbanceCostsTimeAndTheFloorsHold) {
  for (const auto network : {NetworkModel::ports, NetworkModel::max_min_fair}) {
    for (const std::int64_t micro_batches : {1, 3}) {
      auto input = test::two_to_two(6, micro_batches, kStages);
      input.network_model = network;
      input.measurement = {.warmup_steps = 8, .steps = 32};
      const auto calm = test::run(input);
      for (const Disturbance& disturbance : disturbances()) {
        auto disturbed_input = input;
        disturbance.add(disturbed_input.noise);
        const auto disturbed = test::run(disturbed_input);
        EXPECT_GE(disturbed.mean_tpot, calm.mean_tpot) << disturbance.name;
        // Several micro-batches may hide it behind the busiest stage; one cannot.
        if (micro_batches == 1) {
          EXPECT_GT(disturbed.mean_tpot.value(), 1.001 * calm.mean_tpot.value())
              << disturbance.name;
        }
        EXPECT_GE(disturbed.mean_tpot, disturbed.path_floor) << disturbance.name;
        EXPECT_GE(disturbed.mean_tpot, disturbed.resource_floor) << disturbance.name;
      }
    }
  }
}

TEST(Noise, ASlowGpuSlowsItsStageByItsFactor) {
  auto input = test::one_to_one(5, 3, {.attention = 20e-6, .ffn = 5e-6}, 1e12);
  input.noise.slow_gpus = {{.pool = 0, .instance = 0, .gpu = 0, .factor = 1.5}};
  EXPECT_NEAR(test::run(input).mean_tpot.value(), 5 * 3 * 30e-6, 1e-9);
}

TEST(Noise, GpusWaitForTheSlowestOfTheirInstance) {
  auto input = test::two_to_two(6, 3, kStages);
  input.noise.slow_gpus = {{.pool = 0, .instance = 0, .gpu = 1, .factor = 2.0}};
  const auto result = test::run(input);
  // Three GPUs of the slow instance wait half of the time in which it works.
  const PoolTimes& attention = result.pools[0];
  const double work = 6 * 20e-6 * static_cast<double>(result.steps);
  EXPECT_NEAR(attention.slowest_rank, 3 * work, 0.05 * work);
}

TEST(Noise, RedundantCopiesOfBusyExpertsWinBackTime) {
  auto input = test::two_to_two(6, 3, {.attention = 1e-6, .ffn_per_row = 1e-7});
  input.noise.experts = {.kind = ExpertPopularity::Kind::power_law, .exponent = 1.5};
  const auto skewed = test::run(input);
  input.deployment.redundant_experts = 8;
  const auto balanced = test::run(input);
  EXPECT_LT(balanced.mean_tpot.value(), 0.98 * skewed.mean_tpot.value());
}

SimulationInput noisy() {
  auto input = test::two_to_two(6, 3, kStages);
  for (const Disturbance& disturbance : disturbances()) disturbance.add(input.noise);
  return input;
}

TEST(Seed, TheSameSeedGivesTheSameRun) {
  auto input = noisy();
  input.max_trace_records = 100000;
  const auto first = test::run(input);
  const auto second = test::run(input);
  EXPECT_EQ(first.checksum, second.checksum);
  EXPECT_EQ(first.events, second.events);
  EXPECT_EQ(first.mean_tpot, second.mean_tpot);
  ASSERT_EQ(first.trace.size(), second.trace.size());
  for (std::size_t i = 0; i < first.trace.size(); ++i) {
    ASSERT_EQ(first.trace[i].begin, second.trace[i].begin);
    ASSERT_EQ(first.trace[i].end, second.trace[i].end);
  }
}

TEST(Seed, AnotherSeedGivesAnotherRun) {
  auto input = noisy();
  const auto first = test::run(input);
  input.seed = 2;
  const auto second = test::run(input);
  EXPECT_NE(first.checksum, second.checksum);
  EXPECT_NE(first.mean_tpot, second.mean_tpot);
}

TEST(Seed, WithoutNoiseItChangesNothing) {
  auto input = test::two_to_two(6, 3, kStages);
  const auto first = test::run(input);
  input.seed = 2;
  EXPECT_EQ(test::run(input).checksum, first.checksum);
}

TEST(Seed, RecordingATraceDoesNotChangeTheRun) {
  auto input = noisy();
  const auto first = test::run(input);
  input.max_trace_records = 1000;
  const auto traced = test::run(input);
  EXPECT_EQ(traced.checksum, first.checksum);
  EXPECT_EQ(traced.trace.size(), 1000U);
  EXPECT_TRUE(traced.trace_full);
}

// The order and time of every event, in every kind of build.
TEST(Seed, ChecksumsAreTheSameInEveryBuild) {
  EXPECT_EQ(test::run(test::two_to_two(6, 3, kStages)).checksum, 16478424788084153167U);
  EXPECT_EQ(test::run(noisy()).checksum, 17169124409220788884U);
  auto arrivals = noisy();
  arrivals.network_model = NetworkModel::max_min_fair;
  test::arrive(arrivals, 20000.0, 300, 20, 0.05);
  EXPECT_EQ(test::run(arrivals).checksum, 4625353179277351047U);
}

}  // namespace
}  // namespace ridge::decode
