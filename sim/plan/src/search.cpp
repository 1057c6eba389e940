#include "ridge/base/error.hpp"
#include "ridge/base/parallel.hpp"
#include "ridge/plan/bounds.hpp"
#include "ridge/plan/plan.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <tuple>
#include <utility>

namespace ridge::plan {

double value_of(const Stocktaking& stock, const Structure& s, double tokens_per_second) {
  const auto gpus = static_cast<double>(s.gpus());
  switch (objective_of(stock.goal())) {
    case Objective::tokens_per_second_per_gpu:
      return tokens_per_second / gpus;
    case Objective::usd_per_million_tokens:
      return tokens_per_second / stock.price_of(s)->value();
    case Objective::tokens_per_second:
      return tokens_per_second * static_cast<double>(stock.replicas_of(s));
    case Objective::gpus:
      break;
  }
  // Fewest GPUs for the rate; of as many, those that deliver more. Not at all where the goal's GPUs
  // do not suffice.
  const double replicas = std::ceil(*stock.rate() / tokens_per_second);
  if (replicas > static_cast<double>(stock.replicas_of(s))) {
    return -std::numeric_limits<double>::infinity();
  }
  constexpr double kMostTokensPerSecond = 1e9;
  return -replicas * gpus + tokens_per_second / gpus / kMostTokensPerSecond;
}

namespace {

constexpr double kEverything = std::numeric_limits<double>::infinity();
constexpr double kNothing = -kEverything;

// Structures that are judged between two looks at what is best so far, so that the answer and the
// counts are the same for any number of threads.
constexpr std::size_t kWave = 16;

class Search {
 public:
  Search(const Stocktaking& stock, const Candidates& candidates, Bounds& bounds, Seconds limit,
         const PlanOptions& options, SearchCounts& counts)
      : stock_(stock),
        all_(candidates.all),
        options_(options),
        counts_(counts),
        limit_(limit),
        bounds_(bounds),
        hopes_(all_.size()),
        choices_(all_.size()) {}

  std::vector<Choice> run(bool& partial) {
    std::vector<std::size_t> order(all_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    if (!options_.exhaustive) {
      each("timing attention", all_.size(), [&](std::size_t i) { look_at_attention(i); });
      // A few that promise most show what can be reached; then all that may reach it.
      double most = kNothing;
      for (const Hope& hope : hopes_) most = std::max(most, hope.most);
      constexpr double kMuch = 0.7;
      for (const double at_least : {kMuch * most, kNothing}) {
        each("timing stages", all_.size(), [&](std::size_t i) {
          if (hopes_[i].most >= at_least && hopeful(i, hopes_[i].most)) estimate(i);
        });
        std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
          return hopes_[a].estimate > hopes_[b].estimate;
        });
        reach_for(order);
      }
    }
    std::size_t next = 0;
    while (next < order.size() && !stopped()) {
      std::vector<std::size_t> wave;
      for (; next < order.size() && wave.size() < kWave; ++next) {
        const std::size_t i = order[next];
        if (options_.exhaustive || hopeful(i, hopes_[i].most)) {
          wave.push_back(i);
        } else {
          ++counts_.pruned_by_attention;
        }
      }
      parallel_for(options_.threads, wave.size(), [&] {
        return [&](std::size_t i) {
          judge(wave[i]);
          return !stopped();
        };
      });
      for (const std::size_t i : wave) settle(i);
      tell("judging structures", next, order.size());
    }
    partial = next < order.size() || stopped();
    counts_.stage_times = bounds_.entries();
    return ranked();
  }

 private:
  // What a structure may be worth at most.
  struct Hope {
    std::vector<double> of_batch;  // [requests - 1]; kNothing where it is late
    double most = kNothing;
    double estimate = kNothing;    // what it may be worth indeed: in which order to try
    std::int64_t estimate_at = 0;  // requests, which may be too many
    double reached = kNothing;     // what it is worth with some batch
    bool pruned = false;
    std::size_t simulated = 0;
    std::size_t by_cycle = 0;

    [[nodiscard]] double of(std::int64_t requests) const {
      return of_batch[static_cast<std::size_t>(requests - 1)];
    }
  };

