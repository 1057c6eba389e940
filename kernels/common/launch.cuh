#pragma once

#include "common/device.hpp"

#include <cstddef>
#include <utility>

namespace ridge::kernels {

/// Where and how a kernel runs.
struct LaunchShape {
  dim3 grid;
  dim3 block;
  std::size_t shared_bytes = 0;  ///< Dynamic shared memory.
  cudaStream_t stream = nullptr;
  /// A programmatic dependent of the kernel before it in the stream: it may start before that one
  /// has finished, and must call wait_for_prerequisites() before it touches what that one writes.
  bool dependent = false;
  unsigned cluster = 1;  ///< CTAs of a cluster, side by side in x; must divide the grid.
};

/// Enqueues a kernel. Throws CudaError if the launch is refused.
template <typename... Parameters, typename... Arguments>
void launch_kernel(const LaunchShape& shape, void (*kernel)(Parameters...),
                   Arguments&&... arguments) {
  cudaLaunchAttribute attributes[2]{};
  unsigned count = 0;
  if (shape.dependent) {
    attributes[count].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[count++].val.programmaticStreamSerializationAllowed = 1;
  }
  if (shape.cluster > 1) {
    attributes[count].id = cudaLaunchAttributeClusterDimension;
    attributes[count++].val.clusterDim = {shape.cluster, 1, 1};
  }
  cudaLaunchConfig_t config{};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = shape.stream;
  config.attrs = attributes;
  config.numAttrs = count;
  RIDGE_CUDA_CHECK(cudaLaunchKernelEx(
      &config, kernel, static_cast<Parameters>(std::forward<Arguments>(arguments))...));
}

/// Lets `kernel` use `bytes` of dynamic shared memory, more than the 48 KiB that every kernel may.
template <typename... Parameters>
void allow_shared_bytes(void (*kernel)(Parameters...), std::size_t bytes) {
  RIDGE_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                        static_cast<int>(bytes)));
}

/// Has an SM that runs `kernel` keep as much shared memory as it can have, whatever `kernel` itself
/// needs.
template <typename... Parameters>
void prefer_shared_memory(void (*kernel)(Parameters...)) {
  RIDGE_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                        cudaSharedmemCarveoutMaxShared));
}

}  // namespace ridge::kernels
