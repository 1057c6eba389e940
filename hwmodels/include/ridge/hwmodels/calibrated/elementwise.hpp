// Norms, activations, rotary embedding, state updates: a launch and a stream of bytes.
#pragma once

#include "ridge/hwmodels/calibrated/form.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace ridge::hw::calibrated {

struct ElementwiseForm {
  struct Shape {
    using Form = ElementwiseForm;
    double MB = 0;  // read and written
  };

  // What a range is kept for.
  static constexpr std::array<std::string_view, 1> kRanges = {"MB"};
  [[nodiscard]] static std::array<double, kRanges.size()> ranged(const Shape& s) { return {s.MB}; }

  struct Choice {
    friend bool operator==(const Choice&, const Choice&) = default;
  };
  template <typename C, typename Visit>
  static void choice_fields(C& /*choice*/, Visit&& /*visit*/) {}

  enum Index : std::uint8_t { launch_us, memory_TBps, kParameterCount };
  using Parameters = std::array<double, kParameterCount>;

  [[nodiscard]] static std::span<const ParameterInfo> parameters();
  [[nodiscard]] static Facts<Choice> facts(const CurveKey& key);
  [[nodiscard]] static Estimate time(const Machine& machine, const Choice& choice,
                                     const Parameters& p, const Shape& s);

  // Of the learned residual.
  static constexpr std::array<std::string_view, 1> kFeatures = {"log2_MB"};
  [[nodiscard]] static std::array<double, kFeatures.size()> features(const Machine& /*machine*/,
                                                                     const Choice& /*choice*/,
                                                                     const Shape& s) {
    return {rough_log2(std::max(s.MB, 1e-9))};
  }
};

}  // namespace ridge::hw::calibrated
