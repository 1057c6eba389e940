#include "ridge/decode/expert_load.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/random.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
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
  std::vector<double> all;  // the share of each copy
  for (std::size_t e = 0; e < shares.size(); ++e) {
    all.insert(all.end(), static_cast<std::size_t>(copies_of[e]),
               shares[e] / static_cast<double>(copies_of[e]));
  }
  const bool balanced = redundant > 0;
  // Without redundancy experts stay where their number puts them; a balancer sorts by load.
  if (balanced) {
    std::stable_sort(all.begin(), all.end(), std::greater<>());
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
    loads[target].load += all[c] * static_cast<double>(ranks);
    loads[target].token_share.push_back(all[c] * static_cast<double>(ffn.top_k));
    ++loads[target].experts_held;
  }
  return loads;
}

}  // namespace ridge::decode
