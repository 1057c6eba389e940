#pragma once

#include "common/numeric.hpp"

#include <cuda_runtime.h>

struct alignas(4) __half2 {
  ridge::kernels::F16 x, y;
};

inline __half2 __floats2half2_rn(float x, float y) {
  return {ridge::kernels::to_f16(x), ridge::kernels::to_f16(y)};
}

inline __half2 __hmul2(__half2 a, __half2 b) {
  // The product of two F16 fits a float: one rounding.
  using ridge::kernels::to_float;
  return {ridge::kernels::to_f16(to_float(a.x) * to_float(b.x)),
          ridge::kernels::to_f16(to_float(a.y) * to_float(b.y))};
}
