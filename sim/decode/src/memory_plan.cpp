#include "ridge/decode/memory_plan.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/format.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace ridge::decode {
namespace {

// Layers that keep weights and KV of this attention (FFN) block: the model's own, and those of the
// drafting modules in use.
double attention_layers(const Deployment& d, std::size_t block) {
  const bool drafts = d.model.mtp.layer.attention == block;
  return static_cast<double>(d.model.layers_with_attention(block) +
                             (drafts ? d.drafting.modules(d.model) : 0));
}
double ffn_layers(const Deployment& d, std::size_t block) {
  const bool drafts = d.model.mtp.layer.ffn == block;
  return static_cast<double>(d.model.layers_with_ffn(block) +
                             (drafts ? d.drafting.modules(d.model) : 0));
}

// Attention of all layers, and the embedding table and LM head split over a node.
Bytes attention_weights(const Deployment& d) {
  const models::ModelSpec& model = d.model;
  Bytes total = 2.0 * static_cast<double>(model.vocabulary) * static_cast<double>(model.hidden) *
                bytes_per_value(models::Precision::bf16) /
                static_cast<double>(std::min(d.pool(Role::attention).gpus_per_node,
                                             d.pool(Role::attention).gpus()));
  for (std::size_t i = 0; i < model.attentions.size(); ++i) {
    total += attention_layers(d, i) *
             models::attention_weight_bytes(model.attentions[i], model.precisions, model.hidden) /
             static_cast<double>(d.attention_tensor_parallel);
    // GPUs that share the output projection keep a slice of its rows each.
    const double output =
        attention_layers(d, i) * output_width(d, i) * static_cast<double>(model.hidden);
    total -= output * bytes_per_value(model.precisions.weights) *
             (1.0 - 1.0 / static_cast<double>(d.output_parallel));
  }
  return total;
}

Bytes ffn_weights(const Deployment& d) {
  const models::ModelSpec& model = d.model;
  Bytes total;
  for (std::size_t i = 0; i < model.ffns.size(); ++i) {
    const auto& block = model.ffns[i];
    Bytes held = models::ffn_weight_bytes(block, model.hidden);
    if (const auto* moe = std::get_if<models::MoeFfn>(&block.kind)) {
      const double copies = static_cast<double>(moe->experts + d.redundant_experts) /
                            static_cast<double>(moe->experts);
      const Bytes routed = models::routed_weight_bytes(block, model.hidden);
      held += routed * (copies / static_cast<double>(d.ffn_expert_parallel) - 1.0);
    }
    total += ffn_layers(d, i) * held / static_cast<double>(d.ffn_tensor_parallel);
  }
  return total;
}

}  // namespace

MemoryPlan plan_memory(const Deployment& d, const Admission& admission) {
  MemoryPlan plan;
  for (const Pool& pool : d.pools) {
    const auto& capacity = pool.kernels->chip().memory.value;
    if (!capacity) {
      throw UserError(
          fmt::format("{}: memory_GB is unknown, so whether the model fits cannot be told",
                      pool.kernels->chip().name));
    }
    PoolMemory memory{.pool = pool.name, .capacity = *capacity, .weights = {}, .kv_budget = {}};
    const bool keeps_kv = pool.roles.has(Role::attention);
    if (keeps_kv) memory.weights += attention_weights(d);
    if (pool.roles.has(Role::ffn)) memory.weights += ffn_weights(d);
    const Bytes left = admission.memory_utilization * memory.capacity - memory.weights;
    if (left.value() <= 0.0) {
      plan.problems.push_back(fmt::format(
          "pool \"{}\": {} of weights per GPU do not fit {:.0f} % of its {}: {} too much",
          pool.name, si(memory.weights.value(), "B"), 100.0 * admission.memory_utilization,
          si(memory.capacity.value(), "B"), si(-left.value(), "B")));
    } else if (keeps_kv) {
      memory.kv_budget = left;
    }
    plan.pools.push_back(std::move(memory));
  }
  return plan;
}

Bytes request_kv_bytes(const Deployment& d, const Admission& admission, std::int64_t tokens) {
  const std::int64_t pages = (tokens + admission.page_tokens - 1) / admission.page_tokens;
  Bytes total;
  for (std::size_t i = 0; i < d.model.attentions.size(); ++i) {
    const auto& block = d.model.attentions[i];
    const std::int64_t split = models::cache_ranks(block, d.attention_tensor_parallel);
    total += attention_layers(d, i) *
             models::cache_bytes(block, static_cast<double>(pages * admission.page_tokens)) /
             static_cast<double>(split);
  }
  return total;
}

}  // namespace ridge::decode
