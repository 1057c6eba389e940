#include "ridge/plan/bounds.hpp"

#include "ridge/base/error.hpp"
#include "ridge/decode/cyclic_steps.hpp"
#include "ridge/decode/strategy.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <tuple>
#include <unordered_map>

namespace ridge::plan {
namespace {

using decode::CyclicSteps;
using decode::KernelDraw;
using decode::MicroBatchWork;

std::unique_ptr<CyclicSteps> steps_of(const decode::SimulationInput& input) {
  KernelDraw as_fitted{.kernels = {}, .seed = input.seed};
  for (const auto& pool : input.deployment.pools) as_fitted.kernels.push_back(pool.kernels);
  return std::make_unique<CyclicSteps>(input, std::vector{as_fitted});
}

// A deployment that is asked for the times of its stages, batch after batch, each once. Threads
// compute beside each other, each with steps of its own: nothing but a look-up is locked.
template <typename Times>
class Probe {
 public:
  using Measure = std::function<Times(CyclicSteps&, const MicroBatchWork&)>;

  Probe(decode::SimulationInput input, std::int64_t context, Measure measure)
      : input_(std::move(input)), context_(context), measure_(std::move(measure)) {}

  // Of at least that many of its micro-batches, which must not be more than it has.
  [[nodiscard]] std::shared_ptr<const std::vector<Times>> at(std::int64_t requests,
                                                             std::int64_t micro_batches) {
    const auto wanted = static_cast<std::size_t>(micro_batches);
    std::unique_ptr<CyclicSteps> steps;
    {
      const std::lock_guard lock(mutex_);
      const auto found = known_.find(requests);
      if (found != known_.end() && found->second->size() >= wanted) return found->second;
      if (!idle_.empty()) {
        steps = std::move(idle_.back());
        idle_.pop_back();
      }
    }
    if (!steps) steps = steps_of(input_);
    // The first micro-batches draw the same whether others follow.
    const auto times = steps->times(0, requests, context_, wanted);
    auto out = std::make_shared<std::vector<Times>>();
    for (std::size_t m = 0; m < wanted; ++m) {
      out->push_back(measure_(*steps, steps->work(times.front(), m)));
    }
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(steps));
    auto& known = known_[requests];
    if (!known || known->size() < wanted) known = out;
    return out;
  }
  [[nodiscard]] std::size_t entries() {
    const std::lock_guard lock(mutex_);
    return known_.size();
  }

 private:
  decode::SimulationInput input_;
  std::int64_t context_;
  Measure measure_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<CyclicSteps>> idle_;
  std::unordered_map<std::int64_t, std::shared_ptr<const std::vector<Times>>> known_;
};

// Of a step of one micro-batch, in seconds.
struct AttentionTimes {
  double busy = 0;       // an instance's kernels
  double messages = 0;   // to an FFN instance and back, never waiting
  double sending = 0;    // an instance's NICs, to one FFN instance
  double answering = 0;  // an FFN instance's NICs, to one attention instance
};
// What each resource of the FFN's pool does, and the longest of its instances.
struct FfnTimes {
  std::vector<double> busy;
  double longest = 0;
};

template <typename Key, typename Times>
class Probes {
 public:
  template <typename Make>
  Probe<Times>& of(const Key& key, Make&& make) {
    const std::lock_guard lock(mutex_);
    auto& probe = probes_[key];
    if (!probe) probe = make();
    return *probe;
  }
  [[nodiscard]] std::size_t entries() {
    const std::lock_guard lock(mutex_);
    std::size_t sum = 0;
    for (auto& [key, probe] : probes_) sum += probe->entries();
    return sum;
  }

 private:
  std::mutex mutex_;
  std::map<Key, std::unique_ptr<Probe<Times>>> probes_;
};

// What tells structures apart whose attention (FFN, everything) takes different times.
using AttentionKey = std::array<std::int64_t, 8>;
using FfnKey = std::array<std::int64_t, 9>;
using WholeKey = std::tuple<std::string, std::array<std::int64_t, 10>>;

}  // namespace

struct Bounds::Impl {
  Impl(const Stocktaking& all, std::int64_t most)
      : stock(all), most_micro_batches(most), context(static_cast<std::int64_t>(all.context())) {}

