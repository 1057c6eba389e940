#pragma once

#include "bench/family.hpp"

#include <string>
#include <vector>

namespace ridge::kernels::gemm {

/// Dense projections through cuBLASLt: the yardstick for the matrix rate, and the times of the
/// layers around attention.
const bench::Family& dense_gemm_family();

/// Operand formats: BF16; E4M3 with one float scale per tensor; E4M3 with one per 1 x 128 of the
/// activations and per 128 x 128 of the weights. The output is BF16, sums are float.
enum class Dtype { kBf16, kFp8, kFp8Block };

/// out[m][n] = activations[m][k] weights[n][k]^T
struct Problem {
  int m = 0;
  int n = 0;
  int k = 0;
  Dtype dtype = Dtype::kBf16;

  bench::Work work() const;
};

/// Throws std::invalid_argument for a dtype other than bf16, fp8 and fp8_block.
Problem problem_from(const bench::Shape& shape);

std::vector<bench::Point> grid(bench::Extent extent, const bench::DeviceFacts& device);
std::vector<bench::Case> cases(bench::Extent extent, const bench::DeviceFacts& device);
/// BF16 products need Ampere, FP8 ones Ada; scales per block are the library's on Hopper alone.
bool runs(std::string_view kernel, const bench::Shape& shape, const bench::DeviceFacts& device);
std::string explain(const bench::Point& point, const bench::DeviceFacts& device);

}  // namespace ridge::kernels::gemm
