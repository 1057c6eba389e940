#include "tensor_map.hpp"

#include "device_memory.hpp"
#include "error.hpp"

#include <cstring>

namespace ridge::emulated {

std::uint32_t TensorMap::box_bytes() const {
  std::uint32_t bytes = element_bytes;
  for (int i = 0; i < rank; ++i) {
    bytes *= box[i];
  }
  return bytes;
}

std::uint64_t TensorMap::span_bytes() const {
  std::uint64_t bytes = element_bytes * sizes[0];
  for (int i = 1; i < rank; ++i) {
    bytes += (sizes[i] - 1) * strides[i - 1];
  }
  return bytes;
}

TensorMap read_tensor_map(const CUtensorMap* map) {
  if (reinterpret_cast<std::uintptr_t>(map) % 64 != 0) {
    fail("a tensor map must lie at a multiple of 64 bytes");
  }
  TensorMap decoded;
  std::memcpy(&decoded, map, sizeof(decoded));
  if (decoded.signature != TensorMap::kSignature) {
    fail("a bulk tensor copy through something that is not an encoded tensor map");
  }
  return decoded;
}

CUresult encode_tensor_map(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank,
                           void* address, const cuuint64_t* sizes, const cuuint64_t* strides,
                           const cuuint32_t* box, const cuuint32_t* element_strides,
                           CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                           CUtensorMapL2promotion, CUtensorMapFloatOOBfill fill) {
  TensorMap encoded{};
  encoded.signature = TensorMap::kSignature;
  switch (type) {
    case CU_TENSOR_MAP_DATA_TYPE_UINT8:
      encoded.element_bytes = 1;
      break;
    case CU_TENSOR_MAP_DATA_TYPE_UINT16:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT16:
    case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16:
      encoded.element_bytes = 2;
      break;
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT32:
      encoded.element_bytes = 4;
      break;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
  encoded.swizzles = swizzle == CU_TENSOR_MAP_SWIZZLE_128B;
  // A row of a box is no wider than the swizzle's span, and no more than 256 elements without one.
  const std::uint32_t most_row_bytes = encoded.swizzles ? 128 : 256u * encoded.element_bytes;
  if (rank < 3 && interleave != CU_TENSOR_MAP_INTERLEAVE_NONE) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (rank == 0 || rank > TensorMap::kMostDimensions ||
      interleave != CU_TENSOR_MAP_INTERLEAVE_NONE ||
      (!encoded.swizzles && swizzle != CU_TENSOR_MAP_SWIZZLE_NONE) ||
      fill != CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE ||
      reinterpret_cast<std::uintptr_t>(address) % 16 != 0 ||
      box[0] * encoded.element_bytes % 16 != 0 || box[0] * encoded.element_bytes > most_row_bytes) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  for (cuuint32_t i = 0; i < rank; ++i) {
    const std::uint64_t stride = i == 0 ? encoded.element_bytes : strides[i - 1];
    if (sizes[i] == 0 || sizes[i] > 1ull << 32 || box[i] == 0 || box[i] > 256 ||
        element_strides[i] != 1 || (i > 0 && (stride % 16 != 0 || stride >= 1ull << 40))) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    encoded.sizes[i] = sizes[i];
    encoded.box[i] = static_cast<std::uint16_t>(box[i]);
    if (i > 0) {
      encoded.strides[i - 1] = stride;
    }
  }
  encoded.rank = static_cast<std::uint8_t>(rank);
  if (!device_memory().contains(address, encoded.span_bytes())) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  encoded.address = static_cast<const std::uint8_t*>(address);
  std::memset(map, 0, sizeof(*map));
  std::memcpy(map, &encoded, sizeof(encoded));
  return CUDA_SUCCESS;
}

}  // namespace ridge::emulated
