#include "moe/permutation.hpp"
#include "moe/routing.hpp"
#include "support/every_routing.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace ridge::kernels::moe {
namespace {

std::vector<int> expert_loads(const RouterOutput& router, int experts) {
  std::vector<int> loads(static_cast<std::size_t>(experts), 0);
  for (const int e : router.experts) ++loads[static_cast<std::size_t>(e)];
  return loads;
}

TEST(MoeRouting, PicksDistinctExpertsWithWeightsThatSumToOne) {
  const LayerShape shape = whole_layer(257, 128, 128, 48, 3, 1);
  for (const Routing& routing : kEveryRouting) {
    const RouterOutput router = draw_routing(shape, routing, 11);
    for (std::size_t t = 0; t < 257; ++t) {
      const auto first = router.experts.begin() + static_cast<std::ptrdiff_t>(t * 3);
      EXPECT_EQ(std::set<int>(first, first + 3).size(), 3u) << name(routing);
      EXPECT_NEAR(router.weights[t * 3] + router.weights[t * 3 + 1] + router.weights[t * 3 + 2],
                  1.0f, 1e-6f);
      for (std::size_t k = 0; k < 3; ++k) {
        EXPECT_GE(router.experts[t * 3 + k], 0);
        EXPECT_LT(router.experts[t * 3 + k], 48);
        EXPECT_GT(router.weights[t * 3 + k], 0.0f);
      }
    }
  }
}

TEST(MoeRouting, IsTheSameForTheSameSeedAndAnotherForAnother) {
  const LayerShape shape = whole_layer(64, 128, 128, 32, 4, 0);
  for (const Routing& routing : kEveryRouting) {
    EXPECT_EQ(draw_routing(shape, routing, 1).experts, draw_routing(shape, routing, 1).experts);
    EXPECT_NE(draw_routing(shape, routing, 1).experts, draw_routing(shape, routing, 2).experts);
  }
}

TEST(MoeRouting, BalancedLoadsDifferByAtMostOne) {
  for (const int tokens : {1, 5, 128, 1000}) {
    const LayerShape shape = whole_layer(tokens, 128, 128, 48, 3, 1);
    const std::vector<int> loads = expert_loads(draw_routing(shape, {}, 4), 48);
    EXPECT_LE(*std::max_element(loads.begin(), loads.end()) -
                  *std::min_element(loads.begin(), loads.end()),
              1);
  }
}

TEST(MoeRouting, HotExpertIsPickedByEveryToken) {
  const LayerShape shape = whole_layer(1000, 128, 128, 48, 3, 1);
  const std::vector<int> loads =
      expert_loads(draw_routing(shape, {RoutingKind::kHotExpert}, 4), 48);
  EXPECT_EQ(*std::max_element(loads.begin(), loads.end()), 1000);
}

TEST(MoeRouting, SteeperPowerLawsAreMoreUneven) {
  // Both are far from uniform; the density x^-1.2 has more mass at small x than x^-1.01, hence
  // relatively heavier peaks.
  const LayerShape shape = whole_layer(2048, 128, 128, 256, 8, 0);
  const auto peak = [&](const Routing& routing) {
    const std::vector<double> w = expert_popularity(shape, routing, 6);
    EXPECT_NEAR(std::accumulate(w.begin(), w.end(), 0.0), 1.0, 1e-12);
    return *std::max_element(w.begin(), w.end()) * 256;
  };
  const double uniform = peak({RoutingKind::kUniform});
  const double mild = peak({RoutingKind::kPowerLaw, 1.01});
  const double steep = peak({RoutingKind::kPowerLaw, 1.2});
  EXPECT_NEAR(uniform, 1.0, 1e-12);
  EXPECT_GT(mild, 5.0);
  EXPECT_GT(steep, 1.2 * mild);
}

TEST(MoeRouting, PowerLawPopularityFollowsItsDensity) {
  // For the density x^-1 on [1, 0.8 tokens] the logarithm of popularity is uniform.
  const LayerShape shape = whole_layer(1000, 128, 128, 101, 2, 0);
  std::vector<double> w = expert_popularity(shape, {RoutingKind::kPowerLaw, 1.0}, 6);
  std::sort(w.begin(), w.end());
  EXPECT_NEAR(std::log(w.back() / w.front()), std::log(800.0) * 100.0 / 101.0, 1e-9);
  EXPECT_NEAR(std::log(w[50] / w.front()), 0.5 * std::log(w.back() / w.front()), 1e-9);
}

TEST(MoeRouting, ExpectedActiveExpertsMatchTheMeanOfManyDraws) {
  for (const int tokens : {1, 8, 40, 200})
    for (const Routing& routing : kEveryRouting) {
      const LayerShape shape = slice(whole_layer(tokens, 128, 128, 64, 4, 0), 1, 2, 0);
      double mean = 0.0;
      double expected = 0.0;
      constexpr int kDraws = 200;
      for (int draw = 0; draw < kDraws; ++draw) {
        const auto seed = static_cast<std::uint64_t>(draw);
        const std::vector<int> sizes =
            group_sizes(permute(shape, draw_routing(shape, routing, seed)));
        mean += static_cast<double>(
                    std::count_if(sizes.begin(), sizes.end(), [](int n) { return n > 0; })) /
                kDraws;
        expected += expected_active_experts(shape, routing, seed) / kDraws;
      }
      EXPECT_NEAR(expected, mean, 0.02 * mean + 0.15) << name(routing) << ", " << tokens;
    }
}

TEST(MoeRouting, UniformActiveExpertsAreTheClosedForm) {
  const LayerShape shape = whole_layer(128, 128, 128, 256, 8, 0);
  EXPECT_NEAR(expected_active_experts(shape, {RoutingKind::kUniform}, 0),
              256.0 * (1.0 - std::pow(1.0 - 8.0 / 256.0, 128)), 1e-6);
}

TEST(MoeRouting, NamesCarryTheExponent) {
  EXPECT_EQ(name({RoutingKind::kPowerLaw, 1.01}), "power_law_1.01");
  EXPECT_EQ(name({RoutingKind::kPowerLaw, 1.2}), "power_law_1.2");
  EXPECT_EQ(name({RoutingKind::kBalanced}), "balanced");
}

}  // namespace
}  // namespace ridge::kernels::moe
