#include "evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <queue>
#include <tuple>
#include <utility>

namespace ridge::plan {
namespace {

constexpr double kEverything = std::numeric_limits<double>::infinity();

// A batch that may be best, and what its worth is known by.
struct Batch {
  enum class Known : std::uint8_t { attention, floor, own_floor };
  double at_most;
  std::int64_t requests;
  Known known;
  bool operator<(const Batch& other) const {
    return std::tie(at_most, requests) < std::tie(other.at_most, other.requests);
  }
};

}  // namespace

double Evaluation::worth(const Structure& s, std::int64_t requests, Seconds tpot) const {
  return value_of(stock_, s, static_cast<double>(s.batch(requests)) / tpot.value());
}

double Evaluation::most_worth(const Structure& s, std::int64_t requests, Seconds step,
                              Seconds limit) const {
  if (stock_.tpot_floor(s, step) > limit) return kNothing;
  return worth(s, requests, stock_.per_token(s).mean * step);
}

std::vector<double> Evaluation::of_attention(std::size_t candidate, Seconds limit) const {
  const auto& [s, most] = all_[candidate];
  std::vector<double> out;
  if (options_.exhaustive) return out;  // all are tried
  for (std::int64_t requests = most; requests > 0; --requests) {
    const double at_most = most_worth(s, requests, bounds_.attention_floor(s, requests), limit);
    if (at_most == kNothing) continue;
    if (out.empty()) out.assign(static_cast<std::size_t>(requests), kNothing);
    out[static_cast<std::size_t>(requests - 1)] = at_most;
  }
  return out;
}

Reached Evaluation::reach(std::size_t candidate, std::int64_t requests, Seconds limit) const {
  const Structure& s = all_[candidate].structure;
  Judge judge(stock_, s);
  Reached out;
  constexpr int kTries = 5;
  for (int i = 0; i < kTries && requests > 0; ++i) {
    const Verdict verdict = judge.verdict(requests);
    ++out.by_cycle;
    if (verdict.tpot <= limit) {
      out.worth = worth(s, requests, verdict.mean_tpot);
      return out;
    }
    // A step takes something besides what grows with its requests, so that this is mostly too
    // many still, but closer.
    const double share = limit / verdict.tpot;
    requests =
        std::min<std::int64_t>(requests - 1, std::llround(share * static_cast<double>(requests)));
  }
  return out;
}

Seconds Evaluation::longest(const Structure& s, std::int64_t requests, double worth_it,
                            Seconds limit) const {
  // Where steps differ, their mean says nothing of the longest; where GPUs are counted, nothing
  // of steps.
  const bool by_steps = s.schedule == decode::Schedule::cyclic && worth_it > 0.0 &&
                        objective_of(stock_.goal()) != Objective::gpus;
  if (!by_steps) return limit;
  const PerToken share = stock_.per_token(s);
  return std::min(limit, share.at_percentile / share.mean *
                             Seconds{worth(s, requests, Seconds{1.0}) / worth_it});
}

void Evaluation::help_judge(std::size_t candidate, const std::vector<double>& of_batch,
                            double needed, std::size_t part, std::size_t parts,
                            const std::atomic<bool>& done) const {
  std::vector<std::pair<double, std::int64_t>> order;
  for (std::size_t i = 0; i < of_batch.size(); ++i) {
    if (of_batch[i] != kNothing && of_batch[i] >= needed) {
      order.emplace_back(of_batch[i], static_cast<std::int64_t>(i) + 1);
    }
  }
  std::sort(order.begin(), order.end(), std::greater<>());
  const std::size_t late = order.size() / 2;
  const std::size_t count = order.size() - late;
  for (std::size_t i = late + count * part / parts; i < late + count * (part + 1) / parts; ++i) {
    if (done.load(std::memory_order_relaxed) || stopped()) return;
    (void)bounds_.floor(all_[candidate].structure, order[i].second);
  }
}

Judged Evaluation::judge(std::size_t candidate, const std::vector<double>& of_batch, double needed,
                         Seconds limit) const {
  const auto& [s, most] = all_[candidate];
  const bool all = options_.exhaustive;
  // What may be worth most is looked at first: closer and closer, and then judged.
  std::priority_queue<Batch> batches;
  const auto count = all ? most : static_cast<std::int64_t>(of_batch.size());
  for (std::int64_t requests = count; requests > 0; --requests) {
    const double at_most = all ? kEverything : of_batch[static_cast<std::size_t>(requests - 1)];
    if (at_most == kNothing) continue;
    batches.push({at_most, requests, all ? Batch::Known::own_floor : Batch::Known::attention});
  }
  Judged out{.choice = {}, .pruned = !all};
  std::optional<Judge> judge;
  double best = kNothing;
  while (!batches.empty()) {
    const auto [at_most, requests, known] = batches.top();
    batches.pop();
    if (at_most < best || (!all && at_most < needed) || stopped()) return out;
    if (known == Batch::Known::attention) {
      const double by_floor = most_worth(s, requests, bounds_.floor(s, requests), limit);
      if (by_floor == kNothing) continue;
      batches.push({std::min(at_most, by_floor), requests, Batch::Known::floor});
      continue;
    }
    out.pruned = false;
    if (!judge) judge.emplace(stock_, s);
    if (known == Batch::Known::floor) {
      const double by_floor = most_worth(s, requests, judge->floor(requests), limit);
      if (by_floor == kNothing) continue;
      batches.push({std::min(at_most, by_floor), requests, Batch::Known::own_floor});
      continue;
    }
    const double least = all ? kNothing : std::max(best, needed);
    const Verdict verdict = judge->verdict(requests, longest(s, requests, least, limit));
    ++(s.schedule == decode::Schedule::cyclic ? out.by_cycle : out.simulated);
    if (verdict.tpot > limit) continue;
    const double worth_it = worth(s, requests, verdict.mean_tpot);
    if (worth_it == kNothing || worth_it < best) continue;
    if (worth_it == best && requests < out.choice->requests) continue;
    best = worth_it;
    out.choice = Choice{
        .structure = s,
        .requests = requests,
        .most_requests = most,
        .verdict = verdict,
        .tokens_per_second = static_cast<double>(s.batch(requests)) / verdict.mean_tpot.value()};
  }
  return out;
}

}  // namespace ridge::plan
