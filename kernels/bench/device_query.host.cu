#include "bench/device_query.hpp"
#include "common/device.hpp"
#include "gemm/cublaslt_api.hpp"

#include <cstdio>

#include <cuda_runtime.h>
#include <dlfcn.h>

namespace ridge::kernels::bench {
namespace {

/// The few entry points of NVML that are used, found at run time: the library belongs to the
/// driver, and neither it nor its header need be there to build or start.
class Nvml {
 public:
  Nvml() : library_(dlopen("libnvidia-ml.so.1", RTLD_NOW)) {
    if (library_ == nullptr) {
      return;
    }
    const auto init = find<int (*)()>("nvmlInit_v2");
    const auto by_bus = find<int (*)(const char*, void**)>("nvmlDeviceGetHandleByPciBusId_v2");
    clock_ = find<int (*)(void*, int, unsigned*)>("nvmlDeviceGetClockInfo");
    driver_ = find<int (*)(char*, unsigned)>("nvmlSystemGetDriverVersion");
    char bus[32] = {};
    // The bus id, since CUDA_VISIBLE_DEVICES renumbers CUDA's devices but not NVML's.
    if (init == nullptr || init() != 0 || by_bus == nullptr ||
        cudaDeviceGetPCIBusId(bus, sizeof(bus), 0) != cudaSuccess || by_bus(bus, &device_) != 0) {
      device_ = nullptr;
    }
  }

  std::optional<unsigned> clock_MHz(int which) const {
    unsigned clock = 0;
    if (device_ == nullptr || clock_ == nullptr || clock_(device_, which, &clock) != 0) {
      return std::nullopt;
    }
    return clock;
  }

  std::string driver() const {
    char version[96] = {};
    if (device_ == nullptr || driver_ == nullptr || driver_(version, sizeof(version)) != 0) {
      return "unknown";
    }
    return version;
  }

 private:
  template <typename Function>
  Function find(const char* name) const {
    return reinterpret_cast<Function>(dlsym(library_, name));
  }

  void* library_;
  void* device_ = nullptr;
  int (*clock_)(void*, int, unsigned*) = nullptr;
  int (*driver_)(char*, unsigned) = nullptr;
};

const Nvml& nvml() {
  static const Nvml instance;
  return instance;
}

int attribute(cudaDeviceAttr which) {
  int value = 0;
  RIDGE_CUDA_CHECK(cudaDeviceGetAttribute(&value, which, 0));
  return value;
}

/// CUDA's packed versions: 13000 is 13.0.
std::string dotted(std::size_t version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace

std::optional<std::string> why_no_device() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    return std::string("no CUDA device can be used here (") + cudaGetErrorString(status) + ")";
  }
  cudaDeviceProp properties{};
  RIDGE_CUDA_CHECK(cudaGetDeviceProperties(&properties, 0));
  if (properties.major < 8) {
    return std::string("device 0 is a ") + properties.name + " of compute capability " +
           std::to_string(properties.major) + "." + std::to_string(properties.minor) +
           "; these kernels need 8.0 (Ampere) or later";
  }
  return std::nullopt;
}

DeviceFacts query_facts() {
  cudaDeviceProp properties{};
  RIDGE_CUDA_CHECK(cudaGetDeviceProperties(&properties, 0));
  DeviceFacts facts;
  facts.sm_count = properties.multiProcessorCount;
  facts.l2_bytes = static_cast<std::uint64_t>(properties.l2CacheSize);
  std::size_t free = 0;
  std::size_t total = 0;
  RIDGE_CUDA_CHECK(cudaMemGetInfo(&free, &total));
  facts.memory_bytes = total;
  facts.free_bytes = free;
  facts.capability = 10 * properties.major + properties.minor;
  return facts;
}

namespace {

DeviceDescription describe_device() {
  cudaDeviceProp properties{};
  RIDGE_CUDA_CHECK(cudaGetDeviceProperties(&properties, 0));
  DeviceDescription device;
  device.name = properties.name;
  const unsigned char* id = reinterpret_cast<const unsigned char*>(properties.uuid.bytes);
  device.uuid = "GPU-";
  for (int i = 0; i < 16; ++i) {
    char hex[4];
    std::snprintf(hex, sizeof(hex), "%02x", id[i]);
    device.uuid += (i == 4 || i == 6 || i == 8 || i == 10) ? std::string("-") + hex : hex;
  }
  device.compute_capability_major = properties.major;
  device.compute_capability_minor = properties.minor;
  device.sm_count = properties.multiProcessorCount;
  device.l2_bytes = static_cast<std::uint64_t>(properties.l2CacheSize);
  device.memory_bytes = properties.totalGlobalMem;
  device.memory_bus_bits = properties.memoryBusWidth;
  device.max_sm_clock_MHz = attribute(cudaDevAttrClockRate) / 1000;
  device.max_memory_clock_MHz = attribute(cudaDevAttrMemoryClockRate) / 1000;
  return device;
}

std::string cuda_runtime_version() {
  int version = 0;
  RIDGE_CUDA_CHECK(cudaRuntimeGetVersion(&version));
  return dotted(static_cast<std::size_t>(version));
}

std::string compiler_version() {
  return "nvcc " + std::to_string(__CUDACC_VER_MAJOR__) + "." +
         std::to_string(__CUDACC_VER_MINOR__) + "." + std::to_string(__CUDACC_VER_BUILD__);
}

}  // namespace

Header describe() {
  Header header;
  header.device = describe_device();
  header.driver_version = nvml().driver();
  header.cuda_runtime_version = cuda_runtime_version();
  header.cublaslt_version = gemm::cublaslt_version();
  header.compiler = compiler_version();
  return header;
}

bool usable() {
  cudaGetLastError();  // One that was the launch's alone is forgotten by being read.
  return cudaDeviceSynchronize() == cudaSuccess && cudaGetLastError() == cudaSuccess;
}

std::optional<Clocks> read_clocks() {
  constexpr int kSm = 1;
  constexpr int kMemory = 2;
  const auto sm = nvml().clock_MHz(kSm);
  const auto memory = nvml().clock_MHz(kMemory);
  if (!sm || !memory) {
    return std::nullopt;
  }
  return Clocks{static_cast<int>(*sm), static_cast<int>(*memory)};
}

}  // namespace ridge::kernels::bench
