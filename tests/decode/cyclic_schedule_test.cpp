// A fixed order of work: no surprise from what becomes faster, and a step time that a graph tells.
#include "ridge/base/error.hpp"
#include "ridge/decode/cyclic_steps.hpp"
#include "synthetic.hpp"

#include <algorithm>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace ridge::decode {
namespace {

double microseconds(int least, int most) {
  return *rc::gen::inRange(least, most) * 1e-6;
}

// Of two pools with a few instances of a few GPUs, stages of any length, and GPUs that are slower
// than others.
SimulationInput any_disaggregation() {
  const std::int64_t layers = *rc::gen::inRange(1, 6);
  const std::int64_t micro_batches = *rc::gen::inRange(1, 5);
  auto input = test::two_to_two(
      layers, micro_batches,
      {.attention = microseconds(1, 60), .ffn = microseconds(1, 60), .head = microseconds(0, 30)});
  Deployment& d = input.deployment;
  d.schedule = Schedule::cyclic;
  d.pools[0].instances = *rc::gen::inRange(1, 4);
  d.pools[1].instances = *rc::gen::inRange(1, 4);
  d.pools[0].gpus_per_instance = *rc::gen::element<std::int64_t>(1, 2, 4);
  d.pools[1].gpus_per_instance = *rc::gen::element<std::int64_t>(1, 2);
  // Experts are not split within an instance, and eight do not divide by three.
  d.model = test::dense_model(layers);
  d.ffn_tensor_parallel = d.pools[1].gpus_per_instance;
  d.ffn_expert_parallel = d.pools[1].instances;
  d.scale_up_overlaps_compute = *rc::gen::arbitrary<bool>();
  d.scale_up.in_switch_reduction = *rc::gen::arbitrary<bool>();
  d.gathering = *rc::gen::element(Gathering::whole, Gathering::per_message);
  d.network.transport.overhead = Seconds{microseconds(0, 10)};
  for (Pool& pool : d.pools) {
    pool.nic_bandwidth = BytesPerSecond{test::kWireBytesPerToken * 4 / microseconds(1, 40)};
    pool.scale_up_bandwidth = BytesPerSecond{test::kWireBytesPerToken * 4 / microseconds(1, 40)};
  }
  if (*rc::gen::arbitrary<bool>()) {
    const auto pool = static_cast<std::uint32_t>(*rc::gen::inRange(0, 2));
    input.noise.slow_gpus = {{.pool = pool,
                              .instance = static_cast<std::uint32_t>(
                                  *rc::gen::inRange<std::int64_t>(0, d.pools[pool].instances)),
                              .gpu = 0,
                              .factor = *rc::gen::inRange(10, 30) / 10.0}};
  }
  return input;
}

constexpr double kRounding = 1e-9;

TEST(CyclicSchedule, AStepTakesTheMaximumCycleRatioOfItsGraph) {
  EXPECT_TRUE(rc::check([] {
    auto input = any_disaggregation();
    const double cycle = cyclic_step_time(input).value();
    // A transient lasts the longer, the closer the second slowest cycle.
    input.measurement = {.warmup_steps = 60, .steps = 120};
    const double simulated = test::run(input).mean_tpot.value();
    RC_LOG() << "cycle " << cycle << " s, simulated " << simulated << " s\n";
    RC_ASSERT(std::abs(simulated - cycle) <= kRounding + 1e-3 * cycle);
  }));
}

TEST(CyclicSchedule, WhatBecomesFasterNeverMakesAStepSlower) {
  EXPECT_TRUE(rc::check([] {
    const auto input = any_disaggregation();
    auto faster = input;
    Deployment& d = faster.deployment;
    const double by = *rc::gen::inRange(101, 300) / 100.0;
    switch (*rc::gen::inRange(0, 4)) {
      case 0:
        d.pools[*rc::gen::inRange(0, 2)].nic_bandwidth *= by;
        break;
      case 1:
        d.pools[*rc::gen::inRange(0, 2)].scale_up_bandwidth *= by;
        break;
      case 2:
        d.network.transport.overhead = d.network.transport.overhead / by;
        break;
      default:
        faster.noise.slow_gpus.clear();
    }
    RC_ASSERT(cyclic_step_time(faster).value() <=
              cyclic_step_time(input).value() * (1.0 + 1e-12) + kRounding);
  }));
}

TEST(CyclicSchedule, AFasterChipNeverMakesAStepSlower) {
  EXPECT_TRUE(rc::check([] {
    auto input = any_disaggregation();
    test::StageSeconds stages{.attention = microseconds(1, 60), .ffn = microseconds(1, 60)};
    input.deployment.pools[0].kernels = test::fixed_kernels(stages);
    input.deployment.pools[1].kernels = test::fixed_kernels(stages);
    const Seconds before = cyclic_step_time(input);
    const auto pool = static_cast<std::size_t>(*rc::gen::inRange(0, 2));
    const double by = *rc::gen::inRange(101, 300) / 100.0;
    stages.attention /= by;
    stages.ffn /= by;
    input.deployment.pools[pool].kernels = test::fixed_kernels(stages);
    RC_ASSERT(cyclic_step_time(input).value() <= before.value() * (1.0 + 1e-12) + kRounding);
  }));
}

// Where both pools have equally many instances, each sends first to its namesake, and all are
// alike: it does not matter which of them is slow.
TEST(CyclicSchedule, WhichInstanceIsSlowChangesNothing) {
  EXPECT_TRUE(rc::check([] {
    auto input = any_disaggregation();
    Deployment& d = input.deployment;
    d.pools[1].instances = d.pools[0].instances;
    d.ffn_expert_parallel = d.pools[1].instances;
    const auto pool = static_cast<std::uint32_t>(*rc::gen::inRange(0, 2));
    input.noise.slow_gpus = {
        {.pool = pool, .instance = 0, .gpu = 0, .factor = *rc::gen::inRange(10, 30) / 10.0}};
    const double first = cyclic_step_time(input).value();
    input.noise.slow_gpus[0].instance = static_cast<std::uint32_t>(d.pools[pool].instances - 1);
    RC_ASSERT(std::abs(cyclic_step_time(input).value() - first) <= kRounding);
  }));
}

TEST(CyclicSchedule, OfOnePoolTakesItsCycleToo) {
  for (const std::int64_t micro_batches : {1, 2, 3}) {
    auto input = test::two_to_two(6, micro_batches, {.attention = 7e-6, .ffn = 9e-6, .head = 2e-6});
    Deployment& d = input.deployment;
    d.strategy = "wide_expert_parallel";
    d.pools.resize(1);
    d.pools[0].roles = kAllRoles;
    d.pools[0].instances = 1;
    d.pools[0].gpus_per_instance = 8;
    d.ffn_tensor_parallel = 1;
    d.ffn_expert_parallel = 8;
    d.schedule = Schedule::cyclic;
    input.measurement = {.warmup_steps = 20, .steps = 40};
    const double cycle = cyclic_step_time(input).value();
    EXPECT_NEAR(test::run(input).mean_tpot.value(), cycle, 1e-3 * cycle);
  }
}

KernelDraw kernels_of(const SimulationInput& input) {
  KernelDraw draw{.kernels = {}, .seed = input.seed};
  for (const Pool& pool : input.deployment.pools) draw.kernels.push_back(pool.kernels);
  return draw;
}

TEST(CyclicSteps, AreTheMaximumCycleRatioAndNotBelowTheirFloor) {
  EXPECT_TRUE(rc::check([] {
    auto input = any_disaggregation();
    const std::int64_t requests = *rc::gen::inRange(1, 4);
    input.workload.requests_per_gpu = 0;
    input.workload.requests_per_group = requests * input.deployment.micro_batches;
    const double cycle = cyclic_step_time(input).value();
    CyclicSteps steps(input, {kernels_of(input)});
    const auto times = steps.times(0, requests, input.workload.context.largest());
    const double step = steps.step_times(times).front().value();
    RC_LOG() << "cycle " << cycle << " s, steps " << step << " s\n";
    RC_ASSERT(std::abs(step - cycle) <= 1e-6 * cycle + 1e-12);
    RC_ASSERT(steps.floor(times.front()).value() <= step * (1.0 + 1e-9));
  }));
}

// Replicas choose experts by draws of their own, and draws have kernels of their own: each set is
// what it is alone.
TEST(CyclicSteps, OfManyDrawsAreThoseOfEach) {
  auto input = test::two_to_two(5, 3, {.attention = 7e-6, .ffn = 5e-6, .ffn_per_row = 3e-6});
  input.deployment.replicas = 2;
  input.noise.experts.counts = ExpertPopularity::Counts::drawn;
  input.deployment.schedule = Schedule::cyclic;
  std::vector<KernelDraw> draws;
  for (const double slower : {1.0, 1.7, 0.4}) {
    const auto kernels = test::fixed_kernels(
        {.attention = slower * 7e-6, .ffn = 5e-6, .ffn_per_row = 3e-6 / slower});
    draws.push_back({.kernels = {kernels, kernels}, .seed = 5 + draws.size()});
  }
  CyclicSteps steps(input, draws);
  std::vector<ReplicaTimes> all;
  for (std::size_t d = 0; d < draws.size(); ++d) {
    for (auto& replica : steps.times(d, 4, 100)) all.push_back(std::move(replica));
  }
  const auto together = steps.step_times(all);
  ASSERT_EQ(together.size(), 6U);
  for (std::size_t d = 0; d < draws.size(); ++d) {
    auto alone = input;
    for (Pool& pool : alone.deployment.pools) pool.kernels = draws[d].kernels[0];
    alone.seed = draws[d].seed;
    alone.workload.requests_per_gpu = 0;
    alone.workload.requests_per_group = 12;
    alone.workload.context = {.tokens = 100};
    const double cycle = cyclic_step_time(alone).value();
    EXPECT_NEAR(together[2 * d].value(), cycle, 1e-6 * cycle) << d;
    // Asked again, they are the same.
    EXPECT_EQ(steps.step_times(steps.times(d, 4, 100))[1], together[2 * d + 1]);
  }
  EXPECT_NE(together[0], together[1]);
}

// Cycles that were found before leave out rotations that they make too long, and no other.
TEST(CyclicSteps, AreTheSameWhateverWasAskedBefore) {
  EXPECT_TRUE(rc::check([] {
    auto input = any_disaggregation();
    input.workload.requests_per_gpu = 0;
    input.workload.requests_per_group = input.deployment.micro_batches;
    std::vector<KernelDraw> draws;
    for (int d = 0; d < 6; ++d) {
      KernelDraw& draw = draws.emplace_back();
      for (int pool = 0; pool < 2; ++pool) {
        draw.kernels.push_back(
            test::fixed_kernels({.attention = microseconds(1, 60), .ffn = microseconds(1, 60)}));
      }
    }
    CyclicSteps all(input, draws);
    for (std::size_t d = 0; d < draws.size(); ++d) {
      const auto times = all.times(d, 1, 100);
      const Seconds after_others = all.step_times(times).front();
      CyclicSteps alone(input, {draws[d]});
      RC_ASSERT(after_others == alone.step_times(times).front());
      const Seconds limit = *rc::gen::inRange(8, 12) / 10.0 * after_others;
      const Seconds within = all.step_times(times, limit).front();
      RC_ASSERT(within == after_others || after_others >= limit);
    }
  }));
}

// The order in which work becomes ready gives another sequence of events.
TEST(CyclicSchedule, IsTheOrderOfPoolsThatAnswerEachOtherInAClosedLoop) {
  const auto events = [](std::optional<Schedule> schedule) {
    auto input = test::two_to_two(6, 3, {.attention = 20e-6, .ffn = 11e-6, .head = 30e-6});
    input.deployment.schedule = schedule;
    return test::run(input).checksum;
  };
  EXPECT_EQ(events(std::nullopt), events(Schedule::cyclic));
  EXPECT_NE(events(std::nullopt), events(Schedule::fifo));
}

TEST(CyclicSchedule, NeedsAClosedLoop) {
  auto input = test::one_to_one(4, 2, {.attention = 1e-6}, 1e12);
  test::arrive(input, 1000.0, 100, 10, 0.1);
  input.deployment.schedule = Schedule::cyclic;
  EXPECT_THAT([&] { (void)test::run(input); },
              testing::ThrowsMessage<UserError>(testing::HasSubstr("needs a closed loop")));
}

TEST(CyclicSchedule, MicroBatchesWithoutRequestsTakeTheirTurns) {
  auto input = test::one_to_one(4, 3, {.attention = 5e-6, .ffn = 2e-6}, 1e12);
  input.workload.requests_per_gpu = 2;
  input.deployment.schedule = Schedule::cyclic;
  const auto result = test::run(input);
  EXPECT_DOUBLE_EQ(result.mean_requests, 2.0);
  EXPECT_NEAR(result.mean_tpot.value(), 4 * 2 * 5e-6, 1e-8);
}

}  // namespace
}  // namespace ridge::decode
