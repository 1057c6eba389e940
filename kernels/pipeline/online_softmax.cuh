#pragma once

#include "common/device_math.cuh"
#include "common/shared_layout.hpp"

#include <cmath>

/// Softmax over scores that come tile by tile, in the layout in which matrix instructions leave
/// them: a row lies in the registers of the four lanes of a quad, and each lane holds parts of two
/// rows, 8 apart; of registers 4j .. 4j+3 the first two belong to the upper row.
namespace ridge::kernels::pipeline {

inline constexpr float kLog2OfE = 1.44269504088896f;
inline constexpr float kLn2 = 0.693147180559945f;

/// Over the four lanes that share a row.
__device__ __forceinline__ float quad_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}
__device__ __forceinline__ float quad_sum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

/// The first of the two rows (the other is 8 below), of a warpgroup's 64, of which this thread
/// holds parts.
__device__ __forceinline__ int upper_row() {
  const int thread = static_cast<int>(threadIdx.x) % 128;
  return thread / 32 * 16 + thread % 32 / 4;
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

/// The state of a thread's two rows, in base 2: the largest score so far, and this thread's share
/// of the denominator (until finish() adds up the quad's).
struct OnlineSoftmax {
  float largest[2] = {-INFINITY, -INFINITY};
  float sum[2] = {0, 0};

  /// Takes in a tile: turns scores into weights relative to the new maximum, and tells by which
  /// factors everything summed so far shrinks. A tile has a valid token in every row, so that the
  /// new maximum is finite and exp2 meets no inf - inf. `scale_log2` is the scores' scale times
  /// log2(e).
  template <int Registers>
  __device__ __forceinline__ void add(float (&score)[Registers], float scale_log2,
                                      float (&shrink)[2]) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float most = -INFINITY;
#pragma unroll
      for (int j = 0; j < Registers / 4; ++j) {
        most = fmaxf(most, fmaxf(score[4 * j + 2 * half], score[4 * j + 2 * half + 1]));
      }
      most = fmaxf(largest[half], quad_max(most) * scale_log2);
      shrink[half] = exp2_approx(largest[half] - most);
      largest[half] = most;
      float weights = 0;
#pragma unroll
      for (int j = 0; j < Registers / 4; ++j) {
        const float first = exp2_approx(fmaf(score[4 * j + 2 * half], scale_log2, -most));
        const float second = exp2_approx(fmaf(score[4 * j + 2 * half + 1], scale_log2, -most));
        score[4 * j + 2 * half] = first;
        score[4 * j + 2 * half + 1] = second;
        weights += first + second;
      }
      sum[half] = sum[half] * shrink[half] + weights;
    }
  }

  /// Takes in that others, who share these rows, have come to the maximum `most`, finite and no
  /// less than this one's; tells by which factors what was summed so far shrinks.
  __device__ __forceinline__ void rise_to(const float (&most)[2], float (&shrink)[2]) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      shrink[half] = exp2_approx(largest[half] - most[half]);
      largest[half] = most[half];
      sum[half] *= shrink[half];
    }
  }

  /// After the last tile: the denominators become whole.
  __device__ __forceinline__ void finish() {
    sum[0] = quad_sum(sum[0]);
    sum[1] = quad_sum(sum[1]);
  }

  /// What a row's summed values are to be multiplied by; zero for a row without a token.
  __device__ __forceinline__ float normalizer(int half) const {
    return sum[half] > 0 ? 1.0f / sum[half] : 0.0f;
  }
  /// log2 of the row's denominator; -infinity for a row without a token.
  __device__ __forceinline__ float lse_log2(int half) const {
    return sum[half] > 0 ? largest[half] + log2f(sum[half]) : -INFINITY;
  }
};

}  // namespace ridge::kernels::pipeline
