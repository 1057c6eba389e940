#include "common/random.hpp"
#include "moe/quantize.hpp"
#include "moe/scale_layout.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

namespace ridge::kernels::moe {
namespace {

/// Values whose magnitude changes by orders from block to block.
std::vector<float> values_of(int rows, int columns, std::uint64_t seed) {
  std::vector<float> values;
  for (int row = 0; row < rows; ++row)
    for (int column = 0; column < columns; ++column) {
      const auto block = static_cast<std::uint64_t>(row * 64 + column / 128);
      const auto exponent = static_cast<int>(random_bits(seed + 1, block) % 41) - 20;
      values.push_back(std::ldexp(
          random_normal(seed, static_cast<std::uint64_t>(row * columns + column)), exponent));
    }
  return values;
}

/// Half the spacing of E4M3 at a value that maps to `x` / `scale`, plus the rounding of the
/// multiplication by the reciprocal.
double rounding_bound(double x, double scale) {
  return std::max(std::abs(x) * 0x1p-4, scale * 0x1p-10) * (1.0 + 1e-6);
}

TEST(MoeQuantize, RoundsEveryValueToHalfASpacing) {
  for (const bool per_row : {true, false}) {
    const int rows = 256;
    const int columns = 384;
    const std::vector<float> values = values_of(rows, columns, 3);
    const Quantized q =
        per_row ? quantize_1x128(values, rows, columns) : quantize_128x128(values, rows, columns);
    for (int row = 0; row < rows; ++row)
      for (int column = 0; column < columns; ++column) {
        const double x =
            static_cast<double>(values[static_cast<std::size_t>(row * columns + column)]);
        ASSERT_LE(std::abs(q.dequantized(row, column) - x),
                  rounding_bound(x, static_cast<double>(q.scale(row, column))));
      }
  }
}

TEST(MoeQuantize, MapsTheLargestMagnitudeOfABlockTo448) {
  const std::vector<float> values = values_of(64, 256, 4);
  const Quantized q = quantize_1x128(values, 64, 256);
  for (int row = 0; row < 64; ++row)
    for (int block = 0; block < 2; ++block) {
      float largest = 0.0f;
      for (int k = 0; k < 128; ++k)
        largest = std::max(
            largest,
            std::abs(to_float(q.values[static_cast<std::size_t>(row * 256 + block * 128 + k)])));
      EXPECT_EQ(largest, kE4m3Max);
    }
}

TEST(MoeQuantize, SharesAScaleOver128RowsOfWeightsAndNoneOfActivations) {
  const std::vector<float> values = values_of(300, 256, 5);
  const Quantized weights = quantize_128x128(values, 300, 256);
  EXPECT_EQ(weights.scales.size(), 3u * 2u);
  EXPECT_EQ(weights.scale(0, 0), weights.scale(127, 127));
  EXPECT_NE(weights.scale(127, 0), weights.scale(128, 0));
  EXPECT_NE(weights.scale(0, 127), weights.scale(0, 128));
  const Quantized activations = quantize_1x128(values, 300, 256);
  EXPECT_EQ(activations.scales.size(), 300u * 2u);
  EXPECT_NE(activations.scale(0, 0), activations.scale(1, 0));
}

TEST(MoeQuantize, KeepsZerosTinyAndHugeBlocksFinite) {
  std::vector<float> values(3 * 128, 0.0f);
  std::fill(values.begin() + 128, values.begin() + 256, 1e-38f);
  std::fill(values.begin() + 256, values.end(), -3e38f);
  const Quantized q = quantize_1x128(values, 3, 128);
  EXPECT_EQ(q.dequantized(0, 5), 0.0);
  EXPECT_LE(std::abs(q.dequantized(1, 5)), 1e-30);
  EXPECT_NEAR(q.dequantized(2, 5) / -3e38, 1.0, 1e-6);
}

TEST(MoeQuantize, RefusesPartialBlocksAndWrongSizes) {
  const std::vector<float> values(200);
  EXPECT_THROW(quantize_1x128(values, 1, 200), std::invalid_argument);
  EXPECT_THROW(quantize_1x128(values, 2, 128), std::invalid_argument);
}

TEST(MoeScaleLayout, CopiesCoverATilesRowsAlignedAndWithinThePitch) {
  for (int capacity = 1; capacity < 600; ++capacity) {
    const int pitch = scale_pitch(capacity);
    ASSERT_EQ(pitch % kScaleAlignment, 0);
    for (const int tokens : {1, 16, 17, 33, 64, 65, 128})
      for (int first = 0; first + tokens <= capacity; first += 13) {
        const int from = aligned_scale_row(first);
        const int count = scale_copy_floats(padded_tokens(tokens));
        ASSERT_EQ(from * 4 % 16, 0);
        ASSERT_EQ(count * 4 % 16, 0);
        ASSERT_LE(from, first);
        ASSERT_GE(from + count, first + padded_tokens(tokens));
        ASSERT_LE(from + count, pitch);
      }
  }
}

TEST(MoeScaleLayout, GivesEachScalePairAPlaceOfItsOwn) {
  // Seven weight blocks, the last one half empty.
  std::vector<int> used(weight_scale_index(1664, 512, 3, 0, 0), 0);
  for (int group = 0; group < 3; ++group)
    for (int block = 0; block < weight_blocks(1664); ++block)
      for (int k = 0; k < 4; ++k) ++used.at(weight_scale_index(1664, 512, group, block, k));
  EXPECT_EQ(std::count(used.begin(), used.end(), 1), 3 * 7 * 4);
  EXPECT_EQ(used.size(), 3u * 7u * 4u);
}

}  // namespace
}  // namespace ridge::kernels::moe
