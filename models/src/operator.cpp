#include "ridge/models/operator.hpp"

namespace ridge::models {

std::string_view name_of(Part part) {
  constexpr std::array<std::string_view, kParts> kNames = {
      "attention", "attention linear", "FFN", "router", "elementwise", "LM head", "communication"};
  return kNames[static_cast<std::size_t>(part)];
}

Demand demand(const DecodeAttention& op) {
  const double queries = op.sequences * static_cast<double>(op.queries_per_sequence);
  const auto heads = static_cast<double>(op.query_heads);
  const auto qk = static_cast<double>(op.qk_dim);
  const auto v = static_cast<double>(op.v_dim);
  const Bytes stored = static_cast<double>(op.cache_values_per_token) * bytes_per_value(op.cache);
  Demand d;
  d.flop = Flop{2.0 * queries * heads * (qk + v) * op.context};
  d.compute = op.compute;
  d.cache_read = op.sequences * op.context * stored;
  d.activations_read = queries * heads * qk * bytes_per_value(op.activations);
  d.activations_written = queries * heads * v * bytes_per_value(op.activations);
  return d;
}

Demand demand(const StateUpdate& op) {
  const double values = op.sequences * static_cast<double>(op.heads) *
                        static_cast<double>(op.key_dim) * static_cast<double>(op.value_dim);
  Demand d;
  d.flop = Flop{values * op.flop_per_state_value * static_cast<double>(op.queries_per_sequence)};
  d.compute = op.compute;
  d.cache_read = values * bytes_per_value(op.state);
  d.cache_written = d.cache_read;
  return d;
}

Demand demand(const Gemm& op) {
  const auto n = static_cast<double>(op.n);
  const auto k = static_cast<double>(op.k);
  const auto batch = static_cast<double>(op.batch);
  Demand d;
  d.flop = Flop{2.0 * batch * op.m * n * k};
  d.compute = op.compute;
  d.weights = batch * n * k * bytes_per_value(op.weights);
  d.activations_read = batch * op.m * k * bytes_per_value(op.input);
  d.activations_written = batch * op.m * n * bytes_per_value(op.output);
  return d;
}

Demand demand(const GroupedGemm& op) {
  const auto n = static_cast<double>(op.n);
  const auto k = static_cast<double>(op.k);
  Demand d;
  d.flop = Flop{2.0 * op.rows * n * k};
  d.compute = op.compute;
  d.weights = op.active_experts * n * k * bytes_per_value(op.weights);
  d.activations_read = op.rows * k * bytes_per_value(op.input);
  d.activations_written = op.rows * n * bytes_per_value(op.output);
  return d;
}

Demand demand(const Elementwise& op) {
  Demand d;
  d.activations_read = op.values_read * bytes_per_value(op.input);
  d.activations_written = op.values_written * bytes_per_value(op.output);
  return d;
}

Demand demand(const Collective& op) {
  Demand d;
  if (op.ranks <= 1) return d;
  const auto ranks = static_cast<double>(op.ranks);
  // Least bytes any algorithm can send per rank: each rank's share of the rest.
  const double share = (ranks - 1.0) / ranks;
  d.wire = (op.kind == Collective::Kind::all_reduce ? 2.0 : 1.0) * share * op.payload;
  return d;
}

Demand demand(const PointToPoint& op) {
  Demand d;
  d.wire = op.payload;
  return d;
}

Demand demand(const Operator& op) {
  return std::visit([](const auto& shape) { return demand(shape); }, op.shape);
}

}  // namespace ridge::models
