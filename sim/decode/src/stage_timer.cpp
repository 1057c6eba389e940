#include "ridge/decode/stage_timer.hpp"

#include <algorithm>
#include <numeric>

namespace ridge::decode {
namespace {

std::size_t rank_count(const Deployment& d, const Work& work) {
  switch (stage_of(work)) {
    case Stage::attention:
      return static_cast<std::size_t>(d.groups_per_instance());
    case Stage::ffn:
    case Stage::head:
      return static_cast<std::size_t>(d.pools[place_of(work).pool].gpus_per_instance);
    case Stage::network:
    case Stage::scale_up:
      break;
  }
  return 1;
}

models::Collective::Kind kind_of(Collective::Pattern pattern) {
  using Kind = models::Collective::Kind;
  switch (pattern) {
    case Collective::Pattern::all_gather:
      return Kind::all_gather;
    case Collective::Pattern::reduce_scatter:
      return Kind::reduce_scatter;
    case Collective::Pattern::all_reduce:
      break;
  }
  return Kind::all_reduce;
}

}  // namespace

double StageTimer::Batch::requests_of(std::uint32_t instance) const {
  if (instance == kAllInstances) return requests;
  double sum = 0.0;
  for (std::size_t g = 0; g < groups_each; ++g) {
    sum += static_cast<double>(groups[instance * groups_each + g].requests);
  }
  return sum;
}

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
  for (const Work& work : graph.works()) {
    first_rank_.push_back(first_rank_.back() + rank_count(deployment, work));
    if (const auto* ffn = std::get_if<FfnWork>(&work))
      last_layer = std::max(last_layer, ffn->layer);
  }
  if (uniform_) return;
  // One table per layer that has work of its own; layers of a dense FFN leave theirs unused.
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

void StageTimer::time_work(const AttentionWork& work, const Batch& batch, std::span<double> ranks) {
  const Deployment& d = deployment_;
  const models::ModelSpec& model = d.model;
  const Pool& pool = d.pools[work.at.pool];
  const std::size_t first = work.at.instance * ranks.size();
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    const GroupBatch& group = batch.groups[first + r];
    if (r > 0 && group == batch.groups[first + r - 1]) {
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
                                    .queries_per_sequence = work.queries};
    scratch_.clear();
    if (work.partials > 1) {
      const double values = shape.tokens() * static_cast<double>(model.hidden);
      scratch_.add("add_partials", models::Part::elementwise,
                   models::Elementwise{.values_read = values * work.partials,
                                       .values_written = values,
                                       .input = model.precisions.wire_combine,
                                       .output = model.precisions.activations});
    }
    models::attention_operators(
        model.attentions[work.block], model.precisions, model.hidden, shape,
        {.tensor_parallel = d.attention_tensor_parallel, .output_parallel = d.output_parallel},
        models::MlaCount::absorbed, scratch_);
    models::routing_operators(model.ffns[work.next_ffn], model.precisions, model.hidden,
                              shape.tokens(), scratch_);
    Seconds time = total(*pool.kernels);
    const double bytes = static_cast<double>(model.hidden) *
                         bytes_per_value(model.precisions.activations).value() * shape.tokens();
    if (work.ranks > 1) {
      // The GPUs that share a request's heads each hold a part of every sum.
      time += collective_time(pool, Collective::Pattern::all_reduce, work.ranks, bytes);
    }
    if (const auto sharing = static_cast<std::uint32_t>(d.output_parallel); sharing > 1) {
      // The ranks that share the output projection gather each other's attention results and
      // scatter the sums, on the critical path of the stage.
      for (const auto pattern :
           {Collective::Pattern::all_gather, Collective::Pattern::reduce_scatter}) {
        time += collective_time(pool, pattern, sharing, bytes * sharing);
      }
    }
    ranks[r] = time.value();
  }
}

void StageTimer::time_work(const FfnWork& work, const Batch& batch, std::span<double> ranks) {
  const Deployment& d = deployment_;
  const double tokens = batch.requests * work.queries;
  const auto tp = static_cast<std::size_t>(d.ffn_tensor_parallel);
  const auto& block = d.model.ffns[work.block];
  const bool moe = std::holds_alternative<models::MoeFfn>(block.kind);
  const std::size_t first_expert_rank = work.at.instance * (ranks.size() / tp);
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
          loads_[std::min<std::size_t>(work.layer, loads_.size() - 1)][first_expert_rank + r / tp];
      shard.load = load.load;
      shard.experts = {.held = load.experts_held, .active = load.active_experts(tokens)};
    }
    scratch_.clear();
    models::ffn_operators(block, d.model.precisions, d.model.hidden, tokens, shard, scratch_);
    ranks[r] = total(*d.pools[work.at.pool].kernels).value();
  }
}

void StageTimer::time_work(const HeadWork& work, const Batch& batch, std::span<double> ranks) {
  const double tokens = batch.requests_of(work.at.instance) * work.queries;
  const Pool& pool = deployment_.pools[work.at.pool];
  // The vocabulary is split over a node's GPUs, which all see the node's tokens.
  const std::int64_t node =
      std::min<std::int64_t>(pool.gpus_per_node, static_cast<std::int64_t>(ranks.size()));
  const double node_tokens = tokens * static_cast<double>(node) / static_cast<double>(ranks.size());
  scratch_.clear();
  models::head_operators(deployment_.model, node_tokens, node, scratch_);
  Seconds time = total(*pool.kernels) + deployment_.step_overhead;
  if (const std::int64_t drafts = deployment_.drafting.tokens; drafts > 0) {
    // Each drafting module proposes one token of each sequence, through the same head.
    scratch_.clear();
    models::head_operators(deployment_.model, node_tokens / work.queries, node, scratch_);
    time += static_cast<double>(drafts) * total(*pool.kernels);
  }
  std::fill(ranks.begin(), ranks.end(), tokens > 0.0 ? time.value() : 0.0);
}

