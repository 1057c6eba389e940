// The baselines, and what a strategy refuses.
#include "ridge/decode/strategy.hpp"
#include "synthetic.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>
#include <string>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge::decode {
namespace {

using testing::Contains;
using testing::HasSubstr;

constexpr test::StageSeconds kStrategyStages{.attention = 7e-6, .ffn = 9e-6, .head = 2e-6};
constexpr double kOverhead = 1.5e-6;

// One pool of eight GPUs, two nodes of four.
SimulationInput wide_expert_parallel(std::int64_t layers, std::int64_t micro_batches) {
  auto input = test::two_to_two(layers, micro_batches, kStrategyStages);
  Deployment& d = input.deployment;
  d.strategy = "wide_expert_parallel";
  d.pools.resize(1);
  d.pools[0].roles = kAllRoles;
  d.pools[0].name = "gpus";
  d.pools[0].instances = 1;
  d.pools[0].gpus_per_instance = 8;
  d.pools[0].scale_up_bandwidth = BytesPerSecond{5e9};
  d.ffn_tensor_parallel = 1;
  d.ffn_expert_parallel = 8;
  d.network.transport.overhead = Seconds{kOverhead};
  return input;
}

SimulationInput tensor_parallel(std::int64_t layers, std::int64_t micro_batches) {
  auto input = test::two_to_two(layers, micro_batches, kStrategyStages);
  Deployment& d = input.deployment;
  d.strategy = "tensor_parallel";
  d.pools.resize(1);
  d.pools[0].roles = kAllRoles;
  d.pools[0].name = "gpus";
  d.pools[0].instances = 1;
  d.pools[0].scale_up_bandwidth = BytesPerSecond{5e9};
  d.attention_tensor_parallel = 4;
  d.ffn_tensor_parallel = 4;
  d.ffn_expert_parallel = 1;
  d.scale_up.transport.overhead = Seconds{kOverhead};
  return input;
}

TEST(WideExpertParallel, OneMicroBatchTakesTheSumOfItsStages) {
  const auto result = test::run(wide_expert_parallel(6, 1));
  // Four requests per GPU, each sent to two experts: half of them in the other node over the NIC,
  // three eighths within, where links are five times as fast.
  const double copies = 4 * 2;
  const double dispatch = copies * (test::kWireBytesPerToken + 2 * 8) * 4 / 8 / 1e9;
  const double combine = copies * test::kWireBytesPerToken * 4 / 8 / 1e9;
  const double layer = 7e-6 + 9e-6 + dispatch + combine + 2 * kOverhead;
  EXPECT_NEAR(result.mean_tpot.value(), 6 * layer + 2e-6, 1e-9);
  EXPECT_NEAR(result.path_floor.value(), result.mean_tpot.value(), 1e-11);
}

// 32 requests of 256 bytes on eight GPUs of one node: each gathers what the seven others have, and
// what it has no share of comes back as sums, to it alone or, in a ring twice as long, to all.
TEST(WideExpertParallel, TokensAndSumsCanGoToAllGpus) {
  auto input = wide_expert_parallel(6, 1);
  input.deployment.pools[0].gpus_per_node = 8;
  const double gather = 32 * test::kWireBytesPerToken * 7 / 8 / 5e9;
  const auto step = [&](ExchangeWay way) {
    input.deployment.exchange = way;
    return test::run(input).mean_tpot.value();
  };
  const double compute = 6 * (7e-6 + 9e-6) + 2e-6;
  EXPECT_NEAR(step(ExchangeWay::gather_scatter), compute + 6 * 2 * gather, 1e-9);
  EXPECT_NEAR(step(ExchangeWay::gather_sum), compute + 6 * 3 * gather, 1e-9);
  // What pads a batch of four is gathered too.
  input.deployment.execution.captured_batches = {6};
  EXPECT_NEAR(step(ExchangeWay::gather_scatter), compute + 6 * 2 * 1.5 * gather, 1e-9);
  // Four bits where the experts compute in them, of what is gathered.
  input.deployment.execution.captured_batches.clear();
  for (models::FfnBlock& block : input.deployment.model.ffns) {
    block.compute = models::Precision::fp4;
  }
  EXPECT_NEAR(step(ExchangeWay::gather_scatter), compute + 6 * 1.25 * gather, 1e-9);
}

// Experts sliced by all GPUs, or by the GPUs of two groups, need the same tokens; a dense FFN those
// of its group.
TEST(WideExpertParallel, SlicedExpertsGatherAllTokensAndSlicedDenseFfnsThoseOfTheirGroup) {
  const auto step = [](std::int64_t tp, bool dense) {
    auto input = wide_expert_parallel(6, 1);
    Deployment& d = input.deployment;
    d.pools[0].gpus_per_node = 8;
    d.exchange = ExchangeWay::gather_scatter;
    d.ffn_tensor_parallel = tp;
    d.ffn_expert_parallel = 8 / tp;
    if (dense) {
      for (models::FfnBlock& block : d.model.ffns)
        block.kind = models::DenseFfn{.intermediate = 64};
    }
    return test::run(input).mean_tpot.value() - (6 * (7e-6 + 9e-6) + 2e-6);
  };
  const auto gathers = [](double tokens, double ranks) {
    return 6 * 2 * tokens * test::kWireBytesPerToken * (ranks - 1) / ranks / 5e9;
  };
  EXPECT_NEAR(step(8, false), gathers(32, 8), 1e-9);
  EXPECT_NEAR(step(2, false), gathers(32, 8), 1e-9);
  EXPECT_NEAR(step(8, true), gathers(32, 8), 1e-9);
  EXPECT_NEAR(step(2, true), gathers(8, 2), 1e-9);
  EXPECT_NEAR(step(1, true), 0.0, 1e-9);
}

// In two nodes of four a GPU gathers from its node over the links, and from the other, with its
// fellow there, its part over its NIC. One batch's gathers keep the other's kernels waiting where
// links do not overlap with them.
TEST(WideExpertParallel, GathersReachOverNodesByLinksAlone) {
  auto input = wide_expert_parallel(6, 1);
  input.deployment.exchange = ExchangeWay::gather_scatter;
  const double bytes = 32 * test::kWireBytesPerToken;
  const double gather = bytes * 3 / 4 / 5e9 + bytes / 4 / 2 / 1e9 + kOverhead;
  EXPECT_NEAR(test::run(input).mean_tpot.value(), 6 * (7e-6 + 9e-6 + 2 * gather) + 2e-6, 1e-9);

  auto two = wide_expert_parallel(6, 2);
  two.deployment.exchange = ExchangeWay::gather_scatter;
  const double overlapped = test::run(two).mean_tpot.value();
  two.deployment.scale_up_overlaps_compute = false;
  EXPECT_GT(test::run(two).mean_tpot.value(), 1.2 * overlapped);

  input.deployment.collectives = CollectiveTiming::kernel_model;
  EXPECT_THAT(deployment_problems(input.deployment),
              testing::Contains(HasSubstr("collectives \"links\" does")));
  input.deployment.pools[0].gpus_per_node = 5;
  EXPECT_THAT(deployment_problems(input.deployment),
              testing::Contains(HasSubstr("not whole nodes")));
}

TEST(WideExpertParallel, AGatheredTokenIsHandedToEveryRank) {
  // A kernel model that takes a microsecond for each token that a launch over experts is handed.
  class Handed : public hw::KernelModel {
   public:
    hw::Timing time(const models::Operator& op) const override {
      const auto* experts = std::get_if<models::GroupedGemm>(&op.shape);
      const bool up = experts != nullptr && experts->kind != models::GroupedGemm::Kind::down;
      return {.time = Seconds{up ? 1e-6 * experts->tokens : 0.0}};
    }
    const hw::ChipSpec& chip() const override { return kernels_->chip(); }
    std::string provenance() const override { return "synthetic"; }

   private:
    std::shared_ptr<const hw::KernelModel> kernels_ = test::fixed_kernels({});
  };
  auto input = wide_expert_parallel(1, 1);
  input.deployment.collectives = CollectiveTiming::kernel_model;
  input.deployment.pools[0].kernels = std::make_shared<Handed>();
  input.deployment.pools[0].gpus_per_node = 8;
  input.noise.experts = {.counts = ExpertPopularity::Counts::expected};
  // Two of eight experts each, one on each rank: 1 - (7/8)^2 of 32 chose any that is there.
  EXPECT_NEAR(test::run(input).mean_tpot.value(), 7.5e-6, 1e-9);
  input.deployment.exchange = ExchangeWay::gather_scatter;
  EXPECT_NEAR(test::run(input).mean_tpot.value(), 32e-6, 1e-9);
}

TEST(WideExpertParallel, TwoMicroBatchesHideTheirMessagesBehindEachOther) {
  const auto one = test::run(wide_expert_parallel(6, 1));
  const auto two = test::run(wide_expert_parallel(6, 2));
  // Messages take less than kernels, so the kernels never wait in the long run but for the odd
  // moment at which both micro-batches are on the wire.
  const double kernels = 6 * 2 * (7e-6 + 9e-6) + 2 * 2e-6;
  EXPECT_GE(two.mean_tpot.value(), kernels);
  EXPECT_LT(two.mean_tpot.value(), 1.05 * kernels);
  EXPECT_LT(two.mean_tpot.value(), 1.8 * one.mean_tpot.value());
}

TEST(WideExpertParallel, TwoMicroBatchesHideTheirMessagesInARotationToo) {
  auto input = wide_expert_parallel(6, 2);
  input.deployment.schedule = Schedule::cyclic;
  const double kernels = 6 * 2 * (7e-6 + 9e-6) + 2 * 2e-6;
  EXPECT_NEAR(cyclic_step_time(input).value(), kernels, 1e-9);
}

TEST(WideExpertParallel, KernelsOfExchangesAreOfTheExchangeAndKeepTheGpuFromOtherWork) {
  // As they were measured at the 4 requests of each GPU, or at a share of them.
  const auto with_kernels = [](std::int64_t micro_batches, double share = 1.0) {
    auto input = wide_expert_parallel(6, micro_batches);
    input.deployment.execution.exchange_kernels = {.dispatch_send = Seconds{share * 0.3e-6},
                                                   .dispatch_receive = Seconds{share * 0.4e-6},
                                                   .combine_send = Seconds{share * 0.5e-6},
                                                   .combine_receive = Seconds{share * 0.6e-6},
                                                   .tokens = share * 4.0};
    return test::run(input);
  };
  // Alone, a micro-batch waits for all of an exchange anyway.
  EXPECT_NEAR(with_kernels(1).mean_tpot.value(),
              test::run(wide_expert_parallel(6, 1)).mean_tpot.value(), 1e-11);
  // Of two, one cannot run its kernels while those of the other's exchange run.
  const double kernels = 6 * 2 * (7e-6 + 9e-6 + 1.8e-6) + 2 * 2e-6;
  EXPECT_GE(with_kernels(2).mean_tpot.value(), kernels);
  EXPECT_LT(with_kernels(2).mean_tpot.value(), 1.05 * kernels);
  EXPECT_NEAR(with_kernels(2, 0.5).mean_tpot.value(), with_kernels(2).mean_tpot.value(), 1e-11);
}

// Two batches in the stages of an engine. From where one has sent its tokens to where the other has
// sent its own, the GPU does: shared experts and the other's projections while tokens travel;
// routed experts; the other's attention while results travel; kernels that receive and that send.
TEST(WideExpertParallel, InStagesTokensTravelBesideSharedExpertsAndProjectionsAlone) {
  struct Times {
    double projections, attention, shared, routed;
  };
  constexpr double kSend = 0.3e-6;
  constexpr double kFfnReceive = 0.4e-6;
  constexpr double kFfnSend = 0.5e-6;
  constexpr double kReceive = 0.6e-6;
  constexpr std::int64_t kLayers = 6;
  constexpr double kHead = 2e-6;
  const double copies = 4 * 2;
  const double dispatch =
      copies * (test::kWireBytesPerToken + 2 * 8) * 4 / 8 / 1e9 + kOverhead - kSend - kFfnReceive;
  const double combine =
      copies * test::kWireBytesPerToken * 4 / 8 / 1e9 + kOverhead - kFfnSend - kReceive;
  ASSERT_NEAR(dispatch, 1.888e-6, 1e-12);
  ASSERT_NEAR(combine, 1.424e-6, 1e-12);
  for (const Times& t : {Times{0.5e-6, 1e-6, 0.4e-6, 3e-6}, Times{1.5e-6, 4e-6, 1e-6, 3e-6},
                         Times{0.5e-6, 4e-6, 0.4e-6, 1e-6}, Times{3e-6, 1e-6, 0, 1e-6}}) {
    auto input = wide_expert_parallel(kLayers, 2);
    Deployment& d = input.deployment;
    d.schedule = Schedule::staged;
    std::get<models::MoeFfn>(d.model.ffns[0].kind).shared_intermediate = t.shared > 0 ? 256 : 0;
    d.pools[0].kernels = test::named_kernels({{"qkv", t.projections},
                                              {"attention", t.attention - 0.1e-6},
                                              {"router", 0.1e-6},
                                              {"shared_down", t.shared},
                                              {"expert_down", t.routed},
                                              {"lm_head", kHead}});
    d.execution.exchange_kernels = {.dispatch_send = Seconds{kSend},
                                    .dispatch_receive = Seconds{kFfnReceive},
                                    .combine_send = Seconds{kFfnSend},
                                    .combine_receive = Seconds{kReceive},
                                    .tokens = 4.0};
    const double experts = kFfnReceive + t.routed + kFfnSend;
    const double half = std::max(dispatch, t.shared + t.projections) + experts +
                        std::max(combine, t.attention) + kReceive + kSend;
    // The first batch begins alone, the second ends alone, and the heads come last.
    const double begin = t.projections + t.attention + kSend;
    const double end = std::max(dispatch, t.shared) + experts + combine + kReceive;
    const double step = begin + (2 * kLayers - 1) * half + end + 2 * kHead;
    EXPECT_NEAR(test::run(input).mean_tpot.value(), step, 1e-11);
    EXPECT_NEAR(cyclic_step_time(input).value(), step, 1e-11);
  }
}

// Attention and experts of one batch and of the other in turn: tokens of the first travel beside
// the other's attention, its results beside its shared experts and all of the other's experts;
// those of the second beside the first's experts, and then beside its next attention.
TEST(WideExpertParallel, InPingPongTokensTravelBesideTheOthersAttention) {
  constexpr std::int64_t kLayers = 6;
  constexpr double kHead = 2e-6;
  const double copies = 4 * 2;
  const double dispatch = copies * (test::kWireBytesPerToken + 2 * 8) * 4 / 8 / 1e9 + kOverhead;
  const double combine = copies * test::kWireBytesPerToken * 4 / 8 / 1e9 + kOverhead;
  struct Times {
    double attention, routed, shared;
  };
  for (const Times& t : {Times{5e-6, 4e-6, 1e-6}, Times{5e-6, 4e-6, 0}, Times{1e-6, 3e-6, 1e-6},
                         Times{6e-6, 0.5e-6, 0.2e-6}}) {
    auto input = wide_expert_parallel(kLayers, 2);
    Deployment& d = input.deployment;
    d.schedule = Schedule::ping_pong;
    std::get<models::MoeFfn>(d.model.ffns[0].kind).shared_intermediate = t.shared > 0 ? 256 : 0;
    d.pools[0].kernels = test::named_kernels({{"attention", t.attention},
                                              {"expert_down", t.routed},
                                              {"shared_down", t.shared},
                                              {"lm_head", kHead}});
    // When the GPU and the links are through with each of these, layer by layer.
    double gpu = 0.0;
    double links = 0.0;
    double results[2] = {0.0, 0.0};
    for (std::int64_t layer = 0; layer < kLayers; ++layer) {
      double tokens[2];
      for (const int batch : {0, 1}) {
        gpu = std::max(gpu, results[batch]) + t.attention;
        links = std::max(links, gpu) + dispatch;
        tokens[batch] = links;
      }
      for (const int batch : {0, 1}) {
        gpu = std::max(gpu, tokens[batch]) + t.routed;
        links = std::max(links, gpu) + combine;
        results[batch] = links;
        gpu += t.shared;
      }
    }
    for (const int batch : {0, 1}) gpu = std::max(gpu, results[batch]) + kHead;
    EXPECT_NEAR(test::run(input).mean_tpot.value(), gpu, 1e-11);
    EXPECT_NEAR(cyclic_step_time(input).value(), gpu, 1e-11);
  }
}

// Of the same kernels, on links that take no time: no more than the order is different, and one
// batch has nobody to wait for.
TEST(WideExpertParallel, InStagesTheSameKernelsRun) {
  for (const std::int64_t micro_batches : {1, 2, 3}) {
    const auto step = [&](Schedule schedule) {
      auto input = wide_expert_parallel(6, micro_batches);
      Deployment& d = input.deployment;
      std::get<models::MoeFfn>(d.model.ffns[0].kind).shared_intermediate = 256;
      d.pools[0].kernels = test::named_kernels({{"qkv", 2e-6},
                                                {"attention", 3e-6},
                                                {"output", 1e-6},
                                                {"shared_gate_up", 1e-6},
                                                {"shared_down", 2e-6},
                                                {"expert_down", 4e-6},
                                                {"lm_head", 2e-6}});
      d.network.transport.overhead = Seconds{};
      d.pools[0].nic_bandwidth = BytesPerSecond{1e18};
      d.pools[0].scale_up_bandwidth = BytesPerSecond{1e18};
      d.schedule = schedule;
      return test::run(input).mean_tpot.value();
    };
    EXPECT_NEAR(step(Schedule::staged), step(Schedule::cyclic), 1e-10);
    EXPECT_NEAR(step(Schedule::ping_pong), step(Schedule::cyclic), 1e-10);
    EXPECT_GT(step(Schedule::staged), 6 * 12e-6 * static_cast<double>(micro_batches));
  }
}

TEST(WideExpertParallel, WithinANodeOnlyScaleUpLinksCarryMessages) {
  auto input = wide_expert_parallel(6, 1);
  input.deployment.pools[0].gpus_per_node = 8;
  input.deployment.pools[0].nic_bandwidth = BytesPerSecond{1.0};
  EXPECT_LT(test::run(input).mean_tpot.value(), 1e-3);
}

TEST(WideExpertParallel, GpusThatShareHeadsSendAPartOfTheirTokensEach) {
  auto input = wide_expert_parallel(6, 1);
  const auto alone = test::run(input);
  input.deployment.attention_tensor_parallel = 4;
  const auto shared = test::run(input);
  // A group of four GPUs holds the requests of four: the same tokens leave each GPU as before, and
  // only the all-reduce of its node is new.
  const double reduce = 2 * 16 * test::kWireBytesPerToken * 3 / 4 / 5e9;
  EXPECT_NEAR((shared.mean_tpot - alone.mean_tpot).value(), 6 * reduce, 1e-9);
}

TEST(TensorParallel, OneMicroBatchTakesTheSumOfItsStages) {
  const auto result = test::run(tensor_parallel(6, 1));
  // 16 requests; an all-reduce sends three quarters of the buffer twice.
  const double reduce = kOverhead + 2 * 16 * test::kWireBytesPerToken * 3 / 4 / 5e9;
  EXPECT_NEAR(result.mean_tpot.value(), 6 * (7e-6 + 9e-6 + 2 * reduce) + 2e-6, 1e-9);
  EXPECT_NEAR(result.path_floor.value(), result.mean_tpot.value(), 1e-11);
}

TEST(WideExpertParallel, LinksCarryWhatStaysInTheNodeWhereTheyAreSlower) {
  auto input = wide_expert_parallel(6, 1);
  input.deployment.pools[0].scale_up_bandwidth = BytesPerSecond{1e8};
  const auto result = test::run(input);
  // Of the copies of a GPU's tokens, three eighths go to the three other GPUs of its node.
  const double copies = 4 * 2;
  const double exchange = copies * (2 * test::kWireBytesPerToken + 2 * 8) * 3 / 8 / 1e8;
  EXPECT_NEAR(result.mean_tpot.value(), 6 * (7e-6 + 9e-6 + exchange + 2 * kOverhead) + 2e-6, 1e-9);
}

TEST(WideExpertParallel, TheVocabularyIsSplitOverANode) {
  auto input = wide_expert_parallel(6, 1);
  const auto without = test::run(input);
  auto stages = kStrategyStages;
  stages.head_per_product = 1e-10;
  input.deployment.pools[0].kernels = test::fixed_kernels(stages);
  const auto with = test::run(input);
  // Four GPUs see the 16 tokens of their node, and have 256 of the 1024 words each.
  EXPECT_NEAR((with.mean_tpot - without.mean_tpot).value(), 16 * 256 * 1e-10, 1e-12);
}

// All tokens choose the same two experts of eight, on two ranks: those receive, and send back, what
// all ranks send, four times their part.
SimulationInput two_popular_experts(double bandwidth) {
  auto input = wide_expert_parallel(6, 1);
  Deployment& d = input.deployment;
  d.pools[0].gpus_per_node = 1;
  d.pools[0].nic_bandwidth = BytesPerSecond{bandwidth};
  d.network.transport.overhead = Seconds{};
  input.noise.experts.kind = ExpertPopularity::Kind::shares;
  input.noise.experts.shares = {1, 1, 0, 0, 0, 0, 0, 0};
  return input;
}

TEST(WideExpertParallel, TheRankWithPopularExpertsIsWaitedFor) {
  for (const auto counts : {ExpertPopularity::Counts::drawn, ExpertPopularity::Counts::expected}) {
    auto input = two_popular_experts(1e9);
    input.noise.experts.counts = counts;
    const auto result = test::run(input);
    // 32 rows of 8 GPUs with 4 requests each; its own need not travel.
    const double exchange = 32 * 7 / 8 * (2 * test::kWireBytesPerToken + 2 * 8) / 1e9;
    EXPECT_NEAR(result.mean_tpot.value(), 6 * (7e-6 + 9e-6 + exchange) + 2e-6, 1e-9);
  }
}

TEST(WideExpertParallel, TheKernelModelIsAskedForTheBusiestRankToo) {
  // A kernel model whose exchanges take a nanosecond per byte that a rank holds.
  class Exchanges : public hw::KernelModel {
   public:
    hw::Timing time(const models::Operator& op) const override {
      const auto* exchange = std::get_if<models::Collective>(&op.shape);
      return {.time = Seconds{exchange != nullptr ? 1e-9 * exchange->payload.value() : 0.0}};
    }
    const hw::ChipSpec& chip() const override { return kernels_->chip(); }
    std::string provenance() const override { return "synthetic"; }

   private:
    std::shared_ptr<const hw::KernelModel> kernels_ = test::fixed_kernels({});
  };
  auto input = two_popular_experts(1e9);
  input.deployment.collectives = CollectiveTiming::kernel_model;
  input.deployment.pools[0].kernels = std::make_shared<Exchanges>();
  const double row = 2 * test::kWireBytesPerToken + 2 * 8;
  EXPECT_NEAR(test::run(input).mean_tpot.value(), 6 * 32 * row * 1e-9, 1e-9);
  input.noise.experts = {.counts = ExpertPopularity::Counts::expected};
  EXPECT_NEAR(test::run(input).mean_tpot.value(), 6 * 8 * row * 1e-9, 1e-9);
  // By NICs alone, as if all seven others were in other nodes where four are.
  input.deployment.pools[0].gpus_per_node = 4;
  input.deployment.execution.exchanges_by_nics = true;
  EXPECT_NEAR(test::run(input).mean_tpot.value(), 6 * 8 * row * 7 / 4 * 1e-9, 1e-9);
}

TEST(WideExpertParallel, ExchangesOverNicsAloneCarryWhatStaysInTheNodeToo) {
  auto input = wide_expert_parallel(6, 1);
  Deployment& d = input.deployment;
  d.pools[0].gpus_per_node = 4;
  d.network.transport.overhead = Seconds{};
  const double row = 2 * test::kWireBytesPerToken + 2 * 8;
  const auto tpot = [&](double copies) { return 6 * (7e-6 + 9e-6 + copies * row / 1e9) + 2e-6; };
  // Of the eight copies of a GPU four go to the other node, three to the others of its own.
  EXPECT_NEAR(test::run(input).mean_tpot.value(), tpot(4), 1e-9);
  d.execution.exchanges_by_nics = true;
  EXPECT_NEAR(test::run(input).mean_tpot.value(), tpot(7), 1e-9);
  // Within a node there is nothing that NICs have to carry.
  d.pools[0].gpus_per_node = 8;
  const auto within = test::run(input).mean_tpot;
  d.execution.exchanges_by_nics = false;
  EXPECT_EQ(within, test::run(input).mean_tpot);
}

TEST(WideExpertParallel, TheRankWithMostTokensIsWaitedFor) {
  auto input = wide_expert_parallel(6, 1);
  Deployment& d = input.deployment;
  d.pools[0].gpus_per_node = 1;
  d.network.transport.overhead = Seconds{};
  input.workload.requests_per_gpu = 0;
  input.workload.requests = 9;  // the first GPU has two, the others one
  const auto result = test::run(input);
  // It sends four copies; each rank receives 18 / 8 of which its own part stays.
  const double bytes = 4 * 7.0 / 8 * (2 * test::kWireBytesPerToken + 2 * 8);
  EXPECT_NEAR(result.mean_tpot.value(), 6 * (7e-6 + 9e-6 + bytes / 1e9) + 2e-6, 1e-9);
}

TEST(WideExpertParallel, OneCopyPerNodeSavesWhatExpertsOfANodeShare) {
  auto input = wide_expert_parallel(6, 1);
  Deployment& d = input.deployment;
  d.network.transport.overhead = Seconds{};
  d.network.copies = Copies::per_node;
  const auto result = test::run(input);
  // Two nodes of four experts: 1 - 12 / 56 of the four tokens go to the other node.
  const double bytes = 4 * (1.0 - 12.0 / 56.0) * (2 * test::kWireBytesPerToken + 2 * 8);
  EXPECT_NEAR(result.mean_tpot.value(), 6 * (7e-6 + 9e-6 + bytes / 1e9) + 2e-6, 1e-9);
  // A router that keeps to one node sends half of the tokens away, to wherever their experts are.
  d.network.nodes_per_token = 1;
  const auto limited = test::run(input);
  const double half = 4 * 0.5 * (2 * test::kWireBytesPerToken + 2 * 8);
  EXPECT_NEAR(limited.mean_tpot.value(), 6 * (7e-6 + 9e-6 + half / 1e9) + 2e-6, 1e-9);
}

TEST(TensorParallel, OverNodesAGpuAndItsFellowsReduceTheirPart) {
  auto input = tensor_parallel(6, 1);
  input.deployment.pools[0].gpus_per_node = 2;
  input.deployment.network.transport.overhead = Seconds{1e-6};
  const auto result = test::run(input);
  // 16 requests. Half of the buffer twice within a node of two; half of that half twice between
  // the two nodes.
  const double buffer = 16 * test::kWireBytesPerToken;
  const double reduce = kOverhead + 2 * buffer / 2 / 5e9 + 1e-6 + 2 * buffer / 2 / 2 / 1e9;
  EXPECT_NEAR(result.mean_tpot.value(), 6 * (7e-6 + 9e-6 + 2 * reduce) + 2e-6, 1e-9);
}

// Half way, in powers of two, between 64 and 128 times 64 B: half of the bandwidth and all of it
// make three quarters.
TEST(TensorParallel, AWayToSumReachesTheShareOfItsBandwidthBetweenThoseOfPowersOfTwo) {
  const AllReduceWay way{.overhead = Seconds{1e-6},
                         .bandwidth = BytesPerSecond{1e9},
                         .ramp = {0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.5}};
  EXPECT_NEAR(way.time(Bytes{32}).value(), 1e-6 + 32 / 0.1e9, 1e-15);
  EXPECT_NEAR(way.time(Bytes{4096}).value(), 1e-6 + 4096 / 0.5e9, 1e-15);
  const double between = 4096 * std::sqrt(2.0);
  EXPECT_NEAR(way.time(Bytes{between}).value(), 1e-6 + between / 0.75e9, 1e-15);
  EXPECT_NEAR(way.time(Bytes{65536}).value(), 1e-6 + 65536 / 1e9, 1e-15);
}

// Half way, in powers of two, between 10 and 40 us lie 20. Twice the last size takes twice as long.
TEST(TensorParallel, AMeasuredWayToSumTakesWhatWasMeasuredAndKeepsTheLastBandwidth) {
  const AllReduceWay way{.measured = {Seconds{10e-6}, Seconds{10e-6}, Seconds{40e-6}}};
  EXPECT_NEAR(way.time(Bytes{1}).value(), 10e-6, 1e-15);
  EXPECT_NEAR(way.time(Bytes{128}).value(), 10e-6, 1e-15);
  EXPECT_NEAR(way.time(Bytes{128 * std::sqrt(2.0)}).value(), 20e-6, 1e-15);
  EXPECT_NEAR(way.time(Bytes{256}).value(), 40e-6, 1e-15);
  EXPECT_NEAR(way.time(Bytes{512}).value(), 80e-6, 1e-15);
}

TEST(TensorParallel, OverNodesALibraryTakesTheFastestWayForTheSize) {
  auto input = tensor_parallel(6, 1);
  input.deployment.pools[0].gpus_per_node = 2;
  const double buffer = 16 * test::kWireBytesPerToken;
  const AllReduceWay quick{.overhead = Seconds{1e-6}, .bandwidth = BytesPerSecond{1e8}};
  const AllReduceWay wide{.overhead = Seconds{20e-6}, .bandwidth = BytesPerSecond{1e12}};
  const auto tpot = [&](const std::vector<AllReduceWay>& ways) {
    input.deployment.network.all_reduce = ways;
    return test::run(input).mean_tpot.value();
  };
  const auto expected = [](double reduce) { return 6 * (7e-6 + 9e-6 + 2 * reduce) + 2e-6; };
  EXPECT_NEAR(tpot({quick}), expected(1e-6 + buffer / 1e8), 1e-9);
  EXPECT_NEAR(tpot({wide}), expected(20e-6 + buffer / 1e12), 1e-9);
  EXPECT_EQ(tpot({quick, wide}), std::min(tpot({quick}), tpot({wide})));
  EXPECT_EQ(tpot({wide, quick}), tpot({quick, wide}));
  EXPECT_NE(tpot({quick}), tpot({wide}));
}

TEST(TensorParallel, WaysToSumOverNodesAreRefusedWithinOne) {
  auto input = tensor_parallel(6, 1);
  input.deployment.network.all_reduce = {{.bandwidth = BytesPerSecond{1e9}}};
  EXPECT_THAT(deployment_problems(input.deployment),
              Contains(HasSubstr("of sums over several nodes")));
}

TEST(TensorParallel, ASwitchThatAddsUpTakesTheBufferInAndOutAtOnce) {
  auto input = tensor_parallel(6, 1);
  input.deployment.scale_up.in_switch_reduction = true;
  const double reduce = kOverhead + 16 * test::kWireBytesPerToken / 5e9;
  EXPECT_NEAR(test::run(input).mean_tpot.value(), 6 * (7e-6 + 9e-6 + 2 * reduce) + 2e-6, 1e-9);
}

TEST(TensorParallel, OneGpuNeedsNoLinks) {
  auto input = tensor_parallel(6, 1);
  input.deployment.pools[0].gpus_per_instance = 1;
  input.deployment.attention_tensor_parallel = 1;
  input.deployment.ffn_tensor_parallel = 1;
  EXPECT_NEAR(test::run(input).mean_tpot.value(), 6 * (7e-6 + 9e-6) + 2e-6, 1e-9);
}

TEST(Disaggregation, RoutedDispatchSendsFewerBytes) {
  auto input = test::two_to_two(6, 1, kStrategyStages);
  const auto broadcast = test::run(input);
  input.deployment.dispatch = Dispatch::routed;
  const auto routed = test::run(input);
  // Two different choices of eight experts: 4 x 3 of 8 x 7 pairs pass by the four of an instance.
  EXPECT_LT(routed.mean_tpot, broadcast.mean_tpot);
  const auto bytes = [](const SimulationResult& result) { return result.links.at(0).bytes; };
  EXPECT_NEAR(bytes(routed) / bytes(broadcast), 1.0 - 12.0 / 56.0, 1e-3);
}

// Within one domain a message takes the links of both GPUs and what software takes from those; the
// NICs have no part in it.
TEST(Disaggregation, MessagesWithinADomainGoOverItsLinks) {
  for (const auto network : {NetworkModel::ports, NetworkModel::max_min_fair}) {
    auto input = test::one_to_one(5, 1, {.attention = 3e-6, .ffn = 4e-6}, 1.0);
    input.network_model = network;
    Deployment& d = input.deployment;
    d.message_path = MessagePath::scale_up;
    d.scale_up.transport = {.overhead = Seconds{2e-6}, .efficiency = 0.5, .source = "here"};
    d.network.transport.overhead = Seconds{1.0};
    for (Pool& pool : d.pools) {
      pool.gpus_per_node = 2;
      pool.scale_up_bandwidth = BytesPerSecond{1e9};
    }
    EXPECT_THAT(deployment_problems(d), testing::IsEmpty());
    const double message = 2e-6 + test::kWireBytesPerToken / (0.5 * 1e9);
    const auto result = test::run(input);
    EXPECT_NEAR(result.mean_tpot.value(), 5 * (3e-6 + 4e-6 + 2 * message), 1e-9);
    EXPECT_LE(result.path_floor.value(), result.mean_tpot.value() + 1e-9);
    EXPECT_EQ(result.links.at(0).name, "attention scale-up links, sending");
    d.pools[1].gpus_per_node = 1;
    EXPECT_THAT(deployment_problems(d),
                Contains(HasSubstr("pool \"ffn\" has 1 GPUs in one (gpus_per_node)")));
  }
}

TEST(Disaggregation, ExpertsSplitWithinAnInstanceFetchTheirTokensFromTheirPeers) {
  auto input = test::two_to_two(6, 1, kStrategyStages);
  Deployment& d = input.deployment;
  d.pools[0].instances = d.pools[1].instances = 1;
  d.ffn_tensor_parallel = 1;
  d.ffn_expert_parallel = 4;
  for (Pool& pool : d.pools) {
    pool.scale_up_bandwidth = BytesPerSecond{1e8};
    pool.nic_bandwidth = BytesPerSecond{1e15};
  }
  const auto result = test::run(input);
  // Two of eight experts on a GPU: 1 - 30 / 56 of the tokens need it, and three quarters of those
  // came to its peers.
  const double tokens = 16.0 * 0.75 * (1.0 - 30.0 / 56.0);
  const double links = tokens * (2 * test::kWireBytesPerToken + 2 * 8) / 1e8;
  EXPECT_NEAR(result.mean_tpot.value(), 6 * (7e-6 + 9e-6 + links) + 2e-6, 1e-9);
}

TEST(Disaggregation, ASwitchThatAddsUpLoadsOneDirectionAtATime) {
  // The links are what all wait for. A ring needs them for the gather of one micro-batch or the
  // scatter of another; a switch takes one in while it gives the other out.
  auto input = test::two_to_two(6, 3, {.attention = 1e-9, .ffn = 1e-9});
  for (Pool& pool : input.deployment.pools) {
    pool.scale_up_bandwidth = BytesPerSecond{1e8};
    pool.nic_bandwidth = BytesPerSecond{1e15};
  }
  const double gather = 32.0 * (test::kWireBytesPerToken + 2 * 8) * 0.75 / 1e8;
  const double scatter = 32.0 * test::kWireBytesPerToken * 0.75 / 1e8;
  input.measurement = {.warmup_steps = 8, .steps = 16};
  EXPECT_NEAR(test::run(input).mean_tpot.value(), 6 * 3 * (gather + scatter), 1e-6);
  input.deployment.scale_up.in_switch_reduction = true;
  EXPECT_NEAR(test::run(input).mean_tpot.value(), 6 * 3 * gather, 1e-6);
}

TEST(Disaggregation, RoutedTokensGoWherePopularExpertsAre) {
  auto input = test::two_to_two(6, 1, kStrategyStages);
  input.deployment.dispatch = Dispatch::routed;
  input.noise.experts.kind = ExpertPopularity::Kind::shares;
  input.noise.experts.shares = {1, 1, 0, 0, 0, 0, 0, 0};
  const auto result = test::run(input);
  // Every token chooses both; where they are drawn onto different instances, both get all tokens,
  // otherwise one gets all and the other none.
  const double all = static_cast<double>(result.tokens) * 6 * (test::kWireBytesPerToken + 2 * 8);
  EXPECT_GE(result.links.at(0).bytes.value(), all * (1 - 1e-9));
  EXPECT_LE(result.links.at(0).bytes.value(), 2 * all);
}

TEST(Disaggregation, TheRowsOfAnOutputProjectionCanBeSplit) {
  auto input = test::two_to_two(6, 1, kStrategyStages);
  for (Pool& pool : input.deployment.pools) pool.scale_up_bandwidth = BytesPerSecond{5e9};
  const auto alone = test::run(input);
  input.deployment.output_parallel = 4;
  const auto split = test::run(input);
  // 8 heads of 16 values of four requests to three of four GPUs, and the sums of all 16 requests
  // back: both 256 bytes a request.
  const double there = 4 * test::kWireBytesPerToken * 0.75 / 5e9;
  const double back = 16 * test::kWireBytesPerToken * 0.75 / 5e9;
  EXPECT_NEAR((split.mean_tpot - alone.mean_tpot).value(), 6 * (there + back), 1e-9);
  const auto weights = [](const SimulationInput& in) {
    return plan_memory(in.deployment, in.admission).pools[0].weights.value();
  };
  auto whole = input;
  whole.deployment.output_parallel = 1;
  EXPECT_DOUBLE_EQ(weights(whole) - weights(input), 6 * 2 * 0.75 * 128 * 128);
}

TEST(Disaggregation, SharedHeadsAddAnAllReduceToTheAttentionStage) {
  auto input = test::two_to_two(6, 1, kStrategyStages);
  for (Pool& pool : input.deployment.pools) pool.scale_up_bandwidth = BytesPerSecond{5e9};
  const auto alone = test::run(input);
  input.deployment.attention_tensor_parallel = 4;
  const auto shared = test::run(input);
  // A group of four GPUs holds the requests of four.
  const double reduce = 2 * 16 * test::kWireBytesPerToken * 3 / 4 / 5e9;
  EXPECT_NEAR((shared.mean_tpot - alone.mean_tpot).value(), 6 * reduce, 1e-9);
}

// Four GPUs that share the heads of 16 requests: two sums in FP32 for each, in every layer.
TEST(Strategies, NormsOverTheHeadsOfAllGpusAddUpSquares) {
  auto input = tensor_parallel(6, 1);
  const double alone = test::run(input).mean_tpot.value();
  std::get<models::GroupedQueryAttention>(input.deployment.model.attentions[0].kind)
      .norm_over_heads = true;
  const double sum = kOverhead + 2 * (16 * 8) * 0.75 / 5e9;
  EXPECT_NEAR(test::run(input).mean_tpot.value() - alone, 6 * sum, 1e-9);
  // By a library over two nodes, as it has measured 64 B and 128.
  input.deployment.pools[0].gpus_per_node = 2;
  input.deployment.network.all_reduce = {{.measured = {Seconds{20e-6}, Seconds{24e-6}}}};
  const double over_nodes = test::run(input).mean_tpot.value();
  std::get<models::GroupedQueryAttention>(input.deployment.model.attentions[0].kind)
      .norm_over_heads = false;
  EXPECT_NEAR(over_nodes - test::run(input).mean_tpot.value(), 6 * 24e-6, 1e-9);
}

// Sixteen requests whose four GPUs share a vocabulary of 1024: hidden values of 128 are summed, and
// the logits gathered.
TEST(Strategies, ExchangeEmbeddingsAndLogitsOfASharedVocabulary) {
  auto input = tensor_parallel(6, 1);
  const double alone = test::run(input).mean_tpot.value();
  input.deployment.execution.vocabulary_exchange = true;
  const double sum = kOverhead + 2 * 16 * 128 * 2 * 0.75 / 5e9;
  const double gather = kOverhead + 16.0 * 1024 * 2 * 0.75 / 5e9;
  EXPECT_NEAR(test::run(input).mean_tpot.value() - alone, sum + gather, 1e-9);
  // Each with requests of its own has the whole of it.
  auto apart = wide_expert_parallel(6, 1);
  const double before = test::run(apart).mean_tpot.value();
  apart.deployment.execution.vocabulary_exchange = true;
  EXPECT_EQ(test::run(apart).mean_tpot.value(), before);
}

// A launch begins at most as early as the one ahead of it has begun: what is shorter than the
// overlap keeps its time.
TEST(Strategies, LaunchesThatBeginEarlyTakeThatMuchLess) {
  auto input = tensor_parallel(6, 1);
  const double before = test::run(input).mean_tpot.value();
  const auto saved = [&](double overlap) {
    input.deployment.execution.launch_overlap = Seconds{overlap};
    return before - test::run(input).mean_tpot.value();
  };
  // Of 7 us of attention and 9 of experts in each layer, and 2 of the LM head.
  EXPECT_NEAR(saved(1e-6), 6 * (1e-6 + 1e-6) + 1e-6, 1e-11);
  EXPECT_NEAR(saved(8e-6), 6 * 8e-6, 1e-11);
}

TEST(Strategies, TheKernelOfAnAllReduceDoesTheNormBehindIt) {
  auto input = tensor_parallel(6, 1);
  input.deployment.pools[0].kernels =
      test::named_kernels({{"attention_norm", 3e-6}, {"ffn_norm", 4e-6}, {"final_norm", 5e-6}});
  const double before = test::run(input).mean_tpot.value();
  input.deployment.execution.all_reduce_with_norm = true;
  EXPECT_NEAR(before - test::run(input).mean_tpot.value(), 6 * (3e-6 + 4e-6), 1e-11);
  input.deployment.execution.norm_in_all_reduce = Seconds{1e-6};
  EXPECT_NEAR(before - test::run(input).mean_tpot.value(), 6 * (3e-6 + 4e-6 - 2e-6), 1e-11);
}

// In front of a layer it has the results of an exchange, but behind attention that GPUs share a sum.
TEST(Strategies, NoNormIsDoneByAnAllReduceThatIsNotThere) {
  auto input = wide_expert_parallel(6, 1);
  input.deployment.attention_tensor_parallel = 2;
  input.deployment.pools[0].kernels =
      test::named_kernels({{"attention_norm", 3e-6}, {"ffn_norm", 4e-6}, {"final_norm", 5e-6}});
  const double before = test::run(input).mean_tpot.value();
  input.deployment.execution.all_reduce_with_norm = true;
  EXPECT_NEAR(before - test::run(input).mean_tpot.value(), 6 * 4e-6, 1e-11);
}

TEST(Strategies, KernelsThatChooseExpertsTakeWhatTheEngineSays) {
  auto input = tensor_parallel(6, 1);
  input.deployment.pools[0].kernels = test::named_kernels({{"route", 3e-6}});
  const double before = test::run(input).mean_tpot.value();
  input.deployment.execution.routing = Seconds{15e-6};
  EXPECT_NEAR(test::run(input).mean_tpot.value() - before, 6 * (15e-6 - 3e-6), 1e-11);
  input.deployment.execution.routing = Seconds{0.0};
  EXPECT_NEAR(before - test::run(input).mean_tpot.value(), 6 * 3e-6, 1e-11);
}

TEST(Strategies, MicroBatchesShareAStepsWaitForItsHost) {
  for (const std::int64_t micro_batches : {1, 2}) {
    auto input = tensor_parallel(4, micro_batches);
    const double without = test::run(input).mean_tpot.value();
    input.deployment.step_overhead = Seconds{100e-6};
    EXPECT_NEAR(test::run(input).mean_tpot.value() - without, 100e-6, 1e-6) << micro_batches;
  }
}

// Means of the largest of so many standard normal numbers, from tables of order statistics.
TEST(Strategies, TheLastOfSoManyIsAsLateAsTablesSay) {
  EXPECT_EQ(mean_of_the_last(1), 0.0);
  EXPECT_NEAR(mean_of_the_last(2), 1.0 / std::sqrt(std::numbers::pi), 1e-9);
  EXPECT_NEAR(mean_of_the_last(3), 1.5 / std::sqrt(std::numbers::pi), 1e-9);
  EXPECT_NEAR(mean_of_the_last(4), 1.02938, 1e-5);
  EXPECT_NEAR(mean_of_the_last(8), 1.42360, 1e-5);
  EXPECT_NEAR(mean_of_the_last(64), 2.34373, 1e-5);
}

// As a gap between steps would: GPUs of an instance wait for each other, and all with requests
// where the experts have GPUs of their own.
TEST(Strategies, AStepWaitsForTheLastOfTheHosts) {
  const auto waited = [](SimulationInput input, std::int64_t gpus) {
    const double without = test::run(input).mean_tpot.value();
    input.deployment.execution.host_stagger = Seconds{100e-6};
    const double with = test::run(input).mean_tpot.value();
    input.deployment.execution.host_stagger.reset();
    input.deployment.step_overhead = Seconds{100e-6 * mean_of_the_last(gpus)};
    EXPECT_NEAR(with, test::run(input).mean_tpot.value(), 1e-12) << gpus;
    return with - without;
  };
  const SimulationInput wide = wide_expert_parallel(6, 1);
  const std::int64_t gpus = wide.deployment.pools[0].gpus_per_instance;
  ASSERT_GT(gpus, 1);
  EXPECT_NEAR(waited(wide, gpus), 100e-6 * mean_of_the_last(gpus), 1e-9);
  const SimulationInput split = test::two_to_two(6, 1, kStrategyStages);
  ASSERT_GT(split.deployment.pools[0].instances, 1);
  EXPECT_GT(waited(split, split.deployment.pools[0].gpus()), 50e-6);
}

TEST(Strategies, ANormOverAllHeadsIsOneKernelWithItsSum) {
  auto input = tensor_parallel(6, 1);
  std::get<models::GroupedQueryAttention>(input.deployment.model.attentions[0].kind)
      .norm_over_heads = true;
  input.deployment.pools[0].kernels =
      test::named_kernels({{"qk_squares", 2e-6}, {"qk_norm", 3e-6}});
  const double before = test::run(input).mean_tpot.value();
  input.deployment.execution.qk_norm_with_sum = true;
  EXPECT_NEAR(before - test::run(input).mean_tpot.value(), 6 * (2e-6 + 3e-6), 1e-11);
}

// Beside routed experts, a shared one of 64 columns on each GPU costs what it asks of the memory at
// 1 TB/s, for 16 tokens in 16 bits: weights, inputs and outputs of both products, and its
// activation. Where it takes longer, the routed ones are beside it.
TEST(Strategies, SharedExpertsBesideRoutedOnesCostNoLaunches) {
  const auto saved = [](double shared) {
    auto input = tensor_parallel(6, 1);
    auto& experts = std::get<models::MoeFfn>(input.deployment.model.ffns[0].kind);
    experts.shared_intermediate = 256;
    input.deployment.pools[0].kernels =
        test::named_kernels({{"expert_down", 9e-6}, {"shared_down", shared}});
    const double before = test::run(input).mean_tpot.value();
    input.deployment.execution.shared_experts_beside = true;
    return before - test::run(input).mean_tpot.value();
  };
  const double products = (128 + 64) * 128.0 + 16 * (128.0 + 128) + 16 * (64.0 + 128);
  const double activation = 16 * (128.0 + 64);
  EXPECT_NEAR(saved(4e-6), 6 * (4e-6 - 2 * (products + activation) / 1e12), 1e-11);
  EXPECT_NEAR(saved(20e-6), 6 * 9e-6, 1e-11);
}

// Three requests run as four: rows of products and sums, but no KV and no experts.
TEST(Strategies, PadBatchesToThoseThatGraphsWereCapturedOf) {
  constexpr double kPerToken = 1e-8;
  constexpr double kPerProduct = 1e-11;
  auto input = tensor_parallel(6, 1);
  Deployment& d = input.deployment;
  d.pools[0].kernels = test::fixed_kernels({.attention_per_cached_token = kPerToken,
                                            .ffn_per_row = 1e-6,
                                            .head_per_product = kPerProduct});
  input.workload.requests_per_gpu = 0;
  input.workload.requests = 3;
  const auto expected = [&](double rows) {
    const double sum = kOverhead + 2 * rows * test::kWireBytesPerToken * 0.75 / 5e9;
    const double layer = 3 * 100 * kPerToken + 3 * 2 * 1e-6 + 2 * sum;
    return 6 * layer + kPerProduct * rows * 1024 / 4;
  };
  EXPECT_NEAR(test::run(input).mean_tpot.value(), expected(3), 1e-9);
  d.execution.captured_batches = {1, 2, 4, 8};
  EXPECT_NEAR(test::run(input).mean_tpot.value(), expected(4), 1e-9);
  d.execution.captured_batches = {1, 3, 4};
  EXPECT_NEAR(test::run(input).mean_tpot.value(), expected(3), 1e-9);
  d.execution.captured_batches = {1, 2};
  EXPECT_NEAR(test::run(input).mean_tpot.value(), expected(3), 1e-9);
}

// Four GPUs that share two heads each of one KV head keep a quarter of its tokens each: attention
// over cached tokens takes a quarter of the time, for queries of eight heads of 16 values that are
// gathered, and 16 values and a logarithm of each that are given back.
TEST(Strategies, SplitTheTokensOfACacheOverGpusThatWouldHoldItTwice) {
  constexpr double kPerToken = 1e-8;
  const auto split = [&](SimulationInput input, double tokens) {
    Deployment& d = input.deployment;
    std::get<models::GroupedQueryAttention>(d.model.attentions[0].kind).kv_heads = 1;
    const auto kernels = test::fixed_kernels({.attention_per_cached_token = kPerToken});
    for (Pool& pool : d.pools) {
      pool.kernels = kernels;
      pool.scale_up_bandwidth = BytesPerSecond{5e9};
    }
    d.attention_tensor_parallel = 4;
    const double alone = test::run(input).mean_tpot.value();
    const double kept = request_kv_bytes(d, input.admission, 1024).value();
    d.context_parallel = 4;
    EXPECT_EQ(request_kv_bytes(d, input.admission, 1024).value(), kept / 4);
    const double attention = tokens * 100 * kPerToken;
    const double exchange = 0.75 * tokens * 8 * (16 * 2 + 16 * 2 + 4) / 5e9;
    EXPECT_NEAR(test::run(input).mean_tpot.value() - alone, 6 * (exchange - 0.75 * attention), 1e-9)
        << d.strategy;
  };
  split(test::two_to_two(6, 1, {}), 16);
  split(wide_expert_parallel(6, 1), 16);
  auto whole = tensor_parallel(6, 1);
  whole.deployment.scale_up.transport.overhead = {};
  split(whole, 16);
}

TEST(Strategies, SplitNoTokensThatEveryGpuNeedsOrHasAlone) {
  const auto problems = [](const auto& change) {
    auto input = test::two_to_two(6, 1, kStrategyStages);
    input.deployment.attention_tensor_parallel = 4;
    input.deployment.context_parallel = 2;
    change(input.deployment);
    return deployment_problems(input.deployment);
  };
  EXPECT_THAT(problems([](Deployment&) {}),
              Contains(HasSubstr("must divide the 1 GPUs that hold the same cache")));
  const auto one_head = [](Deployment& d) {
    std::get<models::GroupedQueryAttention>(d.model.attentions[0].kind).kv_heads = 1;
  };
  EXPECT_THAT(problems(one_head), testing::IsEmpty());
  EXPECT_THAT(problems([&](Deployment& d) {
                one_head(d);
                d.pools[0].gpus_per_node = 1;
              }),
              Contains(HasSubstr("crosses nodes of 1 GPUs")));
  EXPECT_THAT(problems([](Deployment& d) {
                d.model.attentions[0].kind = models::LinearStateAttention{
                    .key_heads = 8, .value_heads = 8, .key_dim = 16, .value_dim = 16};
              }),
              Contains(HasSubstr("it keeps a state")));
}

// Two drafts through two layers each, which are held once and whose attention takes as long as the
// model's.
TEST(Strategies, DraftThroughLayersOfAModelWithoutModules) {
  auto input = test::one_to_one(4, 1, {.attention = 7e-6}, 1e12);
  const double alone = test::run(input).mean_tpot.value();
  const auto memory = [&] {
    return plan_memory(input.deployment, input.admission).pools[0].weights.value();
  };
  const auto kept = [&] { return request_kv_bytes(input.deployment, input.admission, 64).value(); };
  const double embeddings = 2.0 * 1024 * 128 * 2;
  const double weights = memory() - embeddings;
  const double cache = kept();
  input.deployment.drafting = {.tokens = 2, .layers = 2, .own_layers = true, .acceptance = {0.0}};
  input.deployment.model.mtp = {.modules = 1, .layer = {.attention = 0, .ffn = 0}};
  EXPECT_NEAR(test::run(input).mean_tpot.value() - alone, 2 * 2 * 7e-6, 1e-8);
  const double input_projection = 2.0 * 128 * 128 * 2;
  EXPECT_DOUBLE_EQ((memory() - embeddings - input_projection) / weights, 6.0 / 4);
  EXPECT_DOUBLE_EQ(kept() / cache, 6.0 / 4);
}

// Times what comes in front of a draft's layers, by its products, and nothing else.
class DraftInputs : public hw::KernelModel {
 public:
  hw::Timing time(const models::Operator& op) const override {
    if (op.name != "draft_input") return {};
    const auto& gemm = std::get<models::Gemm>(op.shape);
    return {.time = Seconds{1e-10 * gemm.m * static_cast<double>(gemm.n * gemm.k)}};
  }
  const hw::ChipSpec& chip() const override { return base_->chip(); }
  std::string provenance() const override { return "synthetic"; }

