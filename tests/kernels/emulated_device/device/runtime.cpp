// The CUDA runtime calls of cuda/cuda_runtime.h, in terms of the emulated device.

#include "device.hpp"
#include "device_memory.hpp"
#include "rehearsal.hpp"
#include "tensor_map.hpp"

#include <cstdio>
#include <cstring>
#include <utility>

#include <cuda_runtime.h>

using ridge::emulated::Device;
using ridge::emulated::device_memory;
using ridge::emulated::rehearsal;
using ridge::emulated::rehearsing;

namespace {

constexpr std::size_t kMemoryBytes = std::size_t{80} * 1000 * 1000 * 1000;
// As few as still show waves and splits: cases are sized by it, and a CTA takes a while here. A
// rehearsal is of the full size.
constexpr int kMultiprocessors = 12;
constexpr int kRehearsedMultiprocessors = 132;
/// CTAs, of those that every device with clusters can run.
constexpr std::size_t kLargestCluster = 8;

}  // namespace

namespace ridge::emulated {

cudaError_t set_attribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) {
    return value >= 0 && value <= 100 ? cudaSuccess : cudaErrorInvalidValue;  // Of no effect here.
  }
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
      static_cast<std::size_t>(value) > SharedMemory::kLimitBytes) {
    return cudaErrorInvalidValue;
  }
  Device::instance().allow_shared_bytes(kernel, static_cast<std::size_t>(value));
  return cudaSuccess;
}

cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel,
                   std::function<void()> as_one_thread) {
  const dim3& grid = config.gridDim;
  const dim3& block = config.blockDim;
  const std::size_t threads = std::size_t{block.x} * block.y * block.z;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 || grid.z > 65535 ||
      threads == 0 || threads > 1024 || block.z > 64 ||
      config.dynamicSmemBytes > Device::instance().allowed_shared_bytes(kernel)) {
    return cudaErrorInvalidValue;
  }
  bool dependent = false;
  dim3 cluster;
  for (unsigned i = 0; i < config.numAttrs; ++i) {
    const auto& value = config.attrs[i].val;
    switch (config.attrs[i].id) {
      case cudaLaunchAttributeClusterDimension:
        cluster = dim3(value.clusterDim.x, value.clusterDim.y, value.clusterDim.z);
        break;
      case cudaLaunchAttributeProgrammaticStreamSerialization:
        dependent = value.programmaticStreamSerializationAllowed != 0;
        break;
    }
  }
  const std::size_t cluster_size = std::size_t{cluster.x} * cluster.y * cluster.z;
  if (cluster_size == 0 || cluster_size > kLargestCluster || grid.x % cluster.x != 0 ||
      grid.y % cluster.y != 0 || grid.z % cluster.z != 0) {
    return cudaErrorInvalidValue;
  }
  if (rehearsing()) {
    rehearsal().launch();
    return cudaSuccess;
  }
  Device::instance().enqueue(
      {grid, block, cluster, config.dynamicSmemBytes, dependent, std::move(as_one_thread)});
  return cudaSuccess;
}

}  // namespace ridge::emulated

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    case cudaErrorNotSupported:
      return "cudaErrorNotSupported";
  }
  return "an unknown error";
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaErrorLaunchFailure:
      return Device::instance().failure().c_str();
    case cudaErrorNotSupported:
      return "the emulated device has no clock and no graphs: it checks, it does not measure (a "
             "rehearsal, RIDGE_EMULATION_REHEARSAL=1, pretends to)";
    default:
      return cudaGetErrorName(error);
  }
}

cudaError_t cudaGetLastError() {
  return Device::instance().failure().empty() ? cudaSuccess : cudaErrorLaunchFailure;
}

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  if (device_memory().used() + bytes > kMemoryBytes) {
    *pointer = nullptr;
    return cudaErrorMemoryAllocation;
  }
  *pointer = device_memory().allocate(bytes);
  return cudaSuccess;
}

cudaError_t cudaFree(void* pointer) {
  if (pointer == nullptr) {
    return cudaSuccess;
  }
  const cudaError_t status = Device::instance().synchronize();
  return device_memory().release(pointer) ? status : cudaErrorInvalidValue;
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  if ((kind != cudaMemcpyHostToDevice && !device_memory().contains(from, bytes)) ||
      (kind != cudaMemcpyDeviceToHost && !device_memory().contains(to, bytes))) {
    return cudaErrorInvalidValue;
  }
  const cudaError_t status = Device::instance().synchronize();
  if (status == cudaSuccess && !(rehearsing() && kind == cudaMemcpyDeviceToDevice)) {
    std::memcpy(to, from, bytes);
  }
  return status;
}

cudaError_t cudaMemset(void* at, int value, std::size_t bytes) {
  if (!device_memory().contains(at, bytes)) {
    return cudaErrorInvalidValue;
  }
  if (rehearsing()) {
    return cudaSuccess;
  }
  Device::instance().enqueue([at, value, bytes] { std::memset(at, value, bytes); });
  return cudaGetLastError();
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *total = kMemoryBytes;
  *free = kMemoryBytes - device_memory().used();
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  return Device::instance().synchronize();
}

// All streams are one: their order of launches is one that the hardware could choose.
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = nullptr;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t) {
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) {
  return Device::instance().synchronize();
}

// Events and graphs are there in a rehearsal alone.
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  if (!rehearsing()) {
    return cudaErrorNotSupported;
  }
  *event = reinterpret_cast<cudaEvent_t>(new double(0));
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete reinterpret_cast<double*>(event);
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  *reinterpret_cast<double*>(event) = rehearsal().clock_us();
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t) {
  return Device::instance().synchronize();
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  *milliseconds = static_cast<float>(
      (*reinterpret_cast<double*>(end) - *reinterpret_cast<double*>(begin)) * 1e-3);
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode) {
  return rehearsing() && rehearsal().begin_capture() ? cudaSuccess : cudaErrorNotSupported;
}
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t* graph) {
  *graph = reinterpret_cast<cudaGraph_t>(new int(rehearsal().end_capture()));
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  *executable = reinterpret_cast<cudaGraphExec_t>(new int(*reinterpret_cast<int*>(graph)));
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t) {
  rehearsal().replay(*reinterpret_cast<int*>(executable));
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete reinterpret_cast<int*>(graph);
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete reinterpret_cast<int*>(executable);
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {};
  std::snprintf(properties->name, sizeof(properties->name), "emulated Hopper device");
  properties->totalGlobalMem = kMemoryBytes;
  properties->major = 9;
  properties->multiProcessorCount = rehearsing() ? kRehearsedMultiprocessors : kMultiprocessors;
  properties->l2CacheSize = 50 << 20;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
  *value = 0;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char*, int, int) {
  return cudaErrorNotSupported;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 0;
  return cudaSuccess;
}

cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned,
                                             unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
  if (std::strcmp(symbol, "cuTensorMapEncodeTiled") == 0) {
    *function = reinterpret_cast<void*>(&ridge::emulated::encode_tensor_map);
    *result = cudaDriverEntryPointSuccess;
  } else {
    *function = nullptr;
    *result = cudaDriverEntryPointSymbolNotFound;
  }
  return cudaSuccess;
}
