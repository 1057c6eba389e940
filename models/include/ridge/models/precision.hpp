// Number formats of weights, caches, activations and matrix units.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/base/quantity.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ridge {
class KeyTable;
}

namespace ridge::models {

enum class Precision : std::uint8_t { fp32, bf16, fp8, int8, fp4, int4 };
inline constexpr std::size_t kPrecisions = 6;

// Storage of one value, scales not counted.
[[nodiscard]] constexpr Bytes bytes_per_value(Precision precision) {
  constexpr double kBytes[kPrecisions] = {4.0, 2.0, 1.0, 1.0, 0.5, 0.5};
  return Bytes{kBytes[static_cast<std::size_t>(precision)]};
}

// Scales (with zero points) that groups of weights share.
struct WeightScales {
  double group = 1;  // weights
  double bytes = 0;  // of each group

  [[nodiscard]] double bytes_per_weight() const { return bytes / group; }
  friend bool operator==(const WeightScales&, const WeightScales&) = default;
};
[[nodiscard]] const KeyTable& keys_of(const WeightScales*);

// How weights lie in memory: a number format, and their scales.
struct WeightFormat {
  Precision precision = Precision::bf16;
  WeightScales scales = {};

  [[nodiscard]] Bytes bytes() const {
    return bytes_per_value(precision) + Bytes{scales.bytes_per_weight()};
  }
  friend bool operator==(const WeightFormat&, const WeightFormat&) = default;
};

// The format of a part, where it is not that of the whole.
struct OwnFormat {
  std::optional<Precision> precision;
  WeightScales scales;  // counts where there is a precision

  OwnFormat() = default;
  OwnFormat(const WeightFormat& format)  // NOLINT: a format is one
      : precision(format.precision), scales(format.scales) {}

  [[nodiscard]] WeightFormat value_or(const WeightFormat& usual) const {
    return precision ? WeightFormat{*precision, scales} : usual;
  }
  friend bool operator==(const OwnFormat&, const OwnFormat&) = default;
};

// An error at scales of a block's weights that stand there without their precision.
void check_weights_scales(const JsonNode& block, const std::string& prefix = {});

// The names used in JSON: "fp32", "bf16", ...
[[nodiscard]] std::string_view name_of(Precision precision);
[[nodiscard]] std::span<const Named<Precision>> precision_names();

}  // namespace ridge::models
