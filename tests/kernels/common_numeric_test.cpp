#include "common/numeric.hpp"
#include "common/random.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

namespace ridge::kernels {
namespace {

/// The finite values of a format in increasing order of code, by definition: (-1)^s 2^(e-bias) (1 +
/// m/2^w).
double by_definition(unsigned code, unsigned exponent_bits, unsigned mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const unsigned exponent = code >> mantissa_bits & ((1u << exponent_bits) - 1);
  const double fraction = (code & ((1u << mantissa_bits) - 1)) / std::ldexp(1.0, mantissa_bits);
  const double magnitude = exponent == 0
                               ? std::ldexp(fraction, 1 - bias)
                               : std::ldexp(1 + fraction, static_cast<int>(exponent) - bias);
  return code >> (exponent_bits + mantissa_bits) & 1 ? -magnitude : magnitude;
}

TEST(E4m3, All256CodesMeanWhatOcpDefinesAndRoundTrip) {
  for (unsigned code = 0; code < 256; ++code) {
    const float value = to_float(E4m3{static_cast<std::uint8_t>(code)});
    if ((code & 0x7f) == 0x7f) {
      EXPECT_TRUE(std::isnan(value)) << code;
      EXPECT_EQ(to_e4m3(value).bits & 0x7f, 0x7f);
      continue;
    }
    EXPECT_EQ(value, by_definition(code, 4, 3)) << code;
    EXPECT_EQ(to_e4m3(value).bits, code);
  }
}

TEST(E4m3, RoundsToTheNearestCodeAndTiesToTheEvenOne) {
  for (unsigned code = 0; code < 0x7e; ++code) {
    const float below = to_float(E4m3{static_cast<std::uint8_t>(code)});
    const float above = to_float(E4m3{static_cast<std::uint8_t>(code + 1)});
    const float middle = (below + above) / 2;
    EXPECT_EQ(to_e4m3(middle).bits, code + code % 2) << middle;
    EXPECT_EQ(to_e4m3(std::nextafter(middle, 0.0f)).bits, code) << middle;
    EXPECT_EQ(to_e4m3(std::nextafter(middle, 1e9f)).bits, code + 1) << middle;
    EXPECT_EQ(to_e4m3(-middle).bits, 0x80 | (code + code % 2)) << middle;
  }
}

TEST(E4m3, SaturatesBeyond448) {
  for (const float x :
       {448.0f, 449.0f, 464.0f, 480.0f, 1e30f, std::numeric_limits<float>::infinity()}) {
    EXPECT_EQ(to_float(to_e4m3(x)), 448.0f) << x;
    EXPECT_EQ(to_float(to_e4m3(-x)), -448.0f) << x;
  }
}

TEST(F16, All65536CodesRoundTripAndMatchTheDefinition) {
  for (unsigned code = 0; code < 65536; ++code) {
    const F16 half{static_cast<std::uint16_t>(code)};
    const float value = to_float(half);
    if ((code & 0x7c00) == 0x7c00) {
      EXPECT_EQ(std::isnan(value), (code & 0x3ff) != 0);
      continue;
    }
    ASSERT_EQ(value, by_definition(code, 5, 10)) << code;
    ASSERT_EQ(to_f16(value).bits, code);
  }
}

TEST(F16, RoundsToTheNearestCodeAndTiesToTheEvenOne) {
  for (unsigned code = 0; code < 0x7bff; ++code) {
    const float below = to_float(F16{static_cast<std::uint16_t>(code)});
    const float above = to_float(F16{static_cast<std::uint16_t>(code + 1)});
    const float middle = (below + above) / 2;
    ASSERT_EQ(to_f16(middle).bits, code + code % 2) << middle;
    ASSERT_EQ(to_f16(std::nextafter(middle, 0.0f)).bits, code) << middle;
    ASSERT_EQ(to_f16(std::nextafter(middle, 1e9f)).bits, code + 1) << middle;
  }
  EXPECT_EQ(to_f16(65520.0f).bits, 0x7c00);
  EXPECT_EQ(to_f16(65519.0f).bits, 0x7bff);
}

TEST(F16, HoldsEveryE4m3ValueExactly) {
  for (unsigned code = 0; code < 256; ++code) {
    const float value = to_float(E4m3{static_cast<std::uint8_t>(code)});
    if (!std::isnan(value)) {
      EXPECT_EQ(to_float(to_f16(value)), value);
    }
  }
}

TEST(Bf16, RoundsToTheNearestCodeAndTiesToTheEvenOne) {
  for (std::uint32_t code = 1; code < 0x7f7f; ++code) {
    const float below = to_float(Bf16{static_cast<std::uint16_t>(code)});
    ASSERT_EQ(to_bf16(below).bits, code);
    const float middle = std::bit_cast<float>((code << 16) | 0x8000u);
    ASSERT_EQ(to_bf16(middle).bits, code + code % 2);
    ASSERT_EQ(to_bf16(std::nextafter(middle, 0.0f)).bits, code);
  }
  EXPECT_TRUE(std::isnan(to_float(to_bf16(std::bit_cast<float>(0x7f800001u)))));
}

TEST(Random, NormalHasZeroMeanAndUnitVariance) {
  constexpr int kCount = 200000;
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < kCount; ++i) {
    const double x = random_normal(42, i);
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / kCount, 0, 0.01);
  EXPECT_NEAR(squares / kCount, 1, 0.01);
}

TEST(Random, StreamsDoNotRepeatEachOther) {
  int equal = 0;
  for (int i = 0; i < 1000; ++i) {
    equal += random_bits(1, i) == random_bits(2, i) || random_bits(1, i) == random_bits(1, i + 1);
  }
  EXPECT_EQ(equal, 0);
}

}  // namespace
}  // namespace ridge::kernels
