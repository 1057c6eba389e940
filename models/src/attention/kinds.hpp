// What each attention kind implements. One file per kind.
#pragma once

#include "ridge/base/keys.hpp"
#include "ridge/models/attention.hpp"

#include <initializer_list>

namespace ridge::models {

// Everything an attention kind needs to emit its operators.
struct AttentionContext {
  const AttentionBlock& block;
  const Precisions& precisions;
  std::int64_t hidden;
  const DecodeShape& shape;
  const AttentionShard& shard;
  MlaCount mla_count;
  OperatorList& out;

  // [tokens, k] x [k, n], `batch` times.
  void projection(std::string_view name, Projection which, std::int64_t n, std::int64_t k,
                  std::int64_t batch = 1) const;
  // Projections of one input: one launch where they lie in one format, else one each.
  struct Piece {
    std::string_view name;
    Projection which;
    std::int64_t n;
  };
  void projections(std::string_view name, std::initializer_list<Piece> pieces,
                   std::int64_t k) const;
  // Attention over `context` tokens, which the kind describes; the rest is filled in.
  void attention(std::string_view name, DecodeAttention shape, double context) const;
  // An indexer's scores of `keys` keys a sequence, and its choice.
  void choose(const SparseIndex& index, double keys) const;
  // The projection of `width` attention values (of this rank's heads) back to the hidden size.
  void output_projection(std::int64_t width) const;
  // A short causal convolution over `channels`, whose last inputs are kept.
  void convolution(std::int64_t width, std::int64_t channels) const;
  [[nodiscard]] WeightFormat format(Projection which) const;
  [[nodiscard]] double tokens_in_window() const { return block.attended(shape.context); }
  // A norm of queries and keys whose heads several ranks share: each squares its own values, the
  // sums are added up in FP32, one of queries and one of keys a token, and each scales its own.
  // Three launches, as SGLang and vLLM do it (sgl-project/sglang pull request 14416).
  void norm_over_heads(std::int64_t values_per_token) const;
  // Reads and writes tokens x values_per_token in the activation precision.
  void elementwise(std::string_view name, std::int64_t values_per_token) const;
};

// NOLINTBEGIN(bugprone-macro-parentheses): a type cannot stand in parentheses.
#define RIDGE_ATTENTION_KIND(Kind)                                           \
  void emit(const Kind& kind, const AttentionContext& context);              \
  void count(const Kind& kind, double hidden, ProjectionParameters& out);    \
  /* Held by one sequence of which a query may attend to `tokens` tokens. */ \
  Bytes cache(const Kind& kind, Precision precision, double tokens);         \
  /* Ranks that one sequence's cache is split over, of a tensor-parallel     \
     group; the others hold copies. */                                       \
  std::int64_t cache_ranks(const Kind& kind, std::int64_t tensor_parallel);  \
  std::int64_t rank(const Kind& kind);                                       \
  std::int64_t split_heads(const Kind& kind);                                \
  /* Beside those that all kinds have. */                                    \
  const KeyTable& keys_of(const Kind*);                                      \
  Problem problem(const Kind& kind);
// NOLINTEND(bugprone-macro-parentheses)

RIDGE_ATTENTION_KIND(GroupedQueryAttention)
RIDGE_ATTENTION_KIND(MultiMatrixFactorizationAttention)
RIDGE_ATTENTION_KIND(MultiHeadLatentAttention)
RIDGE_ATTENTION_KIND(LinearStateAttention)
RIDGE_ATTENTION_KIND(CompressedAttention)
RIDGE_ATTENTION_KIND(Mamba2Attention)
RIDGE_ATTENTION_KIND(NoAttention)
#undef RIDGE_ATTENTION_KIND

// What kinds with an indexer or a record of their own share.
const KeyTable& keys_of(const SparseIndex*);
inline constexpr const char* kSparseDoc =
    "An indexer scores every token, attention reads the best.";
template <auto Record>
[[nodiscard]] auto rope_cache_precision() {
  return key_in<Record, &CacheRecord::rope>(
      "rope_cache_precision",
      "Of the rotary part, where the cache has fewer than two bytes a value.", precision_names());
}
template <auto Record>
[[nodiscard]] auto cache_scale_bytes() {
  return key_in<Record, &CacheRecord::scale_bytes>(
             "cache_scale_bytes",
             "Of a token's scales, where the cache has fewer than two bytes a value.",
             between(0, 4096))
      .optional();
}
// Bytes of a token of `values` values, of which `rope` are rotary.
[[nodiscard]] Bytes record_bytes(const CacheRecord& record, Precision cache, std::int64_t values,
                                 std::int64_t rope);
// Of a chosen indexer's keys, per token of the context.
[[nodiscard]] Bytes index_key_bytes(const SparseIndex& index);
void count_index(const SparseIndex& index, double hidden, double query_input,
                 ProjectionParameters& out);

// Limits that no real architecture comes near; a value beyond is a typing mistake.
inline constexpr double kMaxTokens = 1e9;
[[nodiscard]] inline NumberRange heads() {
  return between(1, 65536);
}
[[nodiscard]] inline NumberRange dims(double least = 1) {
  return between(least, 1048576);
}

}  // namespace ridge::models
