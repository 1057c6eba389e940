#include "common/numeric.hpp"
#include "common/random.hpp"
#include "moe/quantize.hpp"
#include "moe/reference.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

namespace ridge::kernels::moe {
namespace {

/// Fraction bits that Hopper's FP8 matrix unit keeps below the largest summand of an instruction
/// (DeepSeek-V3 report, arXiv 2412.19437, section 3.5.2: products are aligned to the largest
/// exponent and truncated to 14 bits, the leading one included).
constexpr int kKeptBits = 13;
constexpr int kWgmmaDepth = 32;

/// One instruction: truncates every product and the accumulator to a common grid, then adds.
double accumulate(double sum, const std::vector<double>& products) {
  double largest = std::abs(sum);
  for (const double p : products) largest = std::max(largest, std::abs(p));
  if (largest == 0.0) return 0.0;
  const double grid = std::ldexp(1.0, std::ilogb(largest) - kKeptBits);
  double total = std::trunc(sum / grid) * grid;
  for (const double p : products) total += std::trunc(p / grid) * grid;
  return total;
}

/// Relative error of dot products of length `depth`, promoted to exact sums every `promotion`.
double error_of_dot_products(int depth, int promotion, bool outliers) {
  constexpr int kDots = 200;
  std::vector<double> got;
  std::vector<double> want;
  for (int dot = 0; dot < kDots; ++dot) {
    std::vector<float> x;
    x.reserve(static_cast<std::size_t>(depth));
    for (int k = 0; k < depth; ++k) {
      const auto at = static_cast<std::uint64_t>(dot) * 65536u + static_cast<std::uint64_t>(k);
      const bool outlier = outliers && k % 64 == 5;
      x.push_back(random_normal(1, at) * (outlier ? 8.0f : 1.0f));
    }
    const Quantized tokens = quantize_1x128(x, 1, depth);
    double sum = 0.0;
    double exact = 0.0;
    double in_unit = 0.0;
    for (int first = 0; first < depth; first += kWgmmaDepth) {
      std::vector<double> products;
      products.reserve(kWgmmaDepth);
      for (int k = first; k < first + kWgmmaDepth; ++k) {
        const auto at = static_cast<std::uint64_t>(dot) * 65536u + static_cast<std::uint64_t>(k);
        const double w = to_float(to_e4m3(random_normal(2, at) * 64.0f));
        // Promoted per scale block, the unit sees unscaled values; otherwise scales come first.
        const double value = promotion == kScaleBlock
                                 ? to_float(tokens.values[static_cast<std::size_t>(k)])
                                 : tokens.dequantized(0, k);
        products.push_back(value * w);
        exact += tokens.dequantized(0, k) * w;
      }
      in_unit = accumulate(in_unit, products);
      if ((first + kWgmmaDepth) % promotion == 0) {
        sum += in_unit * (promotion == kScaleBlock ? tokens.scale(0, first) : 1.0f);
        in_unit = 0.0;
      }
    }
    got.push_back(sum);
    want.push_back(exact);
  }
  return relative_error(got, want);
}

TEST(MoeAccumulation, PromotedEveryScaleBlockStaysFarBelowTheTolerance) {
  for (const bool outliers : {false, true})
    for (const int depth : {128, 640, 7168})
      EXPECT_LT(error_of_dot_products(depth, kScaleBlock, outliers), 3e-4) << depth;
}

TEST(MoeAccumulation, LeftToTheMatrixUnitAloneWouldMissIt) {
  EXPECT_GT(error_of_dot_products(7168, 7168, false), 1e-3);
}

}  // namespace
}  // namespace ridge::kernels::moe
