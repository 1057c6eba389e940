#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>
#include <utility>

#include <cuda.h>
#include <math.h>
#include <vector_types.h>

// Stand-in for the CUDA runtime and language, as far as the kernels use them: a kernel becomes a
// function that the emulated device (device/device.hpp) runs once per thread.

// ---- language

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
// One copy of a CTA's variables is enough, since only the CTAs of a cluster run at the same time,
// and those may not have any here; in a section of their own the device finds them, to poison them
// when a CTA starts.
#define __shared__ static __attribute__((section("ridge_emulated_shared")))

#define __CUDACC_VER_MAJOR__ 0
#define __CUDACC_VER_MINOR__ 0
#define __CUDACC_VER_BUILD__ 0

extern uint3 threadIdx;
extern uint3 blockIdx;
extern dim3 blockDim;
extern dim3 gridDim;

// ---- device functions

namespace ridge::emulated {

/// What all lanes of `mask` contribute to an exchange among them, this one `value`; see
/// device/warp.hpp.
const std::array<std::uint64_t, 32>& exchange_in_warp(unsigned mask, const char* operation,
                                                      std::uint64_t value);
unsigned lane();
void sync_threads();
[[noreturn]] void trap();

template <typename T>
T from_lane(unsigned mask, const char* operation, T value, unsigned source) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t));
  std::uint64_t mine = 0;
  std::memcpy(&mine, &value, sizeof(T));
  const auto& all = exchange_in_warp(mask, operation, mine);
  // A lane outside the mask brings nothing defined.
  std::memset(&value, 0xff, sizeof(T));
  if ((mask >> source & 1u) != 0) {
    std::memcpy(&value, &all[source], sizeof(T));
  }
  return value;
}

}  // namespace ridge::emulated

inline void __syncthreads() {
  ridge::emulated::sync_threads();
}
inline void __trap() {
  ridge::emulated::trap();
}
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  ridge::emulated::exchange_in_warp(mask, "__syncwarp", 0);
}
template <typename T>
T __shfl_sync(unsigned mask, T value, int source) {
  return ridge::emulated::from_lane(mask, "__shfl_sync", value, static_cast<unsigned>(source) % 32);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int distance) {
  return ridge::emulated::from_lane(
      mask, "__shfl_xor_sync", value,
      (ridge::emulated::lane() ^ static_cast<unsigned>(distance)) % 32);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  const auto& all =
      ridge::emulated::exchange_in_warp(mask, "__ballot_sync", predicate != 0 ? 1 : 0);
  unsigned ballot = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    ballot |= (mask >> lane & 1u) != 0 && all[lane] != 0 ? 1u << lane : 0u;
  }
  return ballot;
}
/// Four of the eight bytes of y:x, by the low three bits of each digit of `selector`.
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  const std::uint64_t bytes = static_cast<std::uint64_t>(y) << 32 | x;
  unsigned chosen = 0;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned from = selector >> 4 * i & 7u;
    chosen |= static_cast<unsigned>(bytes >> 8 * from & 0xffu) << 8 * i;
  }
  return chosen;
}

inline int __any_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate) != 0 ? 1 : 0;
}
inline int __reduce_add_sync(unsigned mask, int value) {
  const auto& all =
      ridge::emulated::exchange_in_warp(mask, "__reduce_add_sync", static_cast<unsigned>(value));
  unsigned sum = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    sum += (mask >> lane & 1u) != 0 ? static_cast<unsigned>(all[lane]) : 0u;
  }
  return static_cast<int>(sum);
}

template <typename T>
T __ldg(const T* from) {
  return *from;
}
template <typename T>
T __ldcs(const T* from) {
  return *from;
}
inline int __popc(unsigned bits) {
  return __builtin_popcount(bits);
}
inline float __uint_as_float(unsigned bits) {
  float x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}
