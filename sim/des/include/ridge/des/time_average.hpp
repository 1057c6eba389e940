// Means over time of levels that change at instants.
#pragma once

#include "ridge/des/int128.hpp"
#include "ridge/des/sim_time.hpp"

#include <algorithm>
#include <cstdint>

namespace ridge::des {

// A level that holds between changes (a queue length, KV bytes in use) and its mean over time.
// The area under it is kept as an exact integer, so that Little's law holds to the picosecond.
class TimeAverage {
 public:
  explicit TimeAverage(std::int64_t level = 0, SimTime start = {})
      : level_(level), largest_(level), start_(start), since_(start) {}

  void set(SimTime now, std::int64_t level) {
    area_ += static_cast<Int128>(level_) * (now - since_).picoseconds();
    since_ = now;
    level_ = level;
    largest_ = std::max(largest_, level);
  }
  void add(SimTime now, std::int64_t change) { set(now, level_ + change); }

  // Forgets the past (a warm-up) and keeps the level.
  void restart(SimTime now) { *this = TimeAverage(level_, now); }

  [[nodiscard]] std::int64_t level() const { return level_; }
  [[nodiscard]] std::int64_t largest() const { return largest_; }

  // The area under the level since the start, in level-seconds.
  [[nodiscard]] double integral(SimTime now) const {
    return static_cast<double>(area_at(now)) * 1e-12;
  }
  // The mean level from the start to `now`; the present level if no time has passed.
  [[nodiscard]] double mean(SimTime now) const {
    if (now <= start_) return static_cast<double>(level_);
    return static_cast<double>(area_at(now)) / static_cast<double>((now - start_).picoseconds());
  }

 private:
  Int128 area_at(SimTime now) const {
    return area_ + static_cast<Int128>(level_) * (now - since_).picoseconds();
  }

  Int128 area_ = 0;
  std::int64_t level_;
  std::int64_t largest_;
  SimTime start_;
  SimTime since_;
};

}  // namespace ridge::des
