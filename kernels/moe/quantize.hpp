#pragma once

#include "common/numeric.hpp"
#include "common/portable.hpp"
#include "moe/shape.hpp"

#include <cstdint>
#include <span>
#include <vector>

/// Block quantization to E4M3: each block's largest magnitude becomes 448.
namespace ridge::kernels::moe {

/// The scale of a block with largest magnitude `maximum`. The floor keeps an all-zero block, and
/// its reciprocal, finite; blocks below it lose precision, 2^-64 being far under any activation.
RIDGE_HOST_DEVICE constexpr float block_scale(float maximum) {
  constexpr float kSmallest = 0x1p-64f;
  return (maximum > kSmallest ? maximum : kSmallest) / kE4m3Max;
}

/// E4M3 values [rows][columns] with float scales.
struct Quantized {
  int rows = 0;
  int columns = 0;
  int scale_rows = 0;  ///< Rows that share a scale: 1 (activations) or 128 (weights).
  std::vector<E4m3> values;
  std::vector<float> scales;  ///< [ceil(rows / scale_rows)][columns / 128].

  [[nodiscard]] float scale(int row, int column) const;
  [[nodiscard]] double dequantized(int row, int column) const;
};

/// Quantizes row-major `values` with one scale per 1 x 128 (activations) or 128 x 128 (weights)
/// block. The device computes the same bits. `columns` must be a multiple of 128.
Quantized quantize_1x128(std::span<const float> values, int rows, int columns);
Quantized quantize_128x128(std::span<const float> values, int rows, int columns);

}  // namespace ridge::kernels::moe
