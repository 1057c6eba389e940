#pragma once

#include "common/numeric.hpp"

#include <cuda_runtime.h>

using __nv_fp8_storage_t = std::uint8_t;
using __nv_fp8x2_storage_t = std::uint16_t;
enum __nv_saturation_t { __NV_SATFINITE };
enum __nv_fp8_interpretation_t { __NV_E4M3 };

inline __nv_fp8_storage_t __nv_cvt_float_to_fp8(float x, __nv_saturation_t,
                                                __nv_fp8_interpretation_t) {
  return ridge::kernels::to_e4m3(x).bits;
}
inline __nv_fp8x2_storage_t __nv_cvt_float2_to_fp8x2(float2 pair, __nv_saturation_t,
                                                     __nv_fp8_interpretation_t) {
  return static_cast<__nv_fp8x2_storage_t>(ridge::kernels::to_e4m3(pair.x).bits |
                                           ridge::kernels::to_e4m3(pair.y).bits << 8);
}
