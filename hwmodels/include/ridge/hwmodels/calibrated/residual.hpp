// What a form leaves of its measurements, learned: the logarithm of measured over physical time as
// a sum of small symmetric trees over features of the shape (gradient boosting; every level of a
// tree asks one question of all its nodes). It knows nothing outside the range that it was learned
// on, where the physical form answers alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace ridge::hw::calibrated {

struct ResidualTree {
  static constexpr std::size_t kDepth = 6;
  static constexpr std::size_t kLeaves = std::size_t{1} << kDepth;
  // Of a leaf, in ln(time): a hundredth of a percent. Whole numbers add up the same in any order.
  static constexpr double kLeafUnit = 1e-4;
  std::array<std::uint8_t, kDepth> feature{};
  std::array<float, kDepth> threshold{};  // to the right where the feature is greater
  std::array<std::int16_t, kLeaves> leaf{};

  [[nodiscard]] double operator()(std::span<const double> features) const {
    std::size_t at = 0;
    for (std::size_t level = 0; level < kDepth; ++level) {
      at = 2 * at + (features[feature[level]] > static_cast<double>(threshold[level]) ? 1 : 0);
    }
    return kLeafUnit * leaf[at];
  }
};

// The trees, summed by looking up (src/calibrated/residual_tables.hpp).
class Residual {
 public:
  static constexpr std::size_t kMaxTrees = 160;
  static constexpr std::size_t kMaxFeatures = 16;

  Residual() = default;
  // At most kMaxTrees, over at most kMaxFeatures.
  explicit Residual(std::vector<ResidualTree> trees);

  [[nodiscard]] bool empty() const { return compiled_ == nullptr; }
  [[nodiscard]] std::span<const ResidualTree> trees() const;
  // The first `count` of the trees.
  [[nodiscard]] Residual first(std::size_t count) const;

  // Of ln(time). Never allocates.
  [[nodiscard]] double operator()(std::span<const double> features) const;
  // Of time: exp() of that, to the last digit.
  [[nodiscard]] double factor(std::span<const double> features) const;
  // Of time: below whatever it may multiply by, faded or not. 1 where it has no trees.
  [[nodiscard]] double least_factor() const;
  // Features whose thresholds crowd, so that they are gone through one by one: answers take longer.
  [[nodiscard]] std::size_t crowded() const;

 private:
  struct Compiled;
  std::shared_ptr<const Compiled> compiled_;  // null without trees; copies share it
};

struct BoostOptions {
  std::size_t trees = 80;
  double rate = 0.25;          // share of each tree's correction that is taken
  double clip = 0.1;           // beyond it a measurement pulls no harder: wild ones do not bend it
  double least_weight = 12.0;  // measurements that pull a leaf halfway from zero to their mean
  std::size_t bins = 24;       // thresholds that are tried of a feature
  std::size_t depth = ResidualTree::kDepth;  // questions that a tree asks, at most
  // What a question seems to explain is taken times 1 - doubt to 1 + doubt, drawn anew for each:
  // of questions that few shapes tell apart, not always the same is asked, and each answers for
  // less.
  double doubt = 0.0;
  std::uint64_t seed = 1;
};

// Trees that lead from zero to `target`, of which there is one for each row of `features`
// (rows x count, row-major). Deterministic.
[[nodiscard]] Residual boost(std::span<const double> features, std::size_t count,
                             std::span<const double> target, const BoostOptions& options = {});

}  // namespace ridge::hw::calibrated
