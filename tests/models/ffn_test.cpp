// The operators of each FFN kind, counted by hand.
#include "ridge/models/ffn.hpp"

#include "find_operator.hpp"
#include "ridge/base/random.hpp"

#include <cmath>
#include <set>

#include <gtest/gtest.h>

namespace ridge::models {
namespace {

constexpr std::int64_t kHidden = 7168;

const FfnBlock kDense = {.name = "dense",
                         .kind = DenseFfn{.intermediate = 18432},
                         .weights = Precision::fp8,
                         .compute = Precision::fp8};
// arXiv 2507.19427 table 1.
const MoeFfn kExperts{
    .experts = 48, .top_k = 3, .expert_intermediate = 5120, .shared_intermediate = 5120};
const FfnBlock kMoe = {
    .name = "moe", .kind = kExperts, .weights = Precision::fp8, .compute = Precision::fp8};

OperatorList operators(const FfnBlock& block, double tokens, const FfnShard& shard = {}) {
  OperatorList list;
  ffn_operators(block, kFp8, kHidden, tokens, shard, list);
  return list;
}

double flop(const OperatorList& list) {
  double sum = 0;
  for (const Operator& op : list) {
    if (op.part == Part::ffn) sum += demand(op).flop.value();
  }
  return sum;
}

Bytes weights(const OperatorList& list) {
  Bytes sum;
  for (const Operator& op : list) sum += demand(op).weights;
  return sum;
}

TEST(DenseFfn, CountsByHand) {
  EXPECT_EQ(flop(operators(kDense, 5)), 5.0 * 2 * 3 * 7168 * 18432);
  EXPECT_EQ(weights(operators(kDense, 5)).value(), 3.0 * 7168 * 18432);
  EXPECT_EQ(ffn_parameters(kDense, kHidden).total, 3.0 * 7168 * 18432 + 7168);
}

TEST(DenseFfn, WithoutAGateHasTwoMatrices) {
  FfnBlock block = kDense;
  block.kind = DenseFfn{.intermediate = 18432, .gated = false};
  EXPECT_EQ(flop(operators(block, 5)), 5.0 * 2 * 2 * 7168 * 18432);
  EXPECT_EQ(ffn_parameters(block, kHidden).total, 2.0 * 7168 * 18432 + 7168);
}

TEST(MoeFfn, CountsByHand) {
  const OperatorList list = operators(kMoe, 5);
  EXPECT_EQ(flop(list), 5.0 * (3 + 1) * 2 * 3 * 7168 * 5120);
  const auto& grouped = std::get<GroupedGemm>(find(list, "expert_gate_up").shape);
  EXPECT_EQ(grouped.rows, 15.0);
  EXPECT_EQ(grouped.n, 2 * 5120);
  EXPECT_EQ(grouped.k, 7168);
  const FfnParameters parameters = ffn_parameters(kMoe, kHidden);
  EXPECT_EQ(parameters.total, (48.0 + 1) * 3 * 7168 * 5120 + 48.0 * 7168 + 7168);
  EXPECT_EQ(parameters.active, (3.0 + 1) * 3 * 7168 * 5120 + 48.0 * 7168 + 7168);
}

TEST(MoeFfn, WithoutSharedExpertsLaunchesNoneOfTheirOperators) {
  FfnBlock block = kMoe;
  auto kind = kExperts;
  kind.shared_intermediate = 0;
  block.kind = kind;
  const OperatorList list = operators(block, 5);
  EXPECT_THROW((void)find(list, "shared_gate_up"), std::out_of_range);
  EXPECT_EQ(flop(list), 5.0 * 3 * 2 * 3 * 7168 * 5120);
}

TEST(MoeFfn, BiasesBelongToExpertsAndRouter) {
  FfnBlock block = kMoe;
  auto kind = kExperts;
  kind.biases = true;
  block.kind = kind;
  EXPECT_EQ(ffn_parameters(block, kHidden).total - ffn_parameters(kMoe, kHidden).total,
            48.0 * (2 * 5120 + 7168) + 48);
}

TEST(MoeFfn, SharedExpertsMayBeStoredInAnotherPrecisionThanRoutedOnes) {
  FfnBlock block = kMoe;
  block.weights = Precision::int4;
  auto kind = kExperts;
  kind.shared_weights = WeightFormat{Precision::bf16};
  block.kind = kind;
  const OperatorList list = operators(block, 5);
  EXPECT_EQ(demand(find(list, "shared_down")).weights.value(), 2.0 * 7168 * 5120);
  EXPECT_EQ(std::get<GroupedGemm>(find(list, "expert_down").shape).weights, Precision::int4);
  const double shared = 3.0 * 7168 * 5120;
  const double router = 48.0 * 7168;
  EXPECT_EQ(
      ffn_weight_bytes(block, kHidden).value(),
      0.5 * (ffn_parameters(block, kHidden).total - shared - router) + 2.0 * (shared + router));
}

// NVFP4: a byte for each 16 weights, beside half a byte for each.
TEST(MoeFfn, ScalesCountInBytesAndInWhatIsRead) {
  FfnBlock block = kMoe;
  block.weights = Precision::fp4;
  const double without = demand(find(operators(block, 5), "expert_down")).weights.value();
  const Bytes held = routed_weight_bytes(block, kHidden);
  block.weight_scales = {16, 1};
  EXPECT_DOUBLE_EQ(demand(find(operators(block, 5), "expert_down")).weights.value(),
                   without * 9.0 / 8.0);
  EXPECT_DOUBLE_EQ(routed_weight_bytes(block, kHidden).value(), held.value() * 9.0 / 8.0);
}

// Nemotron 3 Super: 512 experts of 2688 work at a latent of 1024, the shared one at 4096.
TEST(MoeFfn, ExpertsOfALatentWidthAndTheirProjectionsCountByHand) {
  FfnBlock block = kMoe;
  block.kind = MoeFfn{.experts = 512,
                      .top_k = 22,
                      .expert_intermediate = 2688,
                      .shared_intermediate = 5376,
                      .gated = false,
                      .latent = 1024};
  OperatorList list;
  ffn_operators(block, kFp8, 4096, 3, {}, list);
  EXPECT_EQ(flop(list), 3.0 * 2 * (22.0 * 2 * 1024 * 2688 + 2 * 4096 * 5376 + 2 * 4096 * 1024));
  EXPECT_EQ(ffn_parameters(block, 4096).total,
            512.0 * 2 * 1024 * 2688 + 2.0 * 4096 * 5376 + 2.0 * 4096 * 1024 + 512.0 * 4096 + 4096);
  EXPECT_EQ(routed_width(block, 4096), 1024);
  EXPECT_EQ(routed_width(kMoe, 7168), 7168);
}

// Gemma 4: a dense FFN of 2112 beside 128 experts of 704.
TEST(MoeFfn, ADenseFfnBesideTheExpertsRunsForEveryToken) {
  FfnBlock block = kMoe;
  block.kind =
      MoeFfn{.experts = 128, .top_k = 8, .expert_intermediate = 704, .dense_intermediate = 2112};
  OperatorList list;
  ffn_operators(block, kFp8, 2816, 5, {}, list);
  EXPECT_EQ(flop(list), 5.0 * 2 * 3 * 2816 * (8 * 704 + 2112));
  EXPECT_EQ(ffn_parameters(block, 2816).active,
            3.0 * 2816 * (8 * 704 + 2112) + 128.0 * 2816 + 2816);
}

// LongCat-Flash: 12 choices of 512 experts and 256 that do nothing: 8 of them have weights.
TEST(MoeFfn, IdentityExpertsAreChosenAndCostNothing) {
  FfnBlock block = kMoe;
  block.kind =
      MoeFfn{.experts = 512, .top_k = 12, .expert_intermediate = 2048, .identity_experts = 256};
  OperatorList list;
  ffn_operators(block, kFp8, 6144, 10, {}, list);
  EXPECT_EQ(std::get<GroupedGemm>(find(list, "expert_down").shape).rows, 80.0);
  OperatorList routing;
  routing_operators(block, kFp8, 6144, 10, routing);
  EXPECT_EQ(std::get<Gemm>(find(routing, "router").shape).n, 768);
}

TEST(NoFfn, LaunchesNothingAndHoldsNothing) {
  FfnBlock block = kMoe;
  block.kind = NoFfn{};
  OperatorList list;
  routing_operators(block, kFp8, kHidden, 5, list);
  ffn_operators(block, kFp8, kHidden, 5, {}, list);
  EXPECT_EQ(list.size(), 0U);
  EXPECT_EQ(ffn_parameters(block, kHidden).total, 0.0);
  EXPECT_EQ(kind_name(block), "none");
}

TEST(Routing, IsTheNormAndForAMoeTheRouter) {
  OperatorList dense;
  routing_operators(kDense, kFp8, kHidden, 5, dense);
  EXPECT_EQ(dense.size(), 1U);
  OperatorList moe;
  routing_operators(kMoe, kFp8, kHidden, 5, moe);
  EXPECT_EQ(demand(find(moe, "router")).flop.value(), 5.0 * 2 * 7168 * 48);
}

TEST(ExpectedActiveExperts, OfOneTokenAreItsTopK) {
  EXPECT_NEAR(expected_active_experts(48, 3.0 / 48, 1), 3.0, 1e-12);
  EXPECT_EQ(expected_active_experts(48, 3.0 / 48, 0), 0.0);
  EXPECT_EQ(expected_active_experts(8, 1.0, 1), 8.0);
  EXPECT_NEAR(expected_active_experts(48, 3.0 / 48, 100000), 48.0, 1e-9);
}

TEST(ExpectedActiveExperts, KeepItsDigitsWhereFewTokensMeetManyExperts) {
  EXPECT_NEAR(expected_active_experts(1e6, 1e-6, 1e-6) / 1e-6, 1.0, 1e-6);
}

// Gate and projection of 256 values a token for a stream of 2560, and the norm after them; of the
// table a token's row is read.
TEST(Ffn, AnInputOfTheLayersOwnIsGatedProjectedAndNormed) {
  FfnBlock block{.name = "dense",
                 .kind = DenseFfn{.intermediate = 10240},
                 .weights = Precision::bf16,
                 .compute = Precision::bf16};
  const double without = ffn_parameters(block, 2560).total;
  block.layer_input = 256;
  EXPECT_EQ(ffn_parameters(block, 2560).total - without, 2 * 2560 * 256 + 2560);
  EXPECT_EQ(ffn_parameters(block, 2560).active, ffn_parameters(block, 2560).total);
  OperatorList list;
  ffn_operators(block, {}, 2560, 10, {.tensor_parallel = 2, .own_tokens = 0.5}, list);
  EXPECT_EQ(demand(find(list, "layer_input_gate")).flop.value(), 2.0 * 5 * 2560 * 256);
  EXPECT_EQ(demand(find(list, "layer_input_up")).weights.value(), 2.0 * 2560 * 256);
  EXPECT_EQ(demand(find(list, "layer_input")).activations_read.value(), 2.0 * 5 * 2 * 256);
}

TEST(ExpectedActiveExperts, AreWhatARouterThatPicksAtRandomReaches) {
  constexpr int kExpertCount = 64;
  constexpr std::size_t kTopK = 4;
  constexpr int kTokens = 10;
  constexpr int kTrials = 20000;
  Random random(5);
  double reached = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::set<std::uint64_t> active;
    for (int token = 0; token < kTokens; ++token) {
      std::set<std::uint64_t> picks;
      while (picks.size() < kTopK) picks.insert(random.below(kExpertCount));
      active.merge(picks);
    }
    reached += static_cast<double>(active.size());
  }
  // The count of one trial has a standard deviation below 4.
  EXPECT_NEAR(reached / kTrials, expected_active_experts(kExpertCount, kTopK / 64.0, kTokens),
              5.0 * 4.0 / std::sqrt(kTrials));
}

class ShardedFfn : public testing::TestWithParam<std::int64_t> {};
INSTANTIATE_TEST_SUITE_P(Ranks, ShardedFfn, testing::Values(1, 2, 4, 8, 16));

TEST_P(ShardedFfn, TensorParallelRanksConserveFlopAndWeights) {
  const auto ranks = static_cast<double>(GetParam());
  for (const FfnBlock& block : {kDense, kMoe}) {
    const OperatorList whole = operators(block, 64);
    const OperatorList rank = operators(block, 64, {.tensor_parallel = GetParam()});
    EXPECT_EQ(ranks * flop(rank), flop(whole));
    EXPECT_EQ(ranks * weights(rank), weights(whole));
  }
}

TEST_P(ShardedFfn, ExpertParallelRanksConserveFlopAndActiveExperts) {
  const auto ranks = static_cast<double>(GetParam());
  const OperatorList whole = operators(kMoe, 64);
  const OperatorList rank =
      operators(kMoe, 64, {.expert_parallel = GetParam(), .own_tokens = 1.0 / ranks});
  EXPECT_DOUBLE_EQ(ranks * flop(rank), flop(whole));
  const auto& all = std::get<GroupedGemm>(find(whole, "expert_down").shape);
  const auto& some = std::get<GroupedGemm>(find(rank, "expert_down").shape);
  EXPECT_EQ(ranks * static_cast<double>(some.experts), static_cast<double>(all.experts));
  EXPECT_DOUBLE_EQ(ranks * some.active_experts, all.active_experts);
  // Each rank keeps the shared expert's weights whole, for its own tokens.
  EXPECT_EQ(demand(find(rank, "shared_down")).weights, demand(find(whole, "shared_down")).weights);
  EXPECT_EQ(ranks * demand(find(rank, "shared_down")).flop,
            demand(find(whole, "shared_down")).flop);
}

// Every rank of a tensor-parallel attention has all tokens; where each has its own, a rank is sent
// those that chose one of its experts: of 64 tokens with 3 choices of which a quarter are here,
// 1 - (3/4)^3 of them.
TEST(MoeFfn, ALaunchIsHandedAllTokensOrThoseThatWereSent) {
  const auto experts = [](const FfnShard& shard) {
    return std::get<GroupedGemm>(find(operators(kMoe, 64, shard), "expert_gate_up").shape);
  };
  for (const FfnShard& shard : {FfnShard{}, FfnShard{.expert_parallel = 4}}) {
    EXPECT_EQ(experts(shard).tokens, 64.0);
    EXPECT_EQ(experts(shard).routed_rows, 64.0 * 3);
  }
  const GroupedGemm sent = experts({.expert_parallel = 4, .own_tokens = 0.25});
  EXPECT_NEAR(sent.tokens, 64.0 * (1.0 - 0.75 * 0.75 * 0.75), 1e-9);
  EXPECT_EQ(sent.routed_rows, sent.rows);
  const GroupedGemm busy = experts({.expert_parallel = 4, .own_tokens = 0.25, .load = 2.0});
  EXPECT_NEAR(busy.tokens, 64.0 * (1.0 - 0.5 * 0.5 * 0.5), 1e-9);
}

TEST(ExpertSkew, MultipliesTheRowsOfTheBusyRank) {
  const OperatorList even = operators(kMoe, 64, {.expert_parallel = 4});
  const OperatorList busy = operators(kMoe, 64, {.expert_parallel = 4, .load = 1.5});
  EXPECT_EQ(std::get<GroupedGemm>(find(busy, "expert_down").shape).rows,
            1.5 * std::get<GroupedGemm>(find(even, "expert_down").shape).rows);
}

}  // namespace
}  // namespace ridge::models
