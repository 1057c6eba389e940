// Many small trees as few tables, so that a sum over all of them is looked up and not asked tree by
// tree: every operator of every step asks for one.
#pragma once

#include "ridge/hwmodels/calibrated/form.hpp"
#include "ridge/hwmodels/calibrated/residual.hpp"

#include <array>
#include <bit>
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
    Places places;
    const auto place = [&](std::size_t i, Pair value) {
      const auto at = std::bit_cast<std::uint64_t>(
          __builtin_convertvector(divisions_[i / 2].at(value), PairOfInts));
      const std::uint32_t a = first_[static_cast<std::uint32_t>(at)];
      const std::uint32_t b = first_[at >> 32U];
      // What lies in a division exceeds all thresholds of those before it, and perhaps its own: -1
      // where it does. By flags of the processor it takes longer.
      const auto exceeded = value > Pair{thresholds_[a], thresholds_[b]};
      places[i] = a - static_cast<std::uint32_t>(exceeded[0]);
      places[i + 1] = b - static_cast<std::uint32_t>(exceeded[1]);
    };
    std::size_t next = 0;
    for (; next < last_; next += 2) place(next, Pair{features[next], features[next + 1]});
    if (next == last_) place(next, Pair{features[next], features[next]});
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
  // many divisions as it takes for each to hold one threshold at most. A feature of which the most
  // divisions hold more is crowded.
  static constexpr std::size_t kLeastDivisions = 64;
  static constexpr std::size_t kMostDivisions = 4096;
  // Numbers of cells that are added up at a time, as many as a register of the least machine takes;
  // how many such words of a row, as many as registers hold; and features side by side.
  static constexpr std::size_t kNumbersAtATime = 8;
  static constexpr std::size_t kMostWords = 8;
  using Numbers [[gnu::vector_size(2 * kNumbersAtATime)]] = std::uint16_t;

  using PairOfInts [[gnu::vector_size(2 * sizeof(std::int32_t))]] = std::int32_t;

  // In which division a feature's value lies, as its place in `first_`: of two features, or of one.
  // It never falls as the value rises, and is `low` where the value is not a number.
  template <typename T>
  struct Divisions {
    T per_unit{};
    T offset{};
    T low{};
    T high{};

    [[nodiscard]] T at(T value) const {
      T at = value * per_unit + offset;
      at = at > low ? at : low;
      return at < high ? at : high;
    }
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
    // Through memory, four at a time: loads are what an evaluation waits for, and to take a single
    // number out of a register costs more.
    std::array<Numbers, kWords> words;
    sums.write(words.data());
    const auto fours =
        std::bit_cast<std::array<std::uint64_t, kWords * kNumbersAtATime / 4>>(words);
    // Two sums, so that an addition does not wait for each; of more, and of no loop, the compiler
    // makes vectors out of single numbers, which takes longer.
    std::int32_t even = 0;
    std::int32_t odd = 0;
#pragma GCC unroll 4
    for (const std::uint64_t four : fours) {
      even += cells_[four & 0xFFFFU];
      odd += cells_[four >> 16U & 0xFFFFU];
      even += cells_[four >> 32U & 0xFFFFU];
      odd += cells_[four >> 48U];
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
  std::array<Divisions<Pair>, kMaxFeatures / 2> divisions_{};
  std::array<std::uint8_t, kMaxFeatures> crowded_{};
  std::size_t crowded_count_ = 0;
  // The first threshold in each division or behind it, as its place in `thresholds_`.
  std::vector<std::uint16_t> first_;
  // Rising, feature after feature, and behind each feature's one that nothing exceeds.
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