  [[nodiscard]] bool stopped() const {
    return options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed);
  }
  [[nodiscard]] double worth(const Structure& s, std::int64_t requests, Seconds tpot) const {
    return value_of(stock_, s, static_cast<double>(s.batch(requests)) / tpot.value());
  }
  // What so many requests are worth at most where no step takes less than this; nothing where that
  // is late.
  [[nodiscard]] double most_worth(const Structure& s, std::int64_t requests, Seconds step) const {
    if (stock_.tpot_floor(s, step) > limit_) return kNothing;
    return worth(s, requests, stock_.per_token(s).mean * step);
  }

  template <typename Do>
  void each(const char* what, std::size_t count, Do&& work) {
    std::atomic<std::size_t> done{0};
    parallel_for(options_.threads, count, [&] {
      return [&](std::size_t i) {
        work(i);
        constexpr std::size_t kBetween = 64;
        if (const std::size_t so_far = ++done; so_far % kBetween == 0) tell(what, so_far, count);
        return !stopped();
      };
    });
  }
  void tell(const char* what, std::size_t done, std::size_t all) const {
    if (options_.progress) {
      options_.progress(static_cast<double>(done) / static_cast<double>(all), what);
    }
  }

  void look_at_attention(std::size_t i) {
    const auto& [s, most] = all_[i];
    Hope& hope = hopes_[i];
    for (std::int64_t requests = most; requests > 0; --requests) {
      const double at_most = most_worth(s, requests, bounds_.attention_floor(s, requests));
      if (at_most == kNothing) continue;
      if (hope.of_batch.empty()) {
        hope.of_batch.assign(static_cast<std::size_t>(requests), kNothing);
      }
      hope.of_batch[static_cast<std::size_t>(requests - 1)] = at_most;
      hope.most = std::max(hope.most, at_most);
    }
  }

  // What the floors of a few batches say: the sooner good structures are judged, the fewer others
  // need be looked at.
  void estimate(std::size_t i) {
    const Structure& s = all_[i].structure;
    Hope& hope = hopes_[i];
    if (hope.estimate_at > 0) return;
    for (double share = 1.0; share > 0.1; share *= 0.75) {
      const auto requests = std::max<std::int64_t>(
          1, std::llround(share * static_cast<double>(hope.of_batch.size())));
      const double at_most = most_worth(s, requests, bounds_.floor(s, requests));
      constexpr double kLate = 0.7;
      const bool late = at_most == kNothing;
      hope.estimate = late ? kLate * worth(s, requests, limit_) : at_most;
      hope.estimate_at = requests;
      if (!late) break;
    }
  }

  // A good batch of the first structures of each layout whose step is known without a simulation:
  // what is known to be reached leaves out most of the others at a look.
  void reach_for(const std::vector<std::size_t>& order) {
    constexpr std::size_t kStructures = 96;
    constexpr std::size_t kOfLayout = 4;
    std::map<Layout, std::size_t> of_layout;
    std::vector<std::size_t> first;
    for (const std::size_t i : order) {
      const Structure& s = all_[i].structure;
      if (s.schedule != decode::Schedule::cyclic || hopes_[i].estimate_at == 0) continue;
      if (hopes_[i].estimate < threshold_ || hopes_[i].reached != kNothing) continue;
      if (++of_layout[layout_of(s)] <= kOfLayout) first.push_back(i);
      if (first.size() == kStructures) break;
    }
    each("judging structures", first.size(), [&](std::size_t n) {
      const Structure& s = all_[first[n]].structure;
      Hope& hope = hopes_[first[n]];
      Judge judge(stock_, s);
      constexpr int kTries = 5;
      std::int64_t requests = hope.estimate_at;
      for (int i = 0; i < kTries && requests > 0; ++i) {
        const Verdict verdict = judge.verdict(requests);
        ++hope.by_cycle;
        if (verdict.tpot <= limit_) {
          hope.reached = worth(s, requests, verdict.mean_tpot);
          return;
        }
        // A step takes something besides what grows with its requests, so that this is mostly too
        // many still, but closer.
        const double share = limit_ / verdict.tpot;
        requests = std::min<std::int64_t>(requests - 1,
                                          std::llround(share * static_cast<double>(requests)));
      }
    });
    for (const std::size_t i : first) {
      counts_.batches_by_cycle += std::exchange(hopes_[i].by_cycle, 0);
      learn(all_[i].structure, hopes_[i].reached);
    }
  }

