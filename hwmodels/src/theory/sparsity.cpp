#include "ridge/hwmodels/theory/sparsity.hpp"

#include <algorithm>
#include <cmath>

namespace ridge::hw::theory {

Bytes FfnTraffic::per_token() const {
  return models::dispatch_bytes(hidden, dispatch, top_k, count) +
         static_cast<double>(hidden) * models::bytes_per_value(combine);
}

FfnTraffic ffn_traffic(const models::ModelSpec& model, models::MessageCount count) {
  FfnTraffic traffic{.model = model.name,
                     .hidden = model.hidden,
                     .layers = model.layers(),
                     .weights = model.precisions.weights,
                     .compute = model.precisions.compute,
                     .dispatch = model.precisions.wire_dispatch,
                     .combine = model.precisions.wire_combine,
                     .count = count};
  std::int64_t most_layers = 0;
  for (std::size_t i = 0; i < model.ffns.size(); ++i) {
    const auto* moe = std::get_if<models::MoeFfn>(&model.ffns[i].kind);
    if (moe == nullptr || model.layers_with_ffn(i) <= most_layers) continue;
    most_layers = model.layers_with_ffn(i);
    traffic.weights = model.ffns[i].weights;
    traffic.compute = model.ffns[i].compute;
    traffic.shared = static_cast<double>(moe->shared_intermediate) /
                     static_cast<double>(moe->expert_intermediate);
    traffic.experts = static_cast<double>(moe->experts) + traffic.shared;
    traffic.active = static_cast<double>(moe->top_k) + traffic.shared;
    traffic.top_k = moe->top_k;
  }
  return traffic;
}

double tokens_for_full_use(const FfnTraffic& traffic, const ChipSpec& chip) {
  const Flop per_weight{2.0};
  return (models::bytes_per_value(traffic.weights) / *chip.memory_bandwidth.value) /
         (per_weight / *chip.rate_for(traffic.compute));
}

std::string missing_for_sparsity(const FfnTraffic& traffic, const ChipSpec& chip,
                                 const SparsityAssumptions& assumptions) {
  if (!chip.memory_bandwidth.value) return "memory bandwidth unknown";
  if (!chip.rate_for(traffic.compute)) return "matrix rate unknown";
  if (!assumptions.nic_bandwidth && !chip.nic_bandwidth.value) return "NIC bandwidth unknown";
  if (!assumptions.nics_per_server && !chip.chips_per_server.value)
    return "NICs per server unknown";
  return {};
}

SparsityBound sparsity_bound(const FfnTraffic& traffic, const ChipSpec& chip,
                             const SparsityAssumptions& assumptions) {
  // One NIC per chip, as in every server of the report.
  const auto nics =
      assumptions.nics_per_server ? *assumptions.nics_per_server : *chip.chips_per_server.value;
  const auto nic =
      assumptions.nic_bandwidth ? *assumptions.nic_bandwidth : *chip.nic_bandwidth.value;
  SparsityBound bound;
  bound.network = static_cast<double>(nics) * nic;
  bound.dense_batch = tokens_for_full_use(traffic, chip);
  bound.moe_batch = bound.dense_batch / traffic.sparsity();
  bound.network_batch = assumptions.stage_budget * bound.network /
                        (static_cast<double>(traffic.layers) * traffic.per_token());
  bound.min_sparsity = bound.dense_batch / bound.network_batch;
  // Rounding noise must not ask for one expert more.
  bound.experts_needed =
      std::max(std::ceil(bound.min_sparsity * traffic.experts - traffic.shared - 1e-9), 0.0);
  return bound;
}

}  // namespace ridge::hw::theory
