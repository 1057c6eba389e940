#include "common/async_copy.cuh"
#include "common/device_math.cuh"
#include "common/launch.cuh"
#include "decode_attention/arguments.hpp"
#include "decode_attention/part_layout.hpp"
#include "decode_attention/result.cuh"
#include "decode_attention/tile_plan.hpp"
#include "pipeline/online_softmax.cuh"

namespace ridge::kernels::decode {
namespace {

constexpr int kThreads = 512;
constexpr int kLeastTeam = 32;  ///< Threads of a team, at least: a warp.

/// A reduction over the lanes that hold the same rows.
template <typename Layout, typename Reduce>
__device__ __forceinline__ float over_sharers(float x, Reduce reduce) {
#pragma unroll
  for (int apart = Layout::kSharersApart; apart < Layout::kSharersApart * Layout::kSharers;
       apart *= 2) {
    x = reduce(x, __shfl_xor_sync(0xffffffffu, x, apart));
  }
  return x;
}

/// Merges the parts of split results: a thread here takes the place of one that summed, for two
/// columns of two rows (PartLayout). `teams` share the parts and then add up their sums in the
/// teams' order, so that the result does not depend on timing. Latency is all there is to it: every
/// load of a team is independent of the others.
template <int ValueDim, bool Transposed>
__global__ void __launch_bounds__(kThreads)
    combine_kernel(const __grid_constant__ Arguments arguments, int teams) {
  using Layout = PartLayout<ValueDim, Transposed>;
  constexpr int kVectors = Layout::kVectors;
  constexpr int kRowsApart = Layout::kRowsApart;
  __shared__ float4 shared_sums[kThreads];
  const int team_threads = kThreads / teams;
  const int share = static_cast<int>(threadIdx.x) / team_threads;
  const int mine = static_cast<int>(threadIdx.x) % team_threads;
  const int index = static_cast<int>(blockIdx.x) * team_threads + mine;
  const Merge merge = arguments.merges[index / kVectors];
  const int vector = index % kVectors;
  const int sharer = Layout::sharer(vector % 32);
  const int upper = Layout::row(vector);
  const int group = arguments.query_heads / arguments.kv_heads;
  const int rows = min(kTileRows, group - merge.row_block * kTileRows);
  const int parts = upper < rows ? merge.partials : 0;
  const bool lower = upper + kRowsApart < rows;  ///< Else nobody wrote the log-sum-exp of its row.
  const float* const lse =
      arguments.partial_lse + static_cast<std::int64_t>(merge.first_partial) * kTileRows + upper;
  const float4* const sums = reinterpret_cast<const float4*>(arguments.partial_output) +
                             static_cast<std::int64_t>(merge.first_partial) * kVectors + vector;

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
  wait_for_prerequisites();
  allow_dependent_launch();
#endif
  // The lanes that have the same two rows share the parts.
  const auto exp2 = [](float x) { return exp2_approx(x); };
  const auto larger = [](float a, float b) { return fmaxf(a, b); };
  const auto add = [](float a, float b) { return a + b; };
  constexpr int kHeld = 32 / Layout::kSharers;  ///< Parts of a lane loaded at once: 32 in all.
  float held[kHeld][2];
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    const int part = sharer + Layout::kSharers * i;
    held[i][0] = part < parts ? lse[part * kTileRows] : -INFINITY;
    held[i][1] = lower && part < parts ? lse[part * kTileRows + kRowsApart] : -INFINITY;
  }
  float largest[2] = {-INFINITY, -INFINITY};
  float total[2] = {0, 0};
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    largest[0] = fmaxf(largest[0], held[i][0]);
    largest[1] = fmaxf(largest[1], held[i][1]);
  }
  for (int part = sharer + Layout::kSharers * kHeld; part < parts; part += Layout::kSharers) {
    largest[0] = fmaxf(largest[0], lse[part * kTileRows]);
    largest[1] = fmaxf(largest[1], lower ? lse[part * kTileRows + kRowsApart] : -INFINITY);
  }
  largest[0] = over_sharers<Layout>(largest[0], larger);
  largest[1] = over_sharers<Layout>(largest[1], larger);
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    if (sharer + Layout::kSharers * i < parts) {
      total[0] += merge_weight(held[i][0], largest[0], exp2);
      total[1] += merge_weight(held[i][1], largest[1], exp2);
    }
  }
  for (int part = sharer + Layout::kSharers * kHeld; part < parts; part += Layout::kSharers) {
    total[0] += merge_weight(lse[part * kTileRows], largest[0], exp2);
    total[1] += lower ? merge_weight(lse[part * kTileRows + kRowsApart], largest[1], exp2) : 0.0f;
  }
  total[0] = over_sharers<Layout>(total[0], add);
  total[1] = over_sharers<Layout>(total[1], add);

  float4 sum = make_float4(0, 0, 0, 0);
