// Many small trees as few tables, so that a sum over all of them is looked up and not asked tree by
// tree: every operator of every step asks for one.
#pragma once

#include "ridge/hwmodels/calibrated/form.hpp"
#include "ridge/hwmodels/calibrated/residual.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
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
    Places places;
    for (std::size_t i = 0; i < padded_; i += 2) {
      const Pair value = {features[i], features[std::min(i + 1, last_)]};
      const Divisions& by = divisions_[i / 2];
      Pair at = (value - by.from) * by.per_unit;
      at = at > Pair{} ? at : Pair{};
      at = at < by.last ? at : by.last;
      // What lies in a division exceeds all thresholds of those before it. Of a crowded feature,
      // that and two more at most.
      const std::uint32_t a = first_[by.begin[0] + static_cast<std::uint32_t>(at[0])];
      const std::uint32_t b = first_[by.begin[1] + static_cast<std::uint32_t>(at[1])];
      static_assert(kSpread == 2);
      const auto more_a = Pair{value[0], value[0]} > Pair{thresholds_[a], thresholds_[a + 1]};
      const auto more_b = Pair{value[1], value[1]} > Pair{thresholds_[b], thresholds_[b + 1]};
      // -1 for each. By flags of the processor it takes longer.
      using Exceeded = std::remove_const_t<decltype(more_a)>;
      const auto exceeded = Exceeded{more_a[0], more_b[0]} + Exceeded{more_a[1], more_b[1]};
      places[i] = a - static_cast<std::uint32_t>(exceeded[0]);
      places[i + 1] = b - static_cast<std::uint32_t>(exceeded[1]);
    }
    for (std::size_t j = 0; j < crowded_count_; ++j) {
      const std::size_t i = crowded_[j];
      while (features[i] > thresholds_[places[i]]) ++places[i];
    }
    std::int32_t sum = 0;
    const Numbers* numbers = numbers_.data();
    std::size_t words = words_;
    for (; words > kMostWords; words -= kMostWords) {
      sum += sum_of<kMostWords>(places, numbers);
      numbers += thresholds_.size() * kMostWords;
    }
    return sum + sum_of_last<kMostWords>(places, numbers, words);
  }

  // No sum is below it; most do not come near.
  [[nodiscard]] std::int32_t least() const { return least_; }

  // Features whose thresholds are not spread.
  [[nodiscard]] std::size_t crowded() const { return crowded_count_; }

 private:
  class Builder;

  static constexpr std::size_t kMaxFeatures = Residual::kMaxFeatures;
  // What lies between the least and the greatest threshold of a feature is divided evenly: into as
  // many divisions as it takes for each to hold at most kSpread thresholds. A feature of which the
  // most divisions hold more is crowded.
  static constexpr std::size_t kSpread = 2;
  static constexpr std::size_t kLeastDivisions = 64;
  static constexpr std::size_t kMostDivisions = 1024;
  // Numbers of cells that are added up at a time, as many as a register of the least machine takes;
  // how many such words of a row, as many as registers hold; and features side by side.
  static constexpr std::size_t kNumbersAtATime = 8;
  static constexpr std::size_t kMostWords = 8;
  using Numbers [[gnu::vector_size(2 * kNumbersAtATime)]] = std::uint16_t;

  // How two features' values are looked up.
  struct Divisions {
    Pair from;
    Pair per_unit;
    Pair last;
    std::array<std::uint32_t, 2> begin;  // places in `first_`
  };
  // Of each feature, the first threshold that is not exceeded, as its place in `thresholds_`.
  using Places = std::array<std::uint32_t, kMaxFeatures>;

  // As many words of numbers, each in a register.
  template <std::size_t kWords>
  struct Sums {
    Numbers first;
    Sums<kWords - 1> rest;

    [[gnu::always_inline]] void start(const Numbers* row) {
      first = *row;
      rest.start(row + 1);
    }
    [[gnu::always_inline]] void add(const Numbers* row) {
      first += *row;
      rest.add(row + 1);
    }
    [[gnu::always_inline]] void write(Numbers* out) const {
      *out = first;
      rest.write(out + 1);
    }
  };

  // Of tables whose numbers are as many words.
  template <std::size_t kWords>
  [[nodiscard]] std::int32_t sum_of(const Places& places, const Numbers* numbers) const {
    Sums<kWords> sums;
    sums.start(numbers + places[0] * kWords);
    for (std::size_t i = 1; i < padded_; ++i) sums.add(numbers + places[i] * kWords);
    // Through memory: to take a number out of a register costs twice as much.
    union {
      Numbers words[kWords];
      std::uint16_t numbers[kWords * kNumbersAtATime];
    } cell;
    sums.write(cell.words);
    // Two sums, so that an addition does not wait for each; of more, and of no loop, the compiler
    // makes vectors out of single numbers, which takes longer.
    std::int32_t even = 0;
    std::int32_t odd = 0;
#pragma GCC unroll 8
    for (std::size_t n = 0; n < kWords * kNumbersAtATime; n += 2) {
      even += cells_[cell.numbers[n]];
      odd += cells_[cell.numbers[n + 1]];
    }
    return even + odd;
  }
  // At most kWords.
  template <std::size_t kWords>
  [[nodiscard]] std::int32_t sum_of_last(const Places& places, const Numbers* numbers,
                                         std::size_t words) const {
    if constexpr (kWords > 1) {
      if (words < kWords) return sum_of_last<kWords - 1>(places, numbers, words);
    }
    return sum_of<kWords>(places, numbers);
  }

  std::size_t last_ = 0;    // of the features that are asked for
  std::size_t padded_ = 0;  // how many are looked at: all up to it, as a multiple of two
  std::array<Divisions, kMaxFeatures / 2> divisions_{};
  std::array<std::uint8_t, kMaxFeatures> crowded_{};
  std::size_t crowded_count_ = 0;
  // The first threshold in each division or behind it, as its place in `thresholds_`.
  std::vector<std::uint16_t> first_;
  // Rising, feature after feature, and behind each feature's as many more, which nothing exceeds,
  // as one of its divisions may hold.
  std::vector<double> thresholds_;
  // What is added, by place of the first threshold that is not exceeded: words_ of each, kMostWords
  // of all places and then the next.
  std::vector<Numbers> numbers_;
  std::size_t words_ = 0;
  std::vector<std::int16_t> cells_;  // of all tables; the first is of none
  std::int32_t least_ = 0;
};

template <>
struct ResidualTables::Sums<0> {
  void start(const Numbers* /*row*/) {}
  void add(const Numbers* /*row*/) {}
  void write(Numbers* /*out*/) const {}
};

}  // namespace ridge::hw::calibrated
