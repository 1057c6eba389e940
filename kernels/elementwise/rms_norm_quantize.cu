#include "common/device_math.cuh"
#include "common/fill.hpp"
#include "common/launch.cuh"
#include "common/numeric.hpp"
#include "common/random.hpp"
#include "elementwise/family.hpp"
#include "elementwise/reference.hpp"
#include "elementwise/workload.hpp"

#include <cmath>
#include <cstdio>
#include <memory>
#include <vector>

namespace ridge::kernels::elementwise {
namespace {

constexpr int kNormThreads = 256;
constexpr int kVector = 8;  // BF16 elements of a 16-byte load
constexpr int kLanesPerGroup = kQuantGroup / kVector;
constexpr int kMostVectors = 4;  // Per thread: hidden up to 8192

__device__ void unpack(const uint4& packed, float (&x)[kVector]) {
  const std::uint32_t words[4] = {packed.x, packed.y, packed.z, packed.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    x[2 * i] = __uint_as_float(words[i] << 16);
    x[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
  }
}

/// One CTA per token; a group of 128 elements is 16 neighboring lanes.
__global__ void __launch_bounds__(kNormThreads)
    rms_norm_quantize_kernel(const uint4* x, const uint4* weight, uint2* codes, float* scales,
                             int hidden) {
  __shared__ float warp_squares[kNormThreads / 32];
  const int vectors = hidden / kVector;
  const uint4* row = x + static_cast<std::int64_t>(blockIdx.x) * vectors;
  float values[kMostVectors][kVector];
  float squares = 0;
#pragma unroll
  for (int v = 0; v < kMostVectors; ++v) {
    const int at = v * kNormThreads + static_cast<int>(threadIdx.x);
    unpack(at < vectors ? row[at] : make_uint4(0, 0, 0, 0), values[v]);
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      squares += values[v][i] * values[v][i];
    }
  }
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    squares += __shfl_xor_sync(0xffffffffu, squares, distance);
  }
  if (threadIdx.x % 32 == 0) {
    warp_squares[threadIdx.x / 32] = squares;
  }
  __syncthreads();
  squares = 0;
#pragma unroll
  for (int warp = 0; warp < kNormThreads / 32; ++warp) {
    squares += warp_squares[warp];
  }
  const float factor = rsqrtf(squares / static_cast<float>(hidden) + kRmsEpsilon);

#pragma unroll
  for (int v = 0; v < kMostVectors; ++v) {
    const int at = v * kNormThreads + static_cast<int>(threadIdx.x);
    float gain[kVector];
    unpack(at < vectors ? weight[at] : make_uint4(0, 0, 0, 0), gain);
    float largest = 0;
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      values[v][i] *= factor * gain[i];
      largest = fmaxf(largest, fabsf(values[v][i]));
    }
#pragma unroll
    for (int distance = kLanesPerGroup / 2; distance > 0; distance /= 2) {
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, distance));
    }
    if (at >= vectors) {
      continue;
    }
    const float scale = largest / kE4m3Max;
    const float inverse = largest > 0 ? 1.0f / scale : 0.0f;
    const float* y = values[v];
    codes[static_cast<std::int64_t>(blockIdx.x) * vectors + at] =
        make_uint2(to_e4m3x4(y[0] * inverse, y[1] * inverse, y[2] * inverse, y[3] * inverse),
                   to_e4m3x4(y[4] * inverse, y[5] * inverse, y[6] * inverse, y[7] * inverse));
    if (threadIdx.x % kLanesPerGroup == 0) {
      scales[(static_cast<std::int64_t>(blockIdx.x) * vectors + at) / kLanesPerGroup] = scale;
    }
  }
}

