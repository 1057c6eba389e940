#pragma once

#include "decode_attention/arguments.hpp"
#include "decode_attention/schedule.hpp"
#include "pipeline/online_softmax.cuh"

#include <cstdint>

#include <cuda_bf16.h>

/// How a segment's result leaves the registers of its 128 threads, which hold it as matrix
/// instructions leave a tile of 64 rows: registers 4j .. 4j+3 are two columns of the thread's upper
/// row and the same two of the row 8 below.
namespace ridge::kernels::decode {

/// Two neighboring elements of the output, from `at` on, in either of its formats.
__device__ __forceinline__ void write_float_pair(const Arguments& arguments, std::int64_t at,
                                                 float first, float second) {
  *reinterpret_cast<float2*>(static_cast<float*>(arguments.output) + at) =
      make_float2(first, second);
}
__device__ __forceinline__ void write_bf16_pair(const Arguments& arguments, std::int64_t at,
                                                float first, float second) {
  *reinterpret_cast<__nv_bfloat162*>(static_cast<__nv_bfloat16*>(arguments.output) + at) =
      __floats2bfloat162_rn(first, second);
}

/// The log-sum-exp, in base 2, of a row of a whole result or of a part.
__device__ __forceinline__ void write_row_lse(const Arguments& arguments, const Segment& segment,
                                              int first_head, int row, float lse) {
  if (segment.partial >= 0) {
    arguments.partial_lse[static_cast<std::int64_t>(segment.partial) * kTileRows + row] = lse;
  } else {
    arguments.lse[static_cast<std::int64_t>(segment.request) * arguments.query_heads + first_head +
                  row] = lse * pipeline::kLn2;
  }
}

/// Whole results go to the rows of the output, parts of them as PartLayout says. Writes `Columns`
/// columns from `first_column` on; `factor` is what the sums of either row are to be multiplied by.
template <int ValueDim, int Columns>
__device__ __forceinline__ void write_columns(const Arguments& arguments, const Segment& segment,
                                              int first_head, int rows, const float* sums,
                                              const float (&factor)[2], int first_column) {
  const int thread = static_cast<int>(threadIdx.x) % 128;
  const int upper = pipeline::upper_row();
  if (segment.partial >= 0) {
    if (upper < rows) {
      float4* const to =
          reinterpret_cast<float4*>(arguments.partial_output) +
          (static_cast<std::int64_t>(segment.partial) * (ValueDim / 8) + first_column / 8) * 128 +
          thread;
#pragma unroll
      for (int j = 0; j < Columns / 8; ++j) {
        to[j * 128] = make_float4(sums[4 * j] * factor[0], sums[4 * j + 1] * factor[0],
                                  sums[4 * j + 2] * factor[1], sums[4 * j + 3] * factor[1]);
      }
    }
    return;
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = upper + 8 * half;
    if (row >= rows) {
      continue;
    }
    const std::int64_t at =
        (static_cast<std::int64_t>(segment.request) * arguments.query_heads + first_head + row) *
            ValueDim +
        first_column + thread % 4 * 2;
    if (arguments.output_float) {
      float* const to = static_cast<float*>(arguments.output) + at;
#pragma unroll
      for (int j = 0; j < Columns / 8; ++j) {
        *reinterpret_cast<float2*>(to + j * 8) = make_float2(
            sums[4 * j + 2 * half] * factor[half], sums[4 * j + 2 * half + 1] * factor[half]);
      }
    } else {
      __nv_bfloat16* const to = static_cast<__nv_bfloat16*>(arguments.output) + at;
#pragma unroll
      for (int j = 0; j < Columns / 8; ++j) {
        *reinterpret_cast<__nv_bfloat162*>(to + j * 8) = __floats2bfloat162_rn(
            sums[4 * j + 2 * half] * factor[half], sums[4 * j + 2 * half + 1] * factor[half]);
      }
    }
  }
}

/// The log-sum-exp of the thread's two rows, by one thread of each quad.
__device__ __forceinline__ void write_lse(const Arguments& arguments, const Segment& segment,
                                          int first_head, int rows,
                                          const pipeline::OnlineSoftmax& softmax) {
  if (threadIdx.x % 4 != 0) {
    return;
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = pipeline::upper_row() + 8 * half;
    if (row < rows) {
      write_row_lse(arguments, segment, first_head, row, softmax.lse_log2(half));
    }
  }
}

}  // namespace ridge::kernels::decode
