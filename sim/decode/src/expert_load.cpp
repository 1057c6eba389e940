#include "ridge/decode/expert_load.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/random.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

namespace ridge::decode {
namespace {

// Shares of the choices, summing to 1, in the order of the experts' numbers.
std::vector<double> popularity_of(const models::MoeFfn& ffn, const ExpertPopularity& popularity,
                                  std::uint64_t seed, std::uint64_t layer) {
  const auto experts = static_cast<std::size_t>(ffn.experts);
  std::vector<double> weights(experts, 1.0);
  if (popularity.kind == ExpertPopularity::Kind::power_law) {
    for (std::size_t rank = 0; rank < experts; ++rank) {
      weights[rank] = std::pow(static_cast<double>(rank + 1), -popularity.exponent);
    }
  } else if (popularity.kind == ExpertPopularity::Kind::shares) {
    weights = popularity.shares;
    RIDGE_INVARIANT(weights.size() == experts, "one share per expert");
  }
  const auto live = std::count_if(weights.begin(), weights.end(), [](double w) { return w > 0.0; });
  if (live < ffn.top_k) {
    throw UserError(
        fmt::format("noise: experts: only {} of {} experts have a share above 0, but each token "
                    "chooses {} different ones",
                    live, ffn.experts, ffn.top_k));
  }
  if (popularity.kind != ExpertPopularity::Kind::uniform) {
    Random random(seed, layer);
    for (std::size_t i = experts; i > 1; --i) std::swap(weights[i - 1], weights[random.below(i)]);
  }
  // A token chooses an expert once at most: what a share above 1/top_k cannot use goes to the
  // others.
  const double top_k = static_cast<double>(ffn.top_k);
  double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& w : weights) w /= total;
  for (std::size_t round = 0; round < experts; ++round) {
    double excess = 0.0;
    double open = 0.0;
    for (double& w : weights) {
      if (w * top_k > 1.0 + 1e-12) {
        excess += w - 1.0 / top_k;
        w = 1.0 / top_k;
      } else if (w * top_k < 1.0) {
        open += w;
      }
    }
    if (excess <= 0.0 || open <= 0.0) break;
    for (double& w : weights) {
      if (w * top_k < 1.0) w += excess * w / open;
    }
  }
  return weights;
}

// As std::llround, which is a call of its own, for what is far from overflow.
std::int64_t rounded(double x) {
  const auto whole = static_cast<std::int64_t>(x);
  const double rest = x - static_cast<double>(whole);
  return whole + (rest >= 0.5 ? 1 : 0) - (rest <= -0.5 ? 1 : 0);
}

// Below it, a number is drawn by walking its distribution function.
constexpr double kFew = 12.0;

// How many of `trials` come true, with this mean and a variance not above the binomial's: Cornish
// and Fisher's expansion to the third moment.
std::int64_t draw_many(std::int64_t trials, double mean, double variance, Random& random) {
  const double sigma = std::sqrt(variance);
  const double skew = (1.0 - 2.0 * mean / static_cast<double>(trials)) / sigma;
  const double z = random.normal();
  return rounded(mean + sigma * (z + skew * (z * z - 1.0) / 6.0));
}

}  // namespace

double RankLoad::active_experts(double tokens) const {
  double active = 0.0;
  for (const double share : token_share) {
    active += share >= 1.0 ? (tokens > 0.0 ? 1.0 : 0.0) : -std::expm1(tokens * std::log1p(-share));
  }
  return active;
}

namespace {

// What a balancer takes for the shares.
std::vector<double> known_to_balancer(std::vector<double> shares, double error, std::uint64_t seed,
                                      std::uint64_t layer) {
  constexpr std::uint64_t kStream = std::uint64_t{1} << 32U;  // beyond those of the layers
  Random random(seed, kStream + layer);
  for (double& share : shares) share *= random.lognormal(error);
  return shares;
}

}  // namespace

