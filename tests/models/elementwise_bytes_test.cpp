// What element-wise operators read and write, counted by hand.
#include "find_operator.hpp"
#include "ridge/models/attention.hpp"
#include "ridge/models/ffn.hpp"

#include <gtest/gtest.h>

namespace ridge::models {
namespace {

constexpr std::int64_t kThousandWide = 1000;
constexpr double kTenTokens = 10;

struct ReadAndWritten {
  double read;
  double written;
};

ReadAndWritten bytes(const OperatorList& list, std::string_view name) {
  const Demand d = demand(find(list, name));
  EXPECT_EQ(d.flop.value(), 0.0);
  return {d.activations_read.value(), d.activations_written.value()};
}

// Ten tokens, three experts each: thirty rows. BF16 between operators, FP8 into products.
TEST(ElementwiseBytes, OfTheRoutedExperts) {
  const FfnBlock block = {.name = "moe",
                          .kind = MoeFfn{.experts = 16, .top_k = 3, .expert_intermediate = 400},
                          .weights = Precision::fp8,
                          .compute = Precision::fp8};
  OperatorList list;
  ffn_operators(block, {.weights = Precision::fp8, .compute = Precision::fp8}, kThousandWide,
                kTenTokens, {}, list);
  const auto permute = bytes(list, "permute");
  EXPECT_EQ(permute.read, 10 * 1000 * 2);
  EXPECT_EQ(permute.written, 30 * 1000 * 1);
  const auto activation = bytes(list, "expert_activation");
  EXPECT_EQ(activation.read, 30 * (2 * 400) * 2) << "gate and up";
  EXPECT_EQ(activation.written, 30 * 400 * 1);
  const auto combine = bytes(list, "combine");
  EXPECT_EQ(combine.read, 30 * 1000 * 2) << "every copy of a token";
  EXPECT_EQ(combine.written, 10 * 1000 * 2);
  EXPECT_EQ(find(list, "combine").kernel(), Kernel::expert_combination);
}

TEST(ElementwiseBytes, OfRotaryEmbeddingAreTheQueriesAndTheKeysOfGroupedHeads) {
  const AttentionBlock block = {
      .name = "gqa",
      .kind = GroupedQueryAttention{.query_heads = 8, .kv_heads = 2, .head_dim = 64}};
  OperatorList list;
  attention_operators(block, {}, kThousandWide, {.sequences = kTenTokens, .context = 100}, {},
                      MlaCount::absorbed, list);
  const auto rope = bytes(list, "rope");
  EXPECT_EQ(rope.read, 10 * (8 + 2) * 64 * 2);
  EXPECT_EQ(rope.written, 10 * (8 + 2) * 64 * 2);
}

TEST(ElementwiseBytes, OfRotaryEmbeddingAreTheQueriesAndTheSharedKeyOfFactorizedQueries) {
  const AttentionBlock block = {
      .name = "mfa",
      .kind = MultiMatrixFactorizationAttention{
          .query_heads = 8, .kv_heads = 1, .head_dim = 64, .query_rank = 96}};
  OperatorList list;
  attention_operators(block, {}, kThousandWide, {.sequences = kTenTokens, .context = 100}, {},
                      MlaCount::absorbed, list);
  const auto rope = bytes(list, "rope");
  EXPECT_EQ(rope.read, 10 * (8 + 1) * 64 * 2);
  EXPECT_EQ(rope.written, 10 * (8 + 1) * 64 * 2);
}

TEST(ElementwiseBytes, OfRotaryEmbeddingAreTheRotaryPartsAloneOfALatent) {
  const AttentionBlock block = {.name = "mla",
                                .kind = MultiHeadLatentAttention{.query_heads = 16,
                                                                 .query_rank = 96,
                                                                 .kv_rank = 128,
                                                                 .nope_head_dim = 64,
                                                                 .rope_head_dim = 32,
                                                                 .v_head_dim = 64}};
  OperatorList list;
  attention_operators(block, {}, kThousandWide, {.sequences = kTenTokens, .context = 100}, {},
                      MlaCount::absorbed, list);
  const auto rope = bytes(list, "rope");
  EXPECT_EQ(rope.read, 10 * (16 + 1) * 32 * 2) << "every head's query and the one key";
  EXPECT_EQ(rope.written, rope.read);
}

// How a cache splits over eight tensor-parallel ranks.
TEST(CacheRanks, HeadsSplitOverAsManyRanksAsThereAreALatentOverNoneAStateOverAll) {
  EXPECT_EQ(cache_ranks({.kind = GroupedQueryAttention{.query_heads = 32, .kv_heads = 4}}, 8), 4);
  EXPECT_EQ(cache_ranks({.kind = GroupedQueryAttention{.query_heads = 32, .kv_heads = 16}}, 8), 8);
  EXPECT_EQ(cache_ranks({.kind = MultiHeadLatentAttention{}}, 8), 1);
  EXPECT_EQ(cache_ranks({.kind = MultiMatrixFactorizationAttention{}}, 8), 1);
  EXPECT_EQ(cache_ranks({.kind = LinearStateAttention{}}, 8), 8);
}

}  // namespace
}  // namespace ridge::models
