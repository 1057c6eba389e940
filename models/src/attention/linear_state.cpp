#include "kinds.hpp"

#include <array>

#include <fmt/format.h>

namespace ridge::models {
namespace {

constexpr std::array<Named<StateUpdate::Kind>, 3> kRecurrences = {
    {{"linear", StateUpdate::Kind::linear},
     {"gated_delta", StateUpdate::Kind::gated_delta},
     {"kimi_delta", StateUpdate::Kind::kimi_delta}}};

}  // namespace

void emit(const LinearStateAttention& kind, const AttentionContext& c) {
  const std::int64_t tp = c.shard.tensor_parallel;
  const std::int64_t key_values = kind.key_heads * kind.key_dim / tp;
  const std::int64_t value_heads = kind.value_heads / tp;
  const std::int64_t values = value_heads * kind.value_dim;
  const std::int64_t gate = kind.output_gate && kind.output_gate_rank == 0 ? values : 0;
  const std::int64_t ranks = kind.output_gate_rank + kind.decay_rank;
  c.projections(
      "qkv_gate",
      {{"q", Projection::query, key_values},
       {"kv", Projection::key_value, key_values + values},
       {"gates", Projection::gate, gate + kind.gates_per_value_head * value_heads + ranks}},
      c.hidden);
  if (kind.output_gate_rank > 0) {
    c.projection("gate_up", Projection::gate, values, kind.output_gate_rank);
  }
  if (kind.decay_rank > 0) c.projection("decay_up", Projection::gate, key_values, kind.decay_rank);
  if (kind.convolution > 0) c.convolution(kind.convolution, 2 * key_values + values);
  c.out.add("state_update", Part::attention,
            StateUpdate{.kind = kind.recurrence,
                        .sequences = c.shape.sequences,
                        .queries_per_sequence = c.shape.queries_per_sequence,
                        .heads = value_heads,
                        .key_dim = kind.key_dim,
                        .value_dim = kind.value_dim,
                        .flop_per_state_value = kind.flop_per_state_value,
                        .state = kind.state,
                        .compute = c.block.compute});
  c.elementwise("output_norm", values);
  c.output_projection(values);
}

void count(const LinearStateAttention& kind, double hidden, ProjectionParameters& out) {
  const auto keys = static_cast<double>(kind.key_heads * kind.key_dim);
  const auto values = static_cast<double>(kind.value_heads * kind.value_dim);
  const auto gates = static_cast<double>(kind.gates_per_value_head * kind.value_heads);
  const auto gate_rank = static_cast<double>(kind.output_gate_rank);
  const auto decay_rank = static_cast<double>(kind.decay_rank);
  out.add(Projection::query, hidden * keys);
  out.add(Projection::key_value, hidden * (keys + values));
  out.add(Projection::output, values * hidden);
  double gate = hidden * gates;
  if (kind.output_gate) {
    gate += kind.output_gate_rank > 0 ? gate_rank * (hidden + values) : hidden * values;
  }
  gate += decay_rank * (hidden + keys);
  out.add(Projection::gate, gate);
  out.add(Projection::other, static_cast<double>(kind.convolution) * (2.0 * keys + values) +
                                 values + (kind.decay_rank > 0 ? keys : 0.0));
}

Bytes cache(const LinearStateAttention& kind, Precision /*precision*/, double /*tokens*/) {
  const std::int64_t channels =
      2 * kind.key_heads * kind.key_dim + kind.value_heads * kind.value_dim;
  const std::int64_t kept = std::max<std::int64_t>(kind.convolution - 1, 0);
  return static_cast<double>(kind.value_heads * kind.key_dim * kind.value_dim) *
             bytes_per_value(kind.state) +
         static_cast<double>(kept * channels) * bytes_per_value(Precision::bf16);
}

std::int64_t cache_ranks(const LinearStateAttention& /*kind*/, std::int64_t tensor_parallel) {
  return tensor_parallel;
}

std::int64_t rank(const LinearStateAttention& /*kind*/) {
  return 0;
}

std::int64_t split_heads(const LinearStateAttention& kind) {
  return kind.key_heads;
}

const KeyTable& keys_of(const LinearStateAttention* /*of*/) {
  using A = LinearStateAttention;
  static const KeyTable table = key_table<A>(
      "", "",
      {
          key<&A::key_heads>("key_heads", "", heads()),
          key<&A::value_heads>("value_heads", "", heads()),
          key<&A::key_dim>("key_dim", "Of a head.", dims()),
          key<&A::value_dim>("value_dim", "Of a head.", dims()),
          key<&A::flop_per_state_value>("flop_per_state_value", "Of one step.", between(0, 1000)),
          key<&A::state>("state_precision", "As it is kept.", precision_names()),
          key<&A::recurrence>("recurrence", "Which kernel takes the step.",
                              std::span<const Named<StateUpdate::Kind>>(kRecurrences))
              .optional(),
          key<&A::gates_per_value_head>(
              "gates_per_value_head", "Decay or write gates from the hidden state.", between(0, 64))
              .optional(),
          key<&A::convolution>("convolution", "Width of the short causal convolution; 0 for none.",
                               between(0, 64))
              .optional(),
          key<&A::output_gate>("output_gate", "As wide as the heads' values.").optional(),
          key<&A::output_gate_rank>("output_gate_rank",
                                    "0: the gate comes straight from the hidden state.", dims(0))
              .optional(),
          key<&A::decay_rank>("decay_rank", "Of a decay for each key channel; 0 for none.", dims(0))
              .optional(),
      });
  return table;
}

Problem problem(const LinearStateAttention& kind) {
  if (kind.value_heads % kind.key_heads != 0) {
    return {"/key_heads", fmt::format("value_heads ({}) is not a multiple of key_heads ({})",
                                      kind.value_heads, kind.key_heads)};
  }
  return {};
}

}  // namespace ridge::models
