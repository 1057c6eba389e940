// Number formats of weights, caches, activations and matrix units.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/base/quantity.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace ridge::models {

enum class Precision : std::uint8_t { fp32, bf16, fp8, int8, fp4, int4 };
inline constexpr std::size_t kPrecisions = 6;

// Storage of one value, scales not counted.
[[nodiscard]] constexpr Bytes bytes_per_value(Precision precision) {
  constexpr double kBytes[kPrecisions] = {4.0, 2.0, 1.0, 1.0, 0.5, 0.5};
  return Bytes{kBytes[static_cast<std::size_t>(precision)]};
}

// How weights lie in memory: a number format, and the scales that groups of them share.
struct WeightFormat {
  Precision precision = Precision::bf16;
  double scale_bytes = 0;  // of scales and zero points, beside one weight

  [[nodiscard]] Bytes bytes() const { return bytes_per_value(precision) + Bytes{scale_bytes}; }
  friend bool operator==(const WeightFormat&, const WeightFormat&) = default;
};

// The names used in JSON: "fp32", "bf16", ...
[[nodiscard]] std::string_view name_of(Precision precision);
[[nodiscard]] std::span<const Named<Precision>> precision_names();

// Reads "weights_precision" and "weights_scales": {"group", "bytes"}. False where the first is not
// given.
bool read_weight_format(JsonObject& object, WeightFormat& out, const std::string& prefix = {});
// Reads "weights_scales" alone: bytes beside one weight.
void read_weight_scales(JsonObject& object, double& out, const std::string& prefix = {});

}  // namespace ridge::models
