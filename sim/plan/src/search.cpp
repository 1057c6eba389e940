#include "evaluation.hpp"
#include "pieces.hpp"
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
#include <set>
#include <string>
#include <string_view>
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
        evaluation_(stock, candidates, bounds, options),
        worker_(candidates, evaluation_, {}),
        hopes_(all_.size()),
        choices_(all_.size()) {}

  std::vector<Choice> run(bool& partial) {
    std::vector<std::size_t> order(all_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    if (!options_.exhaustive) {
      each("timing attention", all_.size(), [&](std::size_t i) {
        hopes_[i].of_batch = evaluation_.of_attention(i, limit_);
        for (const double at_most : hopes_[i].of_batch) {
          hopes_[i].most = std::max(hopes_[i].most, at_most);
        }
      });
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
        if (hopeful(i, hopes_[i].most)) {
          wave.push_back(i);
        } else {
          ++counts_.pruned_by_attention;
        }
      }
      std::vector<Judged> judged = judge(wave);
      for (std::size_t n = 0; n < wave.size(); ++n) settle(wave[n], std::move(judged[n]));
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
  };

  [[nodiscard]] bool stopped() const {
    return options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed);
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

  // By whoever there is: threads, or ranks.
  std::vector<Judged> judge(const std::vector<std::size_t>& wave) {
    std::vector<Judged> out(wave.size());
    if (options_.ranks != nullptr) {
      std::vector<std::string> pieces;
      for (const std::size_t i : wave) pieces.push_back(piece_to_judge(i, needed(i), limit_));
      lead(pieces, [&](std::size_t n, std::string_view answer) {
        out[n] = judged_of(answer, all_[wave[n]]);
      });
      return out;
    }
    // Mostly one of them takes longer than all others together. Who has no structure left helps.
    constexpr std::size_t kParts = 4;
    std::vector<std::atomic<bool>> done(wave.size());
    parallel_for(options_.threads, wave.size() * (1 + kParts), [&] {
      return [&](std::size_t n) {
        const std::size_t i = wave[n % wave.size()];
        if (n < wave.size()) {
          out[n] = evaluation_.judge(i, hopes_[i].of_batch, needed(i), limit_);
          done[n] = true;
        } else if (const auto& its = done[n % wave.size()]; !its) {
          evaluation_.help_judge(i, hopes_[i].of_batch, needed(i), n / wave.size() - 1, kParts,
                                 its);
        }
        return !stopped();
      };
    });
    return out;
  }
  void lead(const std::vector<std::string>& pieces, const Ranks::Finished& finished) {
    options_.ranks->lead(
        pieces, [&](const std::string& piece) { return worker_.answer(piece); }, finished,
        options_.stop);
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
      const double at_most =
          evaluation_.most_worth(s, requests, bounds_.floor(s, requests), limit_);
      constexpr double kLate = 0.7;
      const bool late = at_most == kNothing;
      hope.estimate = late ? kLate * evaluation_.worth(s, requests, limit_) : at_most;
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
    std::vector<Reached> reached(first.size());
    if (options_.ranks != nullptr) {
      std::vector<std::string> pieces;
      for (const std::size_t i : first) {
        pieces.push_back(piece_to_reach(i, hopes_[i].estimate_at, limit_));
      }
      lead(pieces,
           [&](std::size_t n, std::string_view answer) { reached[n] = reached_of(answer); });
    } else {
      each("judging structures", first.size(), [&](std::size_t n) {
        reached[n] = evaluation_.reach(first[n], hopes_[first[n]].estimate_at, limit_);
      });
    }
    for (std::size_t n = 0; n < first.size(); ++n) {
      counts_.batches_by_cycle += reached[n].by_cycle;
      hopes_[first[n]].reached = reached[n].worth;
      learn(all_[first[n]].structure, reached[n].worth);
    }
  }

  // What a structure must be worth to change the answer: to be the best of its layout, and that
  // among the best of all or of its strategy.
  [[nodiscard]] double needed(std::size_t i) const {
    const Structure& s = all_[i].structure;
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
    return options_.exhaustive || (most != kNothing && most >= needed(i));
  }

  void settle(std::size_t i, Judged judged) {
    if (judged.pruned) {
      ++counts_.pruned_by_floor;
      return;
    }
    ++counts_.judged;
    counts_.batches_simulated += judged.simulated;
    counts_.batches_by_cycle += judged.by_cycle;
    choices_[i] = std::move(judged.choice);
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
  Evaluation evaluation_;
  PieceWorker worker_;
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
