#include "ridge/decode/stage_timer.hpp"

#include "random_streams.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

namespace ridge::decode {
namespace {

std::size_t rank_count(const Deployment& d, const Work& work) {
  switch (stage_of(work)) {
    case Stage::attention:
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

// All of them, so that a new one does not compile before it is here.
auto values_of(const models::Gemm& gemm) {
  const auto& [m, n, k, batch, weights, compute, input, output, weight_scales] = gemm;
  return std::tuple(m, n, k, batch, weights, compute, input, output, weight_scales);
}

// The least that the chip needs for it.
Seconds roofline(const models::Operator& op, const hw::ChipSpec& chip) {
  const models::Demand demand = models::demand(op);
  Seconds time;
  if (const auto rate = chip.rate_for(demand.compute)) time = demand.flop / *rate;
  if (chip.memory_bandwidth.value) {
    time = std::max(time, demand.memory() / *chip.memory_bandwidth.value);
  }
  return time;
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
                       std::uint64_t seed, std::shared_ptr<DrawnRows> drawn)
    : deployment_(deployment),
      graph_(graph),
      waiting_for_hosts_(deployment.waiting_for_hosts()),
      slow_gpus_(std::move(slow_gpus)),
      choices_(seed, kExpertChoices),
      drawn_(std::move(drawn)),
      question_{.requests = 0, .seed = seed, .layers = {deployment.redundant_experts}} {
  first_rank_.push_back(0);
  std::map<std::uint32_t, std::shared_ptr<RowDraw>> of_block;  // whose experts are alike
  for (const Work& work : graph.works()) {
    exchanges_ = exchanges_ || std::holds_alternative<Exchange>(work);
    first_rank_.push_back(first_rank_.back() + rank_count(deployment, work));
    const auto* ffn = std::get_if<FfnWork>(&work);
    if (ffn == nullptr) continue;
    if (layers_.size() <= ffn->layer) layers_.resize(ffn->layer + 1);
    Layer& layer = layers_[ffn->layer];
    const auto* moe = std::get_if<models::MoeFfn>(&deployment.model.ffns[ffn->block].kind);
    if (moe == nullptr || layer.moe) continue;
    layer.moe = true;
    layer.block = ffn->block;
    layer.queries = ffn->queries;
    layer.loads = rank_loads(*moe, popularity, deployment.ffn_expert_parallel,
                             deployment.redundant_experts, seed, ffn->layer);
    layer.rows.resize(layer.loads.size());
    for (const RankLoad& rank : layer.loads) {
      layer.busiest_expected = std::max(layer.busiest_expected, rank.load);
    }
    const bool counts_drawn = popularity.counts == ExpertPopularity::Counts::drawn;
    // A single rank has all rows, however they fall.
    if (!counts_drawn || deployment.ffn_expert_parallel == 1) continue;
    if (popularity.kind != ExpertPopularity::Kind::uniform) {
      layer.draw = std::make_shared<RowDraw>(layer.loads, *moe);
      continue;
    }
    auto& draw = of_block[layer.block];
    if (!draw) draw = std::make_shared<RowDraw>(layer.loads, *moe, true);
    layer.draw = draw;
  }
  bool any = false;
  for (const Layer& layer : layers_) {
    any = any || layer.draw;
    if (!layer.draw) continue;
    const auto& moe = std::get<models::MoeFfn>(deployment.model.ffns[layer.block].kind);
    question_.layers.insert(question_.layers.end(), {moe.experts, moe.top_k, layer.queries});
  }
  // Experts that are not alike are others after another seed, too.
  if (!any || popularity.kind != ExpertPopularity::Kind::uniform) drawn_.reset();
}

void StageTimer::restart(std::uint64_t seed) {
  choices_ = Random(seed, kExpertChoices);
  question_.seed = seed;
  draws_ = 0;
  alike_ = true;
}

// Of each layer that draws.
void StageTimer::draw_rows(double requests) {
  const auto tokens_of = [&](const Layer& layer) { return std::llround(requests * layer.queries); };
  const auto draw = [&](auto&& see) {
    for (Layer& layer : layers_) {
      if (!layer.draw) continue;
      const auto of_expert = layer.draw->draw_experts(tokens_of(layer), choices_);
      layer.draw->spread(of_expert, std::span(layer.rows));
      see(of_expert);
    }
  };
  const std::size_t micro_batch = draws_++;
  if (micro_batch == 0) question_.requests = requests;
  bool share = true;
  for (const Layer& layer : layers_) {
    constexpr std::int64_t kMost = std::numeric_limits<std::uint16_t>::max();
    share = share && (!layer.draw || tokens_of(layer) <= kMost);
  }
  alike_ = alike_ && requests == question_.requests;
  if (!drawn_ || !alike_ || !share) {
    draw([](std::span<const std::int64_t>) {});
    return;
  }
  if (const auto known = drawn_->find(question_, micro_batch)) {
    std::span<const std::uint16_t> rows(known->rows);
    for (Layer& layer : layers_) {
      if (!layer.draw) continue;
      const std::size_t experts = layer.draw->experts();
      layer.draw->spread(rows.first(experts), std::span(layer.rows));
      rows = rows.subspan(experts);
    }
    choices_ = known->after;
    return;
  }
  auto drawn = std::make_shared<DrawnRows::MicroBatch>();
  draw([&](std::span<const std::int64_t> of_expert) {
    for (const std::int64_t rows : of_expert) {
      drawn->rows.push_back(static_cast<std::uint16_t>(rows));
    }
  });
  drawn->after = choices_;
  drawn_->keep(question_, micro_batch, std::move(drawn));
}

// Each MoE layer's rows on each rank.
void StageTimer::count_rows(const Batch& batch) {
  draw_rows(batch.requests);
  for (Layer& layer : layers_) {
    if (!layer.moe || layer.draw) continue;
    const double tokens = batch.requests * layer.queries;
    const auto& moe = std::get<models::MoeFfn>(deployment_.model.ffns[layer.block].kind);
    const double mean =
        tokens * static_cast<double>(moe.top_k) / static_cast<double>(layer.rows.size());
    for (std::size_t r = 0; r < layer.rows.size(); ++r) {
      const RankLoad& load = layer.loads[r];
      layer.rows[r] = {.rows = mean * load.load, .active = load.active_experts(tokens)};
    }
  }
}

std::size_t StageTimer::RankTimeHash::operator()(const RankTime& key) const {
  std::size_t hash = (key.block * 31U + key.pool) * 4U + static_cast<std::size_t>(key.piece);
  for (const double value : {key.tokens, key.own, key.rows.rows, key.rows.active}) {
    hash = hash * 0x9e3779b97f4a7c15U + std::hash<double>{}(value);
  }
  return hash;
}

hw::Timing StageTimer::timing(const hw::KernelModel& kernels, std::size_t place) {
  const models::Operator& op = scratch_[place];
  const auto* gemm = std::get_if<models::Gemm>(&op.shape);
  if (gemm == nullptr) return kernels.time(op);
  if (answered_.size() <= place) answered_.resize(place + 1);
  Answered& last = answered_[place];
  if (last.kernels != &kernels || last.name != op.name ||
      values_of(last.gemm) != values_of(*gemm)) {
    last = {.kernels = &kernels, .name = op.name, .gemm = *gemm, .timing = kernels.time(op)};
  }
  return last.timing;
}

template <typename Piece>
Seconds StageTimer::total(const Pool& pool, SumsOfResidual sums, Piece piece) {
  const hw::KernelModel& kernels = *pool.kernels;
  const Execution& how = deployment_.execution;
  Launches launched;
  Seconds sum;
  Seconds beside;       // kernels of the shared experts
  Seconds beside_work;  // what they ask of the roofline
  bool next_sum = sums.before;
  for (std::size_t place = 0; place < scratch_.size(); ++place) {
    const models::Operator& op = scratch_[place];
    const bool norm = op.purpose == models::Purpose::residual_norm;
    const bool summed = norm && std::exchange(next_sum, sums.after);
    if (!decode::launches(piece, scratch_, place)) continue;
    if (how.all_reduce_with_norm && summed) {
      sum += how.norm_in_all_reduce;
      continue;
    }
    if (how.qk_norm_with_sum && op.purpose == models::Purpose::norm_over_heads) continue;
    const auto* sum_up = std::get_if<models::Collective>(&op.shape);
    const hw::Timing asked =
        how.routing && op.purpose == models::Purpose::expert_choice
            ? hw::Timing{.time = *how.routing, .bound = hw::Resource::launch}
        : sum_up != nullptr && deployment_.collectives == CollectiveTiming::links
            ? hw::Timing{.time = collective_time(pool, Collective::Pattern::all_reduce,
                                                 static_cast<std::uint32_t>(sum_up->ranks),
                                                 sum_up->payload.value()),
                         .bound = hw::Resource::link}
            : timing(kernels, place);
    Seconds time = asked.time;
    if (time > how.launch_overlap) time -= how.launch_overlap;
    if (watched_ != nullptr) launched.kernels.push_back({op, asked});
    if (how.shared_experts_beside && piece == Piece::whole &&
        op.purpose == models::Purpose::shared_experts) {
      beside += time;
      beside_work += roofline(op, kernels.chip());
    } else {
      sum += time;
    }
  }
  const Seconds all = std::max(sum + std::min(beside_work, beside), beside);
  if (watched_ != nullptr && all > watched_->time) {
    launched.time = all;
    *watched_ = std::move(launched);
  }
  return all;
}

// What an exchange's kernels take of each GPU, at the tokens at hand; nothing where there is none.
Seconds StageTimer::on_gpu(Seconds ExchangeKernels::*part, const Batch& batch,
                           std::uint32_t queries) const {
  const auto& kernels = deployment_.execution.exchange_kernels;
  if (!kernels || !exchanges_) return {};
  const double tokens =
      batch.requests * queries / static_cast<double>(deployment_.gpus_per_replica());
  return (*kernels).*part * (tokens / kernels->tokens);
}

void StageTimer::time_work(const AttentionWork& work, const Batch& batch, std::span<double> ranks) {
  const Deployment& d = deployment_;
  const models::ModelSpec& model = d.model;
  const Pool& pool = d.pools[work.at.pool];
  const auto sharing = static_cast<std::size_t>(d.attention_tensor_parallel);
  const std::size_t first = work.at.instance * batch.groups_each;
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    const GroupBatch& group = batch.groups[first + r / sharing];
    if (r > 0 && (r % sharing != 0 || group == batch.groups[first + r / sharing - 1])) {
      ranks[r] = ranks[r - 1];
      continue;
    }
    if (group.requests == 0) {
      ranks[r] = 0.0;
      continue;
    }
    const auto requests = static_cast<double>(group.requests);
    const double rows = rows_of(group);
    const models::DecodeShape shape{.sequences = rows,
                                    .context = static_cast<double>(group.cached_tokens) / requests,
                                    .longest = static_cast<double>(group.longest),
                                    .queries_per_sequence = work.queries};
    if (work.piece == AttentionPiece::send || work.piece == AttentionPiece::receive) {
      ranks[r] = exchange_kernels(work, batch).value();
      continue;
    }
    scratch_.clear();
    if (work.partials > 1) {
      const double values = shape.tokens() * static_cast<double>(model.hidden);
      scratch_.add("add_partials", models::Part::elementwise,
                   models::Elementwise{.values_read = values * work.partials,
                                       .values_written = values,
                                       .input = model.precisions.wire_combine,
                                       .output = model.precisions.activations});
    }
    models::attention_operators(model.attentions[work.block], model.precisions, model.hidden, shape,
                                {.tensor_parallel = d.attention_tensor_parallel,
                                 .output_parallel = d.output_parallel,
                                 .context_parallel = d.context_parallel},
                                models::MlaCount::absorbed, scratch_);
    models::routing_operators(model.ffns[work.next_ffn], model.precisions, model.hidden,
                              shape.tokens(), scratch_);
    for (models::Operator& op : scratch_) {
      if (auto* attention = std::get_if<models::DecodeAttention>(&op.shape)) {
        attention->cold = d.execution.cold_caches;
        attention->sequences = requests;  // what pads a batch has no KV to read
      }
    }
    // Of the FFN before, results are summed where the same GPUs share the attention; else they come
    // by an exchange.
    const bool shared = d.attention_tensor_parallel > 1;
    const bool all_share = d.one_pool() && d.attention_tensor_parallel == pool.gpus_per_instance;
    Seconds time = total(pool, {.before = shared && all_share, .after = shared}, work.piece);
    if (work.piece == AttentionPiece::projections) {
      ranks[r] = time.value();
      continue;
    }
    time += context_exchange(pool, shape.tokens());
    const double bytes = static_cast<double>(model.hidden) *
                         bytes_per_value(model.precisions.activations).value() * shape.tokens();
    if (work.ranks > 1) {
      // The GPUs that share a request's heads each hold a part of every sum.
      time += collective_time(pool, Collective::Pattern::all_reduce, work.ranks, bytes);
    }
    const double output = output_width(d, work.block);
    if (const auto slices = static_cast<std::uint32_t>(d.output_parallel);
        slices > 1 && output > 0.0) {
      // Each rank that shares the output projection has a slice of its rows: it needs that slice
      // of everyone's attention results, and has a part of everyone's sums, on the critical path
      // of the stage.
      const double results =
          output * shape.tokens() * bytes_per_value(model.precisions.activations).value();
      time += all_to_all_time(pool, slices, results) +
              collective_time(pool, Collective::Pattern::reduce_scatter, slices, bytes * slices);
    }
    ranks[r] = (time + exchange_kernels(work, batch)).value();
  }
}

// Those that run ahead of and behind the experts. The results of this layer's experts are read
// ahead of the next one's attention; each of them is counted with its own layer.
Seconds StageTimer::exchange_kernels(const AttentionWork& work, const Batch& batch) const {
  const auto& ffn = deployment_.model.ffns[work.next_ffn].kind;
  if (!std::holds_alternative<models::MoeFfn>(ffn)) return {};
  const bool whole = work.piece == AttentionPiece::whole;
  Seconds time;
  if (whole || work.piece == AttentionPiece::send) {
    time += on_gpu(&ExchangeKernels::dispatch_send, batch, work.queries);
  }
  if (whole || work.piece == AttentionPiece::receive) {
    time += on_gpu(&ExchangeKernels::combine_receive, batch, work.queries);
  }
  return time;
}

// GPUs that share a cache's tokens gather each other's queries, and give each other what their
// heads got from the tokens here: a weighted mean of values, and the logarithm of the weights' sum
// (in FP32), by which the parts are combined. As vLLM's decode context parallelism does.
Seconds StageTimer::context_exchange(const Pool& pool, double tokens) const {
  const auto ranks = static_cast<std::uint32_t>(deployment_.context_parallel);
  if (ranks == 1) return {};
  constexpr double kLogarithm = 4.0;
  Seconds time;
  for (const models::Operator& op : scratch_) {
    const auto* attention = std::get_if<models::DecodeAttention>(&op.shape);
    if (attention == nullptr) continue;
    const double heads = tokens * static_cast<double>(attention->query_heads);
    const double value = bytes_per_value(attention->activations).value();
    time += collective_time(pool, Collective::Pattern::all_gather, ranks,
                            heads * static_cast<double>(attention->qk_dim) * value) +
            all_to_all_time(pool, ranks,
                            heads * (static_cast<double>(attention->v_dim) * value + kLogarithm));
  }
  return time;
}

void StageTimer::time_work(const FfnWork& work, const Batch& batch, std::span<double> ranks) {
  const Deployment& d = deployment_;
  const double tokens = batch.rows * work.queries;
  if (tokens <= 0.0) {
    std::fill(ranks.begin(), ranks.end(), 0.0);
    return;
  }
  const auto tp = static_cast<std::size_t>(d.ffn_tensor_parallel);
  const auto& block = d.model.ffns[work.block];
  const auto* moe = std::get_if<models::MoeFfn>(&block.kind);
  const std::size_t first_expert_rank = work.at.instance * (ranks.size() / tp);
  const bool holds_requests = d.pools[work.at.pool].roles.has(Role::attention);
  const auto sharing = static_cast<std::size_t>(d.attention_tensor_parallel);
  const auto ep = static_cast<double>(d.ffn_expert_parallel);
  for (std::size_t r = 0; r < ranks.size(); r += tp) {
    // Of the tokens' dense or shared part: an equal part each, or those of the requests here.
    RankTime key{.block = work.block,
                 .pool = work.at.pool,
                 .tokens = tokens,
                 .own = 1.0 / ep,
                 .rows = {},
                 .piece = work.piece};
    if (holds_requests) {
      double rows = 0.0;
      for (std::size_t g = r; g < r + tp; ++g) rows += rows_of(batch.groups[g / sharing]);
      key.own = rows / static_cast<double>(sharing) / batch.rows;
    }
    const std::size_t rank = first_expert_rank + r / tp;
    if (moe != nullptr) key.rows = layers_[work.layer].rows[rank];
    const auto [place, added] = rank_times_.try_emplace(key, 0.0);
    if (added) {
      models::FfnShard shard{.tensor_parallel = d.ffn_tensor_parallel,
                             .expert_parallel = d.ffn_expert_parallel,
                             .own_tokens = key.own,
                             .gathered = gathers(d.exchange)};
      if (moe != nullptr) {
        shard.load = key.rows.rows * ep / (tokens * static_cast<double>(moe->top_k));
        shard.experts = {.held = layers_[work.layer].loads[rank].experts_held,
                         .active = key.rows.active};
      }
      scratch_.clear();
      models::ffn_operators(block, d.model.precisions, d.model.hidden, tokens, shard, scratch_);
      Seconds time = total(d.pools[work.at.pool], {}, work.piece);
      if (moe != nullptr && work.piece != FfnPiece::shared) {
        time += on_gpu(&ExchangeKernels::dispatch_receive, batch, work.queries) +
                on_gpu(&ExchangeKernels::combine_send, batch, work.queries);
      }
      place->second = time.value();
    }
    // Slices of one expert rank do the same work.
    std::fill_n(ranks.begin() + static_cast<std::ptrdiff_t>(r), tp, place->second);
  }
}

void StageTimer::time_work(const HeadWork& work, const Batch& batch, std::span<double> ranks) {
  const Pool& pool = deployment_.pools[work.at.pool];
  const auto sharing = static_cast<std::size_t>(deployment_.attention_tensor_parallel);
  // The vocabulary is split over a node's GPUs, which all see the node's tokens, or over those that
  // share requests where they fill several.
  const auto node =
      std::max(std::min(static_cast<std::size_t>(pool.gpus_per_node), ranks.size()), sharing);
  double last_rows = -1.0;
  Seconds time;
  for (std::size_t first = 0; first < ranks.size(); first += node) {
    const std::size_t gpus = std::min(node, ranks.size() - first);
    double rows = 0.0;
    for (std::size_t r = first; r < first + gpus; ++r) {
      const std::size_t group = work.at.instance * batch.groups_each + r / sharing;
      rows += rows_of(batch.groups[group]) / static_cast<double>(sharing);
    }
    if (rows != last_rows) {
      const auto split = static_cast<std::int64_t>(gpus);
      scratch_.clear();
      models::head_operators(deployment_.model, rows * work.queries, split, scratch_);
      // Of a group of GPUs that share requests.
      const double shared = rows * static_cast<double>(sharing) / static_cast<double>(gpus);
      // An engine's step carries all micro-batches: once in it the GPUs wait for the host.
      const Seconds waiting = waiting_for_hosts_ / static_cast<double>(deployment_.micro_batches);
      time = total(pool, {}, FfnPiece::whole) + waiting +
             vocabulary_exchange(pool, shared * work.queries);
      if (const std::int64_t drafts = deployment_.drafting.tokens; drafts > 0) {
        // Each draft is one token of each sequence, proposed through the same head. In front of
        // its layers the token's embedding and the hidden values become one: a projection that
        // engines keep whole and in BF16 on every GPU (vLLM's and SGLang's eh_proj).
        scratch_.clear();
        const std::int64_t hidden = deployment_.model.hidden;
        scratch_.add("draft_input", models::Part::attention_linear,
                     models::Gemm{.m = shared, .n = hidden, .k = 2 * hidden});
        models::head_operators(deployment_.model, rows, split, scratch_);
        time += static_cast<double>(drafts) *
                (total(pool, {}, FfnPiece::whole) + vocabulary_exchange(pool, shared));
      }
      if (rows == 0.0) time = Seconds{};
      last_rows = rows;
    }
    std::fill_n(ranks.begin() + static_cast<std::ptrdiff_t>(first), gpus, time.value());
  }
}

// As vLLM's and SGLang's VocabParallelEmbedding and LogitsProcessor do it, in 16 bits.
Seconds StageTimer::vocabulary_exchange(const Pool& pool, double rows) const {
  const auto ranks = static_cast<std::uint32_t>(deployment_.attention_tensor_parallel);
  if (!deployment_.execution.vocabulary_exchange || ranks == 1) return {};
  const models::ModelSpec& model = deployment_.model;
  const double row = rows * bytes_per_value(model.precisions.activations).value();
  return collective_time(pool, Collective::Pattern::all_reduce, ranks,
                         row * static_cast<double>(model.hidden)) +
         collective_time(pool, Collective::Pattern::all_gather, ranks,
                         row * static_cast<double>(model.vocabulary));
}

Seconds StageTimer::collective_time(const Pool& pool, Collective::Pattern pattern,
                                    std::uint32_t ranks, double bytes) const {
  if (deployment_.collectives == CollectiveTiming::kernel_model) {
    const models::Collective shape{
        .kind = kind_of(pattern), .ranks = ranks, .payload = Bytes{bytes}};
    return pool.kernels->time({"collective", models::Part::communication, shape}).time;
  }
  const Communication& inside = deployment_.scale_up;
  const bool both = pattern == Collective::Pattern::all_reduce;
  if (const auto& ways = deployment_.network.all_reduce; both && !ways.empty()) {
    Seconds fastest = ways.front().time(Bytes{bytes});
    for (const AllReduceWay& way : ways) fastest = std::min(fastest, way.time(Bytes{bytes}));
    return fastest;
  }
  const BytesPerSecond links = pool.scale_up_bandwidth * inside.transport.efficiency;
  const auto node = std::min(static_cast<double>(ranks), static_cast<double>(pool.gpus_per_node));
  // A ring's share of the buffer in each of its two halves; a switch that adds up takes the buffer
  // in and gives it out, both at once.
  const double passes = !both ? 1.0 : inside.in_switch_reduction ? 1.0 / (1.0 - 1.0 / node) : 2.0;
  Seconds time = inside.transport.overhead + passes * Bytes{bytes * (node - 1.0) / node} / links;
  if (const double nodes = static_cast<double>(ranks) / node; nodes > 1.0) {
    // Between nodes, each GPU and its fellows in the others do the same with their part.
    const Communication& across = deployment_.network;
    time += across.transport.overhead + (both ? 2.0 : 1.0) *
                                            Bytes{bytes / node * (nodes - 1.0) / nodes} /
                                            (pool.nic_bandwidth * across.transport.efficiency);
  }
  return time;
}

// Within a node: each of the ranks sends an equal part of `bytes` to each.
Seconds StageTimer::all_to_all_time(const Pool& pool, std::uint32_t ranks, double bytes,
                                    bool returning) const {
  if (deployment_.collectives == CollectiveTiming::kernel_model) {
    const models::Collective shape{.kind = models::Collective::Kind::all_to_all,
                                   .ranks = ranks,
                                   .payload = Bytes{bytes},
                                   .returning = returning};
    return pool.kernels->time({"collective", models::Part::communication, shape}).time;
  }
  const Communication& inside = deployment_.scale_up;
  return inside.transport.overhead + Bytes{bytes * (ranks - 1.0) / ranks} /
                                         (pool.scale_up_bandwidth * inside.transport.efficiency);
}

double StageTimer::routed_share(const std::optional<RoutedShare>& routed) const {
  if (!routed) return 1.0;
  const Layer& layer = layers_[routed->layer];
  const auto& moe = std::get<models::MoeFfn>(deployment_.model.ffns[layer.block].kind);
  const std::size_t each =
      layer.rows.size() / static_cast<std::size_t>(deployment_.pool(Role::ffn).instances);
  double here = 0.0;
  double all = 0.0;
  for (std::size_t r = 0; r < layer.rows.size(); ++r) {
    all += layer.rows[r].rows;
    if (r / each == routed->ffn_instance) here += layer.rows[r].rows;
  }
  if (all == 0.0) return 0.0;
  return 1.0 - routed->elsewhere * (1.0 - reach(here / all, moe.top_k, moe.experts));
}

void StageTimer::time_work(const Collective& work, const Batch& batch, std::span<double> ranks) {
  // What pads a batch is summed like the rest of it.
  const bool all = work.padded || work.pattern == Collective::Pattern::all_reduce;
  const double rows =
      all ? batch.rows : batch.requests_of(work.requests_of) * routed_share(work.routed);
  ranks[0] = rows > 0.0 ? collective_time(deployment_.pools[work.at.pool], work.pattern, work.ranks,
                                          work.bytes_per_token * rows)
                              .value()
                        : 0.0;
}

// What is not on the GPU, and beside which the kernels of another micro-batch may run.
void StageTimer::time_work(const Exchange& work, const Batch& batch, std::span<double> ranks) {
  if (batch.requests <= 0.0) {
    ranks[0] = 0.0;
    return;
  }
  const Seconds kernels = work.returning
                              ? on_gpu(&ExchangeKernels::combine_send, batch, work.queries) +
                                    on_gpu(&ExchangeKernels::combine_receive, batch, work.queries)
                              : on_gpu(&ExchangeKernels::dispatch_send, batch, work.queries) +
                                    on_gpu(&ExchangeKernels::dispatch_receive, batch, work.queries);
  ranks[0] = std::max(0.0, (exchange_time(work, batch) - kernels).value());
}

// How many times as many copies go over a NIC where those for GPUs of the same node do too:
// measured exchanges send those over the links within it.
double StageTimer::by_nics(const Pool& pool, double ranks) const {
  const auto node = static_cast<double>(pool.gpus_per_node);
  if (!deployment_.execution.exchanges_by_nics || ranks <= node) return 1.0;
  return (ranks - 1.0) / (ranks - node);
}

// All wait for the rank that sends or receives most over its NIC or its links: one with many tokens
// of its own, or one with popular experts. What is sent on the way to the experts is received on
// the way back, so that both ways take the same.
Seconds StageTimer::exchange_time(const Exchange& work, const Batch& batch) {
  const Pool& pool = deployment_.pools[work.at.pool];
  const Layer& layer = layers_[work.layer];
  const auto sharing = static_cast<double>(deployment_.attention_tensor_parallel);
  const double per_request = static_cast<double>(work.top_k) * work.queries;
  const auto all = static_cast<double>(work.ranks);
  const double total_copies = per_request * batch.requests;
  if (deployment_.collectives == CollectiveTiming::kernel_model) {
    // A measured exchange already holds the chance of uniform choices; popularity comes on top.
    const double copies = std::max(per_request * batch.busiest / sharing,
                                   layer.busiest_expected * total_copies / all) *
                          by_nics(pool, all);
    const models::Collective shape{.kind = models::Collective::Kind::all_to_all,
                                   .ranks = work.ranks,
                                   .payload = Bytes{work.bytes_per_copy * copies},
                                   .copies = copies,
                                   .experts = work.experts,
                                   .returning = work.returning};
    return pool.kernels->time({"collective", models::Part::communication, shape}).time;
  }
  const Communication& across = deployment_.network;
  const Communication& inside = deployment_.scale_up;
  const std::size_t node =
      std::min(static_cast<std::size_t>(pool.gpus_per_node), static_cast<std::size_t>(work.ranks));
  own_.resize(work.ranks);
  for (std::size_t r = 0; r < own_.size(); ++r) {
    const auto group = r / static_cast<std::size_t>(deployment_.attention_tensor_parallel);
    own_[r] = per_request * static_cast<double>(batch.groups[group].requests) / sharing;
  }
  const auto& rows = layer.rows;
  struct Node {
    double own = 0;    // copies that its ranks send
    double rows = 0;   // and receive
    double reach = 0;  // share of the tokens that have an expert there
  };
  std::vector<Node> nodes((own_.size() + node - 1) / node);
  for (std::size_t r = 0; r < own_.size(); ++r) {
    nodes[r / node].own += own_[r];
    nodes[r / node].rows += rows[r].rows;
  }
  const bool per_node = across.copies == Copies::per_node;
  double reaches = 0.0;
  for (Node& n : nodes) {
    n.reach = reach(n.rows / total_copies, work.top_k, work.experts);
    reaches += n.reach;
  }
  if (const auto limit = static_cast<double>(across.nodes_per_token);
      per_node && limit > 0.0 && limit < static_cast<double>(nodes.size())) {
    // A router that keeps to a few nodes spreads a token's choices over those alone.
    const auto fewer = static_cast<std::int64_t>(static_cast<double>(work.experts) * limit /
                                                 static_cast<double>(nodes.size()));
    const double most = limit * reach(1.0 / limit, work.top_k, fewer);
    for (Node& n : nodes) n.reach *= std::min(1.0, most / reaches);
    reaches = std::min(reaches, most);
  }
  double nic = 0.0;    // copies over the busiest NIC direction
  double links = 0.0;  // over the busiest direction of a GPU's links
  const bool nics_alone = deployment_.execution.exchanges_by_nics && nodes.size() > 1;
  for (std::size_t r = 0; r < own_.size(); ++r) {
    const Node& here = nodes[r / node];
    if (nics_alone) {
      nic = std::max({nic, own_[r] * (1.0 - rows[r].rows / total_copies),
                      rows[r].rows * (1.0 - own_[r] / total_copies)});
      continue;
    }
    if (!per_node) {
      nic = std::max({nic, own_[r] * (1.0 - here.rows / total_copies),
                      rows[r].rows * (1.0 - here.own / total_copies)});
      links = std::max({links, own_[r] * (here.rows - rows[r].rows) / total_copies,
                        rows[r].rows * (here.own - own_[r]) / total_copies});
      continue;
    }
    // A token goes to the GPU in its sender's place in each node, and on from there.
    double rail = 0.0;  // tokens of the GPUs in this place, here and in other nodes
    for (std::size_t q = r % node; q < own_.size(); q += node) rail += own_[q] / work.top_k;
    const double tokens = own_[r] / work.top_k;
    nic = std::max({nic, tokens * (reaches - here.reach), (rail - tokens) * here.reach});
    const double through = rail * work.top_k / total_copies;
    links = std::max({links, (here.rows - rows[r].rows) * through, rows[r].rows * (1.0 - through)});
  }
  const Seconds over_nics =
      Bytes{work.bytes_per_copy * nic} / (pool.nic_bandwidth * across.transport.efficiency);
  const Seconds over_links =
      Bytes{work.bytes_per_copy * links} / (pool.scale_up_bandwidth * inside.transport.efficiency);
  return std::max(over_nics, over_links) +
         (nic > 0.0 ? across.transport.overhead : inside.transport.overhead);
}

void StageTimer::time_work(const PeerExchange& work, const Batch& batch, std::span<double> ranks) {
  const Deployment& d = deployment_;
  const Pool& pool = d.pools[work.at.pool];
  const auto& block = d.model.ffns[work.block];
  const auto* moe = std::get_if<models::MoeFfn>(&block.kind);
  const double share = routed_share(work.routed);
  const double requests = batch.requests_of(work.requests_of) * share;
  const auto tp = static_cast<double>(d.ffn_tensor_parallel);
  const auto gpus = static_cast<double>(pool.gpus_per_instance);
  // The slices of a dense or shared part need the tokens of their expert rank.
  const bool sliced = moe == nullptr || moe->shared_intermediate > 0;
  double reaches = 0.0;
  std::vector<double> reach_of(work.ranks, 0.0);
  if (moe != nullptr) {
    const auto& rows = layers_[work.layer].rows;
    double all = 0.0;
    for (const RankRows& rank : rows) all += rank.rows;
    for (std::size_t r = 0; r < reach_of.size() && all > 0.0; ++r) {
      const double of_all = rows[work.at.instance * work.ranks + r].rows / all;
      // Of the tokens that are here.
      reach_of[r] = std::min(1.0, reach(of_all, moe->top_k, moe->experts) / share);
      reaches += reach_of[r];
    }
  }
  // Of the tokens here, what a GPU gets from its peers and what it gives them.
  double busiest = 0.0;
  for (const double mine : reach_of) {
    const double within = (tp - 1.0) / gpus * (sliced ? 1.0 : mine);
    busiest = std::max(
        {busiest, within + (gpus - tp) / gpus * mine, within + tp / gpus * (reaches - mine)});
  }
  // As if every GPU were as busy: an equal exchange in which each sends this much to its peers.
  const double bytes = work.bytes_per_token * requests * busiest * gpus / (gpus - 1.0);
  ranks[0] =
      bytes > 0.0
          ? all_to_all_time(pool, static_cast<std::uint32_t>(gpus), bytes, work.returning).value()
          : 0.0;
}

Seconds StageTimer::message_time(const Message& message, double payload_bytes) const {
  const Pool& from = deployment_.pools[message.from.pool];
  const Pool& to = deployment_.pools[message.to.pool];
  const auto all = [&](const Pool& pool) {
    return static_cast<double>(pool.gpus_per_instance) * deployment_.message_bandwidth(pool);
  };
  const net::Transport& transport = deployment_.message_transport();
  return transport.overhead +
         Bytes{payload_bytes} / (std::min(all(from), all(to)) * transport.efficiency);
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
    batch.rows += rows_of(group);
    batch.busiest = std::max(batch.busiest, static_cast<double>(group.requests));
  }
  constexpr std::size_t kMostRankTimes = 1U << 16U;
  if (rank_times_.size() > kMostRankTimes) rank_times_.clear();
  count_rows(batch);
  for (WorkId w = 0; w < works.size(); ++w) {
    const std::span<double> ranks(times.rank_seconds.data() + first_rank_[w],
                                  first_rank_[w + 1] - first_rank_[w]);
    if (launches_ != nullptr) {
      watched_ = &(*launches_)[w];
      // Each work is looked at for itself.
      rank_times_.clear();
    }
    std::visit(
        [&](const auto& work) {
          if constexpr (std::is_same_v<std::decay_t<decltype(work)>, Message>) {
            const double payload = work.bytes_per_token * batch.requests_of(work.requests_of) *
                                   routed_share(work.routed);
            times.payload_bytes[w] = payload;
            ranks[0] = payload > 0.0 ? message_time(work, payload).value() : 0.0;
          } else {
            time_work(work, batch, ranks);
          }
        },
        works[w]);
    const Stage stage = stage_of(works[w]);
    const Place at = place_of(works[w]);
    const bool kernels = stage == Stage::attention || stage == Stage::ffn || stage == Stage::head;
    for (const SlowGpu& slow : slow_gpus_) {
      if (kernels && slow.pool == at.pool && slow.instance == at.instance) {
        ranks[slow.gpu] *= slow.factor;
      }
    }
    times.rank_sum[w] = std::accumulate(ranks.begin(), ranks.end(), 0.0);
    times.slowest[w] = des::SimTime::from(Seconds{*std::max_element(ranks.begin(), ranks.end())});
  }
}

std::vector<Launches> StageTimer::launches(std::span<const GroupBatch> groups, StepTimes& times) {
  std::vector<Launches> all(graph_.works().size());
  launches_ = &all;
  time(groups, times);
  launches_ = nullptr;
  watched_ = nullptr;
  return all;
}

}  // namespace ridge::decode