  AttentionTimes attention(const Structure& s, std::int64_t requests) {
    Structure alone = s;
    alone.strategy = "afd";
    alone.attention_instances = 1;
    alone.ffn_instances = 1;
    alone.micro_batches = 1;
    alone.redundant_experts = 0;
    alone.dispatch = decode::Dispatch::broadcast;
    if (!s.split()) {
      // The LM head is split over a node at most, so that a node stands for all.
      const std::int64_t node = *stock.chips()[s.attention_chip].spec->chips_per_server.value;
      alone.gpus_per_instance =
          std::max(std::min(s.gpus_per_instance, node), s.attention_tensor_parallel);
    }
    auto& probe = attentions.of(
        {static_cast<std::int64_t>(s.model), static_cast<std::int64_t>(s.attention_chip),
         static_cast<std::int64_t>(s.ffn_chip), alone.gpus_per_instance,
         s.attention_tensor_parallel, s.context_parallel, s.drafts,
         static_cast<std::int64_t>(s.collectives)},
        [&] { return attention_probe(alone, s); });
    return probe.at(requests, 1)->front();
  }

  // With an FFN that can be split over its instance in some way: it is not asked, but for the NICs
  // that it has in structures that are split.
  [[nodiscard]] std::unique_ptr<Probe<AttentionTimes>> attention_probe(Structure alone,
                                                                       const Structure& of) const {
    const std::int64_t ffn_gpus = of.split() ? alone.gpus_per_instance : 1;
    for (std::int64_t tp = ffn_gpus; tp >= 1; --tp) {
      if (ffn_gpus % tp != 0) continue;
      alone.ffn_tensor_parallel = tp;
      alone.ffn_expert_parallel = ffn_gpus / tp;
      auto input = stock.input_of(alone, 1);
      // Sums are timed as the structure's own.
      const decode::Deployment own = stock.input_of(of, 1).deployment;
      input.deployment.network = own.network;
      input.deployment.scale_up = own.scale_up;
      input.deployment.pools[input.deployment.index_of(decode::Role::ffn)].gpus_per_instance =
          ffn_gpus;
      if (!decode::deployment_problems(input.deployment).empty()) continue;
      // Which experts the tokens choose is nothing to the attention.
      input.noise.experts.counts = decode::ExpertPopularity::Counts::expected;
      const std::uint32_t pool = input.deployment.index_of(decode::Role::attention);
      return std::make_unique<Probe<AttentionTimes>>(
          input, context, [pool](CyclicSteps& steps, const MicroBatchWork& work) {
            AttentionTimes out{.messages = work.longest_path,
                               .sending = work.senders[pool],
                               .answering = work.senders[1 - pool]};
            const auto resources = steps.graph().resources();
            for (std::size_t r = 0; r < resources.size(); ++r) {
              // One instance on either side: what is no message is on a resource.
              out.messages -= work.resources[r];
              if (resources[r].at.pool == pool) out.busy += work.resources[r];
            }
            return out;
          });
    }
    throw InvariantError("an attention instance has no FFN that it could work with");
  }

  std::shared_ptr<const std::vector<FfnTimes>> ffn(const Structure& s, std::int64_t requests) {
    auto& probe = ffns.of(
        {static_cast<std::int64_t>(s.model), static_cast<std::int64_t>(s.ffn_chip), s.ffn_instances,
         s.gpus_per_instance, s.ffn_tensor_parallel, s.ffn_expert_parallel,
         static_cast<std::int64_t>(s.dispatch), static_cast<std::int64_t>(s.collectives), s.drafts},
        [&] { return ffn_probe(s); });
    return probe.at(requests, s.micro_batches);
  }

  // With one attention GPU that holds all requests: it is not asked.
  [[nodiscard]] std::unique_ptr<Probe<FfnTimes>> ffn_probe(Structure s) const {
    s.attention_chip = s.ffn_chip;
    s.attention_instances = 1;
    s.attention_tensor_parallel = 1;
    s.context_parallel = 1;
    s.micro_batches = most_micro_batches;
    auto input = stock.input_of(s, 1);
    const std::uint32_t attention_pool = input.deployment.index_of(decode::Role::attention);
    const std::uint32_t pool = input.deployment.index_of(decode::Role::ffn);
    input.deployment.pools[attention_pool].gpus_per_instance = 1;
    return std::make_unique<Probe<FfnTimes>>(
        input, context,
        [pool, instances = s.ffn_instances](CyclicSteps& steps, const MicroBatchWork& work) {
          FfnTimes out;
          const auto resources = steps.graph().resources();
          std::vector<double> together(static_cast<std::size_t>(instances), 0.0);
          for (std::size_t r = 0; r < resources.size(); ++r) {
            if (resources[r].at.pool != pool) continue;
            out.busy.push_back(work.resources[r]);
            together[resources[r].at.instance] += work.resources[r];
          }
          out.longest = *std::max_element(together.begin(), together.end());
          return out;
        });
  }

