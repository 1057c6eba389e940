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
};

constexpr std::array<Named<Window::Kind>, 2> kWindows = {
    {{"sliding", Window::Kind::sliding}, {"chunked", Window::Kind::chunked}}};

}  // namespace

void AttentionContext::projection(std::string_view name, std::int64_t n, std::int64_t k,
                                  std::int64_t batch) const {
  out.add(name, Part::attention_linear,
          Gemm{.m = shape.tokens(),
               .n = n,
               .k = k,
               .batch = batch,
               .weights = precisions.weights,
               .compute = precisions.compute,
               .input = precisions.compute,
               .output = precisions.activations});
}

void AttentionContext::grouped_attention(std::int64_t query_heads, std::int64_t kv_heads,
                                         std::int64_t head_dim) const {
  out.add("attention", Part::attention,
          DecodeAttention{.sequences = shape.sequences,
                          .context = block.window.attended(shape.context),
                          .queries_per_sequence = shape.queries_per_sequence,
                          .query_heads = query_heads,
                          .kv_heads = kv_heads,
                          .qk_dim = head_dim,
                          .v_dim = head_dim,
                          .cache_values_per_token = 2 * kv_heads * head_dim,
                          .cache = block.cache,
                          .compute = block.compute,
                          .activations = precisions.activations});
}

void AttentionContext::output_projection(std::int64_t width) const {
  const std::int64_t ranks = shard.output_parallel;
  // Each of the gathering ranks multiplies everyone's tokens by its slice of the rows.
  out.add("output", Part::attention_linear,
          Gemm{.m = shape.tokens() * static_cast<double>(ranks),
               .n = hidden,
               .k = width / ranks,
               .weights = precisions.weights,
               .compute = precisions.compute,
               .input = precisions.compute,
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
  context.elementwise("attention_norm", hidden);
  std::visit([&](const auto& kind) { emit(kind, context); }, block.kind);
}

double attention_parameters(const AttentionBlock& block, std::int64_t hidden) {
  const auto width = static_cast<double>(hidden);
  // The input norm's weights are this layer's too.
  return width + std::visit([&](const auto& kind) { return parameters(kind, width); }, block.kind);
}

Bytes cache_bytes(const AttentionBlock& block, double context) {
  return std::visit(
      [&](const auto& kind) { return cache(kind, block.cache, block.window.attended(context)); },
      block.kind);
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
  // A recurrent state sees everything and has a precision of its own.
  if (!std::holds_alternative<LinearStateAttention>(out.kind)) {
    if (const auto window = object.optional("window")) {
      JsonObject fields(*window);
      fields.required("kind", out.window.kind, std::span<const Named<Window::Kind>>(kWindows));
      fields.required("tokens", out.window.tokens, between(1, 1e9));
    }
    object.optional("cache_precision", out.cache, precision_names());
  }
  object.optional("compute_precision", out.compute, precision_names());
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
