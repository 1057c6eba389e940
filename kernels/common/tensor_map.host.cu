#include "common/device.hpp"
#include "common/tensor_map.hpp"

#include <string>

#include <cuda_runtime.h>

namespace ridge::kernels {
namespace {

using Encode = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*,
                            const cuuint64_t*, const cuuint32_t*, const cuuint32_t*,
                            CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion,
                            CUtensorMapFloatOOBfill);

Encode encoder() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
  RIDGE_CUDA_CHECK(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                                    cudaEnableDefault, &found));
  if (found != cudaDriverEntryPointSuccess || function == nullptr) {
    throw CudaError(
        "the installed driver has no cuTensorMapEncodeTiled (CUDA 12.0 or later needed)");
  }
  return reinterpret_cast<Encode>(function);
}

}  // namespace

CUtensorMap make_tensor_map(CUtensorMapDataType type, const void* address,
                            const std::vector<std::uint64_t>& sizes,
                            const std::vector<std::uint64_t>& strides_bytes,
                            const std::vector<std::uint32_t>& box, CUtensorMapSwizzle swizzle) {
  static const Encode encode = encoder();
  const std::vector<std::uint32_t> element_strides(sizes.size(), 1);
  CUtensorMap map{};
  const CUresult result =
      encode(&map, type, static_cast<cuuint32_t>(sizes.size()), const_cast<void*>(address),
             reinterpret_cast<const cuuint64_t*>(sizes.data()),
             reinterpret_cast<const cuuint64_t*>(strides_bytes.data()), box.data(),
             element_strides.data(), CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    throw CudaError("cuTensorMapEncodeTiled refused a tensor map of rank " +
                    std::to_string(sizes.size()) + " (CUresult " +
                    std::to_string(static_cast<int>(result)) + ")");
  }
  return map;
}

}  // namespace ridge::kernels
