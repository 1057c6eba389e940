#pragma once

#include "common/portable.hpp"
#include "moe/schedule.hpp"
#include "moe/shape.hpp"

#include <cstddef>

/// Where scales lie in memory. Activation scales are K-block-major, so that the scales of a tile's
/// rows are contiguous; weight scales come in pairs, because a tile of 256 weight rows needs
/// exactly two per K block: rows 0..127 and 128..255 of a plain matrix, gate and up of an
/// interleaved one.
namespace ridge::kernels::moe {

/// Bulk copies start at multiples of 16 bytes; a tile's rows do not. Copying from the multiple of
/// four rows below, and four rows more, covers them.
inline constexpr int kScaleAlignment = 4;

RIDGE_HOST_DEVICE constexpr int aligned_scale_row(int row) {
  return row / kScaleAlignment * kScaleAlignment;
}

/// Floats copied per K block for a tile padded to `padded` tokens.
RIDGE_HOST_DEVICE constexpr int scale_copy_floats(int padded) {
  return padded + kScaleAlignment;
}

/// Distance between K blocks of the activation scales of `row_capacity` rows: room for the last
/// tile to copy past the end, and a multiple of 16 bytes.
RIDGE_HOST_DEVICE constexpr int scale_pitch(int row_capacity) {
  return ceil_div(row_capacity, kScaleAlignment) * kScaleAlignment + scale_copy_floats(kTileTokens);
}

RIDGE_HOST_DEVICE constexpr int weight_blocks(int weight_rows) {
  return ceil_div(weight_rows, kTileWeights);
}

/// Index of the scale pair of (group, weight block, K block).
RIDGE_HOST_DEVICE constexpr std::size_t weight_scale_index(int weight_rows, int depth, int group,
                                                           int weight_block, int k_block) {
  const auto blocks = static_cast<std::size_t>(weight_blocks(weight_rows));
  return (static_cast<std::size_t>(group) * blocks + static_cast<std::size_t>(weight_block)) *
             static_cast<std::size_t>(depth / kScaleBlock) +
         static_cast<std::size_t>(k_block);
}

}  // namespace ridge::kernels::moe