std::vector<RankLoad> rank_loads(const models::MoeFfn& ffn, const ExpertPopularity& popularity,
                                 std::int64_t ranks, std::int64_t redundant, std::uint64_t seed,
                                 std::uint64_t layer) {
  const std::int64_t copies = ffn.experts + redundant;
  if (copies % ranks != 0) {
    throw UserError(fmt::format(
        "{} experts{} do not divide over {} expert-parallel ranks; {} redundant experts would",
        ffn.experts, redundant > 0 ? fmt::format(" and {} redundant copies", redundant) : "", ranks,
        (ranks - ffn.experts % ranks) % ranks));
  }
  const std::vector<double> shares = popularity_of(ffn, popularity, seed, layer);

  const std::vector<double> known =
      popularity.balancer_error ? known_to_balancer(shares, *popularity.balancer_error, seed, layer)
                                : shares;

  // Copies: again and again to the expert whose single copy is busiest.
  std::vector<std::int64_t> copies_of(shares.size(), 1);
  for (std::int64_t i = 0; i < redundant; ++i) {
    std::size_t busiest = 0;
    for (std::size_t e = 1; e < shares.size(); ++e) {
      if (known[e] / static_cast<double>(copies_of[e]) >
          known[busiest] / static_cast<double>(copies_of[busiest])) {
        busiest = e;
      }
    }
    ++copies_of[busiest];
  }
  struct Copy {
    std::uint32_t expert;
    double share;
    double known;
  };
  std::vector<Copy> all;
  for (std::uint32_t e = 0; e < shares.size(); ++e) {
    const auto each = static_cast<double>(copies_of[e]);
    all.insert(all.end(), static_cast<std::size_t>(copies_of[e]),
               {e, shares[e] / each, known[e] / each});
  }
  const bool balanced = redundant > 0 || popularity.balancer_error;
  // Without a balancer experts stay where their number puts them; it sorts by load.
  if (balanced) {
    std::stable_sort(all.begin(), all.end(),
                     [](const Copy& a, const Copy& b) { return a.known > b.known; });
  }
  const std::int64_t per_rank = copies / ranks;
  std::vector<RankLoad> loads(static_cast<std::size_t>(ranks));
  for (auto& load : loads) load.load = 0.0;
  std::vector<double> expected(loads.size(), 0.0);  // by the balancer
  for (std::size_t c = 0; c < all.size(); ++c) {
    std::size_t target = c / static_cast<std::size_t>(per_rank);
    if (balanced) {
      target = loads.size();
      for (std::size_t r = 0; r < loads.size(); ++r) {
        if (loads[r].experts_held == per_rank) continue;
        if (target == loads.size() || expected[r] < expected[target]) target = r;
      }
    }
    expected[target] += all[c].known * static_cast<double>(ranks);
    loads[target].load += all[c].share * static_cast<double>(ranks);
    loads[target].experts.push_back(all[c].expert);
    loads[target].token_share.push_back(all[c].share * static_cast<double>(ffn.top_k));
    ++loads[target].experts_held;
  }
  return loads;
}

double reach(double share, std::int64_t top_k, std::int64_t experts) {
  // Drawing without putting back.
  double misses = 1.0;
  for (std::int64_t i = 0; i < top_k; ++i) {
    const auto left = static_cast<double>(experts - i);
    misses *= std::max(0.0, 1.0 - share * static_cast<double>(experts) / left);
  }
  return 1.0 - misses;
}

// The binomial of a mean and a variance, which depend on the choices that are left alone: layers
// and steps ask for the same again and again.
struct RowDraw::Few {
  static constexpr std::size_t kSlots = 64;  // for each expert, by the choices that are left
  static constexpr std::int64_t kKept = 20;
  std::int64_t left = -1;
  std::int64_t trials = 0;
  double p = 0;
  std::int64_t known = 0;
  std::array<double, kKept> probability;  // of each number below `known`

  void begin(std::int64_t choices, double mean, double variance) {
    left = choices;
    trials = std::max(rounded(mean / (1.0 - variance / mean)), rounded(std::ceil(mean)));
    p = std::min(mean / static_cast<double>(trials), 1.0 - 1e-12);
    probability[0] = std::exp(static_cast<double>(trials) * std::log1p(-p));
    known = 1;
  }
  // Of `count` + 1, from that of `count`.
  [[nodiscard]] double next(double of_count, std::int64_t count) const {
    return of_count *
           (static_cast<double>(trials - count) / static_cast<double>(count + 1) * p / (1.0 - p));
  }
};

RowDraw::~RowDraw() = default;