  // What a structure must be worth to change the answer: to be the best of its layout, and that
  // among the best of all or of its strategy.
  [[nodiscard]] double needed(const Structure& s) const {
    double least = threshold_;
    if (options_.each_strategy) {
      const auto of_strategy = best_of_strategy_.find({s.model, s.strategy});
      least =
          of_strategy == best_of_strategy_.end() ? kNothing : std::min(least, of_strategy->second);
    }
    const auto best = best_.find(layout_of(s));
    return best == best_.end() ? least : std::max(least, best->second);
  }
  [[nodiscard]] bool hopeful(std::size_t i, double most) const {
    return options_.exhaustive || (most != kNothing && most >= needed(all_[i].structure));
  }

  // The longest step with which so many requests are worth so much, or the SLA.
  [[nodiscard]] Seconds longest(const Structure& s, std::int64_t requests, double worth_it) const {
    // Where steps differ, their mean says nothing of the longest; where GPUs are counted, nothing
    // of steps.
    const bool by_steps = s.schedule == decode::Schedule::cyclic && worth_it > 0.0 &&
                          objective_of(stock_.goal()) != Objective::gpus;
    if (!by_steps) return limit_;
    const PerToken share = stock_.per_token(s);
    return std::min(limit_, share.at_percentile / share.mean *
                                Seconds{worth(s, requests, Seconds{1.0}) / worth_it});
  }

  // The batch with which it is worth most, of those within the SLA.
  void judge(std::size_t i) {
    const auto& [s, most] = all_[i];
    Hope& hope = hopes_[i];
    if (options_.exhaustive) hope.of_batch.assign(static_cast<std::size_t>(most), kEverything);
    // What may be worth most is looked at first: closer and closer, and then judged.
    enum class Known : std::uint8_t { attention, floor, own_floor };
    struct Batch {
      double at_most;
      std::int64_t requests;
      Known known;
      bool operator<(const Batch& other) const {
        return std::tie(at_most, requests) < std::tie(other.at_most, other.requests);
      }
    };
    std::priority_queue<Batch> batches;
    for (auto requests = static_cast<std::int64_t>(hope.of_batch.size()); requests > 0;
         --requests) {
      if (hope.of(requests) == kNothing) continue;
      batches.push(
          {hope.of(requests), requests, options_.exhaustive ? Known::own_floor : Known::attention});
    }
    hope.pruned = !options_.exhaustive;
    std::optional<Judge> judge;
    double best = kNothing;
    while (!batches.empty()) {
      const auto [at_most, requests, known] = batches.top();
      batches.pop();
      if (at_most < best || !hopeful(i, at_most) || stopped()) return;
      if (known == Known::attention) {
        const double by_floor = most_worth(s, requests, bounds_.floor(s, requests));
        if (by_floor == kNothing) continue;
        batches.push({std::min(at_most, by_floor), requests, Known::floor});
        continue;
      }
      hope.pruned = false;
      if (!judge) judge.emplace(stock_, s);
      if (known == Known::floor) {
        const double by_floor = most_worth(s, requests, judge->floor(requests));
        if (by_floor == kNothing) continue;
        batches.push({std::min(at_most, by_floor), requests, Known::own_floor});
        continue;
      }
      const double least = options_.exhaustive ? kNothing : std::max(best, needed(s));
      const Verdict verdict = judge->verdict(requests, longest(s, requests, least));
      ++(s.schedule == decode::Schedule::cyclic ? hope.by_cycle : hope.simulated);
      if (verdict.tpot > limit_) continue;
      const double worth_it = worth(s, requests, verdict.mean_tpot);
      if (worth_it < best || (worth_it == best && requests < choices_[i]->requests)) continue;
      if (worth_it == kNothing) continue;
      best = worth_it;
      choices_[i] = Choice{
          .structure = s,
          .requests = requests,
          .most_requests = most,
          .verdict = verdict,
          .tokens_per_second = static_cast<double>(s.batch(requests)) / verdict.mean_tpot.value()};
    }
  }

  void settle(std::size_t i) {
    if (hopes_[i].pruned) {
      ++counts_.pruned_by_floor;
      return;
    }
    ++counts_.judged;
    counts_.batches_simulated += hopes_[i].simulated;
    counts_.batches_by_cycle += hopes_[i].by_cycle;
    if (!choices_[i]) return;
    const Structure& s = choices_[i]->structure;
    learn(s, value_of(stock_, s, choices_[i]->tokens_per_second));
  }

