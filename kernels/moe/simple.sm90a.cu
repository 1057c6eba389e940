#include "common/launch.cuh"
#include "moe/fragments.hpp"
#include "moe/quantize.hpp"
#include "moe/scale_layout.hpp"
#include "moe/simple.hpp"

namespace ridge::kernels::moe {
namespace {

constexpr int kWarps = 8;

__device__ int group_of_row(const GroupedGemmOperands& operands, int row) {
  int group = 0;
  while (group < operands.groups && operands.group_offsets[group + 1] <= row) ++group;
  return group;
}

__device__ bool row_exists(const GroupedGemmOperands& operands, int row) {
  return row < operands.group_offsets[operands.groups];
}

__device__ float sum_of_warp(float value) {
  for (int distance = 16; distance > 0; distance /= 2)
    value += __shfl_xor_sync(0xffffffffu, value, distance);
  return value;
}

__device__ float maximum_of_warp(float value) {
  for (int distance = 16; distance > 0; distance /= 2)
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, distance));
  return value;
}

__global__ void simple_grouped_gemm_kernel(GroupedGemmOperands operands, bool interleaved,
                                           float* out) {
  const int row = static_cast<int>(blockIdx.x);
  const int n = static_cast<int>(blockIdx.y * kWarps + threadIdx.x / 32);
  const int lane = static_cast<int>(threadIdx.x % 32);
  if (n >= operands.weight_rows || !row_exists(operands, row)) return;
  const int group = group_of_row(operands, row);
  const std::uint8_t* const x = operands.tokens + static_cast<std::size_t>(row) * operands.depth;
  const std::uint8_t* const w =
      operands.weights +
      (static_cast<std::size_t>(group) * operands.weight_rows + n) * operands.depth;
  float sum = 0.0f;
  for (int block = 0; block < operands.depth / kScaleBlock; ++block) {
    float products = 0.0f;
    for (int k = block * kScaleBlock + lane; k < (block + 1) * kScaleBlock; k += 32)
      products += to_float(E4m3{x[k]}) * to_float(E4m3{w[k]});
    products = sum_of_warp(products);
    const float2 pair = operands.weight_scales[weight_scale_index(
        operands.weight_rows, operands.depth, group, n / kTileWeights, block)];
    const bool second = interleaved ? is_up(n) : n % kTileWeights >= kScaleBlock;
    sum +=
        products * (second ? pair.y : pair.x) *
        operands.token_scales[static_cast<std::size_t>(block) * scale_pitch(operands.row_capacity) +
                              row];
  }
  if (lane == 0) out[static_cast<std::size_t>(row) * operands.weight_rows + n] = sum;
}

__global__ void simple_swiglu_kernel(GroupedGemmOperands operands, const float* sums,
                                     std::uint8_t* activated, float* scales) {
  const int row = static_cast<int>(blockIdx.x);
  const int block = static_cast<int>(blockIdx.y);
  const int lane = static_cast<int>(threadIdx.x);
  if (!row_exists(operands, row)) return;
  const int columns = operands.weight_rows / 2;
  const float* const row_sums = sums + static_cast<std::size_t>(row) * operands.weight_rows;
  float values[kScaleBlock / 32];
  float maximum = 0.0f;
  for (int i = 0; i < kScaleBlock / 32; ++i) {
    const int column = block * kScaleBlock + i * 32 + lane;
    const float gate = row_sums[interleaved_row(column, false)];
    const float up = row_sums[interleaved_row(column, true)];
    values[i] = gate / (1.0f + expf(-gate)) * up;
    maximum = fmaxf(maximum, fabsf(values[i]));
  }
  const float scale = block_scale(maximum_of_warp(maximum));
  const float inverse = 1.0f / scale;
  for (int i = 0; i < kScaleBlock / 32; ++i)
    activated[static_cast<std::size_t>(row) * columns + block * kScaleBlock + i * 32 + lane] =
        to_e4m3(values[i] * inverse).bits;
  if (lane == 0)
    scales[static_cast<std::size_t>(block) * scale_pitch(operands.row_capacity) + row] = scale;
}

__global__ void simple_round_kernel(GroupedGemmOperands operands, const float* sums,
                                    __nv_bfloat16* rounded) {
  const int row = static_cast<int>(blockIdx.x);
  const int n = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x);
  if (n >= operands.weight_rows || !row_exists(operands, row)) return;
  const std::size_t at = static_cast<std::size_t>(row) * operands.weight_rows + n;
  rounded[at] = __float2bfloat16_rn(sums[at]);
}

// Rows take the x dimension: there can be more of them than the 65,535 that y allows.
dim3 grid_of(int rows, int columns) {
  return {static_cast<unsigned>(rows), static_cast<unsigned>(columns)};
}

}  // namespace

void launch_simple_grouped_gemm(const GroupedGemmOperands& operands, bool interleaved, float* out,
                                cudaStream_t stream) {
  if (operands.row_capacity == 0) return;
  launch_kernel({.grid = grid_of(operands.row_capacity, ceil_div(operands.weight_rows, kWarps)),
                 .block = kWarps * 32,
                 .stream = stream},
                simple_grouped_gemm_kernel, operands, interleaved, out);
}

void launch_simple_swiglu(const GroupedGemmOperands& operands, const float* sums,
                          std::uint8_t* activated, float* scales, cudaStream_t stream) {
  if (operands.row_capacity == 0) return;
  launch_kernel({.grid = grid_of(operands.row_capacity, operands.weight_rows / 2 / kScaleBlock),
                 .block = 32,
                 .stream = stream},
                simple_swiglu_kernel, operands, sums, activated, scales);
}

void launch_simple_round(const GroupedGemmOperands& operands, const float* sums,
                         __nv_bfloat16* rounded, cudaStream_t stream) {
  if (operands.row_capacity == 0) return;
  launch_kernel({.grid = grid_of(operands.row_capacity, ceil_div(operands.weight_rows, 256)),
                 .block = 256,
                 .stream = stream},
                simple_round_kernel, operands, sums, rounded);
}

}  // namespace ridge::kernels::moe
