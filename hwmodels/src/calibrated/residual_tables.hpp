// Many small trees as few tables, so that a sum over all of them is looked up and not asked tree by
// tree: every operator of every step asks for one.
#pragma once

#include "ridge/hwmodels/calibrated/residual.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ridge::hw::calibrated {

// Trees that ask much the same are one table: a cell for each way in which the values of features
// may lie among the thresholds that any of these trees asks for, and in it the sum of their leaves.
// The thresholds of a feature that a value exceeds add so much to the number of each table's cell.
class ResidualTables {
 public:
  explicit ResidualTables(std::span<const ResidualTree> trees);

  // The sum of the trees' leaves, in units of one. Never allocates.
  [[nodiscard]] std::int32_t operator()(std::span<const double> features) const {
    std::array<std::size_t, kMaxFeatures> exceeded;
    std::array<double, kMaxFeatures> value;
    for (std::size_t begin = 0; begin < padded_; begin += kFeaturesAtATime) {
      std::array<std::int32_t, kFeaturesAtATime> division;
      for (std::size_t j = 0; j < kFeaturesAtATime; ++j) {
        const std::size_t i = begin + j;
        value[i] = features[feature_[i]];
        const double at = (value[i] - from_[i]) * divisions_per_unit_[i];
        const double from_first = at > 0.0 ? at : 0.0;
        constexpr double kLast = kDivisions - 1;
        division[j] = static_cast<std::int32_t>(from_first < kLast ? from_first : kLast);
      }
      // What lies in a division exceeds all thresholds of those before it.
      for (std::size_t j = 0; j < kFeaturesAtATime; ++j) {
        const std::size_t i = begin + j;
        const std::size_t first = first_[i * kDivisions + static_cast<std::size_t>(division[j])];
        static_assert(kSpread == 2);
        exceeded[i] = first + (value[i] > thresholds_[first] ? 1 : 0) +
                      (value[i] > thresholds_[first + 1] ? 1 : 0);
      }
    }
    for (std::size_t i = spread_; i < asked_; ++i) {
      while (value[i] > thresholds_[exceeded[i]]) ++exceeded[i];
    }
    std::array<const Numbers*, kMaxFeatures> rows;
    for (std::size_t i = 0; i < padded_; ++i) rows[i] = &numbers_[exceeded[i] * row_length_];
    std::int32_t sum = 0;
    for (std::size_t w = 0; w < row_length_; ++w) {
      std::array<Numbers, kFeaturesAtATime> part{};
      for (std::size_t i = 0; i < padded_; i += kFeaturesAtATime) {
        for (std::size_t j = 0; j < kFeaturesAtATime; ++j) part[j] += rows[i + j][w];
      }
      const Numbers cell = (part[0] + part[1]) + (part[2] + part[3]);
      for (std::size_t n = 0; n < kNumbersAtATime; ++n) sum += cells_[cell[n]];
    }
    return sum;
  }

  // No sum is below it; most do not come near.
  [[nodiscard]] std::int32_t least() const { return least_; }

  // Features whose thresholds are not spread.
  [[nodiscard]] std::size_t crowded() const { return asked_ - spread_; }

 private:
  class Builder;

  static constexpr std::size_t kMaxFeatures = Residual::kMaxFeatures;
  // Of one width between the least and the greatest threshold of a feature, and how many thresholds
  // each holds at most of a feature whose thresholds are spread.
  static constexpr std::size_t kDivisions = 128;
  static constexpr std::size_t kSpread = 2;
  // Numbers of cells that are added up at a time, as many as a register of the least machine takes;
  // and of how many features, so that no addition waits for the one before.
  static constexpr std::size_t kNumbersAtATime = 8;
  static constexpr std::size_t kFeaturesAtATime = 4;
  using Numbers [[gnu::vector_size(2 * kNumbersAtATime)]] = std::uint16_t;

  // The features that are asked for, those whose thresholds are spread first; how many there are,
  // also as a multiple of kFeaturesAtATime.
  std::array<std::uint8_t, kMaxFeatures> feature_{};
  std::size_t spread_ = 0;
  std::size_t asked_ = 0;
  std::size_t padded_ = 0;
  std::array<double, kMaxFeatures> from_{};
  std::array<double, kMaxFeatures> divisions_per_unit_{};
  // The first threshold in each division or behind it, as its place in `thresholds_`.
  std::vector<std::uint16_t> first_;
  // Rising, feature after feature, and behind each feature's as many more, which nothing exceeds,
  // as one of its divisions may hold.
  std::vector<double> thresholds_;
  // What is added, by place of the first threshold that is not exceeded.
  std::vector<Numbers> numbers_;
  std::size_t row_length_ = 0;
  std::vector<std::int16_t> cells_;  // of all tables; the first is of none
  std::int32_t least_ = 0;
};

}  // namespace ridge::hw::calibrated
