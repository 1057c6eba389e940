// What is learned of a form's residuals: found where there is something, small where there is not.
#include "ridge/hwmodels/calibrated/residual.hpp"

#include "ridge/base/random.hpp"

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace ridge::hw::calibrated {
namespace {

struct Made {
  std::vector<double> features;  // two of each row
  std::vector<double> target;
};

Made made(double (*truth)(double, double), double noise, std::uint64_t seed) {
  Random random(seed);
  Made result;
  for (int i = 0; i < 4000; ++i) {
    const double a = random.uniform();
    const double b = random.uniform();
    result.features.insert(result.features.end(), {a, b});
    result.target.push_back(truth(a, b) + noise * random.normal());
  }
  return result;
}

double mean_error(const Residual& residual, double (*truth)(double, double)) {
  const Made fresh = made(truth, 0.0, 99);
  double sum = 0.0;
  for (std::size_t i = 0; i < fresh.target.size(); ++i) {
    sum += std::abs(residual(std::span(fresh.features).subspan(2 * i, 2)) - fresh.target[i]);
  }
  return sum / static_cast<double>(fresh.target.size());
}

TEST(Residual, OneQuestionIsAnsweredByItsTwoMeans) {
  // 30 rows at -0.05 below a half, 10 at +0.09 above: a leaf moves a quarter of the way to its
  // mean, shrunk as if twelve more measurements were at zero.
  std::vector<double> features;
  std::vector<double> target;
  for (int i = 0; i < 40; ++i) {
    features.push_back(i < 30 ? 0.0 : 1.0);
    target.push_back(i < 30 ? -0.05 : 0.09);
  }
  const Residual one = boost(features, 1, target, {.trees = 1, .rate = 0.25, .least_weight = 12});
  const double half_a_unit = 0.5 * ResidualTree::kLeafUnit;
  EXPECT_NEAR(one(std::vector{0.0}), 0.25 * -0.05 * 30 / 42, half_a_unit);
  EXPECT_NEAR(one(std::vector{1.0}), 0.25 * 0.09 * 10 / 22, half_a_unit);
}

TEST(Residual, LearnsAStepThatDependsOnTwoFeatures) {
  const auto truth = [](double a, double b) { return a > 0.5 && b > 0.3 ? 0.1 : -0.02; };
  const Made data = made(truth, 0.02, 1);
  EXPECT_LT(mean_error(boost(data.features, 2, data.target), truth), 0.005);
}

TEST(Residual, ARareValueOfFewIsToldApartWhereItsRowsAreEnough) {
  // One row of a hundred at 0.5, all others at 1: thresholds that are spread over the rows, a
  // twenty-fifth apart, all lie at 1.
  std::vector<double> features(2000, 1.0);
  std::vector<double> target(2000, 0.0);
  for (std::size_t i = 0; i < 20; ++i) {
    features[i] = 0.5;
    target[i] = 0.1;
  }
  const auto learned = [&](double least_weight) {
    return boost(features, 1, target,
                 {.trees = 1, .rate = 1.0, .clip = 0.1, .least_weight = least_weight});
  };
  const Residual of_each = learned(12.0);
  const double half_a_unit = 0.5 * ResidualTree::kLeafUnit;
  EXPECT_NEAR(of_each(std::vector{0.5}), 0.1 * 20 / 32, half_a_unit);
  EXPECT_EQ(of_each(std::vector{1.0}), 0.0);
  const Residual of_all = learned(30.0);
  EXPECT_EQ(of_all(std::vector{0.5}), of_all(std::vector{1.0}));
}

TEST(Residual, OfNoiseIsSmall) {
  const auto nothing = [](double, double) { return 0.0; };
  const Made data = made(nothing, 0.05, 2);
  EXPECT_LT(mean_error(boost(data.features, 2, data.target, {.trees = 20}), nothing), 0.01);
}

TEST(Residual, AWildMeasurementPullsNoHarderThanTheClip) {
  std::vector<double> features(100, 0.0);
  std::vector<double> target(100, 0.0);
  target[7] = 50.0;
  const Residual one =
      boost(features, 1, target, {.trees = 1, .rate = 1.0, .clip = 0.1, .least_weight = 0});
  EXPECT_NEAR(one(std::vector{0.0}), 0.1 / 100, 1e-12);
}

TEST(Residual, IsTheSumOfItsTreesEachAskedByItself) {
  // More trees than fill a word, equal thresholds in several, one that nothing exceeds.
  Random random(5);
  std::vector<ResidualTree> trees(37);
  for (ResidualTree& tree : trees) {
    for (std::size_t level = 0; level < ResidualTree::kDepth; ++level) {
      tree.feature[level] = static_cast<std::uint8_t>(random.below(3));
      tree.threshold[level] = 0.125F * static_cast<float>(random.below(9));
    }
    for (std::int16_t& leaf : tree.leaf) {
      leaf = static_cast<std::int16_t>(static_cast<int>(random.below(60000)) - 30000);
    }
  }
  trees[3].threshold[2] = std::numeric_limits<float>::max();
  const Residual residual(trees);
  ASSERT_EQ(residual.trees().size(), trees.size());
  for (int i = 0; i < 1000; ++i) {
    // On a threshold as often as between two.
    const std::vector<double> features = {0.0625 * static_cast<double>(random.below(18)),
                                          0.0625 * static_cast<double>(random.below(18)), 1e300};
    double sum = 0.0;
    for (const ResidualTree& tree : trees) sum += tree(features);
    EXPECT_NEAR(residual(features), sum, 1e-9);
  }
  EXPECT_EQ(residual.first(2).trees().size(), 2U);
  EXPECT_TRUE(residual.first(0).empty());
}

// Trees over `features` features, of thresholds that `draw` gives.
template <typename Draw>
std::vector<ResidualTree> drawn_trees(std::size_t count, std::size_t features, Random& random,
                                      Draw&& draw) {
  std::vector<ResidualTree> trees(count);
  for (ResidualTree& tree : trees) {
    for (std::size_t level = 0; level < ResidualTree::kDepth; ++level) {
      tree.feature[level] = static_cast<std::uint8_t>(random.below(features));
      tree.threshold[level] = draw(random);
    }
    for (std::int16_t& leaf : tree.leaf) {
      leaf = static_cast<std::int16_t>(static_cast<int>(random.below(401)) - 200);
    }
  }
  return trees;
}

template <typename Draw>
void expect_sums(const std::vector<ResidualTree>& trees, std::size_t features, Random& random,
                 Draw&& draw) {
  const Residual residual(trees);
  for (int i = 0; i < 2000; ++i) {
    std::vector<double> asked(features);
    // On a threshold, beside one, and far from all.
    for (double& value : asked) {
      value = static_cast<double>(draw(random)) + 1e-4 * (static_cast<double>(random.below(3)) - 1);
      if (random.below(10) == 0) value = random.below(2) == 0 ? -1e9 : 1e9;
    }
    double sum = 0.0;
    for (const ResidualTree& tree : trees) sum += tree(asked);
    ASSERT_NEAR(residual(asked), sum, 1e-9);
    ASSERT_GT(std::exp(sum), residual.least_factor());
  }
}

TEST(Residual, OfFewFeaturesAllTreesAreOneTable) {
  Random random(7);
  const auto eighths = [](Random& r) { return 0.125F * static_cast<float>(r.below(40)); };
  expect_sums(drawn_trees(112, 2, random, eighths), 2, random, eighths);
}

TEST(Residual, ThresholdsMayCrowd) {
  // Most of them in one of the divisions that a value is looked up by.
  Random random(8);
  const auto crowded = [](Random& r) {
    return r.below(4) == 0 ? static_cast<float>(r.below(12))
                           : 1.0F - 0.0003F * static_cast<float>(r.below(30));
  };
  const std::vector<ResidualTree> trees = drawn_trees(112, 5, random, crowded);
  EXPECT_EQ(Residual(trees).crowded(), 5U);
  expect_sums(trees, 5, random, crowded);
}

TEST(Residual, NoNumberAndNoEndAreAnsweredAsTreesAnswerThem) {
  Random random(10);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<std::vector<float>> kinds = {
      {1.0F, kInfinity}, {-kInfinity, 1.0F}, {-kInfinity, kInfinity}, {-3.4e38F, 1.0F, 3.4e38F}};
  for (const std::vector<float>& thresholds : kinds) {
    const std::vector<ResidualTree> trees = drawn_trees(
        20, 2, random, [&](Random& r) { return thresholds[r.below(thresholds.size())]; });
    const Residual residual(trees);
    const std::vector<double> values = {std::numeric_limits<double>::quiet_NaN(),
                                        std::numeric_limits<double>::infinity(),
                                        -std::numeric_limits<double>::infinity(),
                                        0.5,
                                        1.0,
                                        2.0};
    for (const double a : values) {
      for (const double b : values) {
        const std::vector<double> asked = {a, b};
        double sum = 0.0;
        for (const ResidualTree& tree : trees) sum += tree(asked);
        EXPECT_NEAR(residual(asked), sum, 1e-9) << a << ", " << b;
      }
    }
  }
}

TEST(Residual, NoQuestionDoesNotCrowdTheOthers) {
  Random random(11);
  // As the fit makes it, and as a file's five digits hold it.
  for (const float none : {std::numeric_limits<float>::max(), 3.4028e38F}) {
    const auto drawn = [&](Random& r) {
      return r.below(5) == 0 ? none : static_cast<float>(r.below(60));
    };
    EXPECT_EQ(Residual(drawn_trees(112, 3, random, drawn)).crowded(), 0U) << none;
  }
}

TEST(Residual, TheMostTreesOfTheMostFeaturesFit) {
  // Of tables as large as those of fewer trees, there would be more cells than numbers.
  Random random(9);
  const auto any = [](Random& r) { return static_cast<float>(r.below(4000)); };
  expect_sums(drawn_trees(Residual::kMaxTrees, Residual::kMaxFeatures, random, any),
              Residual::kMaxFeatures, random, any);
}

TEST(Residual, ItsFactorIsTheExponentialToTheLastDigit) {
  for (const std::int16_t leaf : {0, 1, -1, 700, -2047, 2047, -2048, 2048, -2049, 2049, 30000}) {
    ResidualTree tree;
    tree.leaf.fill(leaf);
    const std::vector<double> features = {1.0};
    const Residual residual({tree});
    EXPECT_EQ(residual.factor(features), std::exp(residual(features))) << leaf;
  }
}

TEST(Residual, WithoutTreesMultipliesByOne) {
  EXPECT_EQ(Residual().factor(std::vector{1.0}), 1.0);
  EXPECT_EQ(Residual().least_factor(), 1.0);
}

TEST(Residual, WhatIsDoubtedIsNotAlwaysAsked) {
  // Two features that tell the same.
  Random random(6);
  std::vector<double> features;
  std::vector<double> target;
  for (int i = 0; i < 400; ++i) {
    const double a = random.uniform();
    features.insert(features.end(), {a, 2.0 * a});
    target.push_back(a > 0.4 ? 0.05 : -0.05);
  }
  const auto asked = [&](const BoostOptions& options) {
    std::array<int, 2> times{};
    const Residual residual = boost(features, 2, target, options);
    for (const ResidualTree& tree : residual.trees()) {
      ++times[tree.feature[0]];
    }
    return times;
  };
  EXPECT_EQ(asked({.trees = 20}), (std::array<int, 2>{20, 0}));
  const std::array<int, 2> doubted = asked({.trees = 20, .doubt = 0.3});
  EXPECT_GT(doubted[0], 3);
  EXPECT_GT(doubted[1], 3);
  EXPECT_NE(doubted, asked({.trees = 20, .doubt = 0.3, .seed = 2}));
}

TEST(Residual, IsTheSameEveryTime) {
  const Made data = made([](double a, double b) { return 0.1 * a * b; }, 0.01, 3);
  const Residual one = boost(data.features, 2, data.target, {.doubt = 0.3});
  const Residual two = boost(data.features, 2, data.target, {.doubt = 0.3});
  for (std::size_t i = 0; i < 100; ++i) {
    const auto row = std::span(data.features).subspan(2 * i, 2);
    EXPECT_EQ(one(row), two(row));
  }
}

}  // namespace
}  // namespace ridge::hw::calibrated
