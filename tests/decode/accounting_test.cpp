// Where the time of the GPUs goes, and that none of it is lost.
#include "synthetic.hpp"

#include <atomic>
#include <map>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge::decode {
namespace {

using testing::DoubleNear;
using testing::Each;
using testing::Ge;

double total(const PoolTimes& times) {
  return times.busy + times.slowest_rank + times.empty +
         std::accumulate(times.waiting_for.begin(), times.waiting_for.end(), 0.0);
}

double waiting(const PoolTimes& times, Stage stage) {
  return times.waiting_for[static_cast<std::size_t>(stage)];
}

void expect_times_add_up(const SimulationInput& input, const SimulationResult& result) {
  for (std::size_t p = 0; p < result.pools.size(); ++p) {
    const Pool& pool = input.deployment.pools[p];
    const double all = result.elapsed.seconds().value() *
                       static_cast<double>(pool.gpus() * input.deployment.replicas);
    ASSERT_GT(all, 0.0);
    EXPECT_NEAR(total(result.pools[p]), all, 1e-9 * all) << pool.name;
    EXPECT_GE(result.pools[p].busy, 0.0);
    EXPECT_GE(result.pools[p].slowest_rank, -1e-9 * all);
    EXPECT_GE(result.pools[p].empty, 0.0);
    EXPECT_THAT(result.pools[p].waiting_for, Each(Ge(0.0)));
  }
}

constexpr test::StageSeconds kAccountedStages{.attention = 5e-6,
                                              .attention_per_cached_token = 1e-9,
                                              .ffn = 8e-6,
                                              .ffn_per_row = 1e-9,
                                              .head = 3e-6};

TEST(Accounting, GpuTimesAddUpToElapsedTimesGpus) {
  for (const std::int64_t micro_batches : {1, 2, 3}) {
    for (const bool noisy : {false, true}) {
      for (const bool overlap : {false, true}) {
        auto input = test::two_to_two(5, micro_batches, kAccountedStages);
        input.deployment.scale_up_overlaps_compute = overlap;
        if (noisy) {
          input.noise.kernel_jitter = 0.2;
          input.noise.network_jitter = 0.3;
          input.noise.slow_gpus = {{.pool = 1, .instance = 1, .gpu = 2, .factor = 1.5}};
        }
        expect_times_add_up(input, test::run(input));
      }
    }
  }
}

TEST(Accounting, GpuTimesAddUpUnderArrivalsWithIdleSpells) {
  for (const double rate : {500.0, 20000.0}) {
    auto input = test::two_to_two(5, 2, kAccountedStages);
    input.deployment.replicas = 2;
    test::arrive(input, rate, 200, 10, 0.2);
    input.measurement.warmup = Seconds{0.05};
    const auto result = test::run(input);
    expect_times_add_up(input, result);
    EXPECT_GT(result.tokens, 0U);
    if (rate < 1000.0) {
      EXPECT_GT(result.pools[0].empty, 0.0);
    }
  }
}

TEST(Accounting, GpuTimesAddUpInOnePool) {
  auto input = test::two_to_two(5, 2, kAccountedStages);
  Deployment& d = input.deployment;
  d.strategy = "wide_expert_parallel";
  d.pools.resize(1);
  d.pools[0].roles = kAllRoles;
  d.pools[0].instances = 1;
  d.pools[0].gpus_per_instance = 8;
  d.ffn_tensor_parallel = 1;
  d.ffn_expert_parallel = 8;
  input.noise.kernel_jitter = 0.1;
  expect_times_add_up(input, test::run(input));
}

// With one micro-batch a GPU is idle exactly while the others work, the last layer and the LM head
// included.
TEST(Accounting, EachIdleSpanBelongsToTheStageThatWasOnItsWay) {
  const std::int64_t layers = 4;
  auto input = test::one_to_one(layers, 1, {.attention = 5e-6, .ffn = 8e-6, .head = 3e-6}, 128e6);
  const auto result = test::run(input);
  const auto steps = static_cast<double>(result.steps);
  const double per_layer = steps * static_cast<double>(layers);
  const double message = test::kWireBytesPerToken / 128e6;
  const PoolTimes& ffn = result.pools[1];
  EXPECT_NEAR(ffn.busy, per_layer * 8e-6, 1e-9);
  EXPECT_NEAR(waiting(ffn, Stage::attention), per_layer * 5e-6, 1e-9);
  EXPECT_NEAR(waiting(ffn, Stage::network), per_layer * 2 * message, 1e-9);
  EXPECT_NEAR(waiting(ffn, Stage::head), steps * 3e-6, 1e-9);
  EXPECT_NEAR(ffn.empty, 0.0, 1e-9);
  const PoolTimes& attention = result.pools[0];
  EXPECT_NEAR(attention.busy, per_layer * 5e-6 + steps * 3e-6, 1e-9);
  EXPECT_NEAR(waiting(attention, Stage::ffn), per_layer * 8e-6, 1e-9);
  EXPECT_NEAR(waiting(attention, Stage::network), per_layer * 2 * message, 1e-9);
}

TEST(Accounting, TheCriticalPathOfAStepIsAsLongAsTheStep) {
  auto input = test::two_to_two(5, 3, kAccountedStages);
  const auto result = test::run(input);
  const double path =
      std::accumulate(result.critical_service.begin(), result.critical_service.end(), 0.0) +
      std::accumulate(result.critical_queue.begin(), result.critical_queue.end(), 0.0);
  ASSERT_GT(result.critical_steps, 0U);
  EXPECT_THAT(path / static_cast<double>(result.critical_steps),
              DoubleNear(result.mean_tpot.value(), 0.02 * result.mean_tpot.value()));
}

TEST(Accounting, ClosedLoopTokensAreStepsTimesRequests) {
  const auto input = test::two_to_two(5, 3, kAccountedStages);
  const auto result = test::run(input);
  // 8 GPUs with 4 requests each in every micro-batch.
  EXPECT_EQ(result.tokens, result.steps * 8 * 4);
  EXPECT_EQ(result.steps, 16U * 3);
  EXPECT_EQ(result.tpot.count(), result.tokens);
  EXPECT_DOUBLE_EQ(result.mean_requests, 8.0 * 4 * 3);
  EXPECT_FALSE(result.partial);
}

// A token that is generated was carried to the FFN and back once per layer.
TEST(Accounting, BytesOnTheWireAreThoseOfTheTokens) {
  for (const auto network : {NetworkModel::ports, NetworkModel::max_min_fair}) {
    auto input = test::one_to_one(4, 1, {.attention = 5e-6, .ffn = 8e-6}, 128e6);
    input.network_model = network;
    const auto result = test::run(input);
    const double one_way = static_cast<double>(result.tokens) * 4 * test::kWireBytesPerToken;
    for (const std::size_t pool : {0U, 1U}) {
      const LinkUse& link = result.links.at(pool);
      EXPECT_NEAR(link.bytes.value(), one_way, 1e-6 * one_way) << link.name;
      EXPECT_NEAR(link.utilization, one_way / 128e6 / result.elapsed.seconds().value(), 1e-6);
    }
  }
}

TEST(Accounting, TheTraceHoldsEveryBusySecond) {
  for (const auto network : {NetworkModel::ports, NetworkModel::max_min_fair}) {
    auto input = test::two_to_two(5, 3, kAccountedStages);
    input.network_model = network;
    input.max_trace_records = 100000;
    Simulation simulation(input);
    const auto result = simulation.run();
    ASSERT_FALSE(result.trace_full);
    std::map<std::size_t, double> by_pool;
    for (const TraceRecord& record : result.trace) {
      EXPECT_LT(record.begin, record.end);
      const Task& task = simulation.graph().tasks()[record.task];
      if (!task.on_resource || !simulation.graph().resources()[task.resource].compute) continue;
      by_pool[place_of(simulation.graph().works()[task.work]).pool] +=
          (record.end - record.begin).seconds().value();
    }
    for (const std::size_t pool : {0U, 1U}) {
      const double busy = result.pools[pool].busy + result.pools[pool].slowest_rank;
      EXPECT_NEAR(4.0 * by_pool[pool], busy, 1e-9 * busy);
    }
  }
}

TEST(Accounting, AStoppedRunTellsWhatItSawSoFar) {
  auto input = test::two_to_two(20, 3, kAccountedStages);
  const auto whole = test::run(input);
  input.measurement.steps = 1'000'000;
  std::atomic<bool> stop{false};
  Simulation simulation(input);
  const auto result = simulation.run(&stop, [&](double) { stop = true; });
  EXPECT_TRUE(result.partial);
  EXPECT_GT(result.tokens, 0U);
  EXPECT_LT(result.steps, 1'000'000U);
  EXPECT_NEAR(result.mean_tpot.value(), whole.mean_tpot.value(), 1e-6 * whole.mean_tpot.value());
  expect_times_add_up(input, result);
}

TEST(Accounting, ARunThatIsStoppedFromTheStartPlacesItsRequestsAndNoMore) {
  const std::atomic<bool> stop{true};
  const auto result = Simulation(test::two_to_two(20, 3, kAccountedStages)).run(&stop);
  EXPECT_TRUE(result.partial);
  EXPECT_EQ(result.events, 0U);
  EXPECT_GT(result.requests_in_decode, 0U);
}

TEST(Accounting, AnUnstoppedRunReportsItsProgress) {
  auto input = test::two_to_two(20, 3, kAccountedStages);
  input.measurement.steps = 300;
  double last = 0.0;
  int calls = 0;
  const auto result = Simulation(input).run(nullptr, [&](double share) {
    EXPECT_GE(share, last);
    EXPECT_LE(share, 1.0);
    last = share;
    ++calls;
  });
  EXPECT_GT(calls, 1);
  EXPECT_FALSE(result.partial);
}

}  // namespace
}  // namespace ridge::decode
