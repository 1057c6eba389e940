#include "common/numeric.hpp"
#include "common/random.hpp"
#include "elementwise/family.hpp"
#include "elementwise/reference.hpp"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

namespace ridge::kernels::elementwise {
namespace {

std::vector<std::uint16_t> bf16(std::uint64_t seed, std::size_t count) {
  std::vector<std::uint16_t> bits(count);
  for (std::size_t i = 0; i < count; ++i) {
    bits[i] = to_bf16(random_normal(seed, i)).bits;
  }
  return bits;
}

TEST(RmsNorm, OfUnitWeightHasUnitMeanSquareAndScalesReachTheFormatsEnd) {
  const std::vector<std::uint16_t> x = bf16(1, 3 * 512);
  const std::vector<std::uint16_t> ones(512, to_bf16(1.0f).bits);
  const Quantized result = rms_norm_quantize(x, ones, 3, 512);
  for (int token = 0; token < 3; ++token) {
    double squares = 0;
    for (int i = 0; i < 512; ++i) {
      squares += std::pow(result.normalized[token * 512 + i], 2);
    }
    EXPECT_NEAR(squares / 512, 1.0, 1e-5);
    for (int group = 0; group < 4; ++group) {
      double largest = 0;
      for (int i = 0; i < 128; ++i) {
        const std::size_t at = token * 512 + group * 128 + i;
        largest = std::max(largest, std::abs(result.normalized[at]) / result.scale[at / 128]);
      }
      EXPECT_NEAR(largest, 448, 1e-9);
    }
  }
}

TEST(RmsNorm, OfZerosIsZeroAndNotNan) {
  const std::vector<std::uint16_t> zeros(128, 0);
  const Quantized result = rms_norm_quantize(zeros, zeros, 1, 128);
  EXPECT_EQ(result.normalized[7], 0);
  EXPECT_EQ(result.scale[0], 0);
}

TEST(Rope, AtPositionZeroChangesNothing) {
  const std::vector<std::uint16_t> x = bf16(2, 2 * 64);
  const std::vector<double> y = rope(x, {0}, 2, 64);
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(y[i], to_float(Bf16{x[i]}));
  }
}

TEST(Rope, KeepsLengthsAndMakesProductsDependOnTheDistanceAlone) {
  const std::vector<std::uint16_t> q = bf16(3, 64);
  const std::vector<std::uint16_t> k = bf16(4, 64);
  const auto product = [](const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      sum += a[i] * b[i];
    }
    return sum;
  };
  const auto q5 = rope(q, {5}, 1, 64);
  EXPECT_NEAR(product(q5, q5), product(rope(q, {0}, 1, 64), rope(q, {0}, 1, 64)), 1e-9);
  EXPECT_NEAR(product(q5, rope(k, {2}, 1, 64)),
              product(rope(q, {103}, 1, 64), rope(k, {100}, 1, 64)), 1e-9);
}

TEST(Router, PicksTheLargestLogitsAndBreaksTiesByTheLowerId) {
  const Routes routes = router_top_k({1, 3, 2, 3, 0}, 1, 5, 3);
  EXPECT_EQ(routes.expert, (std::vector<std::int32_t>{1, 3, 2}));
  EXPECT_NEAR(routes.weight[0] + routes.weight[1] + routes.weight[2], 1, 1e-12);
  EXPECT_NEAR(routes.weight[2] / routes.weight[0], std::exp(-1.0), 1e-12);
}

TEST(ElementwiseWork, CountsBytesAsByHand) {
  const bench::DeviceFacts device{132, 50ull << 20, 80'000'000'000ull, 78'000'000'000ull};
  for (const bench::Point& point : rms_norm_quantize_grid(bench::Extent::kQuick, device)) {
    if (point.shape.to_string() == "tokens=64 hidden=7168") {
      EXPECT_EQ(point.work.bytes_read, 64 * 7168 * 2 + 7168 * 2);
      EXPECT_EQ(point.work.bytes_written, 64 * 7168 + 64 * 56 * 4);
    }
  }
  const bench::Point router = router_top_k_grid(bench::Extent::kQuick, device)[3];
  EXPECT_EQ(router.shape.to_string(), "tokens=64 experts=48 top_k=3");
  EXPECT_EQ(router.work.bytes_read, 64 * 48 * 4);
  EXPECT_EQ(router.work.bytes_written, 64 * 3 * 8);
}

}  // namespace
}  // namespace ridge::kernels::elementwise
