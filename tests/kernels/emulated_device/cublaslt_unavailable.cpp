#include "common/device.hpp"
#include "gemm/cublaslt_gemm.hpp"

// The emulated device has no cuBLASLt: its baselines cannot be prepared.

namespace ridge::kernels::gemm {

struct CublasLtGemm::State {};

CublasLtGemm::CublasLtGemm(Dtype, int, int, int) {
  throw CudaError("the emulated device has no cuBLASLt");
}
CublasLtGemm::~CublasLtGemm() = default;
CublasLtGemm::CublasLtGemm(CublasLtGemm&&) noexcept = default;

void CublasLtGemm::launch(const void*, const void*, void*, cudaStream_t) const {}

}  // namespace ridge::kernels::gemm
