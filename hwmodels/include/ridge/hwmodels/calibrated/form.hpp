// What the calibrated forms share. A form is a small physical model of one operator family: times
// in microseconds from a handful of positive parameters. Rates are written so that
// megabytes / (TB/s) and kilobytes / (GB/s) are microseconds.
#pragma once

#include "ridge/hwmodels/calibrated/family.hpp"
#include "ridge/hwmodels/kernel_model.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <vector>

namespace ridge::hw::calibrated {

// What of a chip a parameter follows: between which figures of the data sheet a fit may look for
// it, and how it moves to another chip of the generation.
enum class Role : std::uint8_t {
  own,            // of the kernel, or of one compute unit: the same on every chip
  launch,         // from the launch on, whatever the shape: the same on every chip
  overlap,        // how far two limits add up: none at 0
  memory_rate,    // bandwidth from memory: never above the data sheet's
  stream_rate,    // bandwidth of a stream that L2 may help: follows the memory's
  l2_rate,        // never below the memory's
  l2_size,        // follows the size of L2
  matrix_rate,    // of one compute unit: never above its share of the data sheet's
  throttle,       // slowdown by the power limit
  scale_up_rate,  // follows the link within a server
  network_rate,   // follows the network card
};

// A fitted number: what it means, and between which values the fit may look for it.
struct ParameterInfo {
  std::string_view name;  // with its unit at the end: "launch_us"
  std::string_view meaning;
  double lower;
  double initial;
  double upper;
  Role role = Role::own;
  // Where a matrix rate is expected, as a share of the most it can be; 0 where `initial` says.
  double expected_share = 0.0;
};

// What is known of a kernel before it is measured.
template <typename Choice>
struct Facts {
  std::vector<Choice> choices;  // that a fit may try
  double matrix_share = 1.0;    // of the data sheet's matrix rate, at most
};

// What a form has to know of the chip. Part of every calibration, so that a transfer to another
// chip of the generation can put that chip's figures here.
struct Machine {
  double compute_units = 0;
  // By its data sheet: no fitted rate exceeds these.
  double memory_TBps = 0;
  double bf16_TFLOPps = 0;
  double fp8_TFLOPps = 0;
  double fp4_TFLOPps = 0;

  // Matrix rate for values of 4, 8 or 16 bits.
  [[nodiscard]] double TFLOPps(int bits) const {
    return bits <= 4 ? fp4_TFLOPps : bits <= 8 ? fp8_TFLOPps : bf16_TFLOPps;
  }
  // Of one compute unit, for products of this format.
  [[nodiscard]] double unit_TFLOPps(Format format) const {
    return TFLOPps(matrix_bits(format)) / compute_units;
  }
};

struct Bounds {
  double lower;
  double upper;
};

// Between which values a parameter may lie on a machine: no rate above the data sheet's, no
// bandwidth from L2 below the memory's.
[[nodiscard]] inline Bounds bounds_of(const ParameterInfo& info, const Machine& machine,
                                      Format format, double matrix_share = 1.0) {
  Bounds bounds{.lower = info.lower, .upper = info.upper};
  if (info.role == Role::memory_rate) bounds.upper = machine.memory_TBps;
  if (info.role == Role::l2_rate) {
    bounds.lower = machine.memory_TBps;
    bounds.upper = std::max(bounds.upper, 2.0 * bounds.lower);
  }
  if (info.role == Role::matrix_rate) {
    bounds.upper = matrix_share * machine.unit_TFLOPps(format);
    bounds.lower = std::min(bounds.lower, 0.1 * bounds.upper);
  }
  return bounds;
}

struct Estimate {
  double us = 0;
  Resource bound = Resource::none;
};

// The larger of two times with a rounded corner: the maximum at softness 0, the sum at 1. Rises
// with both. A kernel near the ridge point overlaps its loads and its arithmetic imperfectly.
[[nodiscard]] inline double soft_max(double a, double b, double softness) {
  const double difference = a - b;
  return 0.5 * (a + b + std::sqrt(difference * difference + 4.0 * softness * softness * (a * b)));
}

// The smaller of two times, rounded the same way; never above either.
[[nodiscard]] inline double soft_min(double a, double b, double softness) {
  return a + b - soft_max(a, b, softness);
}

// Logarithm to base 2 within 0.01, of what is positive: as a feature of a learned residual, for
// which the library's digits would cost more than the rest of it.
[[nodiscard]] inline double rough_log2(double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const auto exponent = static_cast<double>(static_cast<std::int64_t>(bits >> 52U) - 1023);
  const double m = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFFULL) | 0x3FF0000000000000ULL) - 1.0;
  return exponent + m * (1.3465 - 0.3465 * m);
}

// Two numbers that go through the same arithmetic at once: a quotient, which others wait for, takes
// as long as two.
using Pair [[gnu::vector_size(2 * sizeof(double))]] = double;

[[nodiscard]] inline Pair rough_log2(Pair x) {
  using Bits [[gnu::vector_size(sizeof(Pair))]] = std::uint64_t;
  constexpr std::uint64_t kFraction = 0xFFFFFFFFFFFFFULL;
  constexpr std::uint64_t kOne = 0x3FF0000000000000ULL;
  constexpr std::uint64_t kWhole = 0x4330000000000000ULL;  // 2^52, behind which a whole number fits
  constexpr double kBias = 0x1p52 + 1023.0;
  const auto bits = std::bit_cast<Bits>(x);
  const Pair exponent = std::bit_cast<Pair>((bits >> 52U) | kWhole) - kBias;
  const Pair m = std::bit_cast<Pair>((bits & kFraction) | kOne) - 1.0;
  return exponent + m * (1.3465 - 0.3465 * m);
}

// Depth of one pipeline stage of a product, in values of k.
inline constexpr double kStepK = 128.0;

// std::ceil for 0 <= x < 2^51, without the library call that a baseline x86-64 build makes of it,
// without a branch, which nothing could guess, and for several at once where a loop asks.
[[nodiscard]] inline double round_up(double x) {
  constexpr double kWholeFrom = 0x1p52;  // from here on a double has no digits behind the point
  const double nearest = (x + kWholeFrom) - kWholeFrom;
  return nearest + (nearest < x ? 1.0 : 0.0);
}

[[nodiscard]] inline Pair round_up(Pair x) {
  constexpr double kWholeFrom = 0x1p52;
  const Pair nearest = (x + kWholeFrom) - kWholeFrom;
  return nearest + (nearest < x ? Pair{1.0, 1.0} : Pair{});
}

// The share of whole parts that is used where this many are asked for: 1.5 of 2 is 0.75.
[[nodiscard]] inline double fill(double parts) {
  return parts / round_up(parts);
}
[[nodiscard]] inline Pair fill(Pair parts) {
  return parts / round_up(parts);
}

}  // namespace ridge::hw::calibrated