struct NormBuffers {
  NormBuffers(const bench::Shape& shape, int set_count)
      : tokens(static_cast<int>(shape.integer("tokens"))),
        hidden(static_cast<int>(shape.integer("hidden"))),
        x(static_cast<std::size_t>(tokens) * hidden * set_count),
        weight(hidden),
        codes(x.size()),
        scales(x.size() / kQuantGroup) {
    if (hidden % kQuantGroup != 0 || hidden > kMostVectors * kNormThreads * kVector) {
      throw CudaError(
          "rms_norm_quantize: expected hidden as a multiple of 128, at most 8192, got " +
          std::to_string(hidden));
    }
    fill_normal(x.data(), x.size(), Element::kBf16, 1);
    fill_normal(weight.data(), weight.size(), Element::kBf16, 2);
    RIDGE_CUDA_CHECK(cudaDeviceSynchronize());
  }

  void launch(int set, cudaStream_t stream) {
    const std::size_t at = static_cast<std::size_t>(set) * tokens * hidden;
    launch_kernel({.grid = static_cast<unsigned>(tokens), .block = kNormThreads, .stream = stream},
                  rms_norm_quantize_kernel, reinterpret_cast<const uint4*>(x.data() + at),
                  reinterpret_cast<const uint4*>(weight.data()),
                  reinterpret_cast<uint2*>(codes.data() + at), scales.data() + at / kQuantGroup,
                  hidden);
  }

  int tokens;
  int hidden;
  DeviceBuffer<std::uint16_t> x;
  DeviceBuffer<std::uint16_t> weight;
  DeviceBuffer<std::uint8_t> codes;
  DeviceBuffer<float> scales;
};

/// Codes may differ from the reference's by one step, where float and double fall on either side of
/// a tie, but in no more than one element of a thousand.
bench::CheckReport check_norm(const bench::Case& test, const bench::DeviceFacts&) {
  NormBuffers buffers(test.shape, 1);
  buffers.codes.fill_bytes(0xff);
  buffers.scales.fill_bytes(0xff);
  buffers.launch(0, nullptr);
  RIDGE_CUDA_CHECK(cudaDeviceSynchronize());
  const std::vector<std::uint8_t> codes = buffers.codes.download();
  const std::vector<float> scales = buffers.scales.download();
  const Quantized want = rms_norm_quantize(buffers.x.download(), buffers.weight.download(),
                                           buffers.tokens, buffers.hidden);

  bench::CheckReport report;
  report.tolerance = 1e-3;
  std::size_t off = 0;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const double scale = want.scale[i / kQuantGroup];
    const double scale_error = std::abs(scales[i / kQuantGroup] - scale);
    const auto expected = to_e4m3(static_cast<float>(want.normalized[i] / scale));
    const int steps =
        std::abs(static_cast<int>(codes[i] & 0x7f) - static_cast<int>(expected.bits & 0x7f));
    if (!(scale_error <= 1e-5 * scale) || steps > 1 ||
        (codes[i] & 0x80) != (expected.bits & 0x80)) {
      char text[160];
      std::snprintf(text, sizeof(text),
                    "token %zu, element %zu: code %02x with scale %g, expected %02x with %g",
                    i / buffers.hidden, i % buffers.hidden, codes[i], scales[i / kQuantGroup],
                    expected.bits, scale);
      report.message = text;
      report.relative_error = 1;
      return report;
    }
    off += steps;
  }
  report.relative_error = static_cast<double>(off) / static_cast<double>(codes.size());
  report.passed = report.relative_error <= report.tolerance;
  report.message = "too many codes are a step off";
  return report;
}

std::unique_ptr<bench::Workload> prepare_norm(const bench::Point& point,
                                              const bench::DeviceFacts& facts) {
  return std::make_unique<RotatingWorkload<NormBuffers>>(
      point.shape, bench::input_sets(point.work.bytes_read, facts));
}

}  // namespace

const bench::Family& rms_norm_quantize_family() {
  static const bench::Family family = {
      .name = "rms_norm_quantize",
      .summary = "RMSNorm, then e4m3 with a scale per 128 elements",
      .instance_fields = {},
      .grid = rms_norm_quantize_grid,
      .explain = rms_norm_quantize_explain,
      .cases = rms_norm_quantize_cases,
      .check = check_norm,
      .prepare = prepare_norm,
  };
  return family;
}

}  // namespace ridge::kernels::elementwise