Seconds StageTimer::collective_time(const Pool& pool, Collective::Pattern pattern,
                                    std::uint32_t ranks, double bytes) const {
  if (deployment_.collectives == CollectiveTiming::kernel_model) {
    const models::Collective shape{
        .kind = kind_of(pattern), .ranks = ranks, .payload = Bytes{bytes}};
    return pool.kernels->time({"collective", models::Part::communication, shape}).time;
  }
  const Transport& inside = deployment_.scale_up;
  const double passes = pattern == Collective::Pattern::all_reduce ? 2.0 : 1.0;
  const Bytes sent{passes * bytes * (ranks - 1.0) / ranks};
  return inside.overhead + sent / (pool.scale_up_bandwidth * inside.efficiency);
}

void StageTimer::time_work(const Collective& work, const Batch& batch, std::span<double> ranks) {
  const double requests = batch.requests_of(work.requests_of);
  ranks[0] = requests > 0.0 ? collective_time(deployment_.pools[work.at.pool], work.pattern,
                                              work.ranks, work.bytes_per_token * requests)
                                  .value()
                            : 0.0;
}

void StageTimer::time_work(const Exchange& work, const Batch& batch, std::span<double> ranks) {
  ranks[0] = 0.0;
  if (batch.requests <= 0.0) return;
  const Pool& pool = deployment_.pools[work.at.pool];
  // All wait for the GPU that sends most; GPUs that share requests send a part each.
  const double own =
      work.copies * batch.busiest / static_cast<double>(deployment_.attention_tensor_parallel);
  const double bytes = work.bytes_per_copy * own;
  if (deployment_.collectives == CollectiveTiming::kernel_model) {
    const models::Collective shape{.kind = models::Collective::Kind::all_to_all,
                                   .ranks = work.ranks,
                                   .payload = Bytes{bytes},
                                   .copies = own,
                                   .experts = work.experts,
                                   .returning = work.returning};
    ranks[0] = pool.kernels->time({"collective", models::Part::communication, shape}).time.value();
    return;
  }
  // Each GPU sends its own tokens; those for its node's GPUs take the scale-up links, at once with
  // the others.
  const auto all = static_cast<double>(work.ranks);
  const double node = std::min(static_cast<double>(pool.gpus_per_node), all);
  const Bytes outside{bytes * (all - node) / all};
  const Bytes within{bytes * (node - 1.0) / all};
  const Transport& across = deployment_.network;
  const Transport& inside = deployment_.scale_up;
  const Seconds over_nics = outside / (pool.nic_bandwidth * across.efficiency);
  const Seconds over_links = within / (pool.scale_up_bandwidth * inside.efficiency);
  ranks[0] = (std::max(over_nics, over_links) +
              (outside.value() > 0.0 ? across.overhead : inside.overhead))
                 .value();
}

Seconds StageTimer::message_time(const Message& message, double payload_bytes) const {
  const Pool& from = deployment_.pools[message.from.pool];
  const Pool& to = deployment_.pools[message.to.pool];
  const BytesPerSecond bandwidth =
      std::min(static_cast<double>(from.gpus_per_instance) * from.nic_bandwidth,
               static_cast<double>(to.gpus_per_instance) * to.nic_bandwidth);
  return deployment_.network.overhead +
         Bytes{payload_bytes} / (bandwidth * deployment_.network.efficiency);
}

void StageTimer::time(std::span<const GroupBatch> groups, StepTimes& times) {
  const auto works = graph_.works();
  times.rank_seconds.resize(first_rank_.back());
  times.slowest.resize(works.size());
  times.rank_sum.resize(works.size());
  times.payload_bytes.resize(works.size());

  Batch batch{.groups = groups,
              .groups_each = static_cast<std::size_t>(deployment_.groups_per_instance())};
  for (const GroupBatch& group : groups) {
    batch.requests += static_cast<double>(group.requests);
    batch.busiest = std::max(batch.busiest, static_cast<double>(group.requests));
  }
  for (WorkId w = 0; w < works.size(); ++w) {
    const std::span<double> ranks(times.rank_seconds.data() + first_rank_[w],
                                  first_rank_[w + 1] - first_rank_[w]);
    std::visit(
        [&](const auto& work) {
          if constexpr (std::is_same_v<std::decay_t<decltype(work)>, Message>) {
            const double payload = work.bytes_per_token * batch.requests_of(work.requests_of);
            times.payload_bytes[w] = payload;
            ranks[0] = payload > 0.0 ? message_time(work, payload).value() : 0.0;
          } else {
            time_work(work, batch, ranks);
          }
        },
        works[w]);
    const Stage stage = stage_of(works[w]);
    const Place at = place_of(works[w]);
    const bool kernels = stage == Stage::attention || stage == Stage::ffn;
    for (const SlowGpu& slow : slow_gpus_) {
      if (!kernels || slow.pool != at.pool || slow.instance != at.instance) continue;
      const std::size_t gpus =
          static_cast<std::size_t>(deployment_.pools[at.pool].gpus_per_instance);
      ranks[slow.gpu * ranks.size() / gpus] *= slow.factor;
    }
    times.rank_sum[w] = std::accumulate(ranks.begin(), ranks.end(), 0.0);
    times.slowest[w] = des::SimTime::from(Seconds{*std::max_element(ranks.begin(), ranks.end())});
  }
}

}  // namespace ridge::decode