inline float __expf(float x) {
  return std::exp(x);
}
inline float __fdividef(float x, float y) {
  return x / y;
}
inline float rsqrtf(float x) {
  return 1.0f / std::sqrt(x);
}
inline int min(int a, int b) {
  return b < a ? b : a;
}

// ---- host functions

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorNoDevice = 100,
  cudaErrorLaunchFailure = 719,
  cudaErrorNotSupported = 801,
};
const char* cudaGetErrorName(cudaError_t error);
/// For cudaErrorLaunchFailure: what the kernel did.
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError();

struct CUstream_st;
using cudaStream_t = CUstream_st*;
struct CUevent_st;
using cudaEvent_t = CUevent_st*;
struct CUgraph_st;
using cudaGraph_t = CUgraph_st*;
struct CUgraphExec_st;
using cudaGraphExec_t = CUgraphExec_st*;

enum cudaMemcpyKind {
  cudaMemcpyHostToDevice = 1,
  cudaMemcpyDeviceToHost = 2,
  cudaMemcpyDeviceToDevice = 3
};
cudaError_t cudaMalloc(void** pointer, std::size_t bytes);
cudaError_t cudaFree(void* pointer);
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind);
cudaError_t cudaMemset(void* at, int value, std::size_t bytes);
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total);
cudaError_t cudaDeviceSynchronize();

constexpr unsigned cudaStreamNonBlocking = 1;
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);

// Times and graphs would mean nothing here: refused, but in a rehearsal (device/rehearsal.hpp).
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
cudaError_t cudaEventCreate(cudaEvent_t* event);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable);

struct cudaDeviceProp {
  char name[256];
  struct {
    char bytes[16];
  } uuid;
  std::size_t totalGlobalMem;
  int major;
  int minor;
  int multiProcessorCount;
  int l2CacheSize;
  int memoryBusWidth;
};
enum cudaDeviceAttr { cudaDevAttrClockRate = 13, cudaDevAttrMemoryClockRate = 36 };
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);
cudaError_t cudaDeviceGetPCIBusId(char* id, int length, int device);
cudaError_t cudaRuntimeGetVersion(int* version);

enum cudaDriverEntryPointQueryResult {
  cudaDriverEntryPointSuccess = 0,
  cudaDriverEntryPointSymbolNotFound = 1
};
constexpr unsigned long long cudaEnableDefault = 0;
cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned version,
                                             unsigned long long flags,
                                             cudaDriverEntryPointQueryResult* result);

// ---- launches

enum cudaFuncAttribute {
  cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
  cudaFuncAttributePreferredSharedMemoryCarveout = 9,
};
inline constexpr int cudaSharedmemCarveoutMaxShared = 100;
enum cudaLaunchAttributeID {
  cudaLaunchAttributeClusterDimension = 4,
  cudaLaunchAttributeProgrammaticStreamSerialization = 6,
};
struct cudaLaunchAttribute {
  cudaLaunchAttributeID id;
  union {
    struct {
      unsigned x;
      unsigned y;
      unsigned z;
    } clusterDim;
    int programmaticStreamSerializationAllowed;
  } val;
};
struct cudaLaunchConfig_t {
  dim3 gridDim;
  dim3 blockDim;
  std::size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  cudaLaunchAttribute* attrs = nullptr;
  unsigned numAttrs = 0;
};

namespace ridge::emulated {
cudaError_t set_attribute(const void* kernel, cudaFuncAttribute attribute, int value);
cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel,
                   std::function<void()> as_one_thread);
}  // namespace ridge::emulated

template <typename Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* kernel, cudaFuncAttribute attribute, int value) {
  return ridge::emulated::set_attribute(reinterpret_cast<const void*>(kernel), attribute, value);
}

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  return ridge::emulated::launch(
      *config, reinterpret_cast<const void*>(kernel),
      [kernel, ... values = std::remove_cv_t<Parameters>(std::forward<Arguments>(arguments))] {
        kernel(values...);
      });
}
