#include "common/async_copy.cuh"
#include "common/device_math.cuh"
#include "common/launch.cuh"
#include "decode_attention/arguments.hpp"
#include "decode_attention/tile_plan.hpp"
#include "pipeline/online_softmax.cuh"

#include <cuda_bf16.h>

namespace ridge::kernels::decode {
namespace {

constexpr int kThreads = 512;
constexpr int kLeastTeam = 32;  ///< Threads of a team, at least: a warp.

/// Merges the parts of split results, which lie as the registers of the threads that summed them
/// (result.cuh): a thread here takes the place of one there, for two columns of two rows. `teams`
/// share the parts and then add up their sums in the teams' order, so that the result does not
/// depend on timing. Latency is all there is to it: every load of a team is independent of the
/// others.
template <int ValueDim>
__global__ void __launch_bounds__(kThreads)
    combine_kernel(const __grid_constant__ Arguments arguments, int teams) {
  constexpr int kVectors = ValueDim / 8 * 128;  ///< Of a part.
  __shared__ float4 shared_sums[kThreads];
  const int team_threads = kThreads / teams;
  const int share = static_cast<int>(threadIdx.x) / team_threads;
  const int mine = static_cast<int>(threadIdx.x) % team_threads;
  const int index = static_cast<int>(blockIdx.x) * team_threads + mine;
  const Merge merge = arguments.merges[index / kVectors];
  const int vector = index % kVectors;
  const int lane = vector % 32;
  const int upper = vector % 128 / 32 * 16 + lane / 4;
  const int group = arguments.query_heads / arguments.kv_heads;
  const int rows = min(kTileRows, group - merge.row_block * kTileRows);
  const int parts = upper < rows ? merge.partials : 0;
  const bool lower = upper + 8 < rows;  ///< Else nobody wrote its row of the parts.
  const float* const lse =
      arguments.partial_lse + static_cast<std::int64_t>(merge.first_partial) * kTileRows + upper;
  const float4* const sums = reinterpret_cast<const float4*>(arguments.partial_output) +
                             static_cast<std::int64_t>(merge.first_partial) * kVectors + vector;

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
  wait_for_prerequisites();
  allow_dependent_launch();
#endif
  // The four lanes of a quad have the same two rows, and look at a quarter of the parts each.
  const auto exp2 = [](float x) { return exp2_approx(x); };
  constexpr int kHeld = 8;  ///< Parts of a lane that are loaded at once: 32 in all.
  float held[kHeld][2];
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    const int part = lane % 4 + 4 * i;
    held[i][0] = part < parts ? lse[part * kTileRows] : -INFINITY;
    held[i][1] = lower && part < parts ? lse[part * kTileRows + 8] : -INFINITY;
  }
  float largest[2] = {-INFINITY, -INFINITY};
  float total[2] = {0, 0};
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    largest[0] = fmaxf(largest[0], held[i][0]);
    largest[1] = fmaxf(largest[1], held[i][1]);
  }
  for (int part = lane % 4 + 4 * kHeld; part < parts; part += 4) {
    largest[0] = fmaxf(largest[0], lse[part * kTileRows]);
    largest[1] = fmaxf(largest[1], lower ? lse[part * kTileRows + 8] : -INFINITY);
  }
  largest[0] = pipeline::quad_max(largest[0]);
  largest[1] = pipeline::quad_max(largest[1]);
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    if (lane % 4 + 4 * i < parts) {
      total[0] += merge_weight(held[i][0], largest[0], exp2);
      total[1] += merge_weight(held[i][1], largest[1], exp2);
    }
  }
  for (int part = lane % 4 + 4 * kHeld; part < parts; part += 4) {
    total[0] += merge_weight(lse[part * kTileRows], largest[0], exp2);
    total[1] += lower ? merge_weight(lse[part * kTileRows + 8], largest[1], exp2) : 0.0f;
  }
  total[0] = pipeline::quad_sum(total[0]);
  total[1] = pipeline::quad_sum(total[1]);

  float4 sum = make_float4(0, 0, 0, 0);
#pragma unroll 4
  for (int part = share; part < parts; part += teams) {
    const float4 values = sums[static_cast<std::int64_t>(part) * kVectors];
    const float first = merge_weight(lse[part * kTileRows], largest[0], exp2);
    const float second = lower ? merge_weight(lse[part * kTileRows + 8], largest[1], exp2) : 0.0f;
    sum.x += first * values.x;
    sum.y += first * values.y;
    sum.z += second * values.z;
    sum.w += second * values.w;
  }
  if (teams > 1) {
    shared_sums[threadIdx.x] = sum;
    __syncthreads();
    if (share != 0) {
      return;
    }
    for (int other = 1; other < teams; ++other) {
      const float4 more = shared_sums[other * team_threads + mine];
      sum.x += more.x;
      sum.y += more.y;
      sum.z += more.z;
      sum.w += more.w;
    }
  }
  const float result[2][2] = {{sum.x, sum.y}, {sum.z, sum.w}};
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = upper + 8 * half;
    if (row >= rows) {
      continue;
    }
    const std::int64_t head = static_cast<std::int64_t>(merge.request) * arguments.query_heads +
                              merge.kv_head * group + merge.row_block * kTileRows + row;
    const std::int64_t at = head * ValueDim + vector / 128 * 8 + lane % 4 * 2;
    const float factor = 1.0f / total[half];
    const float2 pair = make_float2(result[half][0] * factor, result[half][1] * factor);
    if (arguments.output_float) {
      *reinterpret_cast<float2*>(static_cast<float*>(arguments.output) + at) = pair;
    } else {
      *reinterpret_cast<__nv_bfloat162*>(static_cast<__nv_bfloat16*>(arguments.output) + at) =
          __floats2bfloat162_rn(pair.x, pair.y);
    }
    if (vector / 128 == 0 && lane % 4 == 0) {
      arguments.lse[head] = (largest[half] + log2f(total[half])) * pipeline::kLn2;
    }
  }
}

template <int ValueDim>
void launch(const Arguments& arguments, int merges, int most_partials, bool dependent,
            cudaStream_t stream) {
  // Few parts: one team. Many (a small batch over the whole chip): as many as there are warps.
  const int teams = most_partials <= 4 ? 1 : most_partials <= 16 ? 4 : kThreads / kLeastTeam;
  // An SM has to drain before it divides its memory into cache and shared memory anew, and the
  // attention kernels, before and after this one, take all of it as shared memory.
  prefer_shared_memory(combine_kernel<ValueDim>);
  launch_kernel({.grid = static_cast<unsigned>(merges * (ValueDim / 8 * 128) / kThreads * teams),
                 .block = kThreads,
                 .stream = stream,
                 .dependent = dependent},
                combine_kernel<ValueDim>, arguments, teams);
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
