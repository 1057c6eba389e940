#pragma once

#include "common/numeric.hpp"

#include <cstdint>

/// Conversions and functions that are one PTX instruction and have no CUDA intrinsic of their own.
/// Source: PTX ISA 8.7, "cvt", "ex2".
namespace ridge::kernels {

/// 2^x to 2 units in the last place; 2^-inf is 0.
__device__ __forceinline__ float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// Four packed E4M3 codes, the first in the lowest byte, as two packed pairs of F16. Exact.
__device__ __forceinline__ void e4m3x4_to_f16x4(std::uint32_t codes, std::uint32_t& first_pair,
                                                std::uint32_t& second_pair) {
  asm("{\n.reg .b16 low, high;\nmov.b32 {low, high}, %2;\n"
      "cvt.rn.f16x2.e4m3x2 %0, low;\ncvt.rn.f16x2.e4m3x2 %1, high;\n}\n"
      : "=r"(first_pair), "=r"(second_pair)
      : "r"(codes));
}

/// Four values as packed E4M3 codes, the first in the lowest byte; saturates to +-448. Chips before
/// Ada have no instruction for it.
__device__ __forceinline__ std::uint32_t to_e4m3x4(float a, float b, float c, float d) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 890
  return std::uint32_t{to_e4m3(a).bits} | std::uint32_t{to_e4m3(b).bits} << 8 |
         std::uint32_t{to_e4m3(c).bits} << 16 | std::uint32_t{to_e4m3(d).bits} << 24;
#else
  std::uint32_t codes;
  asm("{\n.reg .b16 low, high;\n"
      "cvt.rn.satfinite.e4m3x2.f32 low, %2, %1;\n"
      "cvt.rn.satfinite.e4m3x2.f32 high, %4, %3;\n"
      "mov.b32 %0, {low, high};\n}\n"
      : "=r"(codes)
      : "f"(a), "f"(b), "f"(c), "f"(d));
  return codes;
#endif
}

}  // namespace ridge::kernels
