#include "common/device.hpp"
#include "gemm/cublaslt_api.hpp"
#include "gemm/cublaslt_gemm.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <cuda_runtime.h>
#if defined(CUDART_VERSION) && __has_include(<cublasLt.h>)
#include <cublasLt.h>

using namespace ridge::kernels::gemm;
static_assert(int{CUBLAS_STATUS_SUCCESS} == kLtSuccess && int{CUBLAS_COMPUTE_32F} == kLtCompute32F);
static_assert(int{CUDA_R_32F} == kLtFloat && int{CUDA_R_16BF} == kLtBf16 &&
              int{CUDA_R_8F_E4M3} == kLtE4m3);
static_assert(int{CUBLAS_OP_N} == kLtAsIs && int{CUBLAS_OP_T} == kLtTransposed);
static_assert(int{CUBLASLT_MATMUL_DESC_TRANSA} == kLtTransposeA &&
              int{CUBLASLT_MATMUL_DESC_TRANSB} == kLtTransposeB &&
              int{CUBLASLT_MATMUL_DESC_A_SCALE_POINTER} == kLtScalePointerA &&
              int{CUBLASLT_MATMUL_DESC_B_SCALE_POINTER} == kLtScalePointerB &&
              int{CUBLASLT_MATMUL_DESC_A_SCALE_MODE} == kLtScaleModeA &&
              int{CUBLASLT_MATMUL_DESC_B_SCALE_MODE} == kLtScaleModeB &&
              int{CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES} == kLtMostWorkspaceBytes);
static_assert(sizeof(cublasLtMatmulAlgo_t) == sizeof(LtAlgorithm) &&
              sizeof(cublasLtMatmulHeuristicResult_t) == sizeof(LtHeuristicResult));
#if CUDART_VERSION >= 12090
static_assert(int{CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F} == kLtScalePer1x128 &&
              int{CUBLASLT_MATMUL_MATRIX_SCALE_BLK128x128_32F} == kLtScalePer128x128);
#endif
#endif

namespace ridge::kernels::gemm {
namespace {

constexpr std::size_t kWorkspaceBytes = std::size_t{64} << 20;
constexpr std::uint64_t kScaleBlock = 128;

void check(LtStatus status, const char* what) {
  if (status != kLtSuccess) {
    throw CudaError(std::string("cuBLASLt: ") + what + ": " + cublaslt().status_string(status));
  }
}

LtHandle handle() {
  static const LtHandle shared = [] {
    LtHandle created = nullptr;
    check(cublaslt().create(&created), "create");
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
void set(LtDescriptor descriptor, LtDescriptorAttribute attribute, T value) {
  check(cublaslt().descriptor_set(descriptor, attribute, &value, sizeof(value)), "describe");
}

}  // namespace

struct CublasLtGemm::State {
  LtDescriptor descriptor = nullptr;
  LtLayout weights = nullptr;
  LtLayout activations = nullptr;
  LtLayout out = nullptr;
  LtAlgorithm algorithm{};
  DeviceBuffer<float> scales;

  ~State() {
    for (const LtLayout layout : {out, activations, weights}) {
      if (layout != nullptr) {
        cublaslt().layout_destroy(layout);
      }
    }
    if (descriptor != nullptr) {
      cublaslt().descriptor_destroy(descriptor);
    }
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
  check(cublaslt().descriptor_create(&s.descriptor, kLtCompute32F, kLtFloat), "describe");
  set(s.descriptor, kLtTransposeA, kLtTransposed);
  set(s.descriptor, kLtTransposeB, kLtAsIs);
  if (dtype != Dtype::kBf16) {
    std::uint64_t count = 1;
    if (dtype == Dtype::kFp8Block) {
      set(s.descriptor, kLtScaleModeA, kLtScalePer128x128);
      set(s.descriptor, kLtScaleModeB, kLtScalePer1x128);
      // Room for any padding of the library's scale layouts.
      count = (k / kScaleBlock + 4) * std::max(m, n / kScaleBlock + 4);
    }
    s.scales = DeviceBuffer<float>(std::vector<float>(count, kScale));
    set(s.descriptor, kLtScalePointerA, s.scales.data());
    set(s.descriptor, kLtScalePointerB, s.scales.data());
  }
  const LtDataType operand = dtype == Dtype::kBf16 ? kLtBf16 : kLtE4m3;
  check(cublaslt().layout_create(&s.weights, operand, k, n, inputs), "layout");
  check(cublaslt().layout_create(&s.activations, operand, k, m, inputs), "layout");
  check(cublaslt().layout_create(&s.out, kLtBf16, n, m, outputs), "layout");

  LtPreference preference = nullptr;
  check(cublaslt().preference_create(&preference), "preference");
  cublaslt().preference_set(preference, kLtMostWorkspaceBytes, &kWorkspaceBytes,
                            sizeof(kWorkspaceBytes));
  LtHeuristicResult result{};
  int found = 0;
  const LtStatus status = cublaslt().heuristic(handle(), s.descriptor, s.weights, s.activations,
                                               s.out, s.out, preference, 1, &result, &found);
  cublaslt().preference_destroy(preference);
  check(status, "no algorithm for this shape");
  if (found == 0) {
    throw CudaError("cuBLASLt: no algorithm for this shape");
  }
  s.algorithm = result.algorithm;
}

CublasLtGemm::~CublasLtGemm() = default;
CublasLtGemm::CublasLtGemm(CublasLtGemm&&) noexcept = default;

void CublasLtGemm::launch(const void* activations, const void* weights, void* out,
                          cudaStream_t stream) const {
  const float one = 1.0f;
  const float zero = 0.0f;
  const State& s = *state_;
  check(cublaslt().matmul(handle(), s.descriptor, &one, weights, s.weights, activations,
                          s.activations, &zero, out, s.out, out, s.out, &s.algorithm, workspace(),
                          kWorkspaceBytes, stream),
        "matmul");
}

}  // namespace ridge::kernels::gemm
