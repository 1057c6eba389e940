#pragma once

#include <cstdint>
#include <vector>

#include <cuda.h>

namespace ridge::kernels {

/// Describes a global tensor to the copy engine. `sizes` and `box` are in elements, innermost
/// first; `strides_bytes` has one entry fewer, for the dimensions above the innermost. With the
/// 128-byte swizzle in shared memory the innermost box extent must span exactly 128 bytes; without
/// any, rows of the box land one after another. The driver's encoder is fetched at run time, so
/// that programs link and start without a driver. Throws CudaError when the driver refuses.
CUtensorMap make_tensor_map(CUtensorMapDataType type, const void* address,
                            const std::vector<std::uint64_t>& sizes,
                            const std::vector<std::uint64_t>& strides_bytes,
                            const std::vector<std::uint32_t>& box,
                            CUtensorMapSwizzle swizzle = CU_TENSOR_MAP_SWIZZLE_128B);

}  // namespace ridge::kernels
