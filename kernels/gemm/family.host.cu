#include "common/device.hpp"
#include "common/fill.hpp"
#include "common/numeric.hpp"
#include "common/random.hpp"
#include "gemm/cublaslt_gemm.hpp"
#include "gemm/family.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

namespace ridge::kernels::gemm {
namespace {

Element element_of(const Problem& problem) {
  return problem.dtype == Dtype::kBf16 ? Element::kBf16 : Element::kE4m3;
}

/// What fill_normal wrote at `index`, as the double it stands for.
double element(const Problem& problem, std::uint64_t seed, std::uint64_t index) {
  const float x = random_normal(seed, index);
  return problem.dtype == Dtype::kBf16 ? to_float(to_bf16(x)) : to_float(to_e4m3(x));
}

bench::CheckReport check(const bench::Case& test, const bench::DeviceFacts&) {
  const Problem problem = problem_from(test.shape);
  const std::size_t rows = CublasLtGemm::padded_rows(problem.dtype, problem.m);
  const std::size_t size = element_bytes(element_of(problem));
  const std::size_t n = problem.n;
  const std::size_t k = problem.k;
  DeviceBuffer<std::uint8_t> activations(rows * k * size);
  DeviceBuffer<std::uint8_t> weights(n * k * size);
  DeviceBuffer<std::uint16_t> out(rows * n);
  fill_normal(activations.data(), rows * k, element_of(problem), 1);
  fill_normal(weights.data(), n * k, element_of(problem), 2);
  out.fill_bytes(0xff);
  RIDGE_CUDA_CHECK(cudaDeviceSynchronize());
  const CublasLtGemm gemm(problem.dtype, problem.m, problem.n, problem.k);
  gemm.launch(activations.data(), weights.data(), out.data(), nullptr);
  RIDGE_CUDA_CHECK(cudaDeviceSynchronize());
  const std::vector<std::uint16_t> got = out.download();
  const double scale =
      problem.dtype == Dtype::kBf16 ? 1.0 : CublasLtGemm::kScale * CublasLtGemm::kScale;
  double difference = 0;
  double norm = 0;
  for (int i = 0; i < problem.m; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      double want = 0;
      for (std::size_t d = 0; d < k; ++d) {
        want += element(problem, 1, i * k + d) * element(problem, 2, j * k + d);
      }
      want *= scale;
      const double error = to_float(Bf16{got[i * n + j]}) - want;
      difference += error * error;
      norm += want * want;
    }
  }
  bench::CheckReport report;
  report.tolerance = 4e-3;  // The output's own rounding to BF16 is 1.7e-3.
  report.relative_error = std::sqrt(difference / norm);
  report.passed = report.relative_error <= report.tolerance;
  report.message = "the library's product differs from the product in double";
  return report;
}

class GemmWorkload : public bench::Workload {
 public:
  GemmWorkload(const Problem& problem, const bench::DeviceFacts& facts)
      : gemm_(problem.dtype, problem.m, problem.n, problem.k) {
    const std::size_t size = element_bytes(element_of(problem));
    const std::size_t rows = CublasLtGemm::padded_rows(problem.dtype, problem.m);
    weight_bytes_ = static_cast<std::size_t>(problem.n) * problem.k * size;
    sets_ = bench::input_sets(static_cast<double>(weight_bytes_), facts);
    activations_ = DeviceBuffer<std::uint8_t>(rows * problem.k * size);
    weights_ = DeviceBuffer<std::uint8_t>(weight_bytes_ * sets_);
    out_ = DeviceBuffer<std::uint16_t>(rows * problem.n);
    fill_normal(activations_.data(), rows * problem.k, element_of(problem), 1);
    fill_normal(weights_.data(), weights_.bytes() / size, element_of(problem), 2);
    RIDGE_CUDA_CHECK(cudaDeviceSynchronize());
  }

  int sets() const override { return sets_; }
  void launch(int set, bench::Stream stream) override {
    gemm_.launch(activations_.data(), weights_.data() + weight_bytes_ * set, out_.data(), stream);
  }

 private:
  CublasLtGemm gemm_;
  std::size_t weight_bytes_ = 0;
  int sets_ = 1;
  DeviceBuffer<std::uint8_t> activations_;
  DeviceBuffer<std::uint8_t> weights_;
  DeviceBuffer<std::uint16_t> out_;
};

std::unique_ptr<bench::Workload> prepare(const bench::Point& point,
                                         const bench::DeviceFacts& facts) {
  return std::make_unique<GemmWorkload>(problem_from(point.shape), facts);
}

}  // namespace

const bench::Family& dense_gemm_family() {
  static const bench::Family family = {
      .name = "dense_gemm",
      .summary = "the projections around MFA, MLA and GQA, and a large square one",
      .instance_fields = {"dtype"},
      .grid = grid,
      .explain = explain,
      .cases = cases,
      .check = check,
      .prepare = prepare,
      .runs = runs,
  };
  return family;
}

}  // namespace ridge::kernels::gemm
