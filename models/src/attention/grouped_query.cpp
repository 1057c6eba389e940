#include "kinds.hpp"

#include <fmt/format.h>

namespace ridge::models {

void emit(const GroupedQueryAttention& kind, const AttentionContext& c) {
  const std::int64_t tp = c.shard.tensor_parallel;
  const std::int64_t query_heads = kind.query_heads / tp;
  // With more ranks than KV heads, each rank keeps a copy of the head it needs.
  const std::int64_t kv_heads = std::max<std::int64_t>(kind.kv_heads / tp, 1);
  const std::int64_t query_values = query_heads * kind.head_dim;
  const std::int64_t kv_values = kv_heads * kind.head_dim;
  c.projection("qkv", query_values + 2 * kv_values, c.hidden);
  c.elementwise("rope", query_values + kv_values);
  c.grouped_attention(query_heads, kv_heads, kind.head_dim);
  if (kind.output_gate_values > 0) {
    c.projection("output_gate", std::max<std::int64_t>(kind.output_gate_values / tp, 1), c.hidden);
    c.elementwise("gate", query_values);
  }
  c.output_projection(query_values);
}

double parameters(const GroupedQueryAttention& kind, double hidden) {
  const auto query = static_cast<double>(kind.query_heads * kind.head_dim);
  const auto kv = static_cast<double>(kind.kv_heads * kind.head_dim);
  const auto gate = static_cast<double>(kind.output_gate_values);
  return hidden * (2.0 * query + 2.0 * kv + gate) + (kind.qkv_bias ? query + 2.0 * kv : 0.0) +
         (kind.output_bias ? hidden : 0.0);
}

Bytes cache(const GroupedQueryAttention& kind, Precision precision, double tokens) {
  return tokens * static_cast<double>(2 * kind.kv_heads * kind.head_dim) *
         bytes_per_value(precision);
}

std::int64_t cache_ranks(const GroupedQueryAttention& kind, std::int64_t tensor_parallel) {
  return std::min(tensor_parallel, kind.kv_heads);
}

std::int64_t rank(const GroupedQueryAttention& kind) {
  return kind.query_heads * kind.head_dim;
}

void read(JsonObject& object, GroupedQueryAttention& kind) {
  object.required("query_heads", kind.query_heads, between(1, kMaxHeads));
  object.required("kv_heads", kind.kv_heads, between(1, kMaxHeads));
  object.required("head_dim", kind.head_dim, between(1, kMaxDim));
  object.optional("output_gate_values", kind.output_gate_values, between(0, kMaxDim));
  object.optional("qkv_bias", kind.qkv_bias);
  object.optional("output_bias", kind.output_bias);
}

Problem problem(const GroupedQueryAttention& kind) {
  if (kind.query_heads % kind.kv_heads != 0) {
    return {"/kv_heads", fmt::format("query_heads ({}) is not a multiple of kv_heads ({})",
                                     kind.query_heads, kind.kv_heads)};
  }
  return {};
}

}  // namespace ridge::models
