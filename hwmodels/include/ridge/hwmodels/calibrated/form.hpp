// What the calibrated forms share. A form is a small physical model of one operator family: times
// in microseconds from a handful of positive parameters. Rates are written so that
// megabytes / (TB/s) and kilobytes / (GB/s) are microseconds.
#pragma once

#include "ridge/hwmodels/kernel_model.hpp"

#include <cmath>
#include <cstdint>
#include <string_view>

namespace ridge::hw::calibrated {

// A fitted number: what it means, and between which values the fit may look for it.
struct ParameterInfo {
  std::string_view name;  // with its unit at the end: "launch_us"
  std::string_view meaning;
  double lower;
  double initial;
  double upper;
};

// What a form has to know of the chip. Part of every calibration, so that a transfer to another
// chip of the generation can put that chip's figures here.
struct Machine {
  double compute_units = 0;
  // By its data sheet: no fitted rate exceeds these.
  double memory_TBps = 0;
  double bf16_TFLOPps = 0;
  double fp8_TFLOPps = 0;
};

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

// std::ceil for 0 <= x < 2^62, without the library call that a baseline x86-64 build makes of it.
[[nodiscard]] inline double round_up(double x) {
  const auto whole = static_cast<double>(static_cast<std::int64_t>(x));
  return whole < x ? whole + 1.0 : whole;
}

}  // namespace ridge::hw::calibrated
