#include "ridge/base/statistics.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/random.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace ridge {
namespace {

TEST(Moments, OfAHandfulByHand) {
  Moments moments;
  for (const double x : {2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0}) moments.add(x);
  EXPECT_EQ(moments.count(), 8);
  EXPECT_DOUBLE_EQ(moments.mean(), 5.0);
  EXPECT_DOUBLE_EQ(moments.variance(), 32.0 / 7.0);
  EXPECT_EQ(moments.min(), 2.0);
  EXPECT_EQ(moments.max(), 9.0);
}

TEST(Moments, OfOneSampleHaveNoVariance) {
  Moments moments;
  EXPECT_EQ(moments.variance(), 0.0);
  moments.add(3.0);
  EXPECT_EQ(moments.variance(), 0.0);
  EXPECT_EQ(moments.min(), 3.0);
}

// The textbook sum of squares loses every digit here.
TEST(Moments, KeepTheirDigitsFarFromZero) {
  Moments moments;
  for (const double x : {1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16}) moments.add(x);
  EXPECT_DOUBLE_EQ(moments.variance(), 30.0);
}

double exact_quantile(std::vector<double> samples, double q) {
  std::sort(samples.begin(), samples.end());
  const auto n = static_cast<double>(samples.size());
  const auto rank = std::clamp(std::ceil(q * n), 1.0, n);
  return samples[static_cast<std::size_t>(rank) - 1];
}

TEST(QuantileSketch, IsWithinItsBoundOfTheSampleQuantileForAnySamples) {
  EXPECT_TRUE(rc::check([] {
    const auto seed = *rc::gen::arbitrary<std::uint64_t>();
    const auto count = *rc::gen::inRange(1, 400);
    const double spread = *rc::gen::element(0.01, 1.0, 20.0);
    Random random(seed);
    QuantileSketch sketch;
    std::vector<double> samples;
    for (int i = 0; i < count; ++i) {
      samples.push_back(1e-4 * random.lognormal(spread));
      sketch.add(samples.back());
    }
    for (const double q : {0.0, 0.01, 0.5, 0.9, 0.99, 1.0}) {
      const double exact = exact_quantile(samples, q);
      RC_ASSERT(std::abs(sketch.quantile(q) / exact - 1.0) <= 0.0005);
    }
    // The range is exact, so that equal samples have no quantile beside their mean.
    RC_ASSERT(sketch.quantile(1.0) <= *std::max_element(samples.begin(), samples.end()));
    RC_ASSERT(sketch.quantile(0.0) >= *std::min_element(samples.begin(), samples.end()));
  }));
}

TEST(QuantileSketch, WeightsCountAsRepeatedSamples) {
  QuantileSketch sketch;
  sketch.add(1.0, 99);
  sketch.add(100.0);
  EXPECT_EQ(sketch.count(), 100U);
  EXPECT_NEAR(sketch.quantile(0.99), 1.0, 0.001);
  EXPECT_NEAR(sketch.quantile(0.991), 100.0, 0.1);
}

TEST(QuantileSketch, TakesSamplesInAnyOrder) {
  QuantileSketch up;
  QuantileSketch down;
  for (int i = 1; i <= 1000; ++i) {
    up.add(i * 1e-6);
    down.add((1001 - i) * 1e-6);
  }
  for (const double q : {0.1, 0.5, 0.999}) EXPECT_EQ(up.quantile(q), down.quantile(q));
}

TEST(QuantileSketch, CountsZerosWhichHaveNoLogarithm) {
  QuantileSketch sketch;
  sketch.add(0.0, 3);
  EXPECT_EQ(sketch.quantile(1.0), 0.0);
  sketch.add(5.0);
  EXPECT_EQ(sketch.count(), 4U);
  EXPECT_EQ(sketch.quantile(0.75), 0.0);
  EXPECT_EQ(sketch.quantile(0.76), 5.0);
}

TEST(QuantileSketch, RefusesWhatIsNoSize) {
  QuantileSketch sketch;
  EXPECT_THROW(sketch.add(-1.0), InvariantError);
  EXPECT_THROW(sketch.add(std::nan("")), InvariantError);
  EXPECT_EQ(sketch.quantile(0.5), 0.0);
}

TEST(Quantile, LiesBetweenTheNearestRanks) {
  EXPECT_DOUBLE_EQ(quantile({4.0, 1.0, 3.0, 2.0}, 0.0), 1.0);
  EXPECT_DOUBLE_EQ(quantile({4.0, 1.0, 3.0, 2.0}, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(quantile({4.0, 1.0, 3.0, 2.0}, 0.9), 3.7);
  EXPECT_DOUBLE_EQ(quantile({4.0, 1.0, 3.0, 2.0}, 1.0), 4.0);
}

TEST(Quantile, TheMiddle90PercentLeaveFivePercentOnEachSide) {
  std::vector<double> values;
  for (int i = 100; i >= 0; --i) values.push_back(i);
  const Interval interval = interval_90(std::move(values));
  EXPECT_DOUBLE_EQ(interval.low, 5.0);
  EXPECT_DOUBLE_EQ(interval.high, 95.0);
}

}  // namespace
}  // namespace ridge
