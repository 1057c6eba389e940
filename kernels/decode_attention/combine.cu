#include "common/async_copy.cuh"
#include "common/launch.cuh"
#include "decode_attention/arguments.hpp"
#include "decode_attention/tile_plan.hpp"

#include <cuda_bf16.h>

namespace ridge::kernels::decode {
namespace {

constexpr int kWarps = 8;

/// Merges the parts of split results. `warps_per_row` warps share a row's parts and then add up
/// their sums in warp order, so the result does not depend on timing.
template <int ValueDim>
__global__ void __launch_bounds__(kWarps * 32)
    combine_kernel(const __grid_constant__ Arguments arguments, int warps_per_row) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ != 900
  if constexpr (ValueDim == kLatentRank) {
    return;  // Only the Hopper kernel splits MLA, and some chips would spill here.
  }
#endif
  constexpr int kPerLane = ValueDim / 32;
  __shared__ float shared_sums[kWarps][ValueDim];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int rows_per_block = kWarps / warps_per_row;
  const int row_index = static_cast<int>(blockIdx.x) * rows_per_block + warp / warps_per_row;
  const int share = warp % warps_per_row;
  const Merge merge = arguments.merges[row_index / kTileRows];
  const int row = row_index % kTileRows;
  const int group = arguments.query_heads / arguments.kv_heads;
  const bool used = row < group - merge.row_block * kTileRows;

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
  wait_for_prerequisites();
#endif
  float sums[kPerLane] = {};
  float total_weight = 0;
  float largest = -INFINITY;
  if (used) {
    const float* lse =
        arguments.partial_lse + static_cast<std::int64_t>(merge.first_partial) * kTileRows + row;
    for (int part = lane; part < merge.partials; part += 32) {
      largest = fmaxf(largest, lse[part * kTileRows]);
    }
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, distance));
    }
    const auto exp2 = [](float x) { return exp2f(x); };
    const float* output =
        arguments.partial_output +
        (static_cast<std::int64_t>(merge.first_partial) * kTileRows + row) * ValueDim +
        lane * kPerLane;
#pragma unroll 4
    for (int part = share; part < merge.partials; part += warps_per_row) {
      const float weight = merge_weight(lse[part * kTileRows], largest, exp2);
      const float* values = output + static_cast<std::int64_t>(part) * kTileRows * ValueDim;
#pragma unroll
      for (int i = 0; i < kPerLane; i += 2) {
        const float2 pair = *reinterpret_cast<const float2*>(values + i);
        sums[i] += weight * pair.x;
        sums[i + 1] += weight * pair.y;
      }
    }
    // Every lane of every warp of the row needs the whole weight; it is cheap to add up again.
    for (int part = 0; part < merge.partials; ++part) {
      total_weight += merge_weight(lse[part * kTileRows], largest, exp2);
    }
  }
  if (warps_per_row > 1) {
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      shared_sums[warp][lane * kPerLane + i] = sums[i];
    }
    __syncthreads();
    if (share == 0) {
      for (int other = 1; other < warps_per_row; ++other) {
#pragma unroll
        for (int i = 0; i < kPerLane; ++i) {
          sums[i] += shared_sums[warp + other][lane * kPerLane + i];
        }
      }
    }
  }
  if (!used || share != 0) {
    return;
  }
  const int head = merge.kv_head * group + merge.row_block * kTileRows + row;
  const std::int64_t vector =
      static_cast<std::int64_t>(merge.request) * arguments.query_heads + head;
  const std::int64_t at = vector * ValueDim + lane * kPerLane;
  const float factor = 1.0f / total_weight;
#pragma unroll
  for (int i = 0; i < kPerLane; i += 2) {
    const float2 pair = make_float2(sums[i] * factor, sums[i + 1] * factor);
    if (arguments.output_float) {
      *reinterpret_cast<float2*>(static_cast<float*>(arguments.output) + at + i) = pair;
    } else {
      *reinterpret_cast<__nv_bfloat162*>(static_cast<__nv_bfloat16*>(arguments.output) + at + i) =
          __floats2bfloat162_rn(pair.x, pair.y);
    }
  }
  if (lane == 0) {
    arguments.lse[vector] = (largest + log2f(total_weight)) * 0.693147180559945f;
  }
}

template <int ValueDim>
void launch(const Arguments& arguments, int merges, int most_partials, bool dependent,
            cudaStream_t stream) {
  // Few parts: a warp per row. Many parts (a small batch over the whole chip): spread them.
  const int warps_per_row = most_partials <= 4 ? 1 : most_partials <= 16 ? 4 : kWarps;
  launch_kernel({.grid = static_cast<unsigned>(merges * kTileRows * warps_per_row / kWarps),
                 .block = kWarps * 32,
                 .stream = stream,
                 .dependent = dependent},
                combine_kernel<ValueDim>, arguments, warps_per_row);
}

}  // namespace

void launch_combine(int value_dim, const Arguments& arguments, int merges, int most_partials,
                    bool dependent, cudaStream_t stream) {
  switch (value_dim) {
    case 64:
      return launch<64>(arguments, merges, most_partials, dependent, stream);
    case 128:
      return launch<128>(arguments, merges, most_partials, dependent, stream);
    case 256:
      return launch<256>(arguments, merges, most_partials, dependent, stream);
    case kLatentRank:
      return launch<kLatentRank>(arguments, merges, most_partials, dependent, stream);
    default:
      throw CudaError("decode attention: no combine kernel for value_dim " +
                      std::to_string(value_dim));
  }
}

}  // namespace ridge::kernels::decode
