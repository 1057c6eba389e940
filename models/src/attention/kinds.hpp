// What each attention kind implements. One file per kind.
#pragma once

#include "ridge/models/attention.hpp"

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
  void projection(std::string_view name, std::int64_t n, std::int64_t k,
                  std::int64_t batch = 1) const;
  // Query heads in groups over KV heads of the same width, over the tokens that the window leaves.
  void grouped_attention(std::int64_t query_heads, std::int64_t kv_heads,
                         std::int64_t head_dim) const;
  // The projection of `width` attention values (of this rank's heads) back to the hidden size.
  void output_projection(std::int64_t width) const;
  // Reads and writes tokens x values_per_token in the activation precision.
  void elementwise(std::string_view name, std::int64_t values_per_token) const;
};

// NOLINTBEGIN(bugprone-macro-parentheses): a type cannot stand in parentheses.
#define RIDGE_ATTENTION_KIND(Kind)                                           \
  void emit(const Kind& kind, const AttentionContext& context);              \
  double parameters(const Kind& kind, double hidden);                        \
  /* Held by one sequence of which a query may attend to `tokens` tokens. */ \
  Bytes cache(const Kind& kind, Precision precision, double tokens);         \
  /* Ranks that one sequence's cache is split over, of a tensor-parallel     \
     group; the others hold copies. */                                       \
  std::int64_t cache_ranks(const Kind& kind, std::int64_t tensor_parallel);  \
  std::int64_t rank(const Kind& kind);                                       \
  void read(JsonObject& object, Kind& kind);                                 \
  Problem problem(const Kind& kind);
// NOLINTEND(bugprone-macro-parentheses)

RIDGE_ATTENTION_KIND(GroupedQueryAttention)
RIDGE_ATTENTION_KIND(MultiMatrixFactorizationAttention)
RIDGE_ATTENTION_KIND(MultiHeadLatentAttention)
RIDGE_ATTENTION_KIND(LinearStateAttention)
#undef RIDGE_ATTENTION_KIND

// Limits that no real architecture comes near; a value beyond is a typing mistake.
inline constexpr double kMaxHeads = 65536;
inline constexpr double kMaxDim = 1048576;

}  // namespace ridge::models