 private:
  std::shared_ptr<const hw::KernelModel> base_ = test::fixed_kernels({}, 1e12);
};

TEST(Strategies, DraftsBeginWithAProjectionOfTheTokenAndWhatTheModelSaw) {
  auto input = test::one_to_one(4, 1, {}, 1e12);
  input.deployment.pools[0].kernels = std::make_shared<DraftInputs>();
  const double alone = test::run(input).mean_tpot.value();
  input.deployment.drafting = {.tokens = 2, .layers = 1, .own_layers = true, .acceptance = {0.0}};
  input.deployment.model.mtp = {.modules = 1, .layer = {.attention = 0, .ffn = 0}};
  // Of one request, two drafts.
  EXPECT_NEAR(test::run(input).mean_tpot.value() - alone, 2 * 1e-10 * 128 * 2 * 128, 1e-8);
}

TEST(Strategies, SayWhatMakesADeploymentImpossible) {
  const auto problems = [](const auto& change) {
    auto input = test::two_to_two(6, 1, kStrategyStages);
    change(input.deployment);
    return deployment_problems(input.deployment);
  };
  EXPECT_THAT(problems([](Deployment&) {}), testing::IsEmpty());
  EXPECT_THAT(problems([](Deployment& d) { d.pools.pop_back(); }),
              Contains(HasSubstr("has two pools")));
  EXPECT_THAT(problems([](Deployment& d) { d.ffn_tensor_parallel = 2; }),
              Contains(HasSubstr("(2 x 2) must be its 8 GPUs")));
  EXPECT_THAT(problems([](Deployment& d) { d.redundant_experts = 3; }),
              Contains(HasSubstr("11 experts of \"ffn\" (redundant copies included) do not divide "
                                 "over 2 expert-parallel ranks")));
  EXPECT_THAT(problems([](Deployment& d) { d.attention_tensor_parallel = 3; }),
              Contains(HasSubstr("4 GPUs of a \"attention\" instance do not divide over 3")));
  EXPECT_THAT(problems([](Deployment& d) { d.output_parallel = 3; }),
              Contains(HasSubstr("output_parallel (3) must divide")));
  EXPECT_THAT(problems([](Deployment& d) { d.drafting.tokens = 1; }),
              Contains(HasSubstr("drafted tokens need a multi-token-prediction module")));
  EXPECT_THAT(problems([](Deployment& d) { d.pools[0].gpus_per_instance = 3; }),
              Contains(HasSubstr("must be multiples of each other")));
  EXPECT_THAT(problems([](Deployment& d) {
                d.strategy = "tensor_parallel";
                d.pools.pop_back();
                d.pools[0].roles = kAllRoles;
              }),
              Contains(HasSubstr("one synchronous group")));
  EXPECT_THAT(problems([](Deployment& d) {
                d.strategy = "wide_expert_parallel";
                d.pools.pop_back();
                d.pools[0].roles = kAllRoles;
              }),
              Contains(HasSubstr("splits FFNs over all 4 GPUs")));
  EXPECT_THAT(
      problems([](Deployment& d) {
        d.strategy = "wide_expert_parallel";
        d.pools.pop_back();
        d.pools[0].roles = kAllRoles;
        d.ffn_expert_parallel = 1;
      }),
      Contains(HasSubstr("ffn_tensor_parallel 4 slices FFNs, so that every GPU needs all tokens")));
  EXPECT_THAT(problems([](Deployment& d) { d.schedule = Schedule::staged; }),
              Contains(HasSubstr("orders of \"wide_expert_parallel\", not of \"afd\"")));
}

}  // namespace
}  // namespace ridge::decode
