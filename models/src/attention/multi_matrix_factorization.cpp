#include "kinds.hpp"

#include <fmt/format.h>

namespace ridge::models {

void emit(const MultiMatrixFactorizationAttention& kind, const AttentionContext& c) {
  const std::int64_t query_heads = kind.query_heads / c.shard.tensor_parallel;
  const std::int64_t query_values = query_heads * kind.head_dim;
  // K and V are shared by all heads, so every tensor-parallel rank holds them whole.
  const std::int64_t kv_values = kind.kv_heads * kind.head_dim;
  // The query's down-projection and the shared K and V read the same input: one launch.
  c.projections("q_down_kv",
                {{"q_down", Projection::query_down, kind.query_rank},
                 {"kv", Projection::key_value, 2 * kv_values}},
                c.hidden);
  c.elementwise("query_norm", kind.query_rank);
  c.projection("q_up", Projection::query, query_values, kind.query_rank);
  c.elementwise("rope", query_values + kv_values);
  c.attention("attention",
              {.query_heads = query_heads,
               .kv_heads = kind.kv_heads,
               .qk_dim = kind.head_dim,
               .v_dim = kind.head_dim,
               .cache_values_per_token = 2 * kv_values},
              c.tokens_in_window());
  c.output_projection(query_values);
}

void count(const MultiMatrixFactorizationAttention& kind, double hidden,
           ProjectionParameters& out) {
  const auto query = static_cast<double>(kind.query_heads * kind.head_dim);
  const auto kv = static_cast<double>(kind.kv_heads * kind.head_dim);
  const auto rank = static_cast<double>(kind.query_rank);
  out.add(Projection::query_down, hidden * rank);
  out.add(Projection::query, rank * query);
  out.add(Projection::key_value, hidden * 2.0 * kv);
  out.add(Projection::output, hidden * query);
  out.add(Projection::other, rank);
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

std::int64_t split_heads(const MultiMatrixFactorizationAttention& kind) {
  return kind.query_heads;
}

const KeyTable& keys_of(const MultiMatrixFactorizationAttention* /*of*/) {
  using A = MultiMatrixFactorizationAttention;
  static const KeyTable table = key_table<A>(
      "", "",
      {
          key<&A::query_heads>("query_heads", "", heads()),
          key<&A::kv_heads>("kv_heads", "Shared by the query heads.", heads()).optional(),
          key<&A::head_dim>("head_dim", "", dims()),
          key<&A::query_rank>("query_rank", "Of the projection to queries.", dims()),
      });
  return table;
}

Problem problem(const MultiMatrixFactorizationAttention& kind) {
  if (kind.query_heads % kind.kv_heads != 0) {
    return {"/kv_heads", fmt::format("query_heads ({}) is not a multiple of kv_heads ({})",
                                     kind.query_heads, kind.kv_heads)};
  }
  return {};
}

}  // namespace ridge::models
