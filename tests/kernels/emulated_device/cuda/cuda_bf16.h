#pragma once

#include "common/numeric.hpp"

#include <cuda_runtime.h>

struct __nv_bfloat16 {
  ridge::kernels::Bf16 value;

  __nv_bfloat16() = default;
  explicit __nv_bfloat16(float x) : value(ridge::kernels::to_bf16(x)) {}
};
struct alignas(4) __nv_bfloat162 {
  __nv_bfloat16 x, y;
};

inline __nv_bfloat16 __float2bfloat16_rn(float x) {
  return __nv_bfloat16(x);
}
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) {
  return {__nv_bfloat16(x), __nv_bfloat16(y)};
}
inline float2 __bfloat1622float2(__nv_bfloat162 pair) {
  return {ridge::kernels::to_float(pair.x.value), ridge::kernels::to_float(pair.y.value)};
}
