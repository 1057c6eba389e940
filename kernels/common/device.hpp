#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <cuda_runtime.h>

/// Host-side handling of the device for the .cu files: checked calls and owned memory.
namespace ridge::kernels {

struct CudaError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void check_cuda(cudaError_t status, const char* expression, const char* file, int line) {
  if (status != cudaSuccess) {
    throw CudaError(std::string(file) + ":" + std::to_string(line) + ": " + expression + ": " +
                    cudaGetErrorName(status) + ": " + cudaGetErrorString(status));
  }
}

#define RIDGE_CUDA_CHECK(expression) \
  ::ridge::kernels::check_cuda((expression), #expression, __FILE__, __LINE__)

/// Device memory for `size` elements, freed with the object. Not initialized.
template <typename T>
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  explicit DeviceBuffer(std::size_t size) : size_(size) {
    if (size != 0) {
      RIDGE_CUDA_CHECK(cudaMalloc(reinterpret_cast<void**>(&data_), size * sizeof(T)));
    }
  }
  explicit DeviceBuffer(const std::vector<T>& host) : DeviceBuffer(host.size()) { upload(host); }
  DeviceBuffer(DeviceBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~DeviceBuffer() { cudaFree(data_); }

  T* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::size_t bytes() const { return size_ * sizeof(T); }

  void upload(const std::vector<T>& host) {
    if (host.size() > size_) {
      throw std::logic_error("upload of more elements than the device buffer holds");
    }
    if (!host.empty()) {
      RIDGE_CUDA_CHECK(
          cudaMemcpy(data_, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice));
    }
  }
  std::vector<T> download() const {
    std::vector<T> host(size_);
    if (size_ != 0) {
      RIDGE_CUDA_CHECK(cudaMemcpy(host.data(), data_, bytes(), cudaMemcpyDeviceToHost));
    }
    return host;
  }
  /// Fills every byte; 0xff makes each BF16, FP8, F16 and float element a NaN.
  void fill_bytes(int value) {
    if (size_ != 0) {
      RIDGE_CUDA_CHECK(cudaMemset(data_, value, bytes()));
    }
  }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace ridge::kernels
