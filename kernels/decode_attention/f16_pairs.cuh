#pragma once

#include <cstdint>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

/// Two values in one register, the first in the lower half: F16 is what caches of E4M3 codes are
/// multiplied as.
namespace ridge::kernels::decode {

__device__ __forceinline__ std::uint32_t pack_f16(float low, float high) {
  const __half2 pair = __floats2half2_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}

/// As the matrix unit multiplies them: F16, or BF16.
template <bool F16>
__device__ __forceinline__ std::uint32_t pack_pair(float low, float high) {
  if constexpr (F16) {
    return pack_f16(low, high);
  } else {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const std::uint32_t*>(&pair);
  }
}

/// Two BF16 queries as two F16.
__device__ __forceinline__ std::uint32_t bf16_pair_as_f16(std::uint32_t pair) {
  return pack_f16(__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u));
}

/// Both products, rounded.
__device__ __forceinline__ std::uint32_t multiply_f16_pairs(std::uint32_t a, std::uint32_t b) {
  const __half2 product =
      __hmul2(*reinterpret_cast<const __half2*>(&a), *reinterpret_cast<const __half2*>(&b));
  return *reinterpret_cast<const std::uint32_t*>(&product);
}

}  // namespace ridge::kernels::decode
