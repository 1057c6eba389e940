#include "kinds.hpp"

#include <fmt/format.h>

namespace ridge::models {

void emit(const LinearStateAttention& kind, const AttentionContext& c) {
  const std::int64_t tp = c.shard.tensor_parallel;
  const std::int64_t key_values = kind.key_heads * kind.key_dim / tp;
  const std::int64_t value_heads = kind.value_heads / tp;
  const std::int64_t values = value_heads * kind.value_dim;
  const std::int64_t gate = kind.output_gate ? values : 0;
  c.projection("qkv_gate", 2 * key_values + values + gate + kind.gates_per_value_head * value_heads,
               c.hidden);
  if (kind.convolution > 0) c.elementwise("convolution", 2 * key_values + values);
  c.out.add("state_update", Part::attention,
            StateUpdate{.sequences = c.shape.sequences,
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

double parameters(const LinearStateAttention& kind, double hidden) {
  const auto keys = static_cast<double>(kind.key_heads * kind.key_dim);
  const auto values = static_cast<double>(kind.value_heads * kind.value_dim);
  const auto gates = static_cast<double>(kind.gates_per_value_head * kind.value_heads);
  const double gate = kind.output_gate ? values : 0.0;
  return hidden * (2.0 * keys + values + gate + gates) + values * hidden +
         static_cast<double>(kind.convolution) * (2.0 * keys + values) + values;
}

Bytes cache(const LinearStateAttention& kind, Precision /*precision*/, double /*tokens*/) {
  return static_cast<double>(kind.value_heads * kind.key_dim * kind.value_dim) *
         bytes_per_value(kind.state);
}

std::int64_t cache_ranks(const LinearStateAttention& /*kind*/, std::int64_t tensor_parallel) {
  return tensor_parallel;
}

std::int64_t rank(const LinearStateAttention& /*kind*/) {
  return 0;
}

void read(JsonObject& object, LinearStateAttention& kind) {
  object.required("key_heads", kind.key_heads, between(1, kMaxHeads));
  object.required("value_heads", kind.value_heads, between(1, kMaxHeads));
  object.required("key_dim", kind.key_dim, between(1, kMaxDim));
  object.required("value_dim", kind.value_dim, between(1, kMaxDim));
  object.required("flop_per_state_value", kind.flop_per_state_value, between(0, 1000));
  object.required("state_precision", kind.state, precision_names());
  object.optional("gates_per_value_head", kind.gates_per_value_head, between(0, 64));
  object.optional("convolution", kind.convolution, between(0, 64));
  object.optional("output_gate", kind.output_gate);
}

Problem problem(const LinearStateAttention& kind) {
  if (kind.value_heads % kind.key_heads != 0) {
    return {"/key_heads", fmt::format("value_heads ({}) is not a multiple of key_heads ({})",
                                      kind.value_heads, kind.key_heads)};
  }
  return {};
}

}  // namespace ridge::models
