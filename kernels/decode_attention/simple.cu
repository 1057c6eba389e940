#include "common/launch.cuh"
#include "common/numeric.hpp"
#include "decode_attention/arguments.hpp"

#include <cuda_bf16.h>

namespace ridge::kernels::decode {
namespace {

template <KvType Type>
__device__ float load_cache(const void* cache, std::int64_t index) {
  if constexpr (Type == KvType::kBf16) {
    return to_float(Bf16{static_cast<const std::uint16_t*>(cache)[index]});
  } else {
    return to_float(E4m3{static_cast<const std::uint8_t*>(cache)[index]});
  }
}

/// An element of MLA's cache in E4M3; `row` counts tokens.
__device__ float load_coded(const void* cache, std::int64_t row, int d) {
  const auto* const token = static_cast<const std::uint8_t*>(cache) + row * kCodedTokenBytes;
  if (d >= kLatentRank) {
    return load_cache<KvType::kBf16>(token + kCodedRopeOffset, d - kLatentRank);
  }
  const auto* const scales = reinterpret_cast<const float*>(token + kCodedScalesOffset);
  return load_cache<KvType::kE4m3>(token, d) * scales[d / kLatentScaledValues];
}

/// One warp per (request, query head), one token at a time, everything in float: slow, and short
/// enough to be checked by reading it. Lane i holds dimensions i, i + 32, ... A row of the cache
/// has HeadDim elements, of which a value uses the first ValueDim.
template <int HeadDim, int ValueDim, KvType Type>
__global__ void simple_kernel(const __grid_constant__ Arguments arguments,
                              const std::int32_t* kv_lengths) {
  constexpr int kPerLane = HeadDim / 32;
  constexpr int kValuesPerLane = ValueDim / 32;
  const int request = blockIdx.x;
  const int head = blockIdx.y;
  const int lane = threadIdx.x;
  const int kv_head = head / (arguments.query_heads / arguments.kv_heads);
  const std::int64_t vector = static_cast<std::int64_t>(request) * arguments.query_heads + head;
  constexpr bool kCoded = Type == KvType::kE4m3 && HeadDim != ValueDim;
  const auto load = [](const void* cache, std::int64_t row, int d) {
    if constexpr (kCoded) {
      return load_coded(cache, row, d);
    } else {
      return load_cache<Type>(cache, row * HeadDim + d);
    }
  };
  float scale = arguments.softmax_scale;
  float value_scale = 1;
  if constexpr (Type == KvType::kE4m3 && !kCoded) {
    scale *= arguments.k_scale[kv_head];
    value_scale = arguments.v_scale[kv_head];
  }

  float query[kPerLane];
  float output[kValuesPerLane] = {};
  for (int i = 0; i < kPerLane; ++i) {
    query[i] = to_float(Bf16{arguments.query[vector * HeadDim + i * 32 + lane]});
  }
  float largest = -INFINITY;
  float sum = 0;
  for (int token = 0; token < kv_lengths[request]; ++token) {
    const std::int64_t page =
        arguments.block_table[static_cast<std::int64_t>(request) * arguments.block_table_stride +
                              (token >> arguments.page_log2)];
    const std::int64_t row = ((page * arguments.kv_heads + kv_head) << arguments.page_log2) +
                             (token & ((1 << arguments.page_log2) - 1));
    float score = 0;
    for (int i = 0; i < kPerLane; ++i) {
      score += query[i] * load(arguments.key, row, i * 32 + lane);
    }
    for (int distance = 16; distance > 0; distance /= 2) {
      score += __shfl_xor_sync(0xffffffffu, score, distance);
    }
    score *= scale;
    const float previous = largest;
    largest = fmaxf(largest, score);
    const float rescale = expf(previous - largest);
    const float weight = expf(score - largest);
    sum = sum * rescale + weight;
    for (int i = 0; i < kValuesPerLane; ++i) {
      output[i] = output[i] * rescale + weight * load(arguments.value, row, i * 32 + lane);
    }
  }
  for (int i = 0; i < kValuesPerLane; ++i) {
    const float result = sum > 0 ? output[i] * value_scale / sum : 0.0f;
    const std::int64_t at = vector * ValueDim + i * 32 + lane;
    if (arguments.output_float) {
      static_cast<float*>(arguments.output)[at] = result;
    } else {
      static_cast<std::uint16_t*>(arguments.output)[at] = to_bf16(result).bits;
    }
  }
  if (lane == 0) {
    arguments.lse[vector] = sum > 0 ? largest + logf(sum) : -INFINITY;
  }
}

using Kernel = void (*)(Arguments, const std::int32_t*);

template <KvType Type>
Kernel kernel_for(int head_dim) {
  switch (head_dim) {
    case kLatentRank + kLatentRopeDim:
      return simple_kernel<kLatentRank + kLatentRopeDim, kLatentRank, Type>;
    case 64:
      return simple_kernel<64, 64, Type>;
    case 128:
      return simple_kernel<128, 128, Type>;
    case 256:
      return simple_kernel<256, 256, Type>;
    default:
      throw CudaError("decode attention: no simple kernel for head_dim " +
                      std::to_string(head_dim));
  }
}

}  // namespace

void launch_simple(const Problem& problem, const Arguments& arguments,
                   const std::int32_t* kv_lengths, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(problem.batch()),
                  static_cast<unsigned>(problem.query_heads));
  const Kernel kernel = problem.kv_type == KvType::kBf16
                            ? kernel_for<KvType::kBf16>(problem.head_dim)
                            : kernel_for<KvType::kE4m3>(problem.head_dim);
  launch_kernel({.grid = grid, .block = 32, .stream = stream}, kernel, arguments, kv_lengths);
}

}  // namespace ridge::kernels::decode
