// Norms, activations, rotary embedding, state updates: a launch and a stream of bytes.
#pragma once

#include "ridge/hwmodels/calibrated/form.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace ridge::hw::calibrated {

struct ElementwiseForm {
  struct Shape {
    double MB = 0;  // read and written
  };

  struct Choice {
    friend bool operator==(const Choice&, const Choice&) = default;
  };

  enum Index : std::uint8_t { launch_us, memory_TBps, kParameterCount };
  using Parameters = std::array<double, kParameterCount>;

  [[nodiscard]] static std::span<const ParameterInfo> parameters();
  [[nodiscard]] static std::vector<Choice> choices();
  [[nodiscard]] static Estimate time(const Machine& machine, const Choice& choice,
                                     const Parameters& p, const Shape& s);
};

}  // namespace ridge::hw::calibrated
