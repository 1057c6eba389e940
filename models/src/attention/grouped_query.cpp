#include "kinds.hpp"

#include <fmt/format.h>

namespace ridge::models {

void emit(const GroupedQueryAttention& kind, const AttentionContext& c) {
  const std::int64_t tp = c.shard.tensor_parallel;
  const std::int64_t query_heads = kind.query_heads / tp;
  // With more ranks than KV heads, each rank keeps a copy of the head it needs.
  const std::int64_t kv_heads = std::max<std::int64_t>(kind.kv_heads / tp, 1);
  const std::int64_t query_values = query_heads * kind.head_dim;
  const std::int64_t output_values = query_heads * kind.v_dim();
  const std::int64_t keys = kind.reuses_cache ? 0 : kv_heads * kind.head_dim;
  const std::int64_t values =
      kind.reuses_cache || kind.value_from_key ? 0 : kv_heads * kind.v_dim();
  c.projections(
      "qkv", {{"q", Projection::query, query_values}, {"kv", Projection::key_value, keys + values}},
      c.hidden);
  c.elementwise("rope", query_values + keys);
  double context = c.tokens_in_window();
  DecodeAttention attention{.query_heads = query_heads,
                            .kv_heads = kv_heads,
                            .qk_dim = kind.head_dim,
                            .v_dim = kind.v_dim(),
                            .cache_values_per_token = kv_heads * (kind.head_dim + kind.v_dim())};
  if (kind.block_sparse) {
    // A head of the indexer chooses for a group of query heads.
    const BlockIndex& index = *kind.block_sparse;
    const std::int64_t heads = std::max<std::int64_t>(index.heads / tp, 1);
    c.projection("index_qk", Projection::index, (heads + 1) * index.head_dim, c.hidden);
    c.attention("index_scores",
                {.kind = DecodeAttention::Kind::index_scores,
                 .query_heads = heads,
                 .kv_heads = 1,
                 .qk_dim = index.head_dim,
                 .v_dim = 0,
                 .cache_values_per_token = index.head_dim},
                context);
    const double all = context / static_cast<double>(index.block_tokens);
    const double chosen = std::min(all, static_cast<double>(index.blocks));
    c.out.add("index_choice", Part::elementwise,
              TopK{.rows = c.shape.tokens() * static_cast<double>(heads),
                   .candidates = all,
                   .chosen = chosen});
    context = chosen * static_cast<double>(index.block_tokens);
    attention.kind = DecodeAttention::Kind::block_sparse;
  }
  c.attention("attention", attention, context);
  if (kind.output_gate_values > 0) {
    c.projection("output_gate", Projection::gate,
                 std::max<std::int64_t>(kind.output_gate_values / tp, 1), c.hidden);
    c.elementwise("gate", output_values);
  }
  c.output_projection(output_values);
}

void count(const GroupedQueryAttention& kind, double hidden, ProjectionParameters& out) {
  const auto query = static_cast<double>(kind.query_heads * kind.head_dim);
  const auto keys = kind.reuses_cache ? 0.0 : static_cast<double>(kind.kv_heads * kind.head_dim);
  const auto values = kind.reuses_cache || kind.value_from_key
                          ? 0.0
                          : static_cast<double>(kind.kv_heads * kind.v_dim());
  out.add(Projection::query, hidden * query);
  out.add(Projection::key_value, hidden * (keys + values));
  out.add(Projection::output, hidden * static_cast<double>(kind.query_heads * kind.v_dim()));
  out.add(Projection::gate, hidden * static_cast<double>(kind.output_gate_values));
  out.add(Projection::other, (kind.qkv_bias ? query + keys + values : 0.0) +
                                 (kind.output_bias ? hidden : 0.0) +
                                 (kind.sinks ? static_cast<double>(kind.query_heads) : 0.0));
  if (kind.block_sparse) {
    out.add(Projection::index, hidden * static_cast<double>((kind.block_sparse->heads + 1) *
                                                            kind.block_sparse->head_dim));
  }
}

Bytes cache(const GroupedQueryAttention& kind, Precision precision, double tokens) {
  const std::int64_t own = kind.reuses_cache ? 0 : kind.kv_heads * (kind.head_dim + kind.v_dim());
  const std::int64_t index = kind.block_sparse ? kind.block_sparse->head_dim : 0;
  return tokens * static_cast<double>(own + index) * bytes_per_value(precision);
}

std::int64_t cache_ranks(const GroupedQueryAttention& kind, std::int64_t tensor_parallel) {
  return std::min(tensor_parallel, kind.kv_heads);
}

std::int64_t rank(const GroupedQueryAttention& kind) {
  return kind.query_heads * kind.head_dim;
}

std::int64_t split_heads(const GroupedQueryAttention& kind) {
  return kind.query_heads;
}

void read(JsonObject& object, GroupedQueryAttention& kind) {
  object.required("query_heads", kind.query_heads, between(1, kMaxHeads));
  object.required("kv_heads", kind.kv_heads, between(1, kMaxHeads));
  object.required("head_dim", kind.head_dim, between(1, kMaxDim));
  object.optional("output_gate_values", kind.output_gate_values, between(0, kMaxDim));
  object.optional("qkv_bias", kind.qkv_bias);
  object.optional("output_bias", kind.output_bias);
  object.optional("v_head_dim", kind.v_head_dim, between(0, kMaxDim));
  object.optional("value_from_key", kind.value_from_key);
  object.optional("reuses_cache", kind.reuses_cache);
  object.optional("sinks", kind.sinks);
  if (const auto node = object.optional("block_sparse")) {
    JsonObject fields(*node);
    auto& index = kind.block_sparse.emplace();
    fields.required("blocks", index.blocks, between(1, 1e9));
    fields.required("block_tokens", index.block_tokens, between(1, 1e9));
    fields.required("index_heads", index.heads, between(1, kMaxHeads));
    fields.required("index_head_dim", index.head_dim, between(1, kMaxDim));
  }
}

Problem problem(const GroupedQueryAttention& kind) {
  if (kind.query_heads % kind.kv_heads != 0) {
    return {"/kv_heads", fmt::format("query_heads ({}) is not a multiple of kv_heads ({})",
                                     kind.query_heads, kind.kv_heads)};
  }
  return {};
}

}  // namespace ridge::models
