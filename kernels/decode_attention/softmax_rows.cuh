#pragma once

#include "common/shared_layout.hpp"

#include <cmath>

/// What the attention kernels do with a 64 x N tile of scores in wgmma's accumulator layout: a row
/// lies in the registers of four lanes, of which each holds parts of two rows.
namespace ridge::kernels::decode {

/// Over the four lanes that share a row.
__device__ __forceinline__ float quad_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}
__device__ __forceinline__ float quad_sum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

/// Scores of columns from `valid` on count for nothing, whatever their keys held.
template <int Registers>
__device__ __forceinline__ void mask_scores(float (&score)[Registers], int valid) {
  const int thread = static_cast<int>(threadIdx.x) % 128;
#pragma unroll
  for (int i = 0; i < Registers; ++i) {
    score[i] = wgmma_accumulator_index(thread, i).column < valid ? score[i] : -INFINITY;
  }
}

/// The largest of this thread's upper (`half` 0: registers 4j + {0, 1}) or lower (1: 4j + {2, 3})
/// row.
template <int Registers>
__device__ __forceinline__ float largest_of_row(const float (&score)[Registers], int half) {
  float largest = -INFINITY;
#pragma unroll
  for (int j = 0; j < Registers / 4; ++j) {
    largest = fmaxf(largest, fmaxf(score[4 * j + 2 * half], score[4 * j + 2 * half + 1]));
  }
  return largest;
}

}  // namespace ridge::kernels::decode
