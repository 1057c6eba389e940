#pragma once

#include <cstdint>

namespace ridge::kernels {

/// The CTA's dynamic shared memory, aligned for the 128-byte swizzle (common/shared_layout.hpp).
__device__ __forceinline__ unsigned char* dynamic_shared_memory() {
  extern __shared__ __align__(1024) unsigned char ridge_dynamic_shared[];
  return ridge_dynamic_shared;
}

}  // namespace ridge::kernels
