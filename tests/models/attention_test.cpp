// The operators of each attention kind, counted by hand for one layer of a known model.
#include "ridge/models/attention.hpp"

#include "find_operator.hpp"

#include <cmath>

#include <gtest/gtest.h>

namespace ridge::models {
namespace {

constexpr double kContext = 8192;

AttentionBlock fp8_block(const AttentionKind& kind, const std::optional<Window>& window = {}) {
  return {.name = "attention",
          .kind = kind,
          .window = window,
          .cache = Precision::fp8,
          .compute = Precision::fp8};
}

// arXiv 2507.19427 table 1.
const AttentionBlock kMfa = fp8_block(
    MultiMatrixFactorizationAttention{.query_heads = 64, .head_dim = 256, .query_rank = 2048});
// arXiv 2412.19437 section 4.2.
const MultiHeadLatentAttention kLatent{.query_heads = 128,
                                       .query_rank = 1536,
                                       .kv_rank = 512,
                                       .nope_head_dim = 128,
                                       .rope_head_dim = 64,
                                       .v_head_dim = 128,
                                       .sparse = {}};
const AttentionBlock kMla = fp8_block(kLatent);
const GroupedQueryAttention kGrouped{.query_heads = 64, .kv_heads = 4, .head_dim = 128};
const AttentionBlock kGqa = fp8_block(kGrouped);
const LinearStateAttention kState{.key_heads = 64,
                                  .value_heads = 64,
                                  .key_dim = 128,
                                  .value_dim = 128,
                                  .output_gate = true,
                                  .flop_per_state_value = 10};

OperatorList operators(const AttentionBlock& block, std::int64_t hidden,
                       const DecodeShape& shape = {.sequences = 1, .context = kContext},
                       const AttentionShard& shard = {}, MlaCount count = MlaCount::absorbed) {
  OperatorList list;
  attention_operators(block, kFp8, hidden, shape, shard, count, list);
  return list;
}

double flop(const OperatorList& list, Part part) {
  double sum = 0;
  for (const Operator& op : list) {
    if (op.part == part) sum += demand(op).flop.value();
  }
  return sum;
}

TEST(Mfa, CountsByHand) {
  const OperatorList list = operators(kMfa, 7168);
  const Demand core = demand(find(list, "attention"));
  EXPECT_EQ(core.flop.value(), 4.0 * 64 * 256 * 8192);
  EXPECT_EQ(core.cache_read.value(), 2.0 * 256 * 8192);
  EXPECT_EQ(core.flop / core.cache_read, FlopPerByte{128.0});
  EXPECT_EQ(flop(list, Part::attention_linear),
            2.0 * (7168.0 * (2048 + 2 * 256) + 2048.0 * 64 * 256 + 64.0 * 256 * 7168));
  EXPECT_EQ(effective_rank(kMfa), 16384);
}

TEST(Mla, CountsByHandInItsAbsorbedForm) {
  const OperatorList list = operators(kMla, 7168);
  const Demand core = demand(find(list, "attention"));
  EXPECT_EQ(core.flop.value(), 2.0 * 128 * (576 + 512) * 8192);
  EXPECT_EQ(core.cache_read.value(), 576.0 * 8192);
  // q_a + q_b + kv_a + kv_b + o.
  EXPECT_EQ(flop(list, Part::attention_linear),
            2.0 * (7168.0 * 1536 + 1536.0 * 128 * 192 + 7168.0 * 576 + 512.0 * 128 * 256 +
                   128.0 * 128 * 7168));
  EXPECT_EQ(effective_rank(kMla), 16384);
}

TEST(Mla, TheStep3CountTakesBothProductsOver576Values) {
  const DecodeShape shape{.sequences = 1, .context = kContext};
  const Demand core = demand(find(operators(kMla, 7168, shape, {}, MlaCount::step3), "attention"));
  EXPECT_EQ(core.flop.value(), 4.0 * 128 * 576 * 8192);
  EXPECT_EQ(core.flop / core.cache_read, FlopPerByte{512.0});
  EXPECT_EQ(core.cache_read, demand(find(operators(kMla, 7168), "attention")).cache_read);
}

TEST(Mla, WithoutQueryCompressionQueriesComeStraightFromTheHiddenState) {
  auto kind = kLatent;
  kind.query_rank = 0;
  EXPECT_EQ(flop(operators(fp8_block(kind), 7168), Part::attention_linear),
            2.0 * (7168.0 * 128 * 192 + 7168.0 * 576 + 512.0 * 128 * 256 + 128.0 * 128 * 7168));
}

TEST(Mla, SparseAttentionScoresEveryTokenAndReadsTheBest) {
  auto kind = kLatent;
  kind.sparse = SparseIndex{.top_k = 2048, .heads = 64, .head_dim = 128};
  const AttentionBlock block = fp8_block(kind);
  const OperatorList list = operators(block, 7168);
  EXPECT_EQ(demand(find(list, "index_scores")).flop.value(), 2.0 * 64 * 128 * 8192);
  EXPECT_EQ(demand(find(list, "index_scores")).cache_read.value(), 128.0 * 8192);
  EXPECT_EQ(demand(find(list, "attention")).cache_read.value(), 576.0 * 2048);
  // Queries and the key, in BF16 and then in FP8.
  EXPECT_EQ(demand(find(list, "index_rope")).memory().value(), 65 * 128 * (2.0 + 2.0));
  EXPECT_EQ(demand(find(list, "index_quantize")).memory().value(), 65 * 128 * (2.0 + 1.0));
  // It keeps what it does not read.
  EXPECT_EQ(cache_bytes(block, 8192).value(), (576.0 + 128) * 8192);
  const OperatorList brief = operators(block, 7168, {.sequences = 1, .context = 1000});
  EXPECT_EQ(demand(find(brief, "attention")).cache_read.value(), 576.0 * 1000);
}

TEST(Gqa, CountsByHand) {
  const OperatorList list = operators(kGqa, 4096);
  const Demand core = demand(find(list, "attention"));
  EXPECT_EQ(core.flop.value(), 4.0 * 64 * 128 * 8192);
  EXPECT_EQ(core.cache_read.value(), 2.0 * 4 * 128 * 8192);
  EXPECT_EQ(core.flop / core.cache_read, FlopPerByte{32.0});
  EXPECT_EQ(flop(list, Part::attention_linear), 2.0 * 4096 * 128 * (2 * 64 + 2 * 4));
  EXPECT_EQ(effective_rank(kGqa), 8192);
}

TEST(Gqa, AnOutputGateIsAProjectionOfItsWidth) {
  auto kind = kGrouped;
  kind.output_gate_values = 64;
  const OperatorList gated = operators(fp8_block(kind), 4096);
  EXPECT_EQ(
      flop(gated, Part::attention_linear) - flop(operators(kGqa, 4096), Part::attention_linear),
      2.0 * 4096 * 64);
  EXPECT_EQ(attention_parameters(fp8_block(kind), 4096) - attention_parameters(kGqa, 4096),
            4096.0 * 64);
}

// Three requests whose 64 query heads and 4 KV heads of 128 four GPUs share.
TEST(Gqa, ANormOverAllHeadsSumsSquaresOverTheGpusThatShareThem) {
  GroupedQueryAttention kind = kGrouped;
  kind.norm_over_heads = true;
  const DecodeShape shape{.sequences = 3, .context = kContext};
  const OperatorList alone = operators(fp8_block(kind), 7168, shape);
  EXPECT_EQ(alone.size(), operators(kGqa, 7168, shape).size());
  const OperatorList shared = operators(fp8_block(kind), 7168, shape, {.tensor_parallel = 4});
  EXPECT_EQ(shared.size(), alone.size() + 3);
  const Demand squares = demand(find(shared, "qk_squares"));
  EXPECT_EQ(squares.activations_read.value(), 3.0 * (16 + 1) * 128 * 2);
  EXPECT_EQ(squares.activations_written.value(), 3.0 * 2 * 4);
  const auto& sum = std::get<Collective>(find(shared, "qk_sum").shape);
  EXPECT_EQ(sum.kind, Collective::Kind::all_reduce);
  EXPECT_EQ(sum.ranks, 4);
  EXPECT_EQ(sum.payload.value(), 3.0 * 2 * 4);
  EXPECT_EQ(demand(find(shared, "qk_norm")).memory().value(), 3.0 * 2 * (16 + 1) * 128 * 2);
}

TEST(LinearState, CountsByHandWhateverTheContext) {
  const AttentionBlock block = fp8_block(kState);
  const OperatorList list = operators(block, 6144);
  const Demand core = demand(find(list, "state_update"));
  EXPECT_EQ(core.flop.value(), 10.0 * 64 * 128 * 128);
  EXPECT_EQ(core.cache_read.value(), 4.0 * 64 * 128 * 128);
  EXPECT_EQ(flop(list, Part::attention_linear), 2.0 * 6144 * 64 * 128 * 5);
  EXPECT_EQ(cache_bytes(block, 0), cache_bytes(block, 1e6));
  EXPECT_EQ(effective_rank(block), 0);
  const Demand far =
      demand(find(operators(block, 6144, {.sequences = 1, .context = 1e6}), "state_update"));
  EXPECT_EQ(far.memory(), core.memory());
}

TEST(LinearState, GatesAndConvolutionAddTheirProjectionsAndParameters) {
  auto kind = kState;
  kind.gates_per_value_head = 2;
  kind.convolution = 4;
  EXPECT_EQ(flop(operators(fp8_block(kind), 6144), Part::attention_linear) -
                flop(operators(fp8_block(kState), 6144), Part::attention_linear),
            2.0 * 6144 * 2 * 64);
  EXPECT_EQ(
      attention_parameters(fp8_block(kind), 6144) - attention_parameters(fp8_block(kState), 6144),
      6144.0 * 2 * 64 + 4.0 * 3 * 64 * 128);
}

TEST(Window, LimitsWhatIsReadAndWhatIsKept) {
  for (const auto kind : {Window::Kind::sliding, Window::Kind::chunked}) {
    for (const AttentionKind& attention : {AttentionKind(kGrouped), AttentionKind(kLatent)}) {
      const AttentionBlock block = fp8_block(attention, Window{.kind = kind, .tokens = 512});
      const AttentionBlock full = fp8_block(attention);
      EXPECT_EQ(demand(find(operators(block, 4096), "attention")).cache_read,
                512.0 / kContext * demand(find(operators(full, 4096), "attention")).cache_read);
      EXPECT_EQ(cache_bytes(block, kContext), cache_bytes(full, 512));
      EXPECT_EQ(cache_bytes(block, 100), cache_bytes(full, 100));
    }
  }
}

// Where all cached tokens are attended; of what is chosen of them sequences attend as many each.
TEST(LongestSequence, IsAttendedAsFarAsItsWindowGoes) {
  const auto longest = [](const AttentionBlock& block, std::int64_t ranks = 1) {
    const OperatorList all =
        operators(block, 4096, {.sequences = 2, .context = kContext, .longest = 4 * kContext},
                  {.tensor_parallel = ranks, .context_parallel = ranks});
    return std::get<DecodeAttention>(find(all, "attention").shape).longest;
  };
  EXPECT_EQ(longest(fp8_block(kLatent)), 4 * kContext);
  EXPECT_EQ(longest(fp8_block(kLatent), 2), 2 * kContext);
  EXPECT_EQ(longest(fp8_block(kGrouped, Window{.kind = Window::Kind::sliding, .tokens = 9000})),
            9000.0);
  MultiHeadLatentAttention chosen = kLatent;
  chosen.sparse = SparseIndex{.top_k = 512, .heads = 64, .head_dim = 128};
  EXPECT_EQ(longest(fp8_block(chosen)), 0.0);
}

TEST(DraftedQueries, ShareOneReadingOfTheCache) {
  const Demand one = demand(find(operators(kMfa, 7168), "attention"));
  const Demand three = demand(
      find(operators(kMfa, 7168, {.sequences = 1, .context = kContext, .queries_per_sequence = 3}),
           "attention"));
  EXPECT_EQ(three.cache_read, one.cache_read);
  EXPECT_EQ(three.flop, 3.0 * one.flop);
}

class ShardedAttention : public testing::TestWithParam<std::int64_t> {};
INSTANTIATE_TEST_SUITE_P(Ranks, ShardedAttention, testing::Values(1, 2, 4, 8, 16));

TEST_P(ShardedAttention, HeadsOverRanksConserveTheWorkOfAllRanks) {
  const std::int64_t ranks = GetParam();
  const DecodeShape shape{.sequences = 4, .context = kContext};
  for (const AttentionBlock& block : {kMfa, kMla, kGqa}) {
    const OperatorList whole = operators(block, 7168, shape);
    const OperatorList part = operators(block, 7168, shape, {.tensor_parallel = ranks});
    const auto all_ranks = static_cast<double>(ranks);
    for (const char* name : {"attention", "output"}) {
      EXPECT_EQ(all_ranks * demand(find(part, name)).flop, demand(find(whole, name)).flop);
      EXPECT_EQ(all_ranks * demand(find(part, name)).weights, demand(find(whole, name)).weights);
    }
  }
  const OperatorList states = operators(fp8_block(kState), 7168, shape);
  const OperatorList shard = operators(fp8_block(kState), 7168, shape, {.tensor_parallel = ranks});
  EXPECT_EQ(static_cast<double>(ranks) * demand(find(shard, "state_update")).cache_read,
            demand(find(states, "state_update")).cache_read);
}

TEST_P(ShardedAttention, KvHeadsAreSplitAsFarAsTheyGoAndThenCopied) {
  const std::int64_t ranks = GetParam();
  const DecodeShape shape{.sequences = 1, .context = kContext};
  const Bytes whole = demand(find(operators(kGqa, 4096), "attention")).cache_read;
  const Bytes rank =
      demand(find(operators(kGqa, 4096, shape, {.tensor_parallel = ranks}), "attention"))
          .cache_read;
  EXPECT_EQ(rank, whole / static_cast<double>(std::min<std::int64_t>(ranks, 4)));
  // One shared KV head, or one latent: every rank reads all of it.
  for (const AttentionBlock& block : {kMfa, kMla}) {
    EXPECT_EQ(demand(find(operators(block, 7168, shape, {.tensor_parallel = ranks}), "attention"))
                  .cache_read,
              demand(find(operators(block, 7168, shape), "attention")).cache_read);
  }
}

TEST_P(ShardedAttention, AnOutputProjectionSplitOverDataParallelRanksDoesTheSameWorkOnLessWeight) {
  const std::int64_t ranks = GetParam();
  const DecodeShape shape{.sequences = 4, .context = kContext};
  const Demand whole = demand(find(operators(kMfa, 7168, shape), "output"));
  const Demand rank =
      demand(find(operators(kMfa, 7168, shape, {.output_parallel = ranks}), "output"));
  EXPECT_EQ(rank.flop, whole.flop);
  EXPECT_EQ(static_cast<double>(ranks) * rank.weights, whole.weights);
}

TEST(AttentionParameters, ByHand) {
  EXPECT_EQ(attention_parameters(kMfa, 7168),
            7168.0 * (2048 + 512 + 16384) + 2048.0 * 16384 + 2048 + 7168);
  EXPECT_EQ(attention_parameters(kGqa, 4096), 4096.0 * 128 * (2 * 64 + 2 * 4) + 4096);
  auto biased = kGrouped;
  biased.qkv_bias = true;
  biased.output_bias = true;
  EXPECT_EQ(attention_parameters(fp8_block(biased), 4096) - attention_parameters(kGqa, 4096),
            128.0 * (64 + 2 * 4) + 4096);
}

}  // namespace
}  // namespace ridge::models
