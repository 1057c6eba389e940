#pragma once

#include "common/portable.hpp"

#include <bit>
#include <cstdint>

/// Number formats narrower than float: BF16, IEEE binary16 and OCP FP8 E4M3, as bit patterns.
/// All conversions from float round to nearest, ties to even, as the hardware's `cvt.rn` does.
namespace ridge::kernels {

struct Bf16 {
  std::uint16_t bits = 0;
};

struct F16 {
  std::uint16_t bits = 0;
};

/// OCP FP8 E4M3: bias 7, no infinities, one NaN per sign (0x7f, 0xff), largest finite 448.
struct E4m3 {
  std::uint8_t bits = 0;
};

inline constexpr float kE4m3Max = 448.0f;

RIDGE_HOST_DEVICE constexpr float to_float(Bf16 x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16);
}

RIDGE_HOST_DEVICE constexpr Bf16 to_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return {static_cast<std::uint16_t>((bits >> 16) | 0x0040u)};
  }
  return {static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

RIDGE_HOST_DEVICE constexpr float to_float(F16 x) {
  const std::uint32_t sign = static_cast<std::uint32_t>(x.bits & 0x8000u) << 16;
  const std::uint32_t exponent = (x.bits >> 10) & 0x1fu;
  const std::uint32_t mantissa = x.bits & 0x3ffu;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t wide_exponent = exponent == 31 ? 255u : exponent + 112u;
  return std::bit_cast<float>(sign | (wide_exponent << 23) | (mantissa << 13));
}

RIDGE_HOST_DEVICE constexpr F16 to_f16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return {static_cast<std::uint16_t>(sign | 0x7e00u)};
  }
  if (magnitude >= 0x477ff000u) {  // 65520 and above round to infinity.
    return {static_cast<std::uint16_t>(sign | 0x7c00u)};
  }
  if (magnitude < 0x38800000u) {
    // Below 2^-14 the step is 2^-24; adding 2^-1 leaves exactly that step in the mantissa.
    const float aligned = std::bit_cast<float>(magnitude) + 0.5f;
    return {static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(aligned) & 0x7ffu))};
  }
  const std::uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return {static_cast<std::uint16_t>(sign | ((rounded - (112u << 23)) >> 13))};
}

RIDGE_HOST_DEVICE constexpr float to_float(E4m3 x) {
  const std::uint32_t sign = static_cast<std::uint32_t>(x.bits & 0x80u) << 24;
  const std::uint32_t magnitude = x.bits & 0x7fu;
  if (magnitude == 0x7fu) {
    return std::bit_cast<float>(sign | 0x7fc00000u);
  }
  if (magnitude < 8u) {
    const float value = static_cast<float>(magnitude) * 0x1p-9f;
    return sign != 0 ? -value : value;
  }
  return std::bit_cast<float>(sign | ((magnitude << 20) + (120u << 23)));
}

/// Saturates to +-448, as `cvt.rn.satfinite.e4m3x2.f32` does.
RIDGE_HOST_DEVICE constexpr E4m3 to_e4m3(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const auto sign = static_cast<std::uint8_t>((bits >> 24) & 0x80u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return {static_cast<std::uint8_t>(sign | 0x7fu)};
  }
  if (magnitude >= 0x43e00000u) {  // 448 and above.
    return {static_cast<std::uint8_t>(sign | 0x7eu)};
  }
  if (magnitude < 0x3c800000u) {
    // Below 2^-6 the step is 2^-9; adding 2^14 leaves exactly that step in the mantissa.
    const float aligned = std::bit_cast<float>(magnitude) + 0x1p14f;
    return {static_cast<std::uint8_t>(sign | (std::bit_cast<std::uint32_t>(aligned) & 0xfu))};
  }
  const std::uint32_t rounded = magnitude + 0x7ffffu + ((magnitude >> 20) & 1u);
  return {static_cast<std::uint8_t>(sign | ((rounded - (120u << 23)) >> 20))};
}

}  // namespace ridge::kernels
