#pragma once

#include "bench/family.hpp"

#include <string>
#include <vector>

namespace ridge::kernels::gemm {

/// Dense projections through cuBLASLt: the yardstick for the matrix rate, and the times of the
/// layers around attention.
const bench::Family& dense_gemm_family();

/// out[m][n] = activations[m][k] weights[n][k]^T
struct Problem {
  int m = 0;
  int n = 0;
  int k = 0;
  bool fp8 = false;

  bench::Work work() const;
};

/// Throws std::invalid_argument for a dtype other than bf16 and fp8_block.
Problem problem_from(const bench::Shape& shape);

std::vector<bench::Point> grid(bench::Extent extent, const bench::DeviceFacts& device);
std::vector<bench::Case> cases(bench::Extent extent);
std::string explain(const bench::Point& point, const bench::DeviceFacts& device);

}  // namespace ridge::kernels::gemm
