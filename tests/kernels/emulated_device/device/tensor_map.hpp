#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda.h>

namespace ridge::emulated {

/// What this device keeps in the 128 opaque bytes of a CUtensorMap.
struct TensorMap {
  static constexpr int kMostDimensions = 5;
  static constexpr std::uint32_t kSignature = 0x70616d74;

  std::uint32_t signature;
  std::uint8_t rank;
  std::uint8_t element_bytes;
  bool swizzles;                       ///< By 128 bytes; else not at all.
  std::uint16_t box[kMostDimensions];  ///< In elements, innermost first.
  const std::uint8_t* address;
  std::uint64_t sizes[kMostDimensions];
  std::uint64_t strides[kMostDimensions - 1];  ///< In bytes, of the dimensions above the innermost.

  std::uint32_t box_bytes() const;
  /// From the first to one past the last byte of the tensor.
  std::uint64_t span_bytes() const;
};
static_assert(sizeof(TensorMap) <= sizeof(CUtensorMap));

/// The map behind a pointer that a kernel hands to the copy engine; an error if it is none.
TensorMap read_tensor_map(const CUtensorMap* map);

/// cuTensorMapEncodeTiled, restricted to what the kernels use: no interleave, the 128-byte swizzle
/// or none. Refuses what the driver documents as errors, and tensors that leave their allocation.
CUresult encode_tensor_map(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank,
                           void* address, const cuuint64_t* sizes, const cuuint64_t* strides,
                           const cuuint32_t* box, const cuuint32_t* element_strides,
                           CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                           CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill);

}  // namespace ridge::emulated
