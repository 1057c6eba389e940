#include "gemm/family.hpp"

#include <algorithm>
#include <cstdio>
#include <iterator>
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

/// The products of a shared expert of 5120 columns, split over 8 and over 4 GPUs: gate and up
/// together, and down (arXiv 2507.19427).
constexpr Projection kSharedExpert[] = {
    {"shared_gate_up", 2 * 640, 7168},
    {"shared_down", 7168, 640},
    {"shared_gate_up", 2 * 1280, 7168},
    {"shared_down", 7168, 1280},
};

constexpr const char* kDtypes[] = {"bf16", "fp8", "fp8_block"};

bench::Shape make_shape(int m, int n, int k, Dtype dtype, const char* role) {
  using I = std::int64_t;
  return {{"m", I{m}},
          {"n", I{n}},
          {"k", I{k}},
          {"dtype", std::string(kDtypes[static_cast<int>(dtype)])},
          {"role", std::string(role)}};
}

}  // namespace

bench::Work Problem::work() const {
  const double element = dtype == Dtype::kBf16 ? 2 : 1;
  bench::Work work;
  work.bytes_read = (static_cast<double>(m) * k + static_cast<double>(n) * k) * element;
  if (dtype == Dtype::kFp8Block) {
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
  const auto* const known = std::find(std::begin(kDtypes), std::end(kDtypes), dtype);
  if (known == std::end(kDtypes)) {
    throw std::invalid_argument("dense GEMM: expected dtype bf16, fp8 or fp8_block, got " + dtype);
  }
  const Problem problem{static_cast<int>(shape.integer("m")), static_cast<int>(shape.integer("n")),
                        static_cast<int>(shape.integer("k")),
                        static_cast<Dtype>(known - std::begin(kDtypes))};
  if (problem.m < 1 || problem.n % 16 != 0 || problem.k % 128 != 0) {
    throw std::invalid_argument("dense GEMM: expected m >= 1, n a multiple of 16, k of 128, got " +
                                shape.to_string());
  }
  return problem;
}

std::vector<bench::Point> grid(bench::Extent extent, const bench::DeviceFacts&) {
  const bool full = extent == bench::Extent::kFull;
  const std::vector<int> tokens =
      full ? std::vector<int>{1, 16, 64, 84, 128, 256, 512, 1024, 2048, 4096}
           : std::vector<int>{1, 64, 128, 512, 2048};
  std::vector<bench::Point> points;
  const auto add = [&](int m, const Projection& p, Dtype dtype, bench::Turn turn) {
    bench::Point point{"cublaslt", make_shape(m, p.n, p.k, dtype, p.role), {}, turn};
    point.work = problem_from(point.shape).work();
    points.push_back(std::move(point));
  };
  for (const Dtype dtype : {Dtype::kBf16, Dtype::kFp8, Dtype::kFp8Block}) {
    add(8192, {"square", 8192, 8192}, dtype, bench::Turn::kCeiling);
    for (const Projection& projection : kProjections) {
      for (const int m : tokens) {
        add(m, projection, dtype, bench::Turn::kGrid);
      }
    }
    // A shared expert serves every token of the attention instances that it is fed from.
    for (const Projection& projection : kSharedExpert) {
      for (const int m : {256, 512, 1024, 2048, 4096, 8192}) {
        add(m, projection, dtype, bench::Turn::kGrid);
      }
    }
  }
  return points;
}

std::vector<bench::Case> cases(bench::Extent, const bench::DeviceFacts&) {
  return {{"cublaslt", "BF16 equals the product in double",
           make_shape(33, 256, 512, Dtype::kBf16, "check")},
          {"cublaslt", "FP8 equals the scaled product in double",
           make_shape(48, 256, 512, Dtype::kFp8, "check")},
          {"cublaslt", "block FP8 equals the scaled product in double",
           make_shape(48, 256, 512, Dtype::kFp8Block, "check")}};
}

bool runs(std::string_view, const bench::Shape& shape, const bench::DeviceFacts& device) {
  switch (problem_from(shape).dtype) {
    case Dtype::kBf16:
      return device.capability >= 80;
    case Dtype::kFp8:
      return device.capability >= 89;
    case Dtype::kFp8Block:
      return device.capability == 90;
  }
  return false;
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
