#include "gemm/family.hpp"

#include <cstdio>
#include <stdexcept>

namespace ridge::kernels::gemm {
namespace {

struct Projection {
  const char* role;
  int n;
  int k;
};

/// Outputs and inputs of the dense projections around one decode attention.
constexpr Projection kProjections[] = {
    // MFA, 64 heads of 256, hidden 7168, queries through a rank of 2048 (arXiv 2507.19427).
    {"mfa_qkv_down", 2048 + 2 * 256, 7168},
    {"mfa_q_up", 64 * 256, 2048},
    {"mfa_output", 7168, 64 * 256},
    // MLA, 128 heads of 128 + 64, ranks 1536 and 512 + 64 (arXiv 2412.19437).
    {"mla_qkv_down", 1536 + 512 + 64, 7168},
    {"mla_q_up", 128 * (128 + 64), 1536},
    {"mla_output", 7168, 128 * 128},
    // GQA, 64 query and 4 KV heads of 128, hidden 4096 (arXiv 2505.09388).
    {"gqa_qkv", (64 + 2 * 4) * 128, 4096},
    {"gqa_output", 4096, 64 * 128},
};

bench::Shape make_shape(int m, int n, int k, bool fp8, const char* role) {
  using I = std::int64_t;
  return {{"m", I{m}},
          {"n", I{n}},
          {"k", I{k}},
          {"dtype", std::string(fp8 ? "fp8_block" : "bf16")},
          {"role", std::string(role)}};
}

}  // namespace

bench::Work Problem::work() const {
  const double element = fp8 ? 1 : 2;
  bench::Work work;
  work.bytes_read = (static_cast<double>(m) * k + static_cast<double>(n) * k) * element;
  if (fp8) {
    const auto k_blocks = k / 128;
    const auto n_blocks = (n + 127) / 128;
    work.bytes_read += 4.0 * (static_cast<double>(m) + n_blocks) * k_blocks;
  }
  work.bytes_written = static_cast<double>(m) * n * 2;
  work.flop = 2.0 * m * n * k;
  return work;
}

Problem problem_from(const bench::Shape& shape) {
  const std::string& dtype = shape.word("dtype");
  if (dtype != "bf16" && dtype != "fp8_block") {
    throw std::invalid_argument("dense GEMM: expected dtype bf16 or fp8_block, got " + dtype);
  }
  Problem problem{static_cast<int>(shape.integer("m")), static_cast<int>(shape.integer("n")),
                  static_cast<int>(shape.integer("k")), dtype == "fp8_block"};
  if (problem.m < 1 || problem.n % 16 != 0 || problem.k % 128 != 0) {
    throw std::invalid_argument("dense GEMM: expected m >= 1, n a multiple of 16, k of 128, got " +
                                shape.to_string());
  }
  return problem;
}

std::vector<bench::Point> grid(bench::Extent extent, const bench::DeviceFacts&) {
  const bool full = extent == bench::Extent::kFull;
  const std::vector<int> tokens = full
                                      ? std::vector<int>{1, 16, 64, 128, 256, 512, 1024, 2048, 4096}
                                      : std::vector<int>{64, 512};
  std::vector<bench::Point> points;
  const auto add = [&](int m, int n, int k, bool fp8, const char* role) {
    bench::Point point{"cublaslt", make_shape(m, n, k, fp8, role), {}};
    point.work = problem_from(point.shape).work();
    points.push_back(std::move(point));
  };
  for (const bool fp8 : {false, true}) {
    // First, so that what follows can be told as a fraction of it.
    add(8192, 8192, 8192, fp8, "square");
    for (const Projection& projection : kProjections) {
      for (const int m : tokens) {
        add(m, projection.n, projection.k, fp8, projection.role);
      }
    }
  }
  return points;
}

std::vector<bench::Case> cases(bench::Extent) {
  return {
      {"cublaslt", "BF16 equals the product in double", make_shape(33, 256, 512, false, "check")},
      {"cublaslt", "block FP8 equals the scaled product in double",
       make_shape(48, 256, 512, true, "check")}};
}

std::string explain(const bench::Point& point, const bench::DeviceFacts&) {
  const Problem problem = problem_from(point.shape);
  const bench::Work work = problem.work();
  char text[256];
  std::snprintf(
      text, sizeof(text),
      "  the library's first choice; %.2f MB, %.3f GFLOP, %.0f flop per compulsory byte\n",
      (work.bytes_read + work.bytes_written) * 1e-6, work.flop * 1e-9,
      work.flop / (work.bytes_read + work.bytes_written));
  return text;
}

}  // namespace ridge::kernels::gemm
