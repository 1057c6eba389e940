#include "ridge/models/attention.hpp"

#include "attention/kinds.hpp"

#include <array>

#include <fmt/format.h>

namespace ridge::models {
namespace {

// Which keys of a block mean something for a kind.
enum class Sees : std::uint8_t {
  nothing,  // there is no attention
  state,    // which sees everything, and has a precision of its own
  cache,    // through a window of its own
  window
};

struct KindEntry {
  std::string_view name;
  std::string_view doc;
  std::size_t index;  // of AttentionKind
  KeyCase (*keys)(const KindEntry& entry, std::vector<Key<AttentionBlock>> common);
  Sees sees;
};

template <typename Kind>
void* held_attention(void* block, std::size_t /*index*/) {
  return std::get_if<Kind>(&static_cast<AttentionBlock*>(block)->kind);
}

template <typename Kind>
constexpr KindEntry kind(std::string_view name, std::string_view doc, Sees sees = Sees::window) {
  const auto keys = [](const KindEntry& entry, std::vector<Key<AttentionBlock>> common) {
    return KeyCase{std::string(entry.name), std::string(entry.doc),
                   [word = entry.name](void* object) {
                     auto& block = *static_cast<AttentionBlock*>(object);
                     block.kind.emplace<Kind>();
                     block.declared_kind = word;
                   },
                   [word = entry.name](const void* object) {
                     return kind_name(*static_cast<const AttentionBlock*>(object)) == word;
                   },
                   keys::joined(keys_of(static_cast<const Kind*>(nullptr)), {held_attention<Kind>},
                                key_table<AttentionBlock>("", "", std::move(common)))};
  };
  return {name, doc, AttentionKind(Kind{}).index(), keys, sees};
}

// The kinds by their JSON name. MHA, GQA and MQA are one kind under the three names people know.
constexpr std::array kKinds = {
    kind<GroupedQueryAttention>("gqa", "Groups of query heads share a head of keys and values."),
    kind<GroupedQueryAttention>("mqa", "All query heads share one head of keys and values."),
    kind<GroupedQueryAttention>("mha", "Each query head has keys and values of its own."),
    kind<MultiMatrixFactorizationAttention>(
        "mfa", "Low-rank queries over one wide head of keys and values (arXiv 2412.19255)."),
    kind<MultiHeadLatentAttention>("mla", "Heads over one cached latent (arXiv 2405.04434)."),
    kind<LinearStateAttention>("linear_state", "Linear attention with a recurrent state.",
                               Sees::state),
    kind<CompressedAttention>("compressed",
                              "The last tokens and earlier ones compressed, as DeepSeek-V4 has it.",
                              Sees::cache),
    kind<Mamba2Attention>("mamba2", "A state-space layer (arXiv 2405.21060).", Sees::state),
    kind<NoAttention>("none", "A layer without attention.", Sees::nothing),
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

constexpr std::array<Named<Window::Kind>, 2> kWindowKinds = {
    {{"sliding", Window::Kind::sliding}, {"chunked", Window::Kind::chunked}}};

}  // namespace

std::span<const Named<Projection>> projection_names() {
  return kProjectionNames;
}

WeightFormat AttentionContext::format(Projection which) const {
  if (const auto kept = block.kept(which)) return {*kept};
  return block.weights.value_or(precisions.weight_format());
}

void AttentionContext::projection(std::string_view name, Projection which, std::int64_t n,
                                  std::int64_t k, std::int64_t batch) const {
  const WeightFormat weights = format(which);
  const Precision compute = block.kept(which).value_or(precisions.compute);
  out.add(name, Part::attention_linear,
          Gemm{.m = shape.tokens(),
               .n = n,
               .k = k,
               .batch = batch,
               .weights = weights.precision,
               .compute = compute,
               .input = compute,
               .output = precisions.activations,
               .weight_scales = weights.scales.bytes_per_weight()});
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
  // Of what is attended only in part, sequences attend about as many tokens each.
  if (context == tokens_in_window()) {
    op.longest = block.attended(shape.longest) / static_cast<double>(shard.context_parallel);
  }
  op.query_heads *= shard.context_parallel;
  op.queries_per_sequence = shape.queries_per_sequence;
  op.cache = block.cache;
  op.compute = block.compute;
  op.activations = precisions.activations;
  out.add(name, Part::attention, op);
}

void AttentionContext::choose(const SparseIndex& index, double keys) const {
  // Queries of all heads and the token's key on their way (inference/model.py of DeepSeek-V3.2-Exp,
  // Indexer.forward; engines make one launch of much of it): the key's norm, rotary embedding and
  // Hadamard transform; and quantization, which also stores the key.
  const std::int64_t values = (index.heads + 1) * index.head_dim;
  elementwise("index_rope", values);
  out.add("index_quantize", Part::elementwise,
          Elementwise{.values_read = shape.tokens() * static_cast<double>(values),
                      .values_written = shape.tokens() * static_cast<double>(values),
                      .input = precisions.activations,
                      .output = Precision::fp8});
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
  out.last().purpose = Purpose::output_projection;
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

void AttentionContext::norm_over_heads(std::int64_t values_per_token) const {
  constexpr double kSums = 2.0;
  const double tokens = shape.tokens();
  out.add("qk_squares", Part::elementwise,
          Elementwise{.values_read = tokens * static_cast<double>(values_per_token),
                      .values_written = tokens * kSums,
                      .input = precisions.activations,
                      .output = Precision::fp32},
          Purpose::norm_over_heads);
  out.add("qk_sum", Part::communication,
          Collective{.kind = Collective::Kind::all_reduce,
                     .ranks = shard.tensor_parallel,
                     .payload = tokens * kSums * bytes_per_value(Precision::fp32)});
  elementwise("qk_norm", values_per_token);
  out.last().purpose = Purpose::norm_over_heads;
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
  out.last().purpose = Purpose::residual_norm;
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
    const auto kept = block.kept(static_cast<Projection>(i));
    const WeightFormat format =
        kept ? WeightFormat{*kept}
             : WeightFormat{quantized.precision, matrix ? quantized.scales : WeightScales{}};
    total += parameters.of[i] * format.bytes();
  }
  return total;
}

std::int64_t split_heads(const AttentionBlock& block) {
  return std::visit([](const auto& kind) { return split_heads(kind); }, block.kind);
}

const KeyTable& keys_of(const SparseIndex* /*of*/) {
  using I = SparseIndex;
  static const KeyTable table = key_table<I>(
      "index", "An indexer scores every token, attention reads the best.",
      {
          key<&I::top_k>("top_k", "Tokens that attention reads.", between(1, kMaxTokens)),
          key<&I::heads>("index_heads", "", heads()),
          key<&I::head_dim>("index_head_dim", "", dims()),
          key<&I::pool>("pool", "Tokens that share one index key.", between(1, 1e6)).optional(),
          key<&I::key_scale_bytes>("key_scale_bytes", "Beside an FP8 index key.", between(0, 64))
              .optional(),
          key<&I::reused>("reused", "The choice of an earlier layer: no indexer of its own.")
              .optional(),
      });
  return table;
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
      [&](const auto& kind) { return cache(kind, block.cache, block.attended(context)); },
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
    if (entry.index == block.kind.index()) return entry.name;
  }
  throw InvariantError("an attention kind has no name");
}

static const KeyTable& keys_of(const Window* /*of*/) {
  static const KeyTable table = key_table<Window>(
      "window", "The tokens a query sees, where not all of them.",
      {
          key<&Window::kind>("kind", "Whether it moves with the query, or by whole chunks.",
                             std::span<const Named<Window::Kind>>(kWindowKinds)),
          key<&Window::tokens>("tokens", "", between(1, kMaxTokens)),
      });
  return table;
}

static const KeyTable& keys_of(const Unquantized* /*of*/) {
  static const KeyTable table = key_table<Unquantized>(
      "unquantized",
      "Projections that are held in another precision than the others, as checkpoints leave some "
      "alone.",
      {
          key<&Unquantized::projections>("projections", "", projection_names()),
          key<&Unquantized::precision>("precision", "", precision_names()),
      });
  return table;
}

namespace {

std::vector<Key<AttentionBlock>> common_keys(Sees sees) {
  using B = AttentionBlock;
  std::vector<Key<B>> out;
  if (sees == Sees::nothing) return out;
  if (sees == Sees::window) {
    out.push_back(key<&B::window>("window", "The tokens a query sees; all where absent."));
  }
  if (sees != Sees::state) {
    out.push_back(
        key<&B::own_cache>("cache_precision", "The model's where absent.", precision_names()));
  }
  out.push_back(key<&B::own_compute>("compute_precision",
                                     "Of the attention itself; the model's where absent.",
                                     precision_names()));
  out.push_back(key_in<&B::weights, &OwnFormat::precision>(
      "weights_precision", "The model's where absent.", precision_names()));
  out.push_back(key_in<&B::weights, &OwnFormat::scales>("weights_scales",
                                                        "Beside weights of their own precision.")
                    .optional());
  out.push_back(
      key<&B::unquantized>("unquantized", "What stays as it was where the rest is quantized."));
  return out;
}

}  // namespace

const KeyTable& keys_of(const AttentionBlock* /*of*/) {
  static const KeyTable table = [] {
    std::vector<KeyCase> all;
    for (const KindEntry& entry : kKinds) {
      all.push_back(entry.keys(entry, common_keys(entry.sees)));
    }
    return key_table<AttentionBlock>("attention", "An attention layer.", {},
                                     cases("kind", "", std::move(all)))
        .relation([](const JsonNode& node, const void*) { check_weights_scales(node); },
                  R"({"dependencies": {"weights_scales": ["weights_precision"]}})");
  }();
  return table;
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