  // That it can be worth as much.
  void learn(const Structure& s, double worth) {
    if (worth == kNothing) return;
    const auto [place, added] = best_.try_emplace(layout_of(s), worth);
    place->second = std::max(place->second, worth);
    auto [of_strategy, first] = best_of_strategy_.try_emplace({s.model, s.strategy}, worth);
    of_strategy->second = std::max(of_strategy->second, worth);
    std::vector<double> values;
    for (const auto& [layout, value] : best_) values.push_back(value);
    if (values.size() < options_.layouts) return;
    const auto last = values.begin() + static_cast<std::ptrdiff_t>(options_.layouts) - 1;
    std::nth_element(values.begin(), last, values.end(), std::greater<>());
    threshold_ = *last;
  }

  // The best of each layout, best first: as many as are wanted, and the best of each strategy.
  [[nodiscard]] std::vector<Choice> ranked() const {
    struct Best {
      double worth = kNothing;
      std::size_t index = 0;
    };
    std::map<Layout, Best> of_layout;
    for (std::size_t i = 0; i < choices_.size(); ++i) {
      if (!choices_[i]) continue;
      const double worth = value_of(stock_, choices_[i]->structure, choices_[i]->tokens_per_second);
      if (worth == kNothing) continue;
      Best& best = of_layout[layout_of(choices_[i]->structure)];
      if (worth > best.worth) best = {worth, i};
    }
    std::vector<Best> order;
    for (const auto& [layout, best] : of_layout) order.push_back(best);
    std::sort(order.begin(), order.end(), [](const Best& a, const Best& b) {
      return a.worth != b.worth ? a.worth > b.worth : a.index < b.index;
    });
    std::vector<Choice> out;
    std::set<std::pair<std::size_t, std::string>> told;
    for (const Best& best : order) {
      const Choice& choice = *choices_[best.index];
      const bool first = told.insert({choice.structure.model, choice.structure.strategy}).second;
      if (out.size() < options_.layouts || (first && options_.each_strategy)) {
        out.push_back(choice);
      }
    }
    return out;
  }

  const Stocktaking& stock_;
  const std::vector<Candidates::One>& all_;
  const PlanOptions& options_;
  SearchCounts& counts_;
  Seconds limit_;
  Bounds& bounds_;
  std::vector<Hope> hopes_;
  std::vector<std::optional<Choice>> choices_;
  std::map<Layout, double> best_;
  std::map<std::pair<std::size_t, std::string>, double> best_of_strategy_;
  double threshold_ = kNothing;
};

}  // namespace

std::vector<NearMiss> nearest(const Stocktaking& stock, const Candidates& candidates,
                              Bounds& bounds, const PlanOptions& options) {
  const auto& all = candidates.all;
  std::vector<Seconds> floors(all.size());
  parallel_for(options.threads, all.size(), [&] {
    return [&](std::size_t i) {
      const Structure& s = all[i].structure;
      floors[i] = stock.tpot_floor(s, bounds.floor(s, 1));
      return true;
    };
  });
  std::vector<std::size_t> order(all.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return floors[a] < floors[b]; });
  std::map<Layout, NearMiss> of_layout;
  const auto fastest = [&] {
    std::vector<NearMiss> out;
    for (const auto& [layout, miss] : of_layout) out.push_back(miss);
    std::stable_sort(out.begin(), out.end(),
                     [](const NearMiss& a, const NearMiss& b) { return a.tpot < b.tpot; });
    if (out.size() > options.layouts) out.resize(options.layouts);
    return out;
  };
  for (const std::size_t i : order) {
    const Structure& s = all[i].structure;
    const auto so_far = fastest();
    if (so_far.size() == options.layouts && floors[i] > so_far.back().tpot) break;
    if (const auto same = of_layout.find(layout_of(s));
        same != of_layout.end() && floors[i] > same->second.tpot) {
      continue;
    }
    const Seconds tpot = Judge(stock, s).verdict(1).tpot;
    const auto [place, added] = of_layout.try_emplace(layout_of(s), NearMiss{s, tpot});
    if (!added && tpot < place->second.tpot) place->second = {s, tpot};
    if (options.stop != nullptr && options.stop->load(std::memory_order_relaxed)) break;
  }
  return fastest();
}

std::vector<Choice> search(const Stocktaking& stock, const Candidates& candidates, Bounds& bounds,
                           Seconds limit, const PlanOptions& options, SearchCounts& counts,
                           bool& partial) {
  counts.considered = candidates.considered;
  counts.possible = candidates.all.size();
  return Search(stock, candidates, bounds, limit, options, counts).run(partial);
}

}  // namespace ridge::plan
