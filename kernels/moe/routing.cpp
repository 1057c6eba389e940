#include "moe/routing.hpp"

#include "common/random.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <stdexcept>
#include <utility>

namespace ridge::kernels::moe {
namespace {

// Independent random streams of one seed.
constexpr std::uint64_t kShuffleStream = 0x7368756666ULL;
constexpr std::uint64_t kPickStream = 0x7069636bULL;
constexpr std::uint64_t kWeightStream = 0x776569676874ULL;

void check(const LayerShape& shape) {
  if (const char* problem = problem_with(shape)) throw std::invalid_argument(problem);
}

std::vector<int> shuffled(int count, std::uint64_t seed) {
  std::vector<int> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  for (int i = count - 1; i > 0; --i) {
    const std::uint64_t bits = random_bits(seed ^ kShuffleStream, static_cast<std::uint64_t>(i));
    std::swap(order[static_cast<std::size_t>(i)],
              order[bits % (static_cast<std::uint64_t>(i) + 1)]);
  }
  return order;
}

/// Quantile `u` of the density proportional to x^-exponent on [low, high].
double power_law_quantile(double u, double exponent, double low, double high) {
  const double power = 1.0 - exponent;
  if (std::abs(power) < 1e-9) return low * std::pow(high / low, u);
  const double at_low = std::pow(low, power);
  return std::pow(at_low + u * (std::pow(high, power) - at_low), 1.0 / power);
}

/// Chance that a token picks each expert, from popularities: 1 - exp(-lambda w), with lambda such
/// that the chances sum to top_k.
std::vector<double> inclusion_chances(const std::vector<double>& popularity, int top_k) {
  const auto total = [&](double lambda) {
    double sum = 0.0;
    for (const double w : popularity) sum += -std::expm1(-lambda * w);
    return sum;
  };
  double low = 0.0;
  double high = 1.0;
  // The sum tends to the number of experts; at top_k = experts the limit itself is meant.
  while (total(high) < top_k && high < 1e18) high *= 2.0;
  for (int step = 0; step < 200; ++step) {
    const double middle = 0.5 * (low + high);
    (total(middle) < top_k ? low : high) = middle;
  }
  std::vector<double> chances;
  chances.reserve(popularity.size());
  for (const double w : popularity) chances.push_back(-std::expm1(-high * w));
  return chances;
}

/// The `top_k` experts with the smallest -log(u) / w: sampling without replacement by weight.
void pick_by_popularity(const std::vector<double>& popularity, int top_k, std::uint64_t seed,
                        std::uint64_t first_draw, std::vector<std::pair<double, int>>& race,
                        std::int32_t* picks) {
  race.clear();
  for (std::size_t e = 0; e < popularity.size(); ++e) {
    const double u =
        (static_cast<double>(random_bits(seed ^ kPickStream, first_draw + e) >> 11) + 0.5) *
        0x1p-53;
    race.emplace_back(-std::log(u) / popularity[e], static_cast<int>(e));
  }
  std::partial_sort(race.begin(), race.begin() + top_k, race.end());
  for (int k = 0; k < top_k; ++k) picks[k] = race[static_cast<std::size_t>(k)].second;
}

}  // namespace

std::string name(const Routing& routing) {
  switch (routing.kind) {
    case RoutingKind::kBalanced:
      return "balanced";
    case RoutingKind::kUniform:
      return "uniform";
    case RoutingKind::kPowerLaw: {
      char text[40];
      std::snprintf(text, sizeof text, "power_law_%g", routing.exponent);
      return text;
    }
    case RoutingKind::kHotExpert:
      return "hot_expert";
  }
  throw std::invalid_argument("unknown routing kind");
}

std::vector<double> expert_popularity(const LayerShape& shape, const Routing& routing,
                                      std::uint64_t seed) {
  check(shape);
  const auto experts = static_cast<std::size_t>(shape.experts);
  std::vector<double> popularity(experts, 1.0);
  const std::vector<int> order = shuffled(shape.experts, seed);
  if (routing.kind == RoutingKind::kPowerLaw) {
    const bool fewer_picks_than_experts =
        static_cast<long long>(shape.tokens) * shape.top_k <= shape.experts;
    const double low = fewer_picks_than_experts ? 0.01 : 1.0;
    const double high = fewer_picks_than_experts ? 2.0 : std::max(2.0, 0.8 * shape.tokens);
    for (std::size_t i = 0; i < experts; ++i) {
      const double u = (static_cast<double>(i) + 0.5) / static_cast<double>(experts);
      popularity[static_cast<std::size_t>(order[i])] =
          power_law_quantile(u, routing.exponent, low, high);
    }
  }
  if (routing.kind == RoutingKind::kHotExpert) {
    // 1e12 times the rest: picked by every token to within any batch that fits a GPU.
    popularity[static_cast<std::size_t>(order[0])] = 1e12;
  }
  const double sum = std::accumulate(popularity.begin(), popularity.end(), 0.0);
  for (double& w : popularity) w /= sum;
  return popularity;
}

RouterOutput draw_routing(const LayerShape& shape, const Routing& routing, std::uint64_t seed) {
  check(shape);
  const auto top_k = static_cast<std::size_t>(shape.top_k);
  const auto tokens = static_cast<std::size_t>(shape.tokens);
  RouterOutput out{.tokens = shape.tokens,
                   .top_k = shape.top_k,
                   .experts = std::vector<std::int32_t>(tokens * top_k),
                   .weights = std::vector<float>(tokens * top_k)};
  if (routing.kind == RoutingKind::kBalanced) {
    const std::vector<int> order = shuffled(shape.experts, seed);
    for (std::size_t pick = 0; pick < out.experts.size(); ++pick)
      out.experts[pick] = order[pick % order.size()];
  } else {
    const std::vector<double> popularity = expert_popularity(shape, routing, seed);
    std::vector<std::pair<double, int>> race;
    for (std::size_t t = 0; t < tokens; ++t)
      pick_by_popularity(popularity, shape.top_k, seed, t * popularity.size(), race,
                         &out.experts[t * top_k]);
  }
  for (std::size_t t = 0; t < tokens; ++t) {
    float sum = 0.0f;
    for (std::size_t k = 0; k < top_k; ++k) {
      const float w = 0.1f + random_uniform(seed ^ kWeightStream, t * top_k + k);
      out.weights[t * top_k + k] = w;
      sum += w;
    }
    for (std::size_t k = 0; k < top_k; ++k) out.weights[t * top_k + k] /= sum;
  }
  return out;
}

double expected_active_experts(const LayerShape& shape, const Routing& routing,
                               std::uint64_t seed) {
  check(shape);
  if (routing.kind == RoutingKind::kBalanced) {
    const std::vector<int> order = shuffled(shape.experts, seed);
    const long long picks = static_cast<long long>(shape.tokens) * shape.top_k;
    const auto reached = std::min<long long>(picks, shape.experts);
    return static_cast<double>(std::count_if(order.begin(), order.begin() + reached,
                                             [&](int e) { return shape.is_local(e); }));
  }
  const std::vector<double> popularity = expert_popularity(shape, routing, seed);
  const std::vector<double> chances = inclusion_chances(popularity, shape.top_k);
  double active = 0.0;
  for (int e = 0; e < shape.experts; ++e)
    if (shape.is_local(e))
      active += 1.0 - std::pow(1.0 - chances[static_cast<std::size_t>(e)], shape.tokens);
  return active;
}

}  // namespace ridge::kernels::moe