#pragma unroll 4
  for (int part = share; part < parts; part += teams) {
    const float4 values = sums[static_cast<std::int64_t>(part) * kVectors];
    const float first = merge_weight(lse[part * kTileRows], largest[0], exp2);
    const float second =
        lower ? merge_weight(lse[part * kTileRows + kRowsApart], largest[1], exp2) : 0.0f;
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
    const int row = upper + kRowsApart * half;
    if (row >= rows) {
      continue;
    }
    const std::int64_t head = static_cast<std::int64_t>(merge.request) * arguments.query_heads +
                              merge.kv_head * group + merge.row_block * kTileRows + row;
    const std::int64_t at = head * ValueDim + Layout::column(vector);
    const float factor = 1.0f / total[half];
    const float2 pair = make_float2(result[half][0] * factor, result[half][1] * factor);
    if (arguments.output_float) {
      write_float_pair(arguments, at, pair.x, pair.y);
    } else {
      write_bf16_pair(arguments, at, pair.x, pair.y);
    }
    if (Layout::column(vector) == 0) {
      arguments.lse[head] = (largest[half] + log2f(total[half])) * pipeline::kLn2;
    }
  }
}

template <int ValueDim, bool Transposed = false>
void launch(const Arguments& arguments, int merges, int most_partials, bool dependent,
            cudaStream_t stream) {
  const auto kernel = combine_kernel<ValueDim, Transposed>;
  // Few parts: one team. Many (a small batch over the whole chip): as many as there are warps.
  const int teams = most_partials <= 4 ? 1 : most_partials <= 16 ? 4 : kThreads / kLeastTeam;
  // An SM has to drain before it divides its memory into cache and shared memory anew, and the
  // attention kernels, before and after this one, take all of it as shared memory.
  prefer_shared_memory(kernel);
  launch_kernel({.grid = static_cast<unsigned>(merges * PartLayout<ValueDim, Transposed>::kVectors /
                                               kThreads * teams),
                 .block = kThreads,
                 .stream = stream,
                 .dependent = dependent},
                kernel, arguments, teams);
}

}  // namespace

void launch_combine(int value_dim, const Arguments& arguments, int merges, int most_partials,
                    bool dependent, bool transposed, cudaStream_t stream) {
  switch (value_dim) {
    case 64:
      return launch<64>(arguments, merges, most_partials, dependent, stream);
    case 128:
      return transposed ? launch<128, true>(arguments, merges, most_partials, dependent, stream)
                        : launch<128>(arguments, merges, most_partials, dependent, stream);
    case 256:
      return transposed ? launch<256, true>(arguments, merges, most_partials, dependent, stream)
                        : launch<256>(arguments, merges, most_partials, dependent, stream);
    case kLatentRank:
      return launch<kLatentRank>(arguments, merges, most_partials, dependent, stream);
    default:
      throw CudaError("decode attention: no combine kernel for value_dim " +
                      std::to_string(value_dim));
  }
}

}  // namespace ridge::kernels::decode
