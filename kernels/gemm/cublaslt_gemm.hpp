#pragma once

#include "gemm/family.hpp"

#include <memory>

#include <cuda_runtime.h>

namespace ridge::kernels::gemm {

/// out[m][n] = activations[m][k] weights[n][k]^T by cuBLASLt, prepared once and launched many
/// times.
class CublasLtGemm {
 public:
  /// FP8 rows are padded to a multiple of 16, which the library needs. Throws CudaError when the
  /// library has no algorithm for the shape on this device.
  CublasLtGemm(Dtype dtype, int m, int n, int k);
  ~CublasLtGemm();
  CublasLtGemm(CublasLtGemm&&) noexcept;

  static int padded_rows(Dtype dtype, int m) {
    return dtype == Dtype::kBf16 ? m : (m + 15) / 16 * 16;
  }

  /// Activations and output have room for the padded rows. Every FP8 scale is `kScale`: a constant
  /// cannot be laid out wrongly, and the time does not depend on it.
  void launch(const void* activations, const void* weights, void* out, cudaStream_t stream) const;
  static constexpr float kScale = 0.25f;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ridge::kernels::gemm
