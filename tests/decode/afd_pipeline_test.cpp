// What attention-FFN disaggregation must deliver where theory is exact.
#include "synthetic.hpp"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace ridge::decode {
namespace {

using test::StageSeconds;

constexpr double kPicosecond = 1e-12;

// Of every order of magnitude, so that one stage can dwarf another or equal it.
double nanoseconds(int least, int most) {
  return *rc::gen::oneOf(rc::gen::inRange(least, least + 10), rc::gen::inRange(least, most)) * 1e-9;
}

TEST(AfdPipeline, TpotIsLayersTimesSlowestStageTimesMicroBatches) {
  EXPECT_TRUE(rc::check([] {
    const std::int64_t layers = *rc::gen::inRange(1, 9);
    const std::int64_t m = *rc::gen::inRange(1, 5);
    const StageSeconds stages{.attention = nanoseconds(1, 100000), .ffn = nanoseconds(1, 100000)};
    const double bandwidth = test::kWireBytesPerToken / nanoseconds(1, 100000);
    auto input = test::one_to_one(layers, m, stages, bandwidth);
    // The way back may carry wider values than the way there, and software adds to each message
    // without keeping the wire.
    const bool wide = *rc::gen::arbitrary<bool>();
    if (wide) input.deployment.model.precisions.wire_combine = models::Precision::fp32;
    const double overhead = nanoseconds(0, 20000);
    input.deployment.network.transport.overhead = Seconds{overhead};
    // Two stages that take almost the same part slowly.
    input.measurement = {.warmup_steps = 100, .steps = 8};
    const double there = test::kWireBytesPerToken / bandwidth;
    const double back = (wide ? 2.0 : 1.0) * there;

    const auto micro_batches = static_cast<double>(m);
    const double slowest = std::max({stages.attention, stages.ffn, there, back});
    const double round_trip = stages.attention + there + stages.ffn + back + 2.0 * overhead;
    const double expected =
        static_cast<double>(layers) * std::max(micro_batches * slowest, round_trip);

    const auto result = test::run(input);
    // Each of a layer's four stages is rounded to a picosecond.
    const double rounding = 4.0 * micro_batches * static_cast<double>(layers) * kPicosecond;
    RC_LOG() << "expected " << expected << " s, got " << result.mean_tpot.value() << " s\n";
    RC_ASSERT(std::abs(result.mean_tpot.value() - expected) <= rounding + 1e-9 * expected);
    RC_ASSERT(result.path_floor <= result.mean_tpot + Seconds{rounding});
    RC_ASSERT(result.resource_floor <= result.mean_tpot + Seconds{rounding});
    // One of the two floors is the truth, since the formula is the larger of the two.
    RC_ASSERT(std::max(result.path_floor, result.resource_floor).value() >=
              expected - rounding - 1e-9 * expected);
  }));
}

TEST(AfdPipeline, OneMicroBatchTakesExactlyTheLongestPath) {
  for (const auto network : {NetworkModel::ports, NetworkModel::max_min_fair}) {
    auto input = test::two_to_two(
        5, 1, {.attention = 7e-6, .ffn = 3.3e-6, .ffn_per_row = 1e-9, .head = 11e-6});
    // Enough bandwidth that messages of one instance do not queue behind each other for long would
    // hide nothing: a single instance on each side never queues at all.
    for (Pool& pool : input.deployment.pools) pool.instances = 1;
    input.deployment.ffn_expert_parallel = 1;
    input.deployment.network.transport.overhead = Seconds{2e-6};
    input.network_model = network;
    Simulation simulation(input);
    const auto result = simulation.run();
    EXPECT_NEAR(result.mean_tpot.value(), result.path_floor.value(), 30 * kPicosecond);
    EXPECT_LE(result.path_floor, result.mean_tpot);
  }
}

TEST(AfdPipeline, BothNetworkModesAgreeWhereNothingQueues) {
  auto input = test::one_to_one(6, 1, {.attention = 5e-6, .ffn = 4e-6, .head = 1e-6}, 2e8);
  const auto ports = test::run(input);
  input.network_model = NetworkModel::max_min_fair;
  const auto fair = test::run(input);
  EXPECT_EQ(ports.mean_tpot, fair.mean_tpot);
}

TEST(AfdPipeline, StaggeredMessagesKeepEveryPortBusy) {
  // Two instances each way, nothing but the network takes time: each direction carries two messages
  // per instance and layer, one behind the other, and no port waits.
  auto input = test::two_to_two(4, 1, {.attention = 1e-9, .ffn = 1e-9});
  input.deployment.scale_up.transport.efficiency = 1.0;
  for (Pool& pool : input.deployment.pools) pool.scale_up_bandwidth = BytesPerSecond{1e18};
  const auto result = test::run(input);
  const double tokens = 16.0;  // of an instance: 4 GPUs x 4 requests
  const double message =
      tokens * (test::kWireBytesPerToken + 2 * 8) / (4 * 1e9);  // 2 choices of 8 bytes
  const double back = tokens * test::kWireBytesPerToken / (4 * 1e9);
  const double expected = 4.0 * (2 * message + 2 * back + 2e-9);
  EXPECT_NEAR(result.mean_tpot.value(), expected, 1e-3 * expected);
}

TEST(AfdPipeline, PoolsAreToldByTheirRolesNotByTheirPlaces) {
  auto input = test::two_to_two(4, 2, {.attention = 2e-6, .ffn = 50e-6});
  input.deployment.pools[1].instances = 1;
  input.deployment.ffn_expert_parallel = 1;
  const auto attention_first = test::run(input);
  std::swap(input.deployment.pools[0], input.deployment.pools[1]);
  const auto ffn_first = test::run(input);
  EXPECT_EQ(attention_first.mean_tpot, ffn_first.mean_tpot);
  EXPECT_EQ(attention_first.tokens, ffn_first.tokens);
  EXPECT_GT(attention_first.pools[1].busy, attention_first.pools[0].busy);
  for (std::size_t p = 0; p < 2; ++p) {
    EXPECT_EQ(attention_first.pools[p].busy, ffn_first.pools[1 - p].busy);
  }
}

TEST(AfdPipeline, CollectivesBesideTheKernelsCostNoFfnTime) {
  // The FFN is the bottleneck; its collectives overlap the kernels of the other micro-batches.
  auto input = test::two_to_two(4, 3, {.attention = 2e-6, .ffn = 50e-6});
  for (Pool& pool : input.deployment.pools) {
    pool.nic_bandwidth = BytesPerSecond{1e12};
    pool.scale_up_bandwidth = BytesPerSecond{1e9};
  }
  const auto beside = test::run(input);
  EXPECT_NEAR(beside.mean_tpot.value(), 4 * 3 * 50e-6, 1e-9);
  input.deployment.scale_up_overlaps_compute = false;
  const auto in_between = test::run(input);
  const double rows = 2 * 16.0;
  const double gather = rows * (test::kWireBytesPerToken + 16) * 0.75 / 1e9;
  const double scatter = rows * test::kWireBytesPerToken * 0.75 / 1e9;
  EXPECT_NEAR(in_between.mean_tpot.value(), 4 * 3 * (50e-6 + gather + scatter), 1e-9);
}

TEST(AfdPipeline, MessagesGatheredAsTheyArriveHideTheLinksBehindTheNetwork) {
  auto input = test::two_to_two(4, 1, {.attention = 1e-9, .ffn = 1e-9});
  for (Pool& pool : input.deployment.pools) pool.scale_up_bandwidth = BytesPerSecond{5e9};
  const double out = 16.0 * (test::kWireBytesPerToken + 16);  // of an attention instance
  const double back = 16.0 * test::kWireBytesPerToken;
  const double message = out / 4e9;
  const double answer = back / 4e9;
  const double gather = 0.75 * out / 5e9;
  const double scatter = 0.75 * back / 5e9;
  ASSERT_LT(gather, message);
  ASSERT_LT(scatter, answer);
  const double network = 2 * message + 2 * answer;
  EXPECT_NEAR(test::run(input).mean_tpot.value(), 4 * (network + 2 * gather + 2 * scatter + 2e-9),
              1e-9);
  // Only the last message's gathering and the first answer's scattering are left to wait for.
  input.deployment.gathering = Gathering::per_message;
  EXPECT_NEAR(test::run(input).mean_tpot.value(), 4 * (network + gather + scatter + 2e-9), 1e-9);
}

TEST(AfdPipeline, LayersOfUnequalTimeShowAsBubbles) {
  // Two attention blocks, one slow and one fast: while the slow layer's attention runs, the FFN
  // waits, and the other way round.
  auto input = test::one_to_one(8, 2, {.attention_per_cached_token = 1e-7, .ffn = 40e-6}, 1e12);
  const auto even = test::run(input);
  auto& model = input.deployment.model;
  auto windowed = model.attentions[0];
  windowed.name = "windowed";
  windowed.window = models::Window{.kind = models::Window::Kind::sliding, .tokens = 50};
  model.attentions.push_back(windowed);
  model.layer_runs = {
      {.repeat = 4, .pattern = {{.attention = 0, .ffn = 0}, {.attention = 1, .ffn = 0}}}};
  input.workload.context.tokens = 600;  // 60 us in a full layer, 5 us in a windowed one
  const auto hybrid = test::run(input);
  const double mean_attention = 0.5 * (60e-6 + 5e-6);
  const double if_layers_were_even = 8 * 2 * std::max(mean_attention, 40e-6);
  EXPECT_GT(hybrid.mean_tpot.value(), 1.05 * if_layers_were_even);
  EXPECT_GT(hybrid.mean_tpot, even.mean_tpot);
  const PoolTimes& ffn = hybrid.pools[1];
  EXPECT_GT(ffn.waiting_for[static_cast<std::size_t>(Stage::attention)],
            0.05 * hybrid.elapsed.seconds().value());
}

TEST(AfdPipeline, DraftsThatAreNeverAcceptedGainNothingAndAllAcceptedShareTheStep) {
  auto input = test::one_to_one(5, 1, {.attention = 5e-6, .ffn = 4e-6, .head = 1e-6}, 1e12);
  input.deployment.model.mtp.modules = 2;
  const auto plain = test::run(input);
  input.deployment.drafting = {.tokens = 2, .acceptance = {0.0}};
  const auto refused = test::run(input);
  input.deployment.drafting.acceptance = {1.0};
  const auto accepted = test::run(input);
  // Two more layers and two more heads per step.
  const double extra = 2 * (5e-6 + 4e-6 + 1e-6);
  EXPECT_NEAR(refused.mean_tpot.value(), plain.mean_tpot.value() + extra, 1e-8);
  EXPECT_NEAR(accepted.mean_tpot.value(), refused.mean_tpot.value() / 3.0, 1e-11);
  EXPECT_EQ(accepted.tokens, 3 * refused.tokens);
}

// Eight GPUs send to `receivers`, and back, each instance on a leaf switch of its own.
double round_trip_over_leaves(std::int64_t receivers, int spines, double oversubscription) {
  auto input = test::one_to_one(1, 1, {}, 1e9);
  Deployment& d = input.deployment;
  d.pools[0].gpus_per_instance = d.pools[0].gpus_per_node = 8;
  d.pools[1].gpus_per_instance = d.pools[1].gpus_per_node = receivers;
  d.ffn_tensor_parallel = receivers;
  for (Pool& pool : d.pools) pool.scale_up_bandwidth = BytesPerSecond{1e18};
  d.fabric.nodes_per_leaf = 1;
  d.fabric.spines = spines;
  d.fabric.oversubscription = oversubscription;
  input.network_model = NetworkModel::max_min_fair;
  input.workload.requests_per_gpu = 1000;
  return test::run(input).mean_tpot.value();
}

TEST(Fabric, OfFewerNicsTakesTheNarrowerLeafsUplink) {
  const double bytes = 8 * 1000 * test::kWireBytesPerToken;
  for (const std::int64_t receivers : {1, 2, 4, 8}) {
    const double uplink = static_cast<double>(receivers) * 1e9 / 8;
    EXPECT_NEAR(round_trip_over_leaves(receivers, 1, 8.0), 2 * bytes / uplink, 1e-6) << receivers;
  }
}

// Under one leaf switch rails share nothing, and one stands for all. Leaves of their own with a
// single spine, as wide as all NICs, hold nobody up either, but there every rail is a transfer of
// its own.
TEST(Fabric, UnderOneLeafOneRailStandsForAll) {
  for (const auto& [attention, ffn] : {std::pair{8, 8}, std::pair{8, 2}, std::pair{2, 4}}) {
    auto input = test::two_to_two(3, 3, {.attention = 4e-6, .ffn = 9e-6, .head = 5e-6});
    Deployment& d = input.deployment;
    d.pools[0].gpus_per_instance = d.pools[0].gpus_per_node = attention;
    d.pools[1].gpus_per_instance = d.pools[1].gpus_per_node = ffn;
    d.ffn_tensor_parallel = ffn;
    input.network_model = NetworkModel::max_min_fair;
    input.noise.slow_links = {{.pool = 1, .instance = 1, .factor = 1.5}};
    input.noise.network_jitter = 0.1;
    const auto one = test::run(input);
    d.fabric.nodes_per_leaf = 1;
    d.fabric.spines = 1;
    const auto every = test::run(input);
    EXPECT_NEAR(one.mean_tpot.value(), every.mean_tpot.value(), 1e-9);
    ASSERT_EQ(one.links.size(), every.links.size());
    for (std::size_t link = 0; link < one.links.size(); ++link) {
      EXPECT_NEAR(one.links[link].utilization, every.links[link].utilization, 1e-6);
      EXPECT_NEAR(one.links[link].bytes.value(), every.links[link].bytes.value(), 1.0);
    }
  }
}

// Each rail takes a path of its own: some of eight meet on a spine while others stay empty.
TEST(Fabric, RailsMeetOnSpines) {
  const double bytes = 8 * 1000 * test::kWireBytesPerToken;
  const double alone = 2 * bytes / 8e9;
  EXPECT_NEAR(round_trip_over_leaves(8, 1, 1.0), alone, 1e-6);
  const double spread = round_trip_over_leaves(8, 8, 1.0);
  EXPECT_GT(spread, 1.4 * alone);
  EXPECT_LT(spread, 5.0 * alone);
}

}  // namespace
}  // namespace ridge::decode
