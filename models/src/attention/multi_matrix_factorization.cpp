#include "kinds.hpp"

#include <fmt/format.h>

namespace ridge::models {

void emit(const MultiMatrixFactorizationAttention& kind, const AttentionContext& c) {
  const std::int64_t query_heads = kind.query_heads / c.shard.tensor_parallel;
  const std::int64_t query_values = query_heads * kind.head_dim;
  // K and V are shared by all heads, so every tensor-parallel rank holds them whole.
  const std::int64_t kv_values = kind.kv_heads * kind.head_dim;
  // The query's down-projection and the shared K and V read the same input: one launch.
  c.projection("q_down_kv", kind.query_rank + 2 * kv_values, c.hidden);
  c.elementwise("query_norm", kind.query_rank);
  c.projection("q_up", query_values, kind.query_rank);
  c.elementwise("rope", query_values + kv_values);
  c.grouped_attention(query_heads, kind.kv_heads, kind.head_dim);
  c.output_projection(query_values);
}

double parameters(const MultiMatrixFactorizationAttention& kind, double hidden) {
  const auto query = static_cast<double>(kind.query_heads * kind.head_dim);
  const auto kv = static_cast<double>(kind.kv_heads * kind.head_dim);
  const auto rank = static_cast<double>(kind.query_rank);
  return hidden * (rank + 2.0 * kv + query) + rank * query + rank;
}

Bytes cache(const MultiMatrixFactorizationAttention& kind, Precision precision, double tokens) {
  return tokens * static_cast<double>(2 * kind.kv_heads * kind.head_dim) *
         bytes_per_value(precision);
}

std::int64_t cache_ranks(const MultiMatrixFactorizationAttention& /*kind*/,
                         std::int64_t /*tensor_parallel*/) {
  return 1;
}

std::int64_t rank(const MultiMatrixFactorizationAttention& kind) {
  return kind.query_heads * kind.head_dim;
}

void read(JsonObject& object, MultiMatrixFactorizationAttention& kind) {
  object.required("query_heads", kind.query_heads, between(1, kMaxHeads));
  object.optional("kv_heads", kind.kv_heads, between(1, kMaxHeads));
  object.required("head_dim", kind.head_dim, between(1, kMaxDim));
  object.required("query_rank", kind.query_rank, between(1, kMaxDim));
}

Problem problem(const MultiMatrixFactorizationAttention& kind) {
  if (kind.query_heads % kind.kv_heads != 0) {
    return {"/kv_heads", fmt::format("query_heads ({}) is not a multiple of kv_heads ({})",
                                     kind.query_heads, kind.kv_heads)};
  }
  return {};
}

}  // namespace ridge::models
