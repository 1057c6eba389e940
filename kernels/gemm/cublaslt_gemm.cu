#include "common/device.hpp"
#include "gemm/cublaslt_gemm.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <cublasLt.h>

namespace ridge::kernels::gemm {
namespace {

constexpr std::size_t kWorkspaceBytes = std::size_t{64} << 20;
constexpr std::uint64_t kScaleBlock = 128;

void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS) {
    throw CudaError(std::string("cuBLASLt: ") + what + ": " + cublasLtGetStatusString(status));
  }
}

cublasLtHandle_t handle() {
  static const cublasLtHandle_t shared = [] {
    cublasLtHandle_t created = nullptr;
    check(cublasLtCreate(&created), "create");
    return created;
  }();
  return shared;
}

/// Shared by all instances: launches of one stream follow one another.
void* workspace() {
  static const DeviceBuffer<std::uint8_t> buffer(kWorkspaceBytes);
  return buffer.data();
}

template <typename T>
void set(cublasLtMatmulDesc_t descriptor, cublasLtMatmulDescAttributes_t attribute, T value) {
  check(cublasLtMatmulDescSetAttribute(descriptor, attribute, &value, sizeof(value)), "describe");
}

}  // namespace

struct CublasLtGemm::State {
  cublasLtMatmulDesc_t descriptor = nullptr;
  cublasLtMatrixLayout_t weights = nullptr;
  cublasLtMatrixLayout_t activations = nullptr;
  cublasLtMatrixLayout_t out = nullptr;
  cublasLtMatmulAlgo_t algorithm{};
  DeviceBuffer<float> scales;

  ~State() {
    cublasLtMatrixLayoutDestroy(out);
    cublasLtMatrixLayoutDestroy(activations);
    cublasLtMatrixLayoutDestroy(weights);
    cublasLtMatmulDescDestroy(descriptor);
  }
};

CublasLtGemm::CublasLtGemm(Dtype dtype, int rows, int outputs, int inputs)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  const auto m = static_cast<std::uint64_t>(padded_rows(dtype, rows));
  const auto n = static_cast<std::uint64_t>(outputs);
  const auto k = static_cast<std::uint64_t>(inputs);
  // The library is column-major: row-major [m][k] is its k x m, and it computes the transposed
  // product, n x m, with the weights as its A.
  check(cublasLtMatmulDescCreate(&s.descriptor, CUBLAS_COMPUTE_32F, CUDA_R_32F), "describe");
  set(s.descriptor, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
  set(s.descriptor, CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N);
  cudaDataType_t operand = CUDA_R_16BF;
  if (dtype == Dtype::kFp8Block) {
    operand = CUDA_R_8F_E4M3;
    set(s.descriptor, CUBLASLT_MATMUL_DESC_A_SCALE_MODE,
        CUBLASLT_MATMUL_MATRIX_SCALE_BLK128x128_32F);
    set(s.descriptor, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F);
    // Room for any padding of the library's scale layouts.
    const std::uint64_t count = (k / kScaleBlock + 4) * std::max(m, n / kScaleBlock + 4);
    s.scales = DeviceBuffer<float>(std::vector<float>(count, kScale));
    set(s.descriptor, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, s.scales.data());
    set(s.descriptor, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, s.scales.data());
  }
  check(cublasLtMatrixLayoutCreate(&s.weights, operand, k, n, inputs), "layout");
  check(cublasLtMatrixLayoutCreate(&s.activations, operand, k, m, inputs), "layout");
  check(cublasLtMatrixLayoutCreate(&s.out, CUDA_R_16BF, n, m, outputs), "layout");

  cublasLtMatmulPreference_t preference = nullptr;
  check(cublasLtMatmulPreferenceCreate(&preference), "preference");
  cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                       &kWorkspaceBytes, sizeof(kWorkspaceBytes));
  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(handle(), s.descriptor, s.weights, s.activations, s.out, s.out,
                                     preference, 1, &result, &found);
  cublasLtMatmulPreferenceDestroy(preference);
  check(status, "no algorithm for this shape");
  if (found == 0) {
    throw CudaError("cuBLASLt: no algorithm for this shape");
  }
  s.algorithm = result.algo;
}

CublasLtGemm::~CublasLtGemm() = default;
CublasLtGemm::CublasLtGemm(CublasLtGemm&&) noexcept = default;

void CublasLtGemm::launch(const void* activations, const void* weights, void* out,
                          cudaStream_t stream) const {
  const float one = 1.0f;
  const float zero = 0.0f;
  const State& s = *state_;
  check(cublasLtMatmul(handle(), s.descriptor, &one, weights, s.weights, activations, s.activations,
                       &zero, out, s.out, out, s.out, &s.algorithm, workspace(), kWorkspaceBytes,
                       stream),
        "matmul");
}

}  // namespace ridge::kernels::gemm
