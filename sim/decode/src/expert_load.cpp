#include "ridge/decode/expert_load.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/random.hpp"

#include <algorithm>
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

// How many of `trials` come true, with this mean and a variance not above the binomial's.
std::int64_t draw_count(std::int64_t trials, double mean, double variance, Random& random) {
  if (variance <= 1e-12) return std::llround(mean);
  constexpr double kFew = 12.0;
  if (mean < kFew) {
    // The binomial of this mean and variance, by walking its distribution function.
    trials = std::max(std::llround(mean / (1.0 - variance / mean)), std::llround(std::ceil(mean)));
    const double p = std::min(mean / static_cast<double>(trials), 1.0 - 1e-12);
    double probability = std::exp(static_cast<double>(trials) * std::log1p(-p));
    double left = random.uniform() - probability;
    std::int64_t count = 0;
    while (left >= 0.0 && count < trials) {
      probability *=
          static_cast<double>(trials - count) / static_cast<double>(count + 1) * p / (1.0 - p);
      ++count;
      left -= probability;
    }
    return count;
  }
  // Cornish and Fisher's expansion to the third moment.
  const double sigma = std::sqrt(variance);
  const double skew = (1.0 - 2.0 * mean / static_cast<double>(trials)) / sigma;
  const double z = random.normal();
  return std::llround(mean + sigma * (z + skew * (z * z - 1.0) / 6.0));
}

}  // namespace

double RankLoad::active_experts(double tokens) const {
  double active = 0.0;
  for (const double share : token_share) {
    active += share >= 1.0 ? (tokens > 0.0 ? 1.0 : 0.0) : -std::expm1(tokens * std::log1p(-share));
  }
  return active;
}

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

  // Copies: again and again to the expert whose single copy is busiest.
  std::vector<std::int64_t> copies_of(shares.size(), 1);
  for (std::int64_t i = 0; i < redundant; ++i) {
    std::size_t busiest = 0;
    for (std::size_t e = 1; e < shares.size(); ++e) {
      if (shares[e] / static_cast<double>(copies_of[e]) >
          shares[busiest] / static_cast<double>(copies_of[busiest])) {
        busiest = e;
      }
    }
    ++copies_of[busiest];
  }
  struct Copy {
    std::uint32_t expert;
    double share;
  };
  std::vector<Copy> all;
  for (std::uint32_t e = 0; e < shares.size(); ++e) {
    all.insert(all.end(), static_cast<std::size_t>(copies_of[e]),
               {e, shares[e] / static_cast<double>(copies_of[e])});
  }
  const bool balanced = redundant > 0;
  // Without redundancy experts stay where their number puts them; a balancer sorts by load.
  if (balanced) {
    std::stable_sort(all.begin(), all.end(),
                     [](const Copy& a, const Copy& b) { return a.share > b.share; });
  }
  const std::int64_t per_rank = copies / ranks;
  std::vector<RankLoad> loads(static_cast<std::size_t>(ranks));
  for (auto& load : loads) load.load = 0.0;
  for (std::size_t c = 0; c < all.size(); ++c) {
    std::size_t target = c / static_cast<std::size_t>(per_rank);
    if (balanced) {
      target = loads.size();
      for (std::size_t r = 0; r < loads.size(); ++r) {
        if (loads[r].experts_held == per_rank) continue;
        if (target == loads.size() || loads[r].load < loads[target].load) target = r;
      }
    }
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

RowDraw::RowDraw(std::span<const RankLoad> ranks, const models::MoeFfn& ffn)
    : order_(static_cast<std::size_t>(ffn.experts)),
      token_share_(order_.size(), 0.0),
      copies_(order_.size(), 0),
      rows_(order_.size(), 0),
      next_(order_.size(), 0),
      top_k_(ffn.top_k) {
  for (const RankLoad& rank : ranks) {
    held_.push_back(rank.experts);
    for (std::size_t i = 0; i < rank.experts.size(); ++i) {
      token_share_[rank.experts[i]] += rank.token_share[i];
      ++copies_[rank.experts[i]];
    }
  }
  std::iota(order_.begin(), order_.end(), 0U);
  std::erase_if(order_, [&](std::uint32_t e) { return token_share_[e] <= 0.0; });
  std::stable_sort(order_.begin(), order_.end(), [&](std::uint32_t a, std::uint32_t b) {
    return token_share_[a] > token_share_[b];
  });
}

void RowDraw::draw(std::int64_t tokens, Random& random, std::span<RankRows> out) {
  // One expert after the other takes its part of the choices that are left, at most one of each
  // token's. Choices of one token exclude each other, which narrows the multinomial's variance.
  std::int64_t left = tokens * top_k_;
  auto share_left = static_cast<double>(top_k_);
  auto others = static_cast<std::int64_t>(order_.size());
  for (const std::uint32_t e : order_) {
    --others;
    const double share = std::min(token_share_[e], 1.0);
    const double part = others == 0 ? 1.0 : std::min(share / share_left, 1.0);
    const double mean = static_cast<double>(left) * part;
    const double narrowed = (1.0 - share) / (1.0 - share / static_cast<double>(top_k_) + 1e-300);
    const double variance = mean * (1.0 - part) * std::min(narrowed, 1.0);
    rows_[e] =
        std::clamp(draw_count(left, mean, variance, random),
                   std::max<std::int64_t>(0, left - others * tokens), std::min(tokens, left));
    left -= rows_[e];
    share_left -= share;
  }
  RIDGE_INVARIANT(left == 0, "every choice of a token falls on an expert");
  std::fill(next_.begin(), next_.end(), 0);
  for (std::size_t r = 0; r < held_.size(); ++r) {
    RankRows rank;
    for (const std::uint32_t e : held_[r]) {
      // Copies of one expert take turns.
      const std::int64_t copy = next_[e]++;
      const std::int64_t rows = (rows_[e] + copies_[e] - 1 - copy) / copies_[e];
      rank.rows += static_cast<double>(rows);
      rank.active += rows > 0 ? 1.0 : 0.0;
    }
    out[r] = rank;
  }
}

}  // namespace ridge::decode
