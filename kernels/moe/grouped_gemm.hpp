#pragma once

#include "moe/epilogue.hpp"

#include <cstdint>

#include <cuda.h>
#include <cuda_runtime.h>

/// Grouped FP8 matrix multiply for Hopper: for every group g and its rows r,
///   out[r][n] = sum over K blocks b of  xs[b][r] ws[g][n / 128][b]  sum over k in b  x[r][k]
///   w[g][n][k]
/// with E4M3 operands, the inner sum in the matrix unit and the outer one in float registers.
/// Group offsets are read on the device. The plan of a tile is in moe/schedule.hpp.
namespace ridge::kernels::moe {

/// Device pointers of one grouped GEMM. Matrices are row-major and 16-byte aligned.
struct GroupedGemmOperands {
  int groups = 0;
  int weight_rows = 0;       ///< N: per group; a multiple of 128. For kSwiglu 2 x intermediate.
  int depth = 0;             ///< K; a multiple of 128.
  int row_capacity = 0;      ///< Rows that `tokens` and `out` have room for.
  double balanced_rows = 0;  ///< In all groups, if routing is balanced.

  const std::int32_t* group_offsets = nullptr;  ///< [groups + 1], non-decreasing, <= row_capacity.
  const std::uint8_t* tokens = nullptr;         ///< [row_capacity][K] E4M3.
  const float* token_scales = nullptr;          ///< [K / 128][scale_pitch(row_capacity)].
  const std::uint8_t* weights = nullptr;        ///< [groups][N][K] E4M3.
  const float2* weight_scales = nullptr;        ///< As `pack_weight_scales` lays them out.

  void* out = nullptr;          ///< [row_capacity][N], or [row_capacity][N / 2] E4M3 for kSwiglu.
  float* out_scales = nullptr;  ///< kSwiglu only: [N / 256][scale_pitch(row_capacity)].
};

/// A launch made ready on the host: tensor maps encoded once, valid as long as the buffers are.
struct GroupedGemm {
  CUtensorMap weights;
  CUtensorMap tokens_by_64;
  CUtensorMap tokens_by_16;
  GroupedGemmOperands operands;
  Epilogue epilogue = Epilogue::kFloat;
};

/// Throws CudaError when the driver refuses a tensor map, std::invalid_argument for a bad shape.
GroupedGemm make_grouped_gemm(const GroupedGemmOperands& operands, Epilogue epilogue);

/// Enqueues it on `sm_count` persistent thread blocks, as a programmatic dependent of the kernel
/// before it in `stream`. Allocates nothing and may be captured into a graph.
void launch(const GroupedGemm& gemm, int sm_count, cudaStream_t stream);

}  // namespace ridge::kernels::moe
