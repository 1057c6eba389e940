// Bytes of cache and state, and FLOP of attention, of every kind: at 1K, 8K, 128K and 1M, each
// worked out by hand for one layer of a known model.
#include "find_operator.hpp"
#include "ridge/models/attention.hpp"

#include <algorithm>

#include <gtest/gtest.h>

namespace ridge::models {
namespace {

AttentionBlock block_of(const AttentionKind& kind, const std::optional<Window>& window = {}) {
  return {.name = "attention",
          .kind = kind,
          .window = window,
          .cache = Precision::fp8,
          .compute = Precision::fp8};
}

OperatorList operators(const AttentionBlock& block, std::int64_t hidden, double context) {
  OperatorList list;
  attention_operators(block, kFp8, hidden, {.sequences = 1, .context = context}, {},
                      MlaCount::absorbed, list);
  return list;
}

bool has(const OperatorList& list, std::string_view name) {
  return std::any_of(list.begin(), list.end(), [&](const auto& op) { return op.name == name; });
}

// Of scores and attention of one token.
double attention_flop(const AttentionBlock& block, std::int64_t hidden, double context) {
  double sum = 0;
  for (const Operator& op : operators(block, hidden, context)) {
    if (op.part == Part::attention) sum += demand(op).flop.value();
  }
  return sum;
}

class Context : public testing::TestWithParam<double> {};
INSTANTIATE_TEST_SUITE_P(Lengths, Context, testing::Values(1024.0, 8192.0, 131072.0, 1048576.0));

// Llama 3.1 70B: 64 query heads over 8 KV heads of 128; as MHA with 64 of them, as MQA with 1.
TEST_P(Context, OfGroupedQueryAttentionIsReadWholeByEveryQueryHead) {
  const double c = GetParam();
  for (const std::int64_t kv_heads : {64, 8, 1}) {
    const AttentionBlock block =
        block_of(GroupedQueryAttention{.query_heads = 64, .kv_heads = kv_heads, .head_dim = 128});
    EXPECT_EQ(attention_flop(block, 8192, c), 4.0 * 64 * 128 * c);
    EXPECT_EQ(cache_bytes(block, c).value(), 2.0 * 128 * static_cast<double>(kv_heads) * c);
  }
}

// gpt-oss: every other layer sees 128 tokens; Llama 4's local layers chunks of 8192.
TEST_P(Context, OfAWindowIsAsLongAsTheWindow) {
  const double c = GetParam();
  const GroupedQueryAttention kind{.query_heads = 64, .kv_heads = 8, .head_dim = 64};
  const AttentionBlock sliding =
      block_of(kind, Window{.kind = Window::Kind::sliding, .tokens = 128});
  EXPECT_EQ(attention_flop(sliding, 2880, c), 4.0 * 64 * 64 * 128);
  EXPECT_EQ(cache_bytes(sliding, c).value(), 2.0 * 8 * 64 * 128);
  const AttentionBlock chunked =
      block_of(kind, Window{.kind = Window::Kind::chunked, .tokens = 8192});
  EXPECT_EQ(attention_flop(chunked, 2880, c), 4.0 * 64 * 64 * std::min(c, 8192.0));
  EXPECT_EQ(cache_bytes(chunked, c).value(), 2.0 * 8 * 64 * std::min(c, 8192.0));
}

// Step-3 (arXiv 2507.19427 table 1): 64 heads of 256 over one KV head.
TEST_P(Context, OfFactorizedQueriesIsOneWideKeyAndValueHead) {
  const double c = GetParam();
  const AttentionBlock block = block_of(
      MultiMatrixFactorizationAttention{.query_heads = 64, .head_dim = 256, .query_rank = 2048});
  EXPECT_EQ(attention_flop(block, 7168, c), 4.0 * 64 * 256 * c);
  EXPECT_EQ(cache_bytes(block, c).value(), 2.0 * 256 * c);
}

// DeepSeek-V3: 128 heads over a latent of 512 and a rotary key of 64.
TEST_P(Context, OfLatentAttentionIsScoredOver576ValuesAndSummedOver512) {
  const double c = GetParam();
  const AttentionBlock block = block_of(MultiHeadLatentAttention{.query_heads = 128,
                                                                 .query_rank = 1536,
                                                                 .kv_rank = 512,
                                                                 .nope_head_dim = 128,
                                                                 .rope_head_dim = 64,
                                                                 .v_head_dim = 128});
  EXPECT_EQ(attention_flop(block, 7168, c), 2.0 * 128 * (576 + 512) * c);
  EXPECT_EQ(cache_bytes(block, c).value(), 576.0 * c);
}

// Qwen3-Next: 32 value heads over 16 key heads of 128, decay 1, readout 2, update 2, readout 2.
TEST_P(Context, DoesNotMatterToGatedDeltaAndLightningAttention) {
  const double c = GetParam();
  const AttentionBlock gated =
      block_of(LinearStateAttention{.recurrence = StateUpdate::Kind::gated_delta,
                                    .key_heads = 16,
                                    .value_heads = 32,
                                    .key_dim = 128,
                                    .value_dim = 128,
                                    .gates_per_value_head = 2,
                                    .convolution = 4,
                                    .output_gate = true,
                                    .flop_per_state_value = 7});
  EXPECT_EQ(attention_flop(gated, 2048, c), 7.0 * 32 * 128 * 128);
  EXPECT_EQ(cache_bytes(gated, c).value(),
            4.0 * 32 * 128 * 128 + 2.0 * 3 * (2 * 16 * 128 + 32 * 128));
  // MiniMax-M1: 64 heads of 128.
  const AttentionBlock lightning = block_of(LinearStateAttention{.key_heads = 64,
                                                                 .value_heads = 64,
                                                                 .key_dim = 128,
                                                                 .value_dim = 128,
                                                                 .output_gate = true,
                                                                 .flop_per_state_value = 10});
  EXPECT_EQ(attention_flop(lightning, 6144, c), 10.0 * 64 * 128 * 128);
  EXPECT_EQ(cache_bytes(lightning, c).value(), 4.0 * 64 * 128 * 128);
}

// MiniMax-M3: 64 query heads over 4 KV heads of 128; 4 index heads of 128 choose 16 blocks of 128.
TEST_P(Context, OfBlockSparseAttentionIsScoredWholeAndReadInSixteenBlocks) {
  const double c = GetParam();
  const AttentionBlock block = block_of(GroupedQueryAttention{
      .query_heads = 64,
      .kv_heads = 4,
      .head_dim = 128,
      .block_sparse = BlockIndex{.blocks = 16, .block_tokens = 128, .heads = 4, .head_dim = 128}});
  const double read = std::min(c, 2048.0);
  EXPECT_EQ(attention_flop(block, 6144, c), 2.0 * 4 * 128 * c + 4.0 * 64 * 128 * read);
  // Keys and values of 4 heads, and an index key, of every token.
  EXPECT_EQ(cache_bytes(block, c).value(), (2.0 * 4 * 128 + 128) * c);
  const OperatorList list = operators(block, 6144, c);
  EXPECT_EQ(demand(find(list, "attention")).cache_read.value(), 2.0 * 4 * 128 * read);
  EXPECT_EQ(std::get<TopK>(find(list, "index_choice").shape).candidates, c / 128);
  EXPECT_EQ(find(list, "attention").kernel(), Kernel::block_sparse_attention);

  // Index keys of two bytes beside a cache of one.
  AttentionBlock wide = block;
  std::get<GroupedQueryAttention>(wide.kind).block_sparse->key_precision = Precision::bf16;
  EXPECT_EQ(cache_bytes(wide, c).value(), (2.0 * 4 * 128 + 2 * 128) * c);
  const OperatorList both = operators(wide, 6144, c);
  EXPECT_EQ(demand(find(both, "index_scores")).cache_read.value(), 2 * 128 * c);
  EXPECT_EQ(demand(find(both, "attention")).cache_read.value(), 2.0 * 4 * 128 * read);
}

// DeepSeek-V4-Flash: 64 heads of 512 over one head that is key and value; a window of 128.
CompressedAttention v4(std::int64_t ratio) {
  return {.query_heads = 64,
          .query_rank = 1024,
          .head_dim = 512,
          .rope_head_dim = 64,
          .output_groups = 8,
          .output_rank = 1024,
          .local_tokens = 128,
          .ratio = ratio};
}

TEST_P(Context, OfHeavilyCompressedAttentionIsTheWindowAndOneTokenIn128) {
  const double c = GetParam();
  const AttentionBlock block = block_of(v4(128));
  EXPECT_EQ(attention_flop(block, 4096, c), 4.0 * 64 * 512 * (128 + c / 128));
  EXPECT_EQ(cache_bytes(block, c).value(), 512.0 * (128 + c / 128));
}

TEST_P(Context, OfCompressedSparseAttentionIsTheWindowAndTheBest512OfOneTokenInFour) {
  const double c = GetParam();
  CompressedAttention kind = v4(4);
  kind.overlap = true;
  kind.sparse = SparseIndex{.top_k = 512, .heads = 64, .head_dim = 128};
  const AttentionBlock block = block_of(kind);
  const double chosen = std::min(512.0, c / 4);
  EXPECT_EQ(attention_flop(block, 4096, c),
            4.0 * 64 * 512 * (128 + chosen) + 2.0 * 64 * 128 * c / 4);
  // Compressed tokens of 512 values with index keys of 128, one for four tokens.
  EXPECT_EQ(cache_bytes(block, c).value(), 512.0 * 128 + (512.0 + 128) * c / 4);
}

TEST_P(Context, OfCompressedAttentionThatReusesACacheIsTheWindowAlone) {
  CompressedAttention kind = v4(4);
  kind.sparse = SparseIndex{.top_k = 512, .heads = 64, .head_dim = 128, .reused = true};
  kind.reuses_cache = true;
  const AttentionBlock block = block_of(kind);
  EXPECT_EQ(cache_bytes(block, GetParam()).value(), 512.0 * 128);
  // It reads as many tokens as the layer that made them.
  EXPECT_EQ(attention_flop(block, 4096, GetParam()),
            4.0 * 64 * 512 * (128 + std::min(512.0, GetParam() / 4)));
  EXPECT_FALSE(has(operators(block, 4096, GetParam()), "compressor"));
  EXPECT_FALSE(has(operators(block, 4096, GetParam()), "index_scores"));
}

// As served in FP8: 448 values with 8 bytes of scales, 64 rotary values in BF16.
TEST(CompressedAttention, ARecordHasItsScalesAndItsRotaryPart) {
  CompressedAttention kind = v4(128);
  kind.record = {.rope = Precision::bf16, .scale_bytes = 8};
  EXPECT_EQ(cache_bytes(block_of(kind), 8192).value(), (448.0 + 2 * 64 + 8) * (128 + 64));
  AttentionBlock plain = block_of(kind);
  plain.cache = Precision::bf16;
  EXPECT_EQ(cache_bytes(plain, 8192).value(), 1024.0 * (128 + 64));
}

TEST(CompressedAttention, ParametersCountByHand) {
  const double q = 4096.0 * 1024 + 1024.0 * 64 * 512;
  const double out = 64.0 * 512 * 1024 + 8.0 * 1024 * 4096;
  const double compressor = 2.0 * 4096 * 512 + 128 * 512 + 512;
  const double rest = 1024 + 512 + 64 + 4096;  // norms and sinks
  EXPECT_EQ(attention_parameters(block_of(v4(128)), 4096),
            q + 4096.0 * 512 + out + compressor + rest);
}

// GLM-5: 64 heads over a latent of 512 + 64; 32 index heads of 128 choose 2048 tokens.
MultiHeadLatentAttention glm5(SparseIndex index) {
  return {.query_heads = 64,
          .query_rank = 2048,
          .kv_rank = 512,
          .nope_head_dim = 192,
          .rope_head_dim = 64,
          .v_head_dim = 256,
          .sparse = index};
}
constexpr SparseIndex kIndex{.top_k = 2048, .heads = 32, .head_dim = 128};

TEST_P(Context, OfSparseLatentAttentionIsScoredWholeAndReadInItsBest) {
  const double c = GetParam();
  const AttentionBlock block = block_of(glm5(kIndex));
  EXPECT_EQ(attention_flop(block, 6144, c),
            2.0 * 64 * (576 + 512) * std::min(c, 2048.0) + 2.0 * 32 * 128 * c);
  EXPECT_EQ(cache_bytes(block, c).value(), (576.0 + 128) * c);
}

TEST_P(Context, OfALayerThatReusesAnIndexIsReadInItsBestAndNotScored) {
  const double c = GetParam();
  SparseIndex index = kIndex;
  index.reused = true;
  const AttentionBlock block = block_of(glm5(index));
  EXPECT_EQ(attention_flop(block, 6144, c), 2.0 * 64 * (576 + 512) * std::min(c, 2048.0));
  EXPECT_EQ(cache_bytes(block, c).value(), 576.0 * c);
  const double own = attention_parameters(block_of(glm5(kIndex)), 6144);
  EXPECT_EQ(own - attention_parameters(block, 6144),
            2048.0 * 32 * 128 + 6144.0 * (128 + 32) + 2 * 128);
}

// GLM-5.3-Flash: one index key for four tokens.
TEST_P(Context, OfPooledIndexKeysIsScoredAQuarterAsOften) {
  const double c = GetParam();
  SparseIndex index = kIndex;
  index.pool = 4;
  const AttentionBlock block = block_of(glm5(index));
  EXPECT_EQ(attention_flop(block, 6144, c),
            2.0 * 64 * (576 + 512) * std::min(c, 2048.0) + 2.0 * 32 * 128 * c / 4);
  EXPECT_EQ(cache_bytes(block, c).value(), (576.0 + 128.0 / 4) * c);
}

// DeepSeek-V3.2 as served: 656 bytes of latent and 132 of index key
// (github.com/deepseek-ai/FlashMLA).
TEST_P(Context, OfAnFp8LatentIs656BytesAToken) {
  SparseIndex index = kIndex;
  index.key_scale_bytes = 4;
  MultiHeadLatentAttention kind = glm5(index);
  kind.record = {.rope = Precision::bf16, .scale_bytes = 16};
  EXPECT_EQ(cache_bytes(block_of(kind), GetParam()).value(), (656.0 + 132.0) * GetParam());
  const OperatorList list = operators(block_of(kind), 6144, GetParam());
  EXPECT_EQ(demand(find(list, "attention")).cache_read.value(),
            656.0 * std::min(GetParam(), 2048.0));
}

// Kimi Linear: 32 heads with a state of 128 x 128 in FP32, a convolution of width 4.
TEST_P(Context, DoesNotMatterToKimiDeltaAttention) {
  const LinearStateAttention kind{.recurrence = StateUpdate::Kind::kimi_delta,
                                  .key_heads = 32,
                                  .value_heads = 32,
                                  .key_dim = 128,
                                  .value_dim = 128,
                                  .gates_per_value_head = 1,
                                  .convolution = 4,
                                  .output_gate = true,
                                  .flop_per_state_value = 7,
                                  .output_gate_rank = 128,
                                  .decay_rank = 128};
  const AttentionBlock block = block_of(kind);
  EXPECT_EQ(attention_flop(block, 2304, GetParam()), 7.0 * 32 * 128 * 128);
  // The state, and the last three inputs of the convolution in BF16.
  EXPECT_EQ(cache_bytes(block, GetParam()).value(),
            4.0 * 32 * 128 * 128 + 2.0 * 3 * (3 * 32 * 128));
  const double hidden = 2304;
  const double width = 32.0 * 128;
  EXPECT_EQ(attention_parameters(block, 2304), hidden * width * 4 + hidden * 32 +
                                                   2.0 * 128 * (hidden + width) + 4.0 * 3 * width +
                                                   2.0 * width + hidden);
  EXPECT_EQ(find(operators(block, 2304, GetParam()), "state_update").kernel(),
            Kernel::kimi_delta_state);
}

// Nemotron 3 Super: 128 heads of 64, 8 groups, a state of 128, a convolution of width 4.
TEST_P(Context, DoesNotMatterToMamba2) {
  const Mamba2Attention kind{
      .heads = 128, .head_dim = 64, .groups = 8, .state_dim = 128, .convolution = 4};
  const AttentionBlock block = block_of(kind);
  EXPECT_EQ(attention_flop(block, 4096, GetParam()), 5.0 * 128 * 64 * 128);
  const double channels = 128 * 64 + 2 * 8 * 128;
  EXPECT_EQ(cache_bytes(block, GetParam()).value(), 4.0 * 128 * 64 * 128 + 2.0 * 3 * channels);
  EXPECT_EQ(attention_parameters(block, 4096), 4096.0 * (8192 + channels + 128) + 8192.0 * 4096 +
                                                   5 * channels + 3 * 128 + 8192 + 4096);
  EXPECT_EQ(find(operators(block, 4096, GetParam()), "state_update").kernel(),
            Kernel::mamba2_state);
}

// MiMo-V2-Flash: keys of 192, values of 128; sliding layers see 128 tokens and have sinks.
TEST_P(Context, OfValuesNarrowerThanKeysCountsEachAtItsWidth) {
  const double c = GetParam();
  GroupedQueryAttention kind{
      .query_heads = 64, .kv_heads = 4, .head_dim = 192, .v_head_dim = 128, .sinks = true};
  EXPECT_EQ(attention_flop(block_of(kind), 4096, c), 2.0 * 64 * (192 + 128) * c);
  EXPECT_EQ(cache_bytes(block_of(kind), c).value(), 4.0 * (192 + 128) * c);
  EXPECT_EQ(attention_parameters(block_of(kind), 4096),
            4096.0 * (64 * 192 + 4 * (192 + 128) + 64 * 128) + 64 + 4096);
  const AttentionBlock sliding =
      block_of(kind, Window{.kind = Window::Kind::sliding, .tokens = 128});
  EXPECT_EQ(attention_flop(sliding, 4096, c), 2.0 * 64 * (192 + 128) * 128);
  EXPECT_EQ(cache_bytes(sliding, c).value(), 4.0 * (192 + 128) * 128);
}

// Gemma 4's full layers: values are the keys before their norm and rotation; both are cached.
TEST_P(Context, OfValuesMadeFromKeysIsCachedTwiceAndProjectedOnce) {
  const GroupedQueryAttention separate{.query_heads = 16, .kv_heads = 2, .head_dim = 512};
  GroupedQueryAttention shared = separate;
  shared.value_from_key = true;
  EXPECT_EQ(cache_bytes(block_of(shared), GetParam()).value(), 2.0 * 2 * 512 * GetParam());
  EXPECT_EQ(
      attention_parameters(block_of(separate), 2816) - attention_parameters(block_of(shared), 2816),
      2816.0 * 2 * 512);
}

TEST_P(Context, OfALayerThatReusesKeysAndValuesIsReadAndNotKept) {
  const GroupedQueryAttention own{.query_heads = 16, .kv_heads = 2, .head_dim = 512};
  GroupedQueryAttention reused = own;
  reused.reuses_cache = true;
  EXPECT_EQ(cache_bytes(block_of(reused), GetParam()).value(), 0.0);
  EXPECT_EQ(attention_flop(block_of(reused), 2816, GetParam()),
            attention_flop(block_of(own), 2816, GetParam()));
  EXPECT_EQ(
      demand(find(operators(block_of(reused), 2816, GetParam()), "attention")).cache_read.value(),
      2.0 * 2 * 512 * GetParam());
  EXPECT_EQ(
      attention_parameters(block_of(own), 2816) - attention_parameters(block_of(reused), 2816),
      2816.0 * 2 * 2 * 512);
}

TEST(NoAttention, LaunchesNothingAndHoldsNothing) {
  const AttentionBlock block = block_of(NoAttention{});
  EXPECT_EQ(operators(block, 4096, 8192).size(), 0U);
  EXPECT_EQ(attention_parameters(block, 4096), 0.0);
  EXPECT_EQ(cache_bytes(block, 8192).value(), 0.0);
}

// DeepSeek-V4: four streams of 4096; 24 coefficients of each sublayer from all of them.
TEST(ResidualStreams, CountByHand) {
  AttentionBlock block = block_of(v4(0));
  const double single = attention_parameters(block, 4096);
  block.residual_streams = 4;
  EXPECT_EQ(attention_parameters(block, 4096) - single, 24.0 * 4 * 4096 + 24 + 3);
  const OperatorList list = operators(block, 4096, 8192);
  EXPECT_EQ(demand(find(list, "stream_coefficients")).flop.value(), 2.0 * 4 * 4096 * 24);
  const Demand mix = demand(find(list, "stream_mix"));
  EXPECT_EQ(mix.activations_read.value(), 2.0 * 4096 * (4 + 4 + 1));
  EXPECT_EQ(mix.activations_written.value(), 2.0 * 4096 * (1 + 4));
}

// Where a checkpoint leaves some projections alone, each launch reads what it holds.
TEST(Projections, LeftUnquantizedAreReadAndComputedAsTheyAre) {
  AttentionBlock block = block_of(glm5(kIndex));
  block.weights = WeightFormat{Precision::fp4, {16, 1}};
  block.unquantized = Unquantized{{Projection::query_down}};
  const OperatorList list = operators(block, 6144, 8192);
  EXPECT_EQ(demand(find(list, "q_down")).weights.value(), 2.0 * 6144 * 2048);
  EXPECT_EQ(demand(find(list, "q_down")).compute, Precision::bf16);
  EXPECT_EQ(demand(find(list, "kv_down")).weights.value(), 0.5625 * 6144 * 576);
  EXPECT_FALSE(has(list, "q_down_kv"));
  const double down = 6144.0 * 2048;
  const double norms = 2048 + 512 + 2 * 128 + 6144;
  EXPECT_DOUBLE_EQ(
      attention_weight_bytes(block, kFp8, 6144).value(),
      2.0 * down + 0.5 * norms + 0.5625 * (attention_parameters(block, 6144) - down - norms));
}

}  // namespace
}  // namespace ridge::models
