#include "ridge/decode/memory_plan.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/format.hpp"
#include "ridge/hwmodels/memory_reserve.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace ridge::decode {
namespace {

// Layers that keep weights and KV of this attention (FFN) block: the model's own, and those of the
// drafting modules in use.
double attention_layers(const Deployment& d, std::size_t block) {
  const bool drafts = d.model.mtp.layer.attention == block;
  return static_cast<double>(d.model.layers_with_attention(block) +
                             (drafts ? d.drafting.layers_held(d.model) : 0));
}
double ffn_layers(const Deployment& d, std::size_t block) {
  const bool drafts = d.model.mtp.layer.ffn == block;
  return static_cast<double>(d.model.layers_with_ffn(block) +
                             (drafts ? d.drafting.layers_held(d.model) : 0));
}

// Attention of all layers, and the embedding table and LM head split over a node, or over the GPUs
// that share requests where they fill several.
Bytes attention_weights(const Deployment& d) {
  const models::ModelSpec& model = d.model;
  Bytes total = 2.0 * static_cast<double>(model.vocabulary) * static_cast<double>(model.hidden) *
                bytes_per_value(models::Precision::bf16) /
                static_cast<double>(std::max(
                    std::min(d.pool(Role::attention).gpus_per_node, d.pool(Role::attention).gpus()),
                    d.attention_tensor_parallel));
  // Tables of inputs that layers have of their own lie on every GPU.
  total += model.layer_input_parameters() * bytes_per_value(models::Precision::bf16);
  // In front of each module that drafts, or of a draft model: from an embedding and hidden values.
  const std::int64_t inputs = d.drafting.own_layers ? std::min<std::int64_t>(d.drafting.tokens, 1)
                                                    : d.drafting.layers_held(model);
  total += 2.0 * static_cast<double>(inputs * model.hidden * model.hidden) *
           bytes_per_value(models::Precision::bf16);
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

// The tokens of all groups in a step, as many as a closed loop holds or as a limit allows; else as
// many as the memory that is left would hold requests of the usual length.
double tokens_per_step(const Deployment& d, const Admission& admission, const Workload& w,
                       Bytes left) {
  const auto groups = static_cast<double>(d.groups());
  const auto sharing = static_cast<double>(d.attention_tensor_parallel);
  double requests = 0.0;  // of a group, over all micro-batches
  if (w.kind == Workload::Kind::closed_loop) {
    requests = w.requests > 0
                   ? static_cast<double>(w.requests) / (groups * static_cast<double>(d.replicas))
               : w.requests_per_group > 0 ? static_cast<double>(w.requests_per_group)
                                          : w.requests_per_gpu * sharing;
  } else {
    double tokens = w.context.mean() + w.output.mean();
    if (w.kind == Workload::Kind::trace) {
      tokens = 0.0;
      for (const TraceRequest& request : w.trace) {
        tokens += static_cast<double>(request.context_tokens + request.output_tokens);
      }
      tokens /= static_cast<double>(w.trace.size());
    }
    const Bytes each =
        request_kv_bytes(d, admission, std::max<std::int64_t>(1, std::llround(tokens)));
    requests = std::max(0.0, left / each);
    if (admission.max_requests_per_gpu > 0) {
      requests = std::min(requests, static_cast<double>(admission.max_requests_per_gpu) * sharing);
    }
  }
  return groups * std::ceil(requests / static_cast<double>(d.micro_batches)) *
         static_cast<double>(d.queries_per_step());
}

// Of `tokens` in all, those that a GPU of a pool works on.
double tokens_of_gpu(const Deployment& d, const Pool& pool, double tokens) {
  return pool.roles.has(Role::attention)
             ? tokens * static_cast<double>(d.attention_tensor_parallel) /
                   static_cast<double>(d.pool(Role::attention).gpus())
             : tokens / static_cast<double>(d.ffn_expert_parallel);
}

// Of `tokens` in all, the widest rows of an FFN on each GPU of a pool.
double widest_rows(const Deployment& d, const Pool& pool, double tokens) {
  const models::ModelSpec& model = d.model;
  const double value = bytes_per_value(model.precisions.activations).value();
  const double own = std::max(tokens_of_gpu(d, pool, tokens),
                              tokens / static_cast<double>(d.ffn_expert_parallel));
  double widest = 0.0;
  if (pool.roles.has(Role::ffn)) {
    const auto slices = static_cast<double>(d.ffn_tensor_parallel);
    const auto ranks = static_cast<double>(d.ffn_expert_parallel);
    for (const auto& block : model.ffns) {
      // What comes in and goes out, and two products and their activation in between.
      const auto rows = [&](double count, std::int64_t width, std::int64_t intermediate) {
        return count * value *
               (2.0 * static_cast<double>(width) +
                3.0 * static_cast<double>(intermediate) / slices);
      };
      if (const auto* moe = std::get_if<models::MoeFfn>(&block.kind)) {
        widest = std::max(
            widest, rows(tokens * static_cast<double>(moe->top_k) / ranks,
                         models::routed_width(block, model.hidden), moe->expert_intermediate));
      } else if (const auto* dense = std::get_if<models::DenseFfn>(&block.kind)) {
        widest = std::max(widest, rows(own, model.hidden, dense->intermediate));
      }
    }
  }
  return widest;
}

// On each GPU of a pool at once: the hidden values of every micro-batch, and the widest of what one
// works on beside them, which is the rows of an FFN or the logits of the head.
Bytes activations(const Deployment& d, const Pool& pool, double tokens) {
  const models::ModelSpec& model = d.model;
  const double value = bytes_per_value(model.precisions.activations).value();
  const auto hidden = static_cast<double>(model.hidden);
  const double own = tokens_of_gpu(d, pool, tokens);
  double widest = widest_rows(d, pool, tokens);
  if (pool.roles.has(Role::attention)) {
    // A GPU has its part of the vocabulary for all tokens of its node: as computed, in FP32, and as
    // probabilities.
    constexpr double kLogitBytes = 2.0 + 4.0 + 4.0;
    const double sharing = static_cast<double>(d.attention_tensor_parallel);
    widest = std::max(widest, own / sharing * static_cast<double>(model.vocabulary) * kLogitBytes);
  }
  const double in_flight = static_cast<double>(d.micro_batches);
  return Bytes{2.0 * own * hidden * value * in_flight + widest};
}

// What PyTorch's sort of FP32 rows on a GPU holds for each number at its peak (SortStable.cu, and CUB's
// radix sort under it): the rows, them sorted with their places in 8 bytes, the places as they were,
// and room for as much as is moved in a pass. Fewer than 128 rows are sorted as one, twice, by pairs
// of row and place; an own copy of the sorted values is then kept too.
constexpr double kSortedRow = 4.0 + (4.0 + 8.0) + 8.0 + (4.0 + 8.0);
constexpr double kSortedAsOne = 4.0 + (4.0 + 8.0) + 2.0 * 8.0 + 4.0 + (4.0 + 8.0);
double sorting_bytes(std::int64_t rows) {
  return rows > 1 && rows < 128 ? kSortedAsOne : kSortedRow;
}

// The same of a step that an engine profiles (vLLM's profile_run): the logits of a sequence as
// computed stay while they are sorted in FP32.
Bytes profiled(const Deployment& d, const Pool& pool, const ProfiledStep& step) {
  const double tokens = static_cast<double>(step.tokens * d.groups());
  const double value = bytes_per_value(d.model.precisions.activations).value();
  double widest = widest_rows(d, pool, tokens);
  if (pool.roles.has(Role::attention)) {
    const double logit = 2.0 + sorting_bytes(step.sequences);
    widest = std::max(widest, static_cast<double>(step.sequences * d.model.vocabulary) * logit);
  }
  return Bytes{2.0 * tokens_of_gpu(d, pool, tokens) * static_cast<double>(d.model.hidden) * value +
               widest};
}

}  // namespace

MemoryPlan plan_memory(const Deployment& d, const Admission& admission, const Workload& workload) {
  MemoryPlan plan;
  for (const Pool& pool : d.pools) {
    const auto& capacity = pool.kernels->chip().memory.value;
    if (!capacity) {
      throw UserError(
          fmt::format("{}: memory_GB is unknown, so whether the model fits cannot be told",
                      pool.kernels->chip().name));
    }
    PoolMemory memory{
        .pool = pool.name, .capacity = *capacity, .weights = {}, .reserve = {}, .kv_budget = {}};
    const bool keeps_kv = pool.roles.has(Role::attention);
    if (keeps_kv) memory.weights += attention_weights(d);
    if (pool.roles.has(Role::ffn)) memory.weights += ffn_weights(d);
    const Bytes usable = admission.memory_utilization * memory.capacity;
    if (pool.memory_reserve) {
      memory.reserve = *pool.memory_reserve;
    } else {
      const bool alone = d.replicas * d.gpus_per_replica() == 1;
      memory.reserve = alone ? hw::kReserveAlone : hw::kReserveTogether;
      const Bytes step = activations(
          d, pool,
          tokens_per_step(d, admission, workload, usable - memory.weights - memory.reserve));
      memory.reserve +=
          admission.profile ? std::max(step, profiled(d, pool, *admission.profile)) : step;
    }
    const Bytes left = usable - memory.weights - memory.reserve;
    if (left.value() <= 0.0) {
      const std::string reserved =
          memory.reserve > Bytes{}
              ? fmt::format(" and {} beside them", si(memory.reserve.value(), "B"))
              : "";
      plan.problems.push_back(
          {pool.name,
           fmt::format(
               "pool \"{}\": {} of weights per GPU{} do not fit {:.0f} % of its {}: {} too much",
               pool.name, si(memory.weights.value(), "B"), reserved,
               100.0 * admission.memory_utilization, si(memory.capacity.value(), "B"),
               si(-left.value(), "B"))});
    } else if (keeps_kv) {
      memory.kv_budget = left;
    }
    plan.pools.push_back(std::move(memory));
  }
  return plan;
}

Bytes request_kv_bytes(const Deployment& d, const Admission& admission, std::int64_t tokens) {
  // Pages of one GPU, side by side on those that share a cache's tokens.
  const std::int64_t page = admission.page_tokens * d.context_parallel;
  const std::int64_t pages = (tokens + page - 1) / page;
  Bytes total;
  for (std::size_t i = 0; i < d.model.attentions.size(); ++i) {
    const auto& block = d.model.attentions[i];
    const std::int64_t split =
        models::cache_ranks(block, d.attention_tensor_parallel) * d.context_parallel;
    total += attention_layers(d, i) *
             models::cache_bytes(block, static_cast<double>(pages * page)) /
             static_cast<double>(split);
  }
  return total;
}

}  // namespace ridge::decode
