#include "ridge/models/attention.hpp"

#include "attention/kinds.hpp"

#include <array>

#include <fmt/format.h>

namespace ridge::models {
namespace {

// The kinds by their JSON name. MHA, GQA and MQA are one kind under the three names people know.
struct KindEntry {
  std::string_view name;
  AttentionKind empty;
};
const std::array kKinds = {
    KindEntry{"gqa", GroupedQueryAttention{}},
    KindEntry{"mqa", GroupedQueryAttention{}},
    KindEntry{"mha", GroupedQueryAttention{}},
    KindEntry{"mfa", MultiMatrixFactorizationAttention{}},
    KindEntry{"mla", MultiHeadLatentAttention{}},
    KindEntry{"linear_state", LinearStateAttention{}},
    KindEntry{"compressed", CompressedAttention{}},
    KindEntry{"mamba2", Mamba2Attention{}},
    KindEntry{"none", NoAttention{}},
};

constexpr std::array<Named<Projection>, kProjections - 1> kProjectionNames = {
    {{"query_down", Projection::query_down},
     {"query", Projection::query},
     {"key_value", Projection::key_value},
     {"kv_up", Projection::kv_up},
     {"output", Projection::output},
     {"gate", Projection::gate},
     {"index", Projection::index},
     {"compressor", Projection::compressor}}};

constexpr std::array<Named<Window::Kind>, 2> kWindows = {
    {{"sliding", Window::Kind::sliding}, {"chunked", Window::Kind::chunked}}};

}  // namespace

std::span<const Named<Projection>> projection_names() {
  return kProjectionNames;
}

WeightFormat AttentionContext::format(Projection which) const {
  if (block.unquantized.test(static_cast<std::size_t>(which))) {
    return {block.unquantized_precision};
  }
  return block.weights.value_or(precisions.weight_format());
}

void AttentionContext::projection(std::string_view name, Projection which, std::int64_t n,
                                  std::int64_t k, std::int64_t batch) const {
  const WeightFormat weights = format(which);
  const bool plain = block.unquantized.test(static_cast<std::size_t>(which));
  const Precision compute = plain ? block.unquantized_precision : precisions.compute;
  out.add(name, Part::attention_linear,
          Gemm{.m = shape.tokens(),
               .n = n,
               .k = k,
               .batch = batch,
               .weights = weights.precision,
               .compute = compute,
               .input = compute,
               .output = precisions.activations,
               .weight_scales = weights.scale_bytes});
}

void AttentionContext::projections(std::string_view name, std::initializer_list<Piece> pieces,
                                   std::int64_t k) const {
  const Piece& first = *pieces.begin();
  std::int64_t n = 0;
  bool alike = true;
  for (const Piece& piece : pieces) {
    n += piece.n;
    alike = alike && (piece.n == 0 || format(piece.which) == format(first.which));
  }
  if (alike) {
    projection(name, first.which, n, k);
    return;
  }
  for (const Piece& piece : pieces) {
    if (piece.n > 0) projection(piece.name, piece.which, piece.n, k);
  }
}

void AttentionContext::attention(std::string_view name, DecodeAttention op, double context) const {
  op.sequences = shape.sequences;
  op.context = context / static_cast<double>(shard.context_parallel);
  op.query_heads *= shard.context_parallel;
  op.queries_per_sequence = shape.queries_per_sequence;
  op.cache = block.cache;
  op.compute = block.compute;
  op.activations = precisions.activations;
  out.add(name, Part::attention, op);
}

void AttentionContext::choose(const SparseIndex& index, double keys) const {
  out.add("index_scores", Part::attention,
          DecodeAttention{.kind = DecodeAttention::Kind::index_scores,
                          .sequences = shape.sequences,
                          .context = keys,
                          .queries_per_sequence = shape.queries_per_sequence,
                          .query_heads = index.heads,
                          .kv_heads = 1,
                          .qk_dim = index.head_dim,
                          .v_dim = 0,
                          .cache_values_per_token = index.head_dim + index.key_scale_bytes,
                          .cache = Precision::fp8,
                          .compute = Precision::fp8,
                          .activations = precisions.activations});
  out.add("index_choice", Part::elementwise,
          TopK{.rows = shape.tokens(),
               .candidates = keys,
               .chosen = std::min(
                   keys, static_cast<double>(index.top_k) / static_cast<double>(index.pool))});
}

void AttentionContext::output_projection(std::int64_t width) const {
  const std::int64_t ranks = shard.output_parallel;
  projection("output", Projection::output, hidden, width / ranks);
  if (ranks == 1) return;
  // Each of the gathering ranks multiplies everyone's tokens by its slice of the rows.
  std::get<Gemm>(out.last().shape).m *= static_cast<double>(ranks);
}

void AttentionContext::convolution(std::int64_t width, std::int64_t channels) const {
  const auto of = static_cast<double>(channels);
  const double kept = shape.sequences * static_cast<double>(width - 1) * of;
  const double values = shape.tokens() * of;
  out.add("convolution", Part::elementwise,
          Elementwise{.values_read = values + kept,
                      .values_written = values + kept,
                      .input = precisions.activations,
                      .output = precisions.activations});
}

void AttentionContext::elementwise(std::string_view name, std::int64_t values_per_token) const {
  const double values = shape.tokens() * static_cast<double>(values_per_token);
  out.add(name, Part::elementwise,
          Elementwise{.values_read = values,
                      .values_written = values,
                      .input = precisions.activations,
                      .output = precisions.activations});
}

void attention_operators(const AttentionBlock& block, const Precisions& precisions,
                         std::int64_t hidden, const DecodeShape& shape, const AttentionShard& shard,
                         MlaCount mla_count, OperatorList& out) {
  const AttentionContext context{block, precisions, hidden, shape, shard, mla_count, out};
  if (std::holds_alternative<NoAttention>(block.kind)) return;
  residual_operators(block.residual_streams, precisions, hidden, shape.tokens(), out);
  context.elementwise("attention_norm", hidden);
  std::visit([&](const auto& kind) { emit(kind, context); }, block.kind);
}

void residual_operators(std::int64_t streams, const Precisions& precisions, std::int64_t hidden,
                        double tokens, OperatorList& out) {
  if (streams <= 1) return;
  const double stream = tokens * static_cast<double>(hidden);
  const double all = stream * static_cast<double>(streams);
  out.add("stream_coefficients", Part::elementwise,
          Gemm{.m = tokens,
               .n = streams * (streams + 2),
               .k = streams * hidden,
               .weights = Precision::fp32,
               .compute = Precision::fp32,
               .input = precisions.activations,
               .output = Precision::fp32});
  // One mix of the streams in; the sublayer's result spread over all of them, remixed.
  out.add("stream_mix", Part::elementwise,
          Elementwise{.values_read = all + all + stream,
                      .values_written = stream + all,
                      .input = precisions.activations,
                      .output = precisions.activations});
}

double residual_parameters(std::int64_t streams, std::int64_t hidden) {
  if (streams <= 1) return 0.0;
  constexpr double kScales = 3.0;
  const auto coefficients = static_cast<double>(streams * (streams + 2));
  return coefficients * (static_cast<double>(streams * hidden) + 1.0) + kScales;
}

namespace {

ProjectionParameters counted(const AttentionBlock& block, std::int64_t hidden) {
  ProjectionParameters out;
  if (std::holds_alternative<NoAttention>(block.kind)) return out;
  const auto width = static_cast<double>(hidden);
  // The input norm's weights are this layer's too.
  out.add(Projection::other, width + residual_parameters(block.residual_streams, hidden));
  std::visit([&](const auto& kind) { count(kind, width, out); }, block.kind);
  return out;
}

}  // namespace

double attention_parameters(const AttentionBlock& block, std::int64_t hidden) {
  return counted(block, hidden).total();
}

Bytes attention_weight_bytes(const AttentionBlock& block, const Precisions& precisions,
                             std::int64_t hidden) {
  const ProjectionParameters parameters = counted(block, hidden);
  const WeightFormat quantized = block.weights.value_or(precisions.weight_format());
  Bytes total;
  for (std::size_t i = 0; i < kProjections; ++i) {
    // What is no matrix carries no scales.
    const bool matrix = i != static_cast<std::size_t>(Projection::other);
    const WeightFormat format =
        block.unquantized.test(i)
            ? WeightFormat{block.unquantized_precision}
            : WeightFormat{quantized.precision, matrix ? quantized.scale_bytes : 0.0};
    total += parameters.of[i] * format.bytes();
  }
  return total;
}

std::int64_t split_heads(const AttentionBlock& block) {
  return std::visit([](const auto& kind) { return split_heads(kind); }, block.kind);
}

void read_index(JsonObject& object, SparseIndex& index) {
  object.required("top_k", index.top_k, between(1, 1e9));
  object.required("index_heads", index.heads, between(1, kMaxHeads));
  object.required("index_head_dim", index.head_dim, between(1, kMaxDim));
  object.optional("pool", index.pool, between(1, 1e6));
  object.optional("key_scale_bytes", index.key_scale_bytes, between(0, 64));
  object.optional("reused", index.reused);
}

void read_record(JsonObject& object, CacheRecord& record) {
  if (const auto rope = object.optional("rope_cache_precision")) {
    rope->read(record.rope.emplace(), precision_names());
  }
  object.optional("cache_scale_bytes", record.scale_bytes, between(0, 4096));
}

Bytes record_bytes(const CacheRecord& record, Precision cache, std::int64_t values,
                   std::int64_t rope) {
  const auto all = static_cast<double>(values);
  if (bytes_per_value(cache) >= bytes_per_value(Precision::bf16)) {
    return all * bytes_per_value(cache);
  }
  const auto rotary = static_cast<double>(rope);
  return (all - rotary) * bytes_per_value(cache) +
         rotary * bytes_per_value(record.rope.value_or(cache)) +
         Bytes{static_cast<double>(record.scale_bytes)};
}

Bytes index_key_bytes(const SparseIndex& index) {
  if (index.reused) return {};
  return (static_cast<double>(index.head_dim) * bytes_per_value(Precision::fp8) +
          Bytes{static_cast<double>(index.key_scale_bytes)}) /
         static_cast<double>(index.pool);
}

void count_index(const SparseIndex& index, double hidden, double query_input,
                 ProjectionParameters& out) {
  const auto heads = static_cast<double>(index.heads);
  const auto head_dim = static_cast<double>(index.head_dim);
  // Queries, keys with their layer norm (weight and bias), and the weights of heads.
  out.add(Projection::index, query_input * heads * head_dim + hidden * (head_dim + heads));
  out.add(Projection::other, 2.0 * head_dim);
  if (index.pool > 1) {
    // A gate for each channel of a pooled key, and a bias for each place in the pool.
    out.add(Projection::index, hidden * head_dim);
    out.add(Projection::other, static_cast<double>(index.pool) * head_dim);
  }
}

Bytes cache_bytes(const AttentionBlock& block, double context) {
  return std::visit(
      [&](const auto& kind) { return cache(kind, block.cache, block.window.attended(context)); },
      block.kind);
}

bool splits_by_tokens(const AttentionBlock& block) {
  if (const auto* heads = std::get_if<GroupedQueryAttention>(&block.kind)) {
    return !heads->block_sparse;
  }
  // A choice among all tokens has to see them all.
  if (const auto* latent = std::get_if<MultiHeadLatentAttention>(&block.kind)) {
    return !latent->sparse;
  }
  return std::holds_alternative<MultiMatrixFactorizationAttention>(block.kind) ||
         std::holds_alternative<NoAttention>(block.kind);
}

std::int64_t cache_ranks(const AttentionBlock& block, std::int64_t tensor_parallel) {
  return std::visit([&](const auto& kind) { return cache_ranks(kind, tensor_parallel); },
                    block.kind);
}

std::int64_t effective_rank(const AttentionBlock& block) {
  return std::visit([](const auto& kind) { return rank(kind); }, block.kind);
}

std::string_view kind_name(const AttentionBlock& block) {
  if (!block.declared_kind.empty()) return block.declared_kind;
  for (const KindEntry& entry : kKinds) {
    if (entry.empty.index() == block.kind.index()) return entry.name;
  }
  throw InvariantError("an attention kind has no name");
}

void read_attention(const JsonNode& node, const AttentionBlock& defaults, AttentionBlock& out) {
  JsonObject object(node);
  out.cache = defaults.cache;
  out.compute = defaults.compute;
  const auto kind = object.required("kind");
  if (!kind) return;
  std::vector<std::string> names;
  for (const KindEntry& entry : kKinds) names.emplace_back(entry.name);
  const auto index = kind->read_choice(names);
  if (!index) {
    // Without its kind the other keys mean nothing, so they are not called unknown.
    for (const auto& member : node.members()) object.ignore(member.first);
    return;
  }
  out.declared_kind = kKinds[*index].name;
  out.kind = kKinds[*index].empty;
  std::visit([&](auto& empty) { read(object, empty); }, out.kind);
  if (std::holds_alternative<NoAttention>(out.kind)) return;
  // A recurrent state sees everything and has a precision of its own; compressed attention has its
  // own window.
  const bool recurrent = std::holds_alternative<LinearStateAttention>(out.kind) ||
                         std::holds_alternative<Mamba2Attention>(out.kind);
  if (!recurrent && !std::holds_alternative<CompressedAttention>(out.kind)) {
    if (const auto window = object.optional("window")) {
      JsonObject fields(*window);
      fields.required("kind", out.window.kind, std::span<const Named<Window::Kind>>(kWindows));
      fields.required("tokens", out.window.tokens, between(1, 1e9));
    }
  }
  if (!recurrent) object.optional("cache_precision", out.cache, precision_names());
  object.optional("compute_precision", out.compute, precision_names());
  WeightFormat weights;
  if (read_weight_format(object, weights)) out.weights = weights;
  if (const auto kept = object.optional("unquantized")) {
    JsonObject fields(*kept);
    fields.required("precision", out.unquantized_precision, precision_names());
    if (const auto projections = fields.required("projections")) {
      for (const JsonNode& node_of_one : projections->elements()) {
        Projection projection = Projection::other;
        if (node_of_one.read(projection, projection_names())) {
          out.unquantized.set(static_cast<std::size_t>(projection));
        }
      }
    }
  }
}

Problem attention_problem(const AttentionBlock& block) {
  if (const auto* grouped = std::get_if<GroupedQueryAttention>(&block.kind)) {
    if (block.declared_kind == "mqa" && grouped->kv_heads != 1) {
      return {"/kv_heads",
              fmt::format("kind \"mqa\" has one KV head, got kv_heads {}", grouped->kv_heads)};
    }
    if (block.declared_kind == "mha" && grouped->kv_heads != grouped->query_heads) {
      return {"/kv_heads",
              fmt::format("kind \"mha\" has as many KV heads as query heads, got {} and {}",
                          grouped->kv_heads, grouped->query_heads)};
    }
  }
  return std::visit([](const auto& kind) { return problem(kind); }, block.kind);
}

}  // namespace ridge::models
