#include "ridge/base/random.hpp"

#include "ridge/base/statistics.hpp"

#include <array>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

namespace ridge {
namespace {

// From another implementation of xoshiro256++ and SplitMix64, checked against the reference
// vector of its authors.
TEST(Random, DrawsTheSameNumbersOnEveryMachine) {
  Random first(1);
  for (const std::uint64_t expected : {0x704560ced7cc0501ULL, 0x4eef90036c89c53aULL,
                                       0xdce05af2ba1364d7ULL, 0xe019c82160dbbf4cULL}) {
    EXPECT_EQ(first.next(), expected);
  }
  Random stream(2026, 7);
  for (const std::uint64_t expected : {0xb757a242129c61b3ULL, 0x130857ecad66e331ULL,
                                       0xb4d04a45330d0352ULL, 0x0f40312106ac7998ULL}) {
    EXPECT_EQ(stream.next(), expected);
  }
}

TEST(Random, StreamsOfOneSeedDoNotFollowEachOther) {
  constexpr int kDraws = 10000;
  Random a(42, 0);
  Random b(42, 1);
  double covariance = 0;
  for (int i = 0; i < kDraws; ++i) covariance += (a.uniform() - 0.5) * (b.uniform() - 0.5);
  // Of independent draws: standard deviation 1/12 per draw.
  EXPECT_LT(std::abs(covariance / kDraws), 5.0 / 12.0 / std::sqrt(kDraws));
}

// Mean and variance within five standard errors of a million draws.
template <typename Draw>
void expect_moments(double mean, double variance, double fourth_central, Draw&& draw) {
  constexpr double kDraws = 1e6;
  Moments moments;
  for (int i = 0; i < static_cast<int>(kDraws); ++i) moments.add(draw());
  EXPECT_NEAR(moments.mean(), mean, 5.0 * std::sqrt(variance / kDraws));
  EXPECT_NEAR(moments.variance(), variance,
              5.0 * std::sqrt((fourth_central - variance * variance) / kDraws));
}

TEST(Random, DistributionsHaveTheirMoments) {
  Random random(7);
  expect_moments(0.5, 1.0 / 12.0, 1.0 / 80.0, [&] { return random.uniform(); });
  expect_moments(1.0, 1.0, 9.0, [&] { return random.exponential(); });
  expect_moments(0.0, 1.0, 3.0, [&] { return random.normal(); });
  expect_moments(0.0, 0.09, 3.0 * 0.09 * 0.09, [&] { return std::log(random.lognormal(0.3)); });
}

TEST(Random, UniformStaysBelowOne) {
  Random random(3);
  for (int i = 0; i < 100000; ++i) {
    const double x = random.uniform();
    ASSERT_GE(x, 0.0);
    ASSERT_LT(x, 1.0);
  }
}

// Pearson's statistic of 10 cells: 27.9 is exceeded once in a thousand seeds; this one is fixed.
TEST(Random, BelowIsUnbiased) {
  constexpr int kCells = 10;
  constexpr int kDraws = 100000;
  Random random(11);
  std::array<int, kCells> counts{};
  for (int i = 0; i < kDraws; ++i) ++counts.at(random.below(kCells));
  double statistic = 0;
  for (const int count : counts) {
    const double off = count - static_cast<double>(kDraws) / kCells;
    statistic += off * off / (static_cast<double>(kDraws) / kCells);
  }
  EXPECT_LT(statistic, 27.9);
  EXPECT_EQ(random.below(1), 0U);
}

}  // namespace
}  // namespace ridge
