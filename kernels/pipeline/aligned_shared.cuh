#pragma once

#include "common/async_copy.cuh"
#include "common/dynamic_shared.cuh"
#include "common/shared_layout.hpp"

#include <cstdint>

namespace ridge::kernels::pipeline {

/// The CTA's dynamic shared memory from the first place on that the 128-byte swizzle allows: as an
/// address of the shared window, for copies and matrix instructions, and as an ordinary pointer.
struct AlignedShared {
  std::uint32_t origin;
  unsigned char* generic;

  static __device__ __forceinline__ AlignedShared of_this_cta() {
    unsigned char* const raw = dynamic_shared_memory();
    const std::uint32_t start = shared_address(raw);
    const std::uint32_t origin =
        (start + kSwizzleAtomBytes - 1) / kSwizzleAtomBytes * kSwizzleAtomBytes;
    return {origin, raw + (origin - start)};
  }
};

}  // namespace ridge::kernels::pipeline