std::int64_t RowDraw::draw_few(std::size_t place, std::int64_t left, double mean, double variance,
                               double uniform) {
  if (few_.empty()) few_.resize(remembers_ ? order_.size() * Few::kSlots : 1);
  const auto slot = static_cast<std::size_t>(left) % Few::kSlots;
  Few& few = few_[remembers_ ? place * Few::kSlots + slot : 0];
  if (!remembers_ || few.left != left) few.begin(left, mean, variance);
  double probability = few.probability[0];
  double rest = uniform - probability;
  std::int64_t count = 0;
  while (rest >= 0.0 && count < few.trials) {
    const std::int64_t more = count + 1;
    if (more < few.known) {
      probability = few.probability[static_cast<std::size_t>(more)];
    } else {
      probability = few.next(probability, count);
      if (more < Few::kKept) {
        few.probability[static_cast<std::size_t>(more)] = probability;
        few.known = more + 1;
      }
    }
    count = more;
    rest -= probability;
  }
  return count;
}

RowDraw::RowDraw(std::span<const RankLoad> ranks, const models::MoeFfn& ffn, bool remembers)
    : remembers_(remembers),
      copies_(static_cast<std::size_t>(ffn.experts), 0),
      rows_(copies_.size(), 0),
      next_(copies_.size(), 0),
      top_k_(ffn.top_k) {
  std::vector<double> token_share(copies_.size(), 0.0);  // all copies
  for (const RankLoad& rank : ranks) {
    held_.push_back(rank.experts);
    for (std::size_t i = 0; i < rank.experts.size(); ++i) {
      token_share[rank.experts[i]] += rank.token_share[i];
      ++copies_[rank.experts[i]];
    }
  }
  std::vector<std::uint32_t> order(copies_.size());
  std::iota(order.begin(), order.end(), 0U);
  std::erase_if(order, [&](std::uint32_t e) { return token_share[e] <= 0.0; });
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return token_share[a] > token_share[b];
  });
  // One expert after the other takes its part of the choices that are left, at most one of each
  // token's. Choices of one token exclude each other, which narrows the multinomial's variance.
  auto share_left = static_cast<double>(top_k_);
  for (std::size_t i = 0; i < order.size(); ++i) {
    const double share = std::min(token_share[order[i]], 1.0);
    const bool last = i + 1 == order.size();
    const double part = last ? 1.0 : std::min(share / share_left, 1.0);
    const double narrowed = (1.0 - share) / (1.0 - share / static_cast<double>(top_k_) + 1e-300);
    order_.push_back({.expert = order[i],
                      .part = part,
                      .left = 1.0 - part,
                      .narrowed = std::min(narrowed, 1.0)});
    share_left -= share;
  }
}

std::span<const std::int64_t> RowDraw::draw_experts(std::int64_t tokens, Random& random) {
  std::int64_t left = tokens * top_k_;
  auto others = static_cast<std::int64_t>(order_.size());
  for (std::size_t place = 0; place < order_.size(); ++place) {
    const Chosen& one = order_[place];
    --others;
    const double mean = static_cast<double>(left) * one.part;
    const double variance = mean * one.left * one.narrowed;
    std::int64_t& rows = rows_[one.expert];
    rows = variance <= 1e-12 ? rounded(mean)
           : mean < kFew     ? draw_few(place, left, mean, variance, random.uniform())
                             : draw_many(left, mean, variance, random);
    rows =
        std::clamp(rows, std::max<std::int64_t>(0, left - others * tokens), std::min(tokens, left));
    left -= rows;
  }
  RIDGE_INVARIANT(left == 0, "every choice of a token falls on an expert");
  return rows_;
}

void RowDraw::draw(std::int64_t tokens, Random& random, std::span<RankRows> out) {
  spread(draw_experts(tokens, random), out);
}

std::shared_ptr<const DrawnRows::MicroBatch> DrawnRows::find(const Question& question,
                                                             std::size_t micro_batch) const {
  const std::lock_guard lock(mutex_);
  const auto found = known_.find(question);
  if (found == known_.end() || micro_batch >= found->second.size()) return nullptr;
  return found->second[micro_batch];
}

void DrawnRows::keep(const Question& question, std::size_t micro_batch,
                     std::shared_ptr<const MicroBatch> drawn) {
  constexpr std::size_t kMostBytes = std::size_t{64} << 20U;
  const std::size_t bytes = drawn->rows.size() * sizeof(drawn->rows[0]);
  const std::lock_guard lock(mutex_);
  if (bytes_ + bytes > kMostBytes) {
    known_.clear();
    bytes_ = 0;
  }
  auto& known = known_[question];
  // After those before it; another thread may have been quicker.
  if (known.size() != micro_batch) return;
  bytes_ += bytes;
  known.push_back(std::move(drawn));
}

}  // namespace ridge::decode
