#pragma once

#include "common/numeric.hpp"

#include <cuda_runtime.h>

struct alignas(4) __half2 {
  ridge::kernels::F16 x, y;
};

inline __half2 __floats2half2_rn(float x, float y) {
  return {ridge::kernels::to_f16(x), ridge::kernels::to_f16(y)};
}
