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
  if (kind.norm_over_heads && tp > 1) c.norm_over_heads(query_values + keys);
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
    if (index.key_precision) {
      auto& scores = std::get<DecodeAttention>(c.out.last().shape);
      scores.cache = scores.compute = *index.key_precision;
    }
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
  Bytes each = static_cast<double>(own) * bytes_per_value(precision);
  if (kind.block_sparse) {
    const BlockIndex& index = *kind.block_sparse;
    each += static_cast<double>(index.head_dim) *
            bytes_per_value(index.key_precision.value_or(precision));
  }
  return tokens * each;
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

static const KeyTable& keys_of(const BlockIndex* /*of*/) {
  using B = BlockIndex;
  static const KeyTable table =
      key_table<B>("block_index", "An indexer that chooses blocks of tokens.",
                   {
                       key<&B::blocks>("blocks", "That a query reads.", between(1, kMaxTokens)),
                       key<&B::block_tokens>("block_tokens", "Of each.", between(1, kMaxTokens)),
                       key<&B::heads>("index_heads", "", heads()),
                       key<&B::head_dim>("index_head_dim", "", dims()),
                       key<&B::key_precision>("index_key_precision",
                                              "Of the cached index keys; the cache's where absent.",
                                              precision_names()),
                   });
  return table;
}

const KeyTable& keys_of(const GroupedQueryAttention* /*of*/) {
  using A = GroupedQueryAttention;
  static const KeyTable table = key_table<A>(
      "", "",
      {
          key<&A::query_heads>("query_heads", "", heads()),
          key<&A::kv_heads>("kv_heads", "", heads()),
          key<&A::head_dim>("head_dim", "Of keys, and of values unless said.", dims()),
          key<&A::output_gate_values>("output_gate_values",
                                      "Width of a sigmoid gate on the output: query_heads for one "
                                      "per head, query_heads x head_dim for one per value.",
                                      dims(0))
              .optional(),
          key<&A::qkv_bias>("qkv_bias", "Of the projections to queries, keys and values.")
              .optional(),
          key<&A::output_bias>("output_bias", "Of the projection back.").optional(),
          key<&A::v_head_dim>("v_head_dim", "0: as wide as keys.", dims(0)).optional(),
          key<&A::value_from_key>("value_from_key",
                                  "One projection makes keys and values; both are cached.")
              .optional(),
          key<&A::reuses_cache>(
              "reuses_cache",
              "Reads the keys and values of an earlier layer, and has none of its own.")
              .optional(),
          key<&A::sinks>("sinks", "A learned logit for each query head.").optional(),
          key<&A::norm_over_heads>("norm_over_heads",
                                   "Queries and keys are normalized over all their heads at once, "
                                   "so that GPUs that share the heads add up squares in each "
                                   "layer.")
              .optional(),
          key<&A::block_sparse>("block_sparse",
                                "An indexer scores every token, attention reads the blocks of "
                                "tokens with the greatest scores."),
      });
  return table;
}

Problem problem(const GroupedQueryAttention& kind) {
  if (kind.query_heads % kind.kv_heads != 0) {
    return {"/kv_heads", fmt::format("query_heads ({}) is not a multiple of kv_heads ({})",
                                     kind.query_heads, kind.kv_heads)};
  }
  return {};
}

}  // namespace ridge::models
