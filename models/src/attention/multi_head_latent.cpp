#include "kinds.hpp"

namespace ridge::models {

void emit(const MultiHeadLatentAttention& kind, const AttentionContext& c) {
  const std::int64_t heads = kind.query_heads / c.shard.tensor_parallel;
  const std::int64_t qk_head_dim = kind.nope_head_dim + kind.rope_head_dim;
  const std::int64_t latent = kind.kv_rank + kind.rope_head_dim;
  if (kind.query_rank > 0) {
    c.projections("q_down_kv",
                  {{"q_down", Projection::query_down, kind.query_rank},
                   {"kv_down", Projection::key_value, latent}},
                  c.hidden);
    c.elementwise("latent_norms", kind.query_rank + kind.kv_rank);
    c.projection("q_up", Projection::query, heads * qk_head_dim, kind.query_rank);
  } else {
    c.projections(
        "q_kv",
        {{"q", Projection::query, heads * qk_head_dim}, {"kv_down", Projection::key_value, latent}},
        c.hidden);
    c.elementwise("latent_norms", kind.kv_rank);
  }
  if (kind.rope_head_dim > 0) c.elementwise("rope", (heads + 1) * kind.rope_head_dim);
  // The key up-projection is absorbed into the query, the value up-projection into the output.
  c.projection("q_absorb", Projection::kv_up, kind.kv_rank, kind.nope_head_dim, heads);
  double attended = c.tokens_in_window();
  if (kind.sparse) {
    const SparseIndex& index = *kind.sparse;
    if (!index.reused) {
      c.projection("index_q", Projection::index, index.heads * index.head_dim,
                   kind.query_rank > 0 ? kind.query_rank : c.hidden);
      c.projection("index_k_weights", Projection::index,
                   (index.pool > 1 ? 2 : 1) * index.head_dim + index.heads, c.hidden);
      c.choose(index, attended / static_cast<double>(index.pool));
    }
    attended = std::min(attended, static_cast<double>(index.top_k));
  }
  c.attention(
      "attention",
      {.kind = kind.sparse ? DecodeAttention::Kind::sparse_latent : DecodeAttention::Kind::latent,
       .query_heads = heads,
       .kv_heads = 1,
       .qk_dim = latent,
       .v_dim = c.mla_count == MlaCount::absorbed ? kind.kv_rank : latent,
       .cache_values_per_token = static_cast<std::int64_t>(
           record_bytes(kind.record, c.block.cache, latent, kind.rope_head_dim) /
           bytes_per_value(c.block.cache))},
      attended);
  c.projection("v_absorb", Projection::kv_up, kind.v_head_dim, kind.kv_rank, heads);
  if (kind.output_gate) {
    c.projection("output_gate", Projection::gate, heads * kind.v_head_dim, c.hidden);
    c.elementwise("gate", heads * kind.v_head_dim);
  }
  c.output_projection(heads * kind.v_head_dim);
}

void count(const MultiHeadLatentAttention& kind, double hidden, ProjectionParameters& out) {
  const auto heads = static_cast<double>(kind.query_heads);
  const auto nope = static_cast<double>(kind.nope_head_dim);
  const auto rope = static_cast<double>(kind.rope_head_dim);
  const auto v = static_cast<double>(kind.v_head_dim);
  const auto q_rank = static_cast<double>(kind.query_rank);
  const auto kv_rank = static_cast<double>(kind.kv_rank);
  const double query_input = kind.query_rank > 0 ? q_rank : hidden;
  out.add(Projection::query_down, hidden * q_rank);
  out.add(Projection::query, query_input * heads * (nope + rope));
  out.add(Projection::key_value, hidden * (kv_rank + rope));
  out.add(Projection::kv_up, kv_rank * heads * (nope + v));
  out.add(Projection::output, heads * v * hidden);
  out.add(Projection::gate, kind.output_gate ? hidden * heads * v : 0.0);
  out.add(Projection::other, q_rank + kv_rank);
  if (kind.sparse && !kind.sparse->reused) count_index(*kind.sparse, hidden, query_input, out);
}

Bytes cache(const MultiHeadLatentAttention& kind, Precision precision, double tokens) {
  // Sparse attention reads few tokens but keeps them all.
  Bytes total = tokens * record_bytes(kind.record, precision, kind.kv_rank + kind.rope_head_dim,
                                      kind.rope_head_dim);
  if (kind.sparse) total += tokens * index_key_bytes(*kind.sparse);
  return total;
}

std::int64_t cache_ranks(const MultiHeadLatentAttention& /*kind*/,
                         std::int64_t /*tensor_parallel*/) {
  return 1;
}

std::int64_t rank(const MultiHeadLatentAttention& kind) {
  return kind.query_heads * kind.nope_head_dim;
}

std::int64_t split_heads(const MultiHeadLatentAttention& kind) {
  return kind.query_heads;
}

const KeyTable& keys_of(const MultiHeadLatentAttention* /*of*/) {
  using A = MultiHeadLatentAttention;
  static const KeyTable table = key_table<A>(
      "", "",
      {
          key<&A::query_heads>("query_heads", "", heads()),
          key<&A::query_rank>("query_rank", "0 where queries are not compressed.", dims(0)),
          key<&A::kv_rank>("kv_rank", "Of the latent that is cached.", dims()),
          key<&A::nope_head_dim>("nope_head_dim", "Of a head, without its rotary part.", dims()),
          key<&A::rope_head_dim>("rope_head_dim", "The rotary part.", dims(0)),
          key<&A::v_head_dim>("v_head_dim", "Of a head's values.", dims()),
          key<&A::output_gate>("output_gate", "A sigmoid gate as wide as the heads' values.")
              .optional(),
          rope_cache_precision<&A::record>(),
          cache_scale_bytes<&A::record>(),
          key<&A::sparse>("sparse", kSparseDoc),
      });
  return table;
}

Problem problem(const MultiHeadLatentAttention& /*kind*/) {
  return {};
}

}  // namespace ridge::models
