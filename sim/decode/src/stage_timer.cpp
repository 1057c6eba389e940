#include "ridge/decode/stage_timer.hpp"

#include <algorithm>
#include <numeric>

namespace ridge::decode {
namespace {

std::size_t rank_count(const Deployment& d, const Slot& slot) {
  const Pool& pool = d.pools[slot.pool];
  switch (slot.stage) {
    case Stage::attention:
      return static_cast<std::size_t>(d.groups_per_instance());
    case Stage::ffn:
    case Stage::head:
      return static_cast<std::size_t>(pool.gpus_per_instance);
    case Stage::network:
    case Stage::scale_up:
      break;
  }
  return 1;
}

models::Collective::Kind kind_of(Slot::Pattern pattern) {
  using Kind = models::Collective::Kind;
  switch (pattern) {
    case Slot::Pattern::all_gather:
      return Kind::all_gather;
    case Slot::Pattern::reduce_scatter:
      return Kind::reduce_scatter;
    case Slot::Pattern::all_reduce:
      return Kind::all_reduce;
    case Slot::Pattern::all_to_all:
      return Kind::all_to_all;
    case Slot::Pattern::point_to_point:
      break;
  }
  throw InvariantError("a message between two instances is no collective");
}

}  // namespace

StageTimer::StageTimer(const Deployment& deployment, const StepGraph& graph,
                       const ExpertPopularity& popularity, std::vector<SlowGpu> slow_gpus,
                       std::uint64_t seed)
    : deployment_(deployment),
      graph_(graph),
      slow_gpus_(std::move(slow_gpus)),
      uniform_(popularity.kind == ExpertPopularity::Kind::uniform &&
               deployment.redundant_experts == 0) {
  first_rank_.push_back(0);
  std::uint32_t last_layer = 0;
  for (const Slot& slot : graph.slots()) {
    first_rank_.push_back(first_rank_.back() + rank_count(deployment, slot));
    last_layer = std::max(last_layer, slot.layer);
  }
  if (uniform_) return;
  // One table per layer that has slots of its own; layers of a dense FFN leave theirs unused.
  const auto moe = std::find_if(
      deployment.model.ffns.begin(), deployment.model.ffns.end(),
      [](const auto& block) { return std::holds_alternative<models::MoeFfn>(block.kind); });
  if (moe == deployment.model.ffns.end()) {
    uniform_ = true;
    return;
  }
  for (std::uint32_t layer = 0; layer <= last_layer; ++layer) {
    loads_.push_back(rank_loads(std::get<models::MoeFfn>(moe->kind), popularity,
                                deployment.ffn_expert_parallel, deployment.redundant_experts, seed,
                                layer));
  }
}

Seconds StageTimer::total(const hw::KernelModel& kernels) const {
  Seconds sum;
  for (const auto& op : scratch_) sum += kernels.time(op).time;
  return sum;
}

void StageTimer::time_attention(const Slot& slot, std::span<const GroupBatch> groups,
                                std::span<double> ranks) {
  const Deployment& d = deployment_;
  const models::ModelSpec& model = d.model;
  const hw::KernelModel& kernels = *d.pools[slot.pool].kernels;
  const std::size_t first = slot.instance * ranks.size();
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    const GroupBatch& group = groups[first + r];
    if (r > 0 && group == groups[first + r - 1]) {
      ranks[r] = ranks[r - 1];
      continue;
    }
    if (group.requests == 0) {
      ranks[r] = 0.0;
      continue;
    }
    const auto requests = static_cast<double>(group.requests);
    const models::DecodeShape shape{.sequences = requests,
                                    .context = static_cast<double>(group.cached_tokens) / requests,
                                    .queries_per_sequence = slot.queries};
    scratch_.clear();
    if (slot.partials > 1) {
      const double values = shape.tokens() * static_cast<double>(model.hidden);
      scratch_.add("add_partials", models::Part::elementwise,
                   models::Elementwise{.values_read = values * slot.partials,
                                       .values_written = values,
                                       .input = model.precisions.wire_combine,
                                       .output = model.precisions.activations});
    }
    models::attention_operators(
        model.attentions[slot.block], model.precisions, model.hidden, shape,
        {.tensor_parallel = d.attention_tensor_parallel, .output_parallel = d.output_parallel},
        models::MlaCount::absorbed, scratch_);
    models::routing_operators(model.ffns[slot.next_block], model.precisions, model.hidden,
                              shape.tokens(), scratch_);
    Seconds time = total(kernels);
    if (slot.ranks > 1) {
      // The GPUs that share a request's heads each hold a part of every sum.
      const Slot sum{.pool = slot.pool,
                     .bytes_per_token = static_cast<double>(model.hidden) *
                                        bytes_per_value(model.precisions.activations).value(),
                     .pattern = Slot::Pattern::all_reduce,
                     .ranks = slot.ranks};
      time += collective_time(sum, shape.tokens(), 0.0);
    }
    if (d.output_parallel > 1) {
      // The ranks that share the output projection gather each other's attention results and
      // scatter the sums, on the critical path of the stage.
      const double bytes = static_cast<double>(model.hidden) * shape.tokens() *
                           bytes_per_value(model.precisions.activations).value();
      for (const auto pattern : {Slot::Pattern::all_gather, Slot::Pattern::reduce_scatter}) {
        const Slot exchange{.pool = slot.pool,
                            .bytes_per_token = bytes,
                            .pattern = pattern,
                            .ranks = static_cast<std::uint32_t>(d.output_parallel)};
        time += collective_time(exchange, static_cast<double>(d.output_parallel), 0.0);
      }
    }
    ranks[r] = time.value();
  }
}

