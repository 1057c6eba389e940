#include "ridge/decode/memory_plan.hpp"

#include "ridge/base/error.hpp"
#include "synthetic.hpp"

#include <array>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge::decode {
namespace {

using testing::HasSubstr;

// Four 128 x 128 projections and a norm of 128, in BF16.
constexpr double kAttentionLayer = 2 * (4 * 128 * 128 + 128);
// Embedding table and LM head in BF16.
constexpr double kVocabulary = 2 * 2 * 1024 * 128;
// Eight experts of three 128 x 256 products; router and norm.
constexpr double kExperts = 2.0 * 8 * 3 * 128 * 256;
constexpr double kRest = 2 * (8 * 128 + 128);

TEST(MemoryPlan, WeightsAreThoseCountedByHand) {
  const auto input = test::two_to_two(10, 1, {});
  const auto plan = plan_memory(input.deployment, input.admission);
  ASSERT_EQ(plan.pools.size(), 2U);
  EXPECT_DOUBLE_EQ(plan.pools[0].weights.value(), 10 * kAttentionLayer + kVocabulary / 4);
  EXPECT_DOUBLE_EQ(plan.pools[1].weights.value(), 10 * (kRest + kExperts / 2) / 4);
  EXPECT_DOUBLE_EQ(plan.pools[0].kv_budget.value(), 0.9 * 1e12 - plan.pools[0].weights.value());
  EXPECT_EQ(plan.pools[1].kv_budget.value(), 0.0);
  EXPECT_THAT(plan.problems, testing::IsEmpty());
}

TEST(MemoryPlan, ASharedPoolHoldsBothParts) {
  auto input = test::two_to_two(10, 1, {});
  Deployment& d = input.deployment;
  d.strategy = "wide_expert_parallel";
  d.pools.resize(1);
  d.pools[0].roles = kAllRoles;
  d.pools[0].instances = 1;
  d.ffn_tensor_parallel = 1;
  d.ffn_expert_parallel = 4;
  const auto plan = plan_memory(d, input.admission);
  EXPECT_DOUBLE_EQ(plan.pools.at(0).weights.value(),
                   10 * (kAttentionLayer + kRest + kExperts / 4) + kVocabulary / 4);
}

TEST(MemoryPlan, RedundantExpertsTakeMemory) {
  auto input = test::two_to_two(10, 1, {});
  const auto without = plan_memory(input.deployment, input.admission);
  input.deployment.redundant_experts = 8;
  const auto with = plan_memory(input.deployment, input.admission);
  EXPECT_DOUBLE_EQ((with.pools[1].weights - without.pools[1].weights).value(),
                   10 * kExperts / 2 / 4);
}

TEST(MemoryPlan, DraftingModulesTakeMemory) {
  auto input = test::two_to_two(10, 1, {});
  input.deployment.model.mtp.modules = 1;
  const auto without = plan_memory(input.deployment, input.admission);
  const auto kv_without = request_kv_bytes(input.deployment, input.admission, 64);
  input.deployment.drafting.tokens = 1;
  const auto with = plan_memory(input.deployment, input.admission);
  // A layer, and what makes its input of an embedding and hidden values, in BF16.
  EXPECT_DOUBLE_EQ((with.pools[0].weights - without.pools[0].weights).value(),
                   kAttentionLayer + 2.0 * 128 * 128 * 2);
  EXPECT_DOUBLE_EQ((with.pools[1].weights - without.pools[1].weights).value(),
                   (kRest + kExperts / 2) / 4);
  EXPECT_DOUBLE_EQ(request_kv_bytes(input.deployment, input.admission, 64) / kv_without, 1.1);
}

TEST(MemoryPlan, SharedExpertsKeepTheirOwnPrecision) {
  auto input = test::two_to_two(1, 1, {});
  auto& moe = std::get<models::MoeFfn>(input.deployment.model.ffns[0].kind);
  moe.shared_intermediate = 256;
  const auto bf16 = plan_memory(input.deployment, input.admission);
  moe.shared_weights = models::WeightFormat{models::Precision::fp32};
  const auto fp32 = plan_memory(input.deployment, input.admission);
  EXPECT_DOUBLE_EQ((fp32.pools[1].weights - bf16.pools[1].weights).value(),
                   2.0 * 3 * 128 * 256 / 4);
}

// 100 tokens of prompts on each of eight groups, and the logits of 50 sequences on every GPU that
// samples.
TEST(MemoryPlan, AProfiledStepKeepsWhatItTook) {
  auto input = test::two_to_two(10, 1, {});
  for (Pool& pool : input.deployment.pools) pool.memory_reserve.reset();
  const auto reserve = [&] {
    const auto plan = plan_memory(input.deployment, input.admission);
    return std::array{plan.pools[0].reserve.value(), plan.pools[1].reserve.value()};
  };
  const auto none = reserve();
  input.admission.profile = ProfiledStep{.tokens = 100, .sequences = 50};
  const auto profiled = reserve();
  EXPECT_DOUBLE_EQ(profiled[0] - none[0], 2.0 * 100 * 128 * 2 + 50.0 * 1024 * (2 + 48));
  // 800 tokens with two choices each on two ranks of four slices.
  EXPECT_DOUBLE_EQ(profiled[1] - none[1],
                   2.0 * 400 * 128 * 2 + 800.0 * 2 * (2 * 128 + 3 * 256 / 4));
  // From 128 sequences on each is sorted by itself: with its places before and after in 8 bytes,
  // and room for both.
  input.admission.profile->sequences = 200;
  EXPECT_DOUBLE_EQ(reserve()[0] - none[0],
                   2.0 * 100 * 128 * 2 + 200.0 * 1024 * (2 + 4 + (4 + 8) + 8 + (4 + 8)));
  // Steps that take more count as they are.
  input.workload.requests_per_gpu = 1e5;
  const auto plan = plan_memory(input.deployment, input.admission, input.workload);
  input.admission.profile.reset();
  EXPECT_EQ(plan.pools[0].reserve,
            plan_memory(input.deployment, input.admission, input.workload).pools[0].reserve);
}

TEST(MemoryPlan, KvComesInPages) {
  const auto input = test::two_to_two(10, 1, {});
  const double page = 10 * test::kKvBytesPerTokenAndLayer * 64;
  const auto kv = [&](std::int64_t tokens) {
    return request_kv_bytes(input.deployment, input.admission, tokens).value();
  };
  EXPECT_DOUBLE_EQ(kv(1), page);
  EXPECT_DOUBLE_EQ(kv(64), page);
  EXPECT_DOUBLE_EQ(kv(65), 2 * page);
}

TEST(MemoryPlan, KvHeadsAreSplitOverTheGroup) {
  auto input = test::two_to_two(10, 1, {});
  const auto alone = request_kv_bytes(input.deployment, input.admission, 64);
  input.deployment.attention_tensor_parallel = 4;
  EXPECT_DOUBLE_EQ(request_kv_bytes(input.deployment, input.admission, 64) / alone, 0.25);
}

TEST(MemoryPlan, StatesOfLinearAttentionAreSplitOverTheGroupAndASharedHeadIsNot) {
  auto input = test::two_to_two(10, 1, {});
  auto& kind = input.deployment.model.attentions[0].kind;
  const auto split_of = [&] {
    input.deployment.attention_tensor_parallel = 1;
    const auto alone = request_kv_bytes(input.deployment, input.admission, 64);
    input.deployment.attention_tensor_parallel = 4;
    return request_kv_bytes(input.deployment, input.admission, 64) / alone;
  };
  kind = models::LinearStateAttention{
      .key_heads = 8, .value_heads = 8, .key_dim = 16, .value_dim = 16};
  EXPECT_DOUBLE_EQ(split_of(), 0.25);
  kind = models::MultiMatrixFactorizationAttention{.query_heads = 8, .head_dim = 16};
  EXPECT_DOUBLE_EQ(split_of(), 1.0);
}

// Two GPUs keep what collectives need, one alone only what its driver does.
TEST(MemoryPlan, KeepsAReserveThatCanBeStated) {
  auto input = test::one_to_one(10, 1, {}, 1e9);
  Pool& pool = input.deployment.pools[0];
  pool.memory_reserve.reset();
  const auto reserve = [&](const Workload& workload = {}) {
    return plan_memory(input.deployment, input.admission, workload).pools[0].reserve.value();
  };
  EXPECT_NEAR(reserve(), 2.1 * 1024 * 1024 * 1024, 1.0);
  pool.memory_reserve = Bytes{5e9};
  const auto plan = plan_memory(input.deployment, input.admission);
  EXPECT_EQ(plan.pools[0].reserve.value(), 5e9);
  EXPECT_DOUBLE_EQ(plan.pools[0].kv_budget.value(),
                   0.9 * 1e12 - plan.pools[0].weights.value() - 5e9);
  input.deployment.strategy = "tensor_parallel";
  input.deployment.pools.resize(1);
  pool.roles = kAllRoles;
  pool.memory_reserve.reset();
  EXPECT_NEAR(reserve(), 0.25 * 1024 * 1024 * 1024, 1.0);
}

TEST(MemoryPlan, ActivationsGrowWithTheBatch) {
  auto input = test::two_to_two(10, 2, {});
  for (Pool& pool : input.deployment.pools) pool.memory_reserve.reset();
  const auto reserve = [&](std::size_t pool, std::int64_t requests_per_group) {
    const Workload workload{.requests_per_group = requests_per_group, .steady = true};
    return plan_memory(input.deployment, input.admission, workload).pools[pool].reserve.value();
  };
  // 50 requests of each micro-batch: hidden values of both, and logits of 1,024 words in 10 bytes.
  EXPECT_NEAR(reserve(0, 100) - reserve(0, 0), 50 * (2 * 2 * 2 * 128 + 10.0 * 1024), 1.0);
  // Of all 400 tokens each rank has half, and half of their 800 rows: in and out, and three times a
  // quarter of 256 columns.
  EXPECT_NEAR(reserve(1, 100) - reserve(1, 0), 2 * 2 * 2 * 200 * 128 + 400 * 2 * (2 * 128 + 3 * 64),
              1.0);
}

TEST(MemoryPlan, WhoeverSlicesADenseFfnHasTheTokensOfAllThatDo) {
  auto input = test::two_to_two(10, 1, {});
  Deployment& d = input.deployment;
  d.strategy = "wide_expert_parallel";
  d.exchange = ExchangeWay::gather_scatter;
  d.pools.resize(1);
  d.pools[0].roles = kAllRoles;
  d.pools[0].instances = 1;
  d.pools[0].gpus_per_instance = 4;
  d.pools[0].memory_reserve.reset();
  d.model.vocabulary = 16;  // so that logits are not what takes most
  for (models::FfnBlock& block : d.model.ffns) block.kind = models::DenseFfn{.intermediate = 256};
  const auto reserve = [&](std::int64_t tp, std::int64_t requests_per_group) {
    d.ffn_tensor_parallel = tp;
    d.ffn_expert_parallel = 4 / tp;
    const Workload workload{.requests_per_group = requests_per_group, .steady = true};
    return plan_memory(d, input.admission, workload).pools[0].reserve.value();
  };
  const double own = 2 * 100 * 128 * 2;
  EXPECT_NEAR(reserve(1, 100) - reserve(1, 0), own + 100 * 2 * (2 * 128 + 3 * 256), 1.0);
  EXPECT_NEAR(reserve(4, 100) - reserve(4, 0), own + 400 * 2 * (2 * 128 + 3 * 64), 1.0);
}

TEST(MemoryPlan, WhatDoesNotFitSaysByHowMuch) {
  auto input = test::two_to_two(10, 1, {});
  // 4 MB x 0.9 hold 3.6 MB; the FFN's share is 1.97 MB and fits, attention's 1.44 MB too.
  input.deployment.pools[1].kernels = test::fixed_kernels({}, 2e6);
  const auto plan = plan_memory(input.deployment, input.admission);
  const double weights = 10 * (kRest + kExperts / 2) / 4;
  ASSERT_EQ(plan.problems.size(), 1U);
  EXPECT_NEAR(weights - 0.9 * 2e6, 171840, 1);
  EXPECT_EQ(plan.problems[0].pool, "ffn");
  EXPECT_THAT(plan.problems[0].words,
              testing::AllOf(HasSubstr("\"ffn\""), HasSubstr("1.97 MB"), HasSubstr("2.00 MB"),
                             HasSubstr("172 kB too much")));
  EXPECT_THAT([&] { Simulation simulation(input); },
              testing::ThrowsMessage<UserError>(HasSubstr("172 kB too much")));
}

}  // namespace
}  // namespace ridge::decode
