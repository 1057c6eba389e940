// Disturbances cost time, and a seed decides all of them.
#include "synthetic.hpp"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge::decode {
namespace {

constexpr test::StageSeconds kNoiseStages{
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
       [](Noise& n) {
         n.experts.kind = ExpertPopularity::Kind::power_law;
         n.experts.exponent = 1.5;
       }},
      {"rows as tokens choose",
       [](Noise& n) { n.experts.counts = ExpertPopularity::Counts::drawn; }},
  };
  return all;
}

TEST(Noise, EveryDisturbanceCostsTimeAndTheFloorsHold) {
  for (const auto network : {NetworkModel::ports, NetworkModel::max_min_fair}) {
    for (const std::int64_t micro_batches : {1, 3}) {
      auto input = test::two_to_two(6, micro_batches, kNoiseStages);
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
        const Seconds rounding{1e-12};
        EXPECT_GE(disturbed.mean_tpot + rounding, disturbed.path_floor) << disturbance.name;
        EXPECT_GE(disturbed.mean_tpot + rounding, disturbed.resource_floor) << disturbance.name;
      }
    }
  }
}

TEST(Noise, ASlowGpuSlowsItsStageByItsFactor) {
  auto input = test::one_to_one(5, 3, {.attention = 20e-6, .ffn = 5e-6}, 1e12);
  input.noise.slow_gpus = {{.pool = 0, .instance = 0, .gpu = 0, .factor = 1.5}};
  EXPECT_NEAR(test::run(input).mean_tpot.value(), 5 * 3 * 30e-6, 1e-9);
}

TEST(Noise, ASlowGpuIsSlowInTheLmHeadToo) {
  auto input = test::one_to_one(5, 1, {.head = 20e-6}, 1e15);
  input.noise.slow_gpus = {{.pool = 0, .instance = 0, .gpu = 0, .factor = 2}};
  EXPECT_NEAR(test::run(input).mean_tpot.value(), 40e-6, 1e-9);
}

// The mean of the largest of eight lognormal factors of sigma 0.2 is 1.339 (by integration).
TEST(Noise, GpusThatShareHeadsEachHaveTheirOwnJitter) {
  auto input = test::two_to_two(6, 1, {.attention = 20e-6});
  Deployment& d = input.deployment;
  for (Pool& pool : d.pools) {
    pool.instances = 1;
    pool.gpus_per_instance = 8;
    pool.nic_bandwidth = pool.scale_up_bandwidth = BytesPerSecond{1e18};
  }
  d.attention_tensor_parallel = 8;
  d.ffn_tensor_parallel = 8;
  d.ffn_expert_parallel = 1;
  input.noise.kernel_jitter = 0.2;
  input.measurement = {.warmup_steps = 1, .steps = 2000};
  EXPECT_NEAR(test::run(input).mean_tpot.value() / (6 * 20e-6), 1.339, 0.005);
}

// A message may come late and never early: half of the lognormal factors are below 1 and count as
// 1. The mean of max(1, factor) for sigma 0.5 is 0.5 + exp(0.125) x Phi(0.5) = 1.2836.
TEST(Noise, JitterOnTheWireOnlyDelays) {
  const double there = test::kWireBytesPerToken / 1e8;
  auto input = test::one_to_one(6, 1, {.attention = 1e-9, .ffn = 1e-9}, 1e8);
  input.noise.network_jitter = 0.5;
  input.measurement = {.warmup_steps = 1, .steps = 4000};
  EXPECT_NEAR(test::run(input).mean_tpot.value(), 6 * 2 * there * 1.2836, 0.01 * 12 * there);
}

TEST(Noise, JitterOnLinksOnlyDelays) {
  auto input = test::two_to_two(6, 1, {.attention = 1e-9, .ffn = 1e-9});
  for (Pool& pool : input.deployment.pools) {
    pool.nic_bandwidth = BytesPerSecond{1e15};
    pool.scale_up_bandwidth = BytesPerSecond{1e8};
  }
  // One gather and one scatter a layer, on two instances that wait for each other: with the mean of
  // the larger of two such factors, 1.4895 (by integration).
  input.noise.network_jitter = 0.5;
  input.measurement = {.warmup_steps = 1, .steps = 4000};
  const double links = 32.0 * (2 * test::kWireBytesPerToken + 2 * 8) * 0.75 / 1e8;
  const auto calm = 6 * links;
  EXPECT_GT(test::run(input).mean_tpot.value(), 1.2836 * calm);
  EXPECT_LT(test::run(input).mean_tpot.value(), 1.55 * calm);
}

TEST(Noise, GpusWaitForTheSlowestOfTheirInstance) {
  auto input = test::two_to_two(6, 3, kNoiseStages);
  input.noise.slow_gpus = {{.pool = 0, .instance = 0, .gpu = 1, .factor = 2.0}};
  const auto result = test::run(input);
  // Three GPUs of the slow instance wait half of the time in which it works.
  const PoolTimes& attention = result.pools[0];
  const double work = (6 * 20e-6 + 3e-6) * static_cast<double>(result.steps);
  EXPECT_NEAR(attention.slowest_rank, 3 * work, 0.05 * work);
}

TEST(Noise, RedundantCopiesOfBusyExpertsWinBackTime) {
  auto input = test::two_to_two(6, 3, {.attention = 1e-6, .ffn_per_row = 1e-7});
  input.noise.experts.kind = ExpertPopularity::Kind::power_law;
  input.noise.experts.exponent = 1.5;
  const auto skewed = test::run(input);
  input.deployment.redundant_experts = 8;
  const auto balanced = test::run(input);
  EXPECT_LT(balanced.mean_tpot.value(), 0.98 * skewed.mean_tpot.value());
}

SimulationInput noisy() {
  auto input = test::two_to_two(6, 3, kNoiseStages);
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
  auto input = test::two_to_two(6, 3, kNoiseStages);
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
  EXPECT_EQ(test::run(test::two_to_two(6, 3, kNoiseStages)).checksum, 9519860984883811537U);
  EXPECT_EQ(test::run(noisy()).checksum, 14662466315157385924U);
  auto arrivals = noisy();
  arrivals.network_model = NetworkModel::max_min_fair;
  test::arrive(arrivals, 20000.0, 300, 20, 0.05);
  EXPECT_EQ(test::run(arrivals).checksum, 10722639668017080413U);
}

}  // namespace
}  // namespace ridge::decode
