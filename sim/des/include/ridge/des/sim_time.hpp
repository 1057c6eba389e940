// Simulated time.
#pragma once

#include "ridge/base/quantity.hpp"

#include <compare>
#include <cstdint>
#include <limits>

namespace ridge::des {

// An instant of simulated time, or the span between two, as signed 64-bit picoseconds.
//
// Integers, because a simulation orders events by exact comparison: two micro-batches that take
// the same path must tie on every machine. A picosecond is a byte at 1 TB/s; 2^63 of them are
// 106 days. Sums saturate, so that never() + x stays never().
class SimTime {
 public:
  constexpr SimTime() = default;

  static constexpr SimTime from_picoseconds(std::int64_t ps) { return SimTime(ps); }
  static constexpr SimTime from_nanoseconds(std::int64_t ns) { return scaled(ns, 1'000); }
  static constexpr SimTime from_microseconds(std::int64_t us) { return scaled(us, 1'000'000); }
  static constexpr SimTime from_milliseconds(std::int64_t ms) { return scaled(ms, 1'000'000'000); }

  // The one place where real numbers become simulated time: rounds to the nearest picosecond,
  // halves away from zero. Infinity is never().
  // Throws InvariantError on NaN and beyond 106 days.
  static constexpr SimTime from(Seconds duration) {
    const double ps = duration.value() * 1e12;
    // Both comparisons are false for NaN.
    if (ps > -kLimit && ps < kLimit) {
      const auto whole = static_cast<std::int64_t>(ps);
      const double rest = ps - static_cast<double>(whole);
      return SimTime(whole + static_cast<int>(rest >= 0.5) - static_cast<int>(rest <= -0.5));
    }
    return ps == std::numeric_limits<double>::infinity() ? never() : refuse(duration);
  }

  // The end of time: 106 days. What is scheduled for never does not happen.
  static constexpr SimTime never() { return SimTime(std::numeric_limits<std::int64_t>::max()); }

  [[nodiscard]] constexpr std::int64_t picoseconds() const { return ps_; }
  [[nodiscard]] constexpr Seconds seconds() const {
    return Seconds{static_cast<double>(ps_) * 1e-12};
  }

  friend constexpr auto operator<=>(SimTime, SimTime) = default;

  friend constexpr SimTime operator+(SimTime a, SimTime b) {
    std::int64_t sum = 0;
    if (__builtin_add_overflow(a.ps_, b.ps_, &sum)) return saturated(b.ps_ < 0);
    return SimTime(sum);
  }
  friend constexpr SimTime operator-(SimTime a, SimTime b) {
    std::int64_t difference = 0;
    if (__builtin_sub_overflow(a.ps_, b.ps_, &difference)) return saturated(b.ps_ > 0);
    return SimTime(difference);
  }
  friend constexpr SimTime operator*(SimTime a, std::int64_t n) { return scaled(a.ps_, n); }
  friend constexpr SimTime operator*(std::int64_t n, SimTime a) { return scaled(a.ps_, n); }
  constexpr SimTime& operator+=(SimTime other) { return *this = *this + other; }
  constexpr SimTime& operator-=(SimTime other) { return *this = *this - other; }

 private:
  // 2^63; every double below it fits an int64_t.
  static constexpr double kLimit = 9223372036854775808.0;

  constexpr explicit SimTime(std::int64_t ps) : ps_(ps) {}

  static constexpr SimTime saturated(bool negative) {
    return SimTime(negative ? std::numeric_limits<std::int64_t>::min()
                            : std::numeric_limits<std::int64_t>::max());
  }

  static constexpr SimTime scaled(std::int64_t value, std::int64_t factor) {
    std::int64_t product = 0;
    if (__builtin_mul_overflow(value, factor, &product)) {
      return saturated((value < 0) != (factor < 0));
    }
    return SimTime(product);
  }

  [[noreturn]] static SimTime refuse(Seconds duration);

  std::int64_t ps_ = 0;
};

}  // namespace ridge::des