  std::shared_ptr<const std::vector<MicroBatchWork>> whole(const Structure& s,
                                                           std::int64_t requests) {
    auto& probe =
        wholes.of({s.strategy,
                   {static_cast<std::int64_t>(s.model), static_cast<std::int64_t>(s.attention_chip),
                    s.gpus_per_instance, s.attention_tensor_parallel, s.context_parallel, s.drafts,
                    s.ffn_tensor_parallel, s.ffn_expert_parallel, s.redundant_experts,
                    static_cast<std::int64_t>(s.collectives)}},
                  [&] {
                    Structure all = s;
                    all.micro_batches = most_micro_batches;
                    return std::make_unique<Probe<MicroBatchWork>>(
                        stock.input_of(all, 1), context,
                        [](CyclicSteps&, const MicroBatchWork& work) { return work; });
                  });
    return probe.at(requests, s.micro_batches);
  }

  [[nodiscard]] double split_floor(const Structure& s, std::int64_t requests) {
    const auto m = static_cast<double>(s.micro_batches);
    const AttentionTimes attention_times = attention(s, requests);
    const auto of_ffn = ffn(s, requests * s.groups());
    const auto ffn_times = std::span(*of_ffn).first(static_cast<std::size_t>(s.micro_batches));
    double floor = m * attention_times.busy;
    double messages = 0.0;
    if (s.dispatch == decode::Dispatch::broadcast) {
      // What is routed depends on how many instances there are.
      floor =
          std::max({floor, m * static_cast<double>(s.ffn_instances) * attention_times.sending,
                    m * static_cast<double>(s.attention_instances) * attention_times.answering});
      messages = attention_times.messages;
    }
    for (std::size_t r = 0; r < ffn_times.front().busy.size(); ++r) {
      double busy = 0.0;
      for (const FfnTimes& one : ffn_times) busy += one.busy[r];
      floor = std::max(floor, busy);
    }
    for (const FfnTimes& one : ffn_times) {
      floor = std::max(floor, attention_times.busy + messages + one.longest);
    }
    return floor;
  }

  [[nodiscard]] double whole_floor(const Structure& s, std::int64_t requests) {
    const auto all = whole(s, requests);
    double floor = 0.0;
    std::vector<double> busy(all->front().resources.size(), 0.0);
    for (const MicroBatchWork& work :
         std::span(*all).first(static_cast<std::size_t>(s.micro_batches))) {
      floor = std::max(floor, work.longest_path);
      for (std::size_t r = 0; r < busy.size(); ++r) busy[r] += work.resources[r];
    }
    return std::max(floor, *std::max_element(busy.begin(), busy.end()));
  }

  const Stocktaking& stock;
  std::int64_t most_micro_batches;
  std::int64_t context;
  Probes<AttentionKey, AttentionTimes> attentions;
  Probes<FfnKey, FfnTimes> ffns;
  Probes<WholeKey, MicroBatchWork> wholes;
};

Bounds::Bounds(const Stocktaking& stock, const Candidates& candidates) {
  std::int64_t most_micro_batches = 1;
  for (const auto& one : candidates.all) {
    most_micro_batches = std::max(most_micro_batches, one.structure.micro_batches);
  }
  impl_ = std::make_unique<Impl>(stock, most_micro_batches);
}
Bounds::~Bounds() = default;

Seconds Bounds::attention_floor(const Structure& s, std::int64_t requests) {
  return Seconds{measured_share(s.schedule) * static_cast<double>(s.micro_batches) *
                 impl_->attention(s, requests).busy};
}
Seconds Bounds::floor(const Structure& s, std::int64_t requests) {
  return Seconds{measured_share(s.schedule) *
                 (s.split() ? impl_->split_floor(s, requests) : impl_->whole_floor(s, requests))};
}
std::size_t Bounds::entries() const {
  return impl_->attentions.entries() + impl_->ffns.entries() + impl_->wholes.entries();
}

}  // namespace ridge::plan
