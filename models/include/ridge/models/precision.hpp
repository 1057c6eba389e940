// Number formats of weights, caches, activations and matrix units.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/base/quantity.hpp"

#include <cstdint>
#include <span>
#include <string_view>

namespace ridge::models {

enum class Precision : std::uint8_t { fp32, bf16, fp8, int8, fp4, int4 };
inline constexpr std::size_t kPrecisions = 6;

// Storage of one value, scales not counted.
[[nodiscard]] constexpr Bytes bytes_per_value(Precision precision) {
  constexpr double kBytes[kPrecisions] = {4.0, 2.0, 1.0, 1.0, 0.5, 0.5};
  return Bytes{kBytes[static_cast<std::size_t>(precision)]};
}

// The names used in JSON: "fp32", "bf16", ...
[[nodiscard]] std::string_view name_of(Precision precision);
[[nodiscard]] std::span<const Named<Precision>> precision_names();

}  // namespace ridge::models
