#pragma once

#include "common/numeric.hpp"

#include <cmath>
#include <cstdint>

// Stand-in for kernels/common/device_math.cuh.
namespace ridge::kernels {

inline float exp2_approx(float x) {
  return std::exp2(x);
}

inline void e4m3x4_to_f16x4(std::uint32_t codes, std::uint32_t& first_pair,
                            std::uint32_t& second_pair) {
  const auto half = [codes](int i) {
    return std::uint32_t{to_f16(to_float(E4m3{static_cast<std::uint8_t>(codes >> (8 * i))})).bits};
  };
  first_pair = half(0) | half(1) << 16;
  second_pair = half(2) | half(3) << 16;
}

inline std::uint32_t to_e4m3x4(float a, float b, float c, float d) {
  return std::uint32_t{to_e4m3(a).bits} | std::uint32_t{to_e4m3(b).bits} << 8 |
         std::uint32_t{to_e4m3(c).bits} << 16 | std::uint32_t{to_e4m3(d).bits} << 24;
}

}  // namespace ridge::kernels
