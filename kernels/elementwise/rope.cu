#include "common/fill.hpp"
#include "common/launch.cuh"
#include "common/numeric.hpp"
#include "common/random.hpp"
#include "elementwise/family.hpp"
#include "elementwise/reference.hpp"
#include "elementwise/workload.hpp"

#include <cmath>
#include <memory>
#include <vector>

#include <cuda_bf16.h>

namespace ridge::kernels::elementwise {
namespace {

constexpr int kRopeThreads = 256;
constexpr int kPairs = 4;  // Of one thread: 8 bytes from either half of a head
constexpr int kTablePositions = 4096;

__device__ float2 unpack(std::uint32_t pair) {
  return make_float2(__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u));
}

__device__ std::uint32_t pack(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}

/// `table` is [position][head_dim / 2] of (cos, sin).
__global__ void __launch_bounds__(kRopeThreads)
    rope_kernel(uint2* x, const std::int32_t* positions, const float4* table, int heads,
                int head_dim, std::int64_t threads) {
  const std::int64_t thread = static_cast<std::int64_t>(blockIdx.x) * kRopeThreads + threadIdx.x;
  if (thread >= threads) {
    return;
  }
  const int per_half = head_dim / 2 / kPairs;
  const std::int64_t head = thread / per_half;
  const int i = static_cast<int>(thread % per_half);
  const float4* angles =
      table + (static_cast<std::int64_t>(positions[head / heads]) * per_half + i) * (kPairs / 2);
  uint2* low = x + head * per_half * 2 + i;
  uint2* high = low + per_half;
  const uint2 a = *low;
  const uint2 b = *high;
  const float4 first = angles[0];
  const float4 second = angles[1];
  const float2 a0 = unpack(a.x), a1 = unpack(a.y), b0 = unpack(b.x), b1 = unpack(b.y);
  *low = make_uint2(pack(a0.x * first.x - b0.x * first.y, a0.y * first.z - b0.y * first.w),
                    pack(a1.x * second.x - b1.x * second.y, a1.y * second.z - b1.y * second.w));
  *high = make_uint2(pack(a0.x * first.y + b0.x * first.x, a0.y * first.w + b0.y * first.z),
                     pack(a1.x * second.y + b1.x * second.x, a1.y * second.w + b1.y * second.z));
}

struct RopeBuffers {
  RopeBuffers(const bench::Shape& shape, int set_count)
      : tokens(static_cast<int>(shape.integer("tokens"))),
        heads(static_cast<int>(shape.integer("heads"))),
        head_dim(static_cast<int>(shape.integer("head_dim"))),
        x(static_cast<std::size_t>(tokens) * heads * head_dim * set_count),
        table(static_cast<std::size_t>(kTablePositions) * head_dim) {
    if (head_dim % (2 * kPairs) != 0) {
      throw CudaError("rope: expected head_dim as a multiple of 8, got " +
                      std::to_string(head_dim));
    }
    std::vector<float> angles(table.size());
    for (int position = 0; position < kTablePositions; ++position) {
      for (int i = 0; i < head_dim / 2; ++i) {
        const double angle = position * std::pow(kRopeBase, -2.0 * i / head_dim);
        angles[(static_cast<std::size_t>(position) * head_dim / 2 + i) * 2] =
            static_cast<float>(std::cos(angle));
        angles[(static_cast<std::size_t>(position) * head_dim / 2 + i) * 2 + 1] =
            static_cast<float>(std::sin(angle));
      }
    }
    table.upload(angles);
    host_positions.resize(tokens);
    for (int i = 0; i < tokens; ++i) {
      host_positions[i] = static_cast<std::int32_t>(random_bits(5, i) % kTablePositions);
    }
    positions = DeviceBuffer<std::int32_t>(host_positions);
    fill_normal(x.data(), x.size(), Element::kBf16, 1);
    RIDGE_CUDA_CHECK(cudaDeviceSynchronize());
  }

  void launch(int set, cudaStream_t stream) {
    const std::int64_t threads = static_cast<std::int64_t>(tokens) * heads * head_dim / 2 / kPairs;
    launch_kernel({.grid = static_cast<unsigned>((threads + kRopeThreads - 1) / kRopeThreads),
                   .block = kRopeThreads,
                   .stream = stream},
                  rope_kernel,
                  reinterpret_cast<uint2*>(x.data() + static_cast<std::size_t>(set) * tokens *
                                                          heads * head_dim),
                  positions.data(), reinterpret_cast<const float4*>(table.data()), heads, head_dim,
                  threads);
  }

  int tokens;
  int heads;
  int head_dim;
  DeviceBuffer<std::uint16_t> x;
  DeviceBuffer<float> table;
  std::vector<std::int32_t> host_positions;
  DeviceBuffer<std::int32_t> positions;
};

bench::CheckReport check_rope(const bench::Case& test, const bench::DeviceFacts&) {
  RopeBuffers buffers(test.shape, 1);
  const std::vector<double> want =
      rope(buffers.x.download(), buffers.host_positions, buffers.heads, buffers.head_dim);
  buffers.launch(0, nullptr);
  RIDGE_CUDA_CHECK(cudaDeviceSynchronize());
  const std::vector<std::uint16_t> got = buffers.x.download();
  bench::CheckReport report;
  report.tolerance = 4e-3;  // Half a step of BF16 in every element.
  std::size_t worst = 0;
  double largest = -1;
  double difference = 0;
  double norm = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double error = to_float(Bf16{got[i]}) - want[i];
    difference += error * error;
    norm += want[i] * want[i];
    if (!(std::abs(error) <= largest)) {
      largest = std::abs(error);
      worst = i;
    }
  }
  report.relative_error = std::sqrt(difference / norm);
  report.passed = report.relative_error <= report.tolerance;
  report.message = "worst at element " + std::to_string(worst) + ": got " +
                   std::to_string(to_float(Bf16{got[worst]})) + ", expected " +
                   std::to_string(want[worst]);
  return report;
}

std::unique_ptr<bench::Workload> prepare_rope(const bench::Point& point,
                                              const bench::DeviceFacts& facts) {
  return std::make_unique<RotatingWorkload<RopeBuffers>>(
      point.shape, bench::input_sets(point.work.bytes_written, facts));
}

}  // namespace

const bench::Family& rope_family() {
  static const bench::Family family = {
      .name = "rope",
      .summary = "rotary position embedding, in place",
      .instance_fields = {},
      .grid = rope_grid,
      .explain = rope_explain,
      .cases = rope_cases,
      .check = check_rope,
      .prepare = prepare_rope,
  };
  return family;
}

}  // namespace ridge::kernels::elementwise