void StageTimer::time_ffn(const Slot& slot, double tokens, std::span<double> ranks) {
  const Deployment& d = deployment_;
  const auto tp = static_cast<std::size_t>(d.ffn_tensor_parallel);
  const auto& block = d.model.ffns[slot.block];
  const bool moe = std::holds_alternative<models::MoeFfn>(block.kind);
  const std::size_t first_expert_rank = slot.instance * (ranks.size() / tp);
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    if (tokens <= 0.0) {
      ranks[r] = 0.0;
      continue;
    }
    // Slices of one expert rank do the same work, and so do all ranks where experts are alike.
    if (r > 0 && (r % tp != 0 || uniform_ || !moe)) {
      ranks[r] = ranks[r - 1];
      continue;
    }
    models::FfnShard shard{.tensor_parallel = d.ffn_tensor_parallel,
                           .expert_parallel = d.ffn_expert_parallel,
                           .own_tokens = 1.0 / static_cast<double>(d.ffn_expert_parallel)};
    if (moe && !uniform_) {
      const RankLoad& load =
          loads_[std::min<std::size_t>(slot.layer, loads_.size() - 1)][first_expert_rank + r / tp];
      shard.load = load.load;
      shard.experts = {.held = load.experts_held, .active = load.active_experts(tokens)};
    }
    scratch_.clear();
    models::ffn_operators(block, d.model.precisions, d.model.hidden, tokens, shard, scratch_);
    ranks[r] = total(*d.pools[slot.pool].kernels).value();
  }
}

void StageTimer::time_head(const Slot& slot, std::span<const GroupBatch> groups,
                           std::span<double> ranks) {
  const auto per_instance = static_cast<std::size_t>(deployment_.groups_per_instance());
  double tokens = 0.0;
  for (std::size_t g = 0; g < per_instance; ++g) {
    tokens += static_cast<double>(groups[slot.instance * per_instance + g].requests) * slot.queries;
  }
  // The vocabulary is split over a node's GPUs, which all see the node's tokens.
  const std::int64_t node = std::min<std::int64_t>(deployment_.pools[slot.pool].gpus_per_node,
                                                   static_cast<std::int64_t>(ranks.size()));
  const double node_tokens = tokens * static_cast<double>(node) / static_cast<double>(ranks.size());
  scratch_.clear();
  models::head_operators(deployment_.model, node_tokens, node, scratch_);
  const hw::KernelModel& kernels = *deployment_.pools[slot.pool].kernels;
  Seconds time = total(kernels) + deployment_.step_overhead;
  if (const std::int64_t drafts = deployment_.drafting.tokens; drafts > 0) {
    // Each drafting module proposes one token of each sequence, through the same head.
    scratch_.clear();
    models::head_operators(deployment_.model, node_tokens / slot.queries, node, scratch_);
    time += static_cast<double>(drafts) * total(kernels);
  }
  std::fill(ranks.begin(), ranks.end(), tokens > 0.0 ? time.value() : 0.0);
}

