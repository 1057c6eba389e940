#include "kinds.hpp"

namespace ridge::models {

void emit(const MultiHeadLatentAttention& kind, const AttentionContext& c) {
  const std::int64_t heads = kind.query_heads / c.shard.tensor_parallel;
  const std::int64_t qk_head_dim = kind.nope_head_dim + kind.rope_head_dim;
  const std::int64_t latent = kind.kv_rank + kind.rope_head_dim;
  if (kind.query_rank > 0) {
    c.projection("q_down_kv", kind.query_rank + latent, c.hidden);
    c.elementwise("latent_norms", kind.query_rank + kind.kv_rank);
    c.projection("q_up", heads * qk_head_dim, kind.query_rank);
  } else {
    c.projection("q_kv", heads * qk_head_dim + latent, c.hidden);
    c.elementwise("latent_norms", kind.kv_rank);
  }
  c.elementwise("rope", (heads + 1) * kind.rope_head_dim);
  // The key up-projection is absorbed into the query, the value up-projection into the output.
  c.projection("q_absorb", kind.kv_rank, kind.nope_head_dim, heads);
  double attended = c.block.window.attended(c.shape.context);
  if (kind.sparse) {
    const auto& index = *kind.sparse;
    c.projection("index_q", index.heads * index.head_dim,
                 kind.query_rank > 0 ? kind.query_rank : c.hidden);
    c.projection("index_k_weights", index.head_dim + index.heads, c.hidden);
    c.out.add("index_scores", Part::attention,
              DecodeAttention{.kind = DecodeAttention::Kind::index_scores,
                              .sequences = c.shape.sequences,
                              .context = attended,
                              .queries_per_sequence = c.shape.queries_per_sequence,
                              .query_heads = index.heads,
                              .kv_heads = 1,
                              .qk_dim = index.head_dim,
                              .v_dim = 0,
                              .cache_values_per_token = index.head_dim,
                              .cache = Precision::fp8,
                              .compute = Precision::fp8,
                              .activations = c.precisions.activations});
    attended = std::min(attended, static_cast<double>(index.top_k));
  }
  c.out.add("attention", Part::attention,
            DecodeAttention{.kind = kind.sparse ? DecodeAttention::Kind::sparse_latent
                                                : DecodeAttention::Kind::latent,
                            .sequences = c.shape.sequences,
                            .context = attended,
                            .queries_per_sequence = c.shape.queries_per_sequence,
                            .query_heads = heads,
                            .kv_heads = 1,
                            .qk_dim = latent,
                            .v_dim = c.mla_count == MlaCount::absorbed ? kind.kv_rank : latent,
                            .cache_values_per_token = latent,
                            .cache = c.block.cache,
                            .compute = c.block.compute,
                            .activations = c.precisions.activations});
  c.projection("v_absorb", kind.v_head_dim, kind.kv_rank, heads);
  c.output_projection(heads * kind.v_head_dim);
}

double parameters(const MultiHeadLatentAttention& kind, double hidden) {
  const auto heads = static_cast<double>(kind.query_heads);
  const auto nope = static_cast<double>(kind.nope_head_dim);
  const auto rope = static_cast<double>(kind.rope_head_dim);
  const auto v = static_cast<double>(kind.v_head_dim);
  const auto q_rank = static_cast<double>(kind.query_rank);
  const auto kv_rank = static_cast<double>(kind.kv_rank);
  const double query = kind.query_rank > 0
                           ? hidden * q_rank + q_rank + q_rank * heads * (nope + rope)
                           : hidden * heads * (nope + rope);
  double total = query + hidden * (kv_rank + rope) + kv_rank + kv_rank * heads * (nope + v) +
                 heads * v * hidden;
  if (kind.sparse) {
    const auto index_heads = static_cast<double>(kind.sparse->heads);
    const auto index_dim = static_cast<double>(kind.sparse->head_dim);
    const double query_input = kind.query_rank > 0 ? q_rank : hidden;
    // wq_b, wk with its layer norm (weight and bias), and the per-head weights.
    total += query_input * index_heads * index_dim + hidden * index_dim + 2.0 * index_dim +
             hidden * index_heads;
  }
  return total;
}

Bytes cache(const MultiHeadLatentAttention& kind, Precision precision, double tokens) {
  // Sparse attention reads few tokens but keeps them all.
  Bytes total =
      tokens * static_cast<double>(kind.kv_rank + kind.rope_head_dim) * bytes_per_value(precision);
  if (kind.sparse) {
    total += tokens * static_cast<double>(kind.sparse->head_dim) * bytes_per_value(Precision::fp8);
  }
  return total;
}

std::int64_t cache_ranks(const MultiHeadLatentAttention& /*kind*/,
                         std::int64_t /*tensor_parallel*/) {
  return 1;
}

std::int64_t rank(const MultiHeadLatentAttention& kind) {
  return kind.query_heads * kind.nope_head_dim;
}

void read(JsonObject& object, MultiHeadLatentAttention& kind) {
  object.required("query_heads", kind.query_heads, between(1, kMaxHeads));
  object.required("query_rank", kind.query_rank, between(0, kMaxDim));
  object.required("kv_rank", kind.kv_rank, between(1, kMaxDim));
  object.required("nope_head_dim", kind.nope_head_dim, between(1, kMaxDim));
  object.required("rope_head_dim", kind.rope_head_dim, between(0, kMaxDim));
  object.required("v_head_dim", kind.v_head_dim, between(1, kMaxDim));
  if (const auto node = object.optional("sparse")) {
    JsonObject sparse(*node);
    auto& index = kind.sparse.emplace();
    sparse.required("top_k", index.top_k, between(1, 1e9));
    sparse.required("index_heads", index.heads, between(1, kMaxHeads));
    sparse.required("index_head_dim", index.head_dim, between(1, kMaxDim));
  }
}

Problem problem(const MultiHeadLatentAttention& /*kind*/) {
  return {};
}

}  // namespace ridge::models
