#include "common/fill.hpp"
#include "common/launch.cuh"
#include "elementwise/family.hpp"
#include "elementwise/reference.hpp"
#include "elementwise/workload.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

namespace ridge::kernels::elementwise {
namespace {

constexpr int kWarps = 4;
constexpr int kMostPerLane = 16;  // Experts up to 512
constexpr int kMostPicks = 8;

/// One warp per token. Lane i holds experts i, i + 32, ...; a pick is the warp-wide maximum, the
/// lower id winning ties.
__global__ void __launch_bounds__(kWarps * 32)
    router_top_k_kernel(const float* logits, float* weights, std::int32_t* chosen, int tokens,
                        int experts, int top_k) {
  const int token = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (token >= tokens) {
    return;
  }
  const float* row = logits + static_cast<std::int64_t>(token) * experts;
  float held[kMostPerLane];
#pragma unroll
  for (int i = 0; i < kMostPerLane; ++i) {
    held[i] = i * 32 + lane < experts ? row[i * 32 + lane] : -INFINITY;
  }
  float largest = 0;
  float sum = 0;
  float my_weight = 0;
  std::int32_t my_expert = 0;
  for (int pick = 0; pick < top_k; ++pick) {
    float best = -INFINITY;
    int best_expert = experts;
#pragma unroll
    for (int i = 0; i < kMostPerLane; ++i) {
      if (held[i] > best) {
        best = held[i];
        best_expert = i * 32 + lane;
      }
    }
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
      const float other = __shfl_xor_sync(0xffffffffu, best, distance);
      const int other_expert = __shfl_xor_sync(0xffffffffu, best_expert, distance);
      if (other > best || (other == best && other_expert < best_expert)) {
        best = other;
        best_expert = other_expert;
      }
    }
#pragma unroll
    for (int i = 0; i < kMostPerLane; ++i) {
      held[i] = i * 32 + lane == best_expert ? -INFINITY : held[i];
    }
    largest = pick == 0 ? best : largest;
    const float weight = expf(best - largest);
    sum += weight;
    if (lane == pick) {
      my_weight = weight;
      my_expert = best_expert;
    }
  }
  if (lane < top_k) {
    weights[static_cast<std::int64_t>(token) * top_k + lane] = my_weight / sum;
    chosen[static_cast<std::int64_t>(token) * top_k + lane] = my_expert;
  }
}

struct RouterBuffers {
  RouterBuffers(const bench::Shape& shape, int set_count)
      : tokens(static_cast<int>(shape.integer("tokens"))),
        experts(static_cast<int>(shape.integer("experts"))),
        top_k(static_cast<int>(shape.integer("top_k"))),
        logits(static_cast<std::size_t>(tokens) * experts * set_count),
        weights(static_cast<std::size_t>(tokens) * top_k),
        chosen(weights.size()) {
    if (experts > kMostPerLane * 32 || top_k > kMostPicks || top_k > experts) {
      throw CudaError("router_top_k: expected at most 512 experts and top_k of 8, got " +
                      shape.to_string());
    }
    fill_normal(logits.data(), logits.size(), Element::kFloat, 1);
    RIDGE_CUDA_CHECK(cudaDeviceSynchronize());
  }

  void launch(int set, cudaStream_t stream) {
    launch_kernel({.grid = static_cast<unsigned>((tokens + kWarps - 1) / kWarps),
                   .block = kWarps * 32,
                   .stream = stream},
                  router_top_k_kernel,
                  logits.data() + static_cast<std::size_t>(set) * tokens * experts, weights.data(),
                  chosen.data(), tokens, experts, top_k);
  }

  int tokens;
  int experts;
  int top_k;
  DeviceBuffer<float> logits;
  DeviceBuffer<float> weights;
  DeviceBuffer<std::int32_t> chosen;
};

bench::CheckReport check_router(const bench::Case& test, const bench::DeviceFacts&) {
  RouterBuffers buffers(test.shape, 1);
  buffers.weights.fill_bytes(0xff);
  buffers.chosen.fill_bytes(0xff);
  buffers.launch(0, nullptr);
  RIDGE_CUDA_CHECK(cudaDeviceSynchronize());
  const Routes want =
      router_top_k(buffers.logits.download(), buffers.tokens, buffers.experts, buffers.top_k);
  const std::vector<float> weights = buffers.weights.download();
  const std::vector<std::int32_t> chosen = buffers.chosen.download();
  bench::CheckReport report;
  report.tolerance = 1e-5;
  for (std::size_t i = 0; i < want.expert.size(); ++i) {
    const double error = std::abs(weights[i] - want.weight[i]);
    report.relative_error = std::max(report.relative_error, error);
    if (chosen[i] != want.expert[i] || !(error <= report.tolerance)) {
      report.message = "token " + std::to_string(i / buffers.top_k) + ", pick " +
                       std::to_string(i % buffers.top_k) + ": expert " + std::to_string(chosen[i]) +
                       " with " + std::to_string(weights[i]) + ", expected " +
                       std::to_string(want.expert[i]) + " with " + std::to_string(want.weight[i]);
      return report;
    }
  }
  report.passed = true;
  return report;
}

std::unique_ptr<bench::Workload> prepare_router(const bench::Point& point,
                                                const bench::DeviceFacts& facts) {
  return std::make_unique<RotatingWorkload<RouterBuffers>>(
      point.shape, bench::input_sets(point.work.bytes_read, facts));
}

}  // namespace

const bench::Family& router_top_k_family() {
  static const bench::Family family = {
      .name = "router_top_k",
      .summary = "the experts of each token and their weights",
      .instance_fields = {},
      .grid = router_top_k_grid,
      .explain = router_top_k_explain,
      .cases = router_top_k_cases,
      .check = check_router,
      .prepare = prepare_router,
  };
  return family;
}

}  // namespace ridge::kernels::elementwise
