#pragma once

#include "moe/grouped_gemm.hpp"

#include <cuda_bf16.h>
#include <cuda_runtime.h>

/// The same mathematics with none of the machinery: one warp per output element, ordinary loads.
/// Kept beside the fast kernels as the check on shapes too large for the CPU reference, and as the
/// baseline of the measurements.
namespace ridge::kernels::moe {

/// out[row_capacity][N] float from the operands of a grouped GEMM (`out` of `operands` is ignored).
/// With `interleaved`, the scale pairs are gate and up. Rows past the last group are left alone.
void launch_simple_grouped_gemm(const GroupedGemmOperands& operands, bool interleaved, float* out,
                                cudaStream_t stream);

/// silu(gate) * up of interleaved sums [row_capacity][2 intermediate], quantized 1 x 128.
void launch_simple_swiglu(const GroupedGemmOperands& operands, const float* sums,
                          std::uint8_t* activated, float* scales, cudaStream_t stream);

/// Rounds [row_capacity][N] float to BF16, rows of the groups only.
void launch_simple_round(const GroupedGemmOperands& operands, const float* sums,
                         __nv_bfloat16* rounded, cudaStream_t stream);

}  // namespace ridge::kernels::moe
