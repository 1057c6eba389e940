// The baselines, and what a strategy refuses.
#include "ridge/decode/strategy.hpp"
#include "synthetic.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge::decode {
namespace {

using testing::Contains;
using testing::HasSubstr;

constexpr test::StageSeconds kStages{.attention = 7e-6, .ffn = 9e-6, .head = 2e-6};
constexpr double kOverhead = 1.5e-6;

// One pool of eight GPUs, two nodes of four.
SimulationInput wide_expert_parallel(std::int64_t layers, std::int64_t micro_batches) {
  auto input = test::two_to_two(layers, micro_batches, kStages);
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
  d.network.overhead = Seconds{kOverhead};
  return input;
}

SimulationInput tensor_parallel(std::int64_t layers, std::int64_t micro_batches) {
  auto input = test::two_to_two(layers, micro_batches, kStages);
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
  d.scale_up.overhead = Seconds{kOverhead};
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

TEST(TensorParallel, OneGpuNeedsNoLinks) {
  auto input = tensor_parallel(6, 1);
  input.deployment.pools[0].gpus_per_instance = 1;
  input.deployment.attention_tensor_parallel = 1;
  input.deployment.ffn_tensor_parallel = 1;
  EXPECT_NEAR(test::run(input).mean_tpot.value(), 6 * (7e-6 + 9e-6) + 2e-6, 1e-9);
}

TEST(Disaggregation, RoutedDispatchSendsFewerBytes) {
  auto input = test::two_to_two(6, 1, kStages);
  const auto broadcast = test::run(input);
  input.deployment.dispatch = Dispatch::routed;
  const auto routed = test::run(input);
  // Two choices among two instances: three tokens in four have business with a given one.
  EXPECT_LT(routed.mean_tpot, broadcast.mean_tpot);
  const auto bytes = [](const SimulationResult& result) { return result.links.at(0).bytes; };
  EXPECT_NEAR(bytes(routed) / bytes(broadcast), 0.75, 0.01);
}

TEST(Disaggregation, SharedHeadsAddAnAllReduceToTheAttentionStage) {
  auto input = test::two_to_two(6, 1, kStages);
  for (Pool& pool : input.deployment.pools) pool.scale_up_bandwidth = BytesPerSecond{5e9};
  const auto alone = test::run(input);
  input.deployment.attention_tensor_parallel = 4;
  const auto shared = test::run(input);
  // A group of four GPUs holds the requests of four.
  const double reduce = 2 * 16 * test::kWireBytesPerToken * 3 / 4 / 5e9;
  EXPECT_NEAR((shared.mean_tpot - alone.mean_tpot).value(), 6 * reduce, 1e-9);
}

TEST(Strategies, SayWhatMakesADeploymentImpossible) {
  const auto problems = [](const auto& change) {
    auto input = test::two_to_two(6, 1, kStages);
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
              Contains(HasSubstr("1 drafted tokens need as many multi-token-prediction modules")));
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
              Contains(HasSubstr("splits experts over all 4 GPUs")));
}

}  // namespace
}  // namespace ridge::decode
