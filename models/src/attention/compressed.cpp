#include "kinds.hpp"

#include <fmt/format.h>

namespace ridge::models {
namespace {

// What makes a compressed token of `values` values: a projection and its gate; where halves
// overlap, each twice.
std::int64_t compressor_width(const CompressedAttention& kind, std::int64_t values) {
  return (kind.overlap ? 4 : 2) * values;
}

double compressed_tokens(const CompressedAttention& kind, double context) {
  return kind.ratio > 0 ? context / static_cast<double>(kind.ratio) : 0.0;
}

}  // namespace

void emit(const CompressedAttention& kind, const AttentionContext& c) {
  const std::int64_t tp = c.shard.tensor_parallel;
  const std::int64_t heads = kind.query_heads / tp;
  const std::int64_t groups = std::max<std::int64_t>(kind.output_groups / tp, 1);
  c.projections("q_down_kv",
                {{"q_down", Projection::query_down, kind.query_rank},
                 {"kv", Projection::key_value, kind.head_dim}},
                c.hidden);
  c.elementwise("latent_norms", kind.query_rank + kind.head_dim);
  c.projection("q_up", Projection::query, heads * kind.head_dim, kind.query_rank);
  c.elementwise("rope", (heads + 1) * kind.rope_head_dim);
  if (kind.ratio > 0 && !kind.reuses_cache) {
    const std::int64_t width = compressor_width(kind, kind.head_dim);
    c.projection("compressor", Projection::compressor, width, c.hidden);
    c.elementwise("compress", width);
  }
  const double compressed = compressed_tokens(kind, c.shape.context);
  double chosen = compressed;
  if (kind.sparse) {
    if (!kind.sparse->reused) {
      c.projection("index_q", Projection::index, kind.sparse->heads * kind.sparse->head_dim,
                   kind.query_rank);
      c.projection("index_k_weights", Projection::index,
                   compressor_width(kind, kind.sparse->head_dim) + kind.sparse->heads, c.hidden);
      c.choose(*kind.sparse, compressed);
    }
    chosen = std::min(compressed, static_cast<double>(kind.sparse->top_k));
  }
  const double local = std::min(c.shape.context, static_cast<double>(kind.local_tokens));
  c.attention("attention",
              {.kind = kind.sparse ? DecodeAttention::Kind::compressed_sparse
                                   : DecodeAttention::Kind::compressed,
               .query_heads = heads,
               .kv_heads = 1,
               .qk_dim = kind.head_dim,
               .v_dim = kind.head_dim,
               .cache_values_per_token = static_cast<std::int64_t>(
                   record_bytes(kind.record, c.block.cache, kind.head_dim, kind.rope_head_dim) /
                   bytes_per_value(c.block.cache))},
              local + chosen);
  const std::int64_t group_values = kind.query_heads * kind.head_dim / kind.output_groups;
  c.projection("output_down", Projection::output, kind.output_rank, group_values, groups);
  c.output_projection(groups * kind.output_rank);
}

void count(const CompressedAttention& kind, double hidden, ProjectionParameters& out) {
  const auto heads = static_cast<double>(kind.query_heads);
  const auto head_dim = static_cast<double>(kind.head_dim);
  const auto q_rank = static_cast<double>(kind.query_rank);
  const auto groups = static_cast<double>(kind.output_groups);
  const auto o_rank = static_cast<double>(kind.output_rank);
  const auto ratio = static_cast<double>(kind.ratio);
  out.add(Projection::query_down, hidden * q_rank);
  out.add(Projection::query, q_rank * heads * head_dim);
  out.add(Projection::key_value, hidden * head_dim);
  out.add(Projection::output, heads * head_dim * o_rank + groups * o_rank * hidden);
  // Norms of the query's rank and of the key, and a sink for each head.
  out.add(Projection::other, q_rank + head_dim + heads);
  // A compressor: its matrices, a bias for each position of a window, a norm.
  const auto compressor = [&](Projection projection, std::int64_t values) {
    const auto width = static_cast<double>(compressor_width(kind, values));
    out.add(projection, hidden * width);
    out.add(Projection::other, ratio * width / 2.0 + static_cast<double>(values));
  };
  if (kind.ratio > 0 && !kind.reuses_cache) compressor(Projection::compressor, kind.head_dim);
  if (kind.sparse && !kind.sparse->reused) {
    const auto index_heads = static_cast<double>(kind.sparse->heads);
    out.add(Projection::index, q_rank * index_heads * static_cast<double>(kind.sparse->head_dim) +
                                   hidden * index_heads);
    compressor(Projection::index, kind.sparse->head_dim);
  }
}

Bytes cache(const CompressedAttention& kind, Precision precision, double tokens) {
  const Bytes token = record_bytes(kind.record, precision, kind.head_dim, kind.rope_head_dim);
  Bytes total = std::min(tokens, static_cast<double>(kind.local_tokens)) * token;
  const double compressed = compressed_tokens(kind, tokens);
  if (!kind.reuses_cache) total += compressed * token;
  if (kind.sparse) total += compressed * index_key_bytes(*kind.sparse);
  return total;
}

std::int64_t cache_ranks(const CompressedAttention& /*kind*/, std::int64_t /*tensor_parallel*/) {
  return 1;
}

std::int64_t rank(const CompressedAttention& kind) {
  return kind.query_heads * (kind.head_dim - kind.rope_head_dim);
}

std::int64_t split_heads(const CompressedAttention& kind) {
  return kind.query_heads;
}

const KeyTable& keys_of(const CompressedAttention* /*of*/) {
  using A = CompressedAttention;
  static const KeyTable table = key_table<A>(
      "", "",
      {
          key<&A::query_heads>("query_heads", "", heads()),
          key<&A::query_rank>("query_rank", "", dims()),
          key<&A::head_dim>("head_dim", "Of the one head that is key and value at once.", dims()),
          key<&A::rope_head_dim>("rope_head_dim", "Of it, the rotary part.", dims(0)),
          key<&A::output_groups>("output_groups",
                                 "Groups of heads that the output's first projection keeps apart.",
                                 heads()),
          key<&A::output_rank>("output_rank", "Of each group.", dims()),
          key<&A::local_tokens>("local_tokens", "The last tokens, seen as they are.",
                                between(1, kMaxTokens)),
          key<&A::ratio>("ratio", "Tokens that become one; 0: local tokens alone.",
                         between(0, 1e6)),
          key<&A::overlap>("overlap",
                           "A compressed token is made of its own tokens and those before.")
              .optional(),
          key<&A::reuses_cache>("reuses_cache", "Reads the compressed tokens of an earlier layer.")
              .optional(),
          rope_cache_precision<&A::record>(),
          cache_scale_bytes<&A::record>(),
          key<&A::sparse>("sparse", kSparseDoc),
      });
  return table;
}

Problem problem(const CompressedAttention& kind) {
  if (kind.query_heads % kind.output_groups != 0) {
    return {"/output_groups",
            fmt::format("query_heads ({}) is not a multiple of output_groups ({})",
                        kind.query_heads, kind.output_groups)};
  }
  if (kind.sparse && kind.ratio == 0) {
    return {"/ratio", "ratio (0) leaves no compressed tokens; sparse is more than that"};
  }
  return {};
}

}  // namespace ridge::models
