#include "ridge/models/operator.hpp"

namespace ridge::models {

std::string_view name_of(Part part) {
  constexpr std::array<std::string_view, kParts> kNames = {
      "attention", "attention linear", "FFN", "router", "elementwise", "LM head", "communication"};
  return kNames[static_cast<std::size_t>(part)];
}

std::string_view name_of(Kernel kernel) {
  constexpr std::array<std::string_view, kKernels> kNames = {"grouped_attention",
                                                             "latent_attention",
                                                             "sparse_latent_attention",
                                                             "compressed_sparse_attention",
                                                             "compressed_attention",
                                                             "block_sparse_attention",
                                                             "index_scores",
                                                             "top_k",
                                                             "linear_state",
                                                             "gated_delta_state",
                                                             "kimi_delta_state",
                                                             "mamba2_state",
                                                             "gemm",
                                                             "grouped_gemm",
                                                             "elementwise",
                                                             "expert_permutation",
                                                             "expert_activation",
                                                             "expert_combination",
                                                             "all_reduce",
                                                             "all_gather",
                                                             "reduce_scatter",
                                                             "all_to_all",
                                                             "expert_dispatch",
                                                             "expert_combine",
                                                             "point_to_point"};
  return kNames[static_cast<std::size_t>(kernel)];
}

namespace {

// A kind is an enumerator without a default case, so that a new one does not compile unnamed.
Kernel kernel_of(const DecodeAttention& op) {
  switch (op.kind) {
    case DecodeAttention::Kind::grouped:
      return Kernel::grouped_attention;
    case DecodeAttention::Kind::latent:
      return Kernel::latent_attention;
    case DecodeAttention::Kind::sparse_latent:
      return Kernel::sparse_latent_attention;
    case DecodeAttention::Kind::compressed_sparse:
      return Kernel::compressed_sparse_attention;
    case DecodeAttention::Kind::compressed:
      return Kernel::compressed_attention;
    case DecodeAttention::Kind::block_sparse:
      return Kernel::block_sparse_attention;
    case DecodeAttention::Kind::index_scores:
      return Kernel::index_scores;
  }
  throw InvariantError("an attention kernel of no kind");
}

Kernel kernel_of(const StateUpdate& op) {
  switch (op.kind) {
    case StateUpdate::Kind::linear:
      return Kernel::linear_state;
    case StateUpdate::Kind::gated_delta:
      return Kernel::gated_delta_state;
    case StateUpdate::Kind::kimi_delta:
      return Kernel::kimi_delta_state;
    case StateUpdate::Kind::mamba2:
      return Kernel::mamba2_state;
  }
  throw InvariantError("a state update of no kind");
}

Kernel kernel_of(const TopK& /*op*/) {
  return Kernel::top_k;
}
Kernel kernel_of(const Gemm& /*op*/) {
  return Kernel::gemm;
}
Kernel kernel_of(const GroupedGemm& /*op*/) {
  return Kernel::grouped_gemm;
}

Kernel kernel_of(const Elementwise& op) {
  switch (op.kind) {
    case Elementwise::Kind::general:
      return Kernel::elementwise;
    case Elementwise::Kind::expert_permutation:
      return Kernel::expert_permutation;
    case Elementwise::Kind::expert_activation:
      return Kernel::expert_activation;
    case Elementwise::Kind::expert_combination:
      return Kernel::expert_combination;
  }
  throw InvariantError("an element-wise kernel of no kind");
}

Kernel kernel_of(const Collective& op) {
  switch (op.kind) {
    case Collective::Kind::all_reduce:
      return Kernel::all_reduce;
    case Collective::Kind::all_gather:
      return Kernel::all_gather;
    case Collective::Kind::reduce_scatter:
      return Kernel::reduce_scatter;
    case Collective::Kind::all_to_all:
      break;
  }
  // Copies of tokens on their way to experts or back, which engines have kernels of their own for.
  if (op.copies <= 0.0) return Kernel::all_to_all;
  return op.returning ? Kernel::expert_combine : Kernel::expert_dispatch;
}

Kernel kernel_of(const PointToPoint& /*op*/) {
  return Kernel::point_to_point;
}

}  // namespace

Kernel Operator::kernel() const {
  return std::visit([](const auto& each) { return kernel_of(each); }, shape);
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

Demand demand(const TopK& op) {
  constexpr double kIndexBytes = 4.0;
  Demand d;
  d.activations_read = op.rows * op.candidates * bytes_per_value(op.scores);
  d.activations_written = Bytes{op.rows * op.chosen * kIndexBytes};
  return d;
}

Demand demand(const Gemm& op) {
  const auto n = static_cast<double>(op.n);
  const auto k = static_cast<double>(op.k);
  const auto batch = static_cast<double>(op.batch);
  Demand d;
  d.flop = Flop{2.0 * batch * op.m * n * k};
  d.compute = op.compute;
  d.weights = batch * n * k * (bytes_per_value(op.weights) + Bytes{op.weight_scales});
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
  d.weights = op.active_experts * n * k * (bytes_per_value(op.weights) + Bytes{op.weight_scales});
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