Seconds StageTimer::collective_time(const Slot& slot, double tokens, double busiest) const {
  const Pool& pool = deployment_.pools[slot.pool];
  const Transport& inside = deployment_.scale_up;
  const auto ranks = static_cast<double>(slot.ranks);
  if (deployment_.collectives == CollectiveTiming::kernel_model) {
    const bool everyone = slot.pattern == Slot::Pattern::all_to_all;
    // GPUs that share requests send a part each.
    const double own = busiest / static_cast<double>(deployment_.attention_tensor_parallel);
    const models::Collective shape{
        .kind = kind_of(slot.pattern),
        .ranks = slot.ranks,
        .payload = Bytes{slot.bytes_per_token * (everyone ? own : tokens)},
        .copies = slot.copies * own,
        .experts = slot.experts,
        .returning = slot.returning};
    return pool.kernels->time({"collective", models::Part::communication, shape}).time;
  }
  if (slot.pattern == Slot::Pattern::all_to_all) {
    // Each GPU sends its own tokens; those for its node's GPUs take the scale-up links, at once
    // with the others. All wait for the GPU that sends most; GPUs that share requests send a part
    // each.
    const double bytes =
        slot.bytes_per_token * busiest / static_cast<double>(deployment_.attention_tensor_parallel);
    const double node = std::min(static_cast<double>(pool.gpus_per_node), ranks);
    const Bytes outside{bytes * (ranks - node) / ranks};
    const Bytes within{bytes * (node - 1.0) / ranks};
    const Transport& across = deployment_.network;
    const Seconds over_nics = outside / (pool.nic_bandwidth * across.efficiency);
    const Seconds over_links = within / (pool.scale_up_bandwidth * inside.efficiency);
    return std::max(over_nics, over_links) +
           (outside.value() > 0.0 ? across.overhead : inside.overhead);
  }
  const double passes = slot.pattern == Slot::Pattern::all_reduce ? 2.0 : 1.0;
  const Bytes sent{passes * slot.bytes_per_token * tokens * (ranks - 1.0) / ranks};
  return inside.overhead + sent / (pool.scale_up_bandwidth * inside.efficiency);
}

Seconds StageTimer::message_time(const Slot& slot, double payload_bytes) const {
  const Pool& from = deployment_.pools[slot.pool];
  const Pool& to = deployment_.pools[slot.to_pool];
  const BytesPerSecond bandwidth =
      std::min(static_cast<double>(from.gpus_per_instance) * from.nic_bandwidth,
               static_cast<double>(to.gpus_per_instance) * to.nic_bandwidth);
  return deployment_.network.overhead +
         Bytes{payload_bytes} / (bandwidth * deployment_.network.efficiency);
}

void StageTimer::time(std::span<const GroupBatch> groups, StepTimes& times) {
  const auto slots = graph_.slots();
  times.rank_seconds.resize(first_rank_.back());
  times.slowest.resize(slots.size());
  times.rank_sum.resize(slots.size());
  times.payload_bytes.resize(slots.size());

  double all = 0.0;
  double busiest = 0.0;
  for (const GroupBatch& group : groups) {
    all += static_cast<double>(group.requests);
    busiest = std::max(busiest, static_cast<double>(group.requests));
  }
  const auto per_instance = static_cast<std::size_t>(deployment_.groups_per_instance());
  const auto requests_of = [&](const Slot& slot) {
    if (slot.tokens_of == kAllInstances) return all;
    double requests = 0.0;
    for (std::size_t g = 0; g < per_instance; ++g) {
      requests += static_cast<double>(groups[slot.tokens_of * per_instance + g].requests);
    }
    return requests;
  };

  for (SlotId s = 0; s < slots.size(); ++s) {
    const Slot& slot = slots[s];
    const std::span<double> ranks(times.rank_seconds.data() + first_rank_[s],
                                  first_rank_[s + 1] - first_rank_[s]);
    switch (slot.stage) {
      case Stage::attention:
        time_attention(slot, groups, ranks);
        break;
      case Stage::ffn:
        time_ffn(slot, all * slot.queries, ranks);
        break;
      case Stage::head:
        time_head(slot, groups, ranks);
        break;
      case Stage::scale_up:
        ranks[0] = requests_of(slot) > 0.0
                       ? collective_time(slot, requests_of(slot), busiest).value()
                       : 0.0;
        break;
      case Stage::network:
        if (slot.pattern == Slot::Pattern::all_to_all) {
          ranks[0] = all > 0.0 ? collective_time(slot, all, busiest).value() : 0.0;
        } else {
          times.payload_bytes[s] = slot.bytes_per_token * requests_of(slot);
          ranks[0] = times.payload_bytes[s] > 0.0
                         ? message_time(slot, times.payload_bytes[s]).value()
                         : 0.0;
        }
        break;
    }
    const bool kernels = slot.stage == Stage::attention || slot.stage == Stage::ffn;
    for (const SlowGpu& slow : slow_gpus_) {
      if (!kernels || slow.pool != slot.pool || slow.instance != slot.instance) continue;
      const std::size_t gpus =
          static_cast<std::size_t>(deployment_.pools[slot.pool].gpus_per_instance);
      ranks[slow.gpu * ranks.size() / gpus] *= slow.factor;
    }
    times.rank_sum[s] = std::accumulate(ranks.begin(), ranks.end(), 0.0);
    times.slowest[s] = des::SimTime::from(Seconds{*std::max_element(ranks.begin(), ranks.end())});
  }
}

}  // namespace ridge::decode
