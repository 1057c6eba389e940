#include "common/async_copy.cuh"
#include "common/launch.cuh"
#include "moe/permutation.hpp"
#include "moe/quantize.hpp"
#include "moe/row_kernels.hpp"
#include "moe/scale_layout.hpp"

#include <cuda_fp8.h>

namespace ridge::kernels::moe {
namespace {

constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kSortThreads = 1024;
constexpr int kRowThreads = 256;
constexpr int kValuesPerThread = 8;  // 16 bytes of BF16.

/// Local expert of a pick, or kNotLocal.
__device__ __forceinline__ int local_group(const LayerShape& shape, int expert) {
  return shape.is_local(expert) ? expert - shape.first_expert : kNotLocal;
}

/// Sum over the block, returned to every thread. `partial` has room for one value per warp.
__device__ int block_sum(int value, int* partial) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  value = __reduce_add_sync(kAllLanes, value);
  __syncthreads();
  if (lane == 0) partial[warp] = value;
  __syncthreads();
  return __reduce_add_sync(kAllLanes, lane < kSortThreads / 32 ? partial[lane] : 0);
}

__global__ void __launch_bounds__(kSortThreads)
    sort_rows_kernel(LayerShape shape, const std::int32_t* experts, RowTables tables) {
  __shared__ int partial[kSortThreads / 32];
  wait_for_prerequisites();
  allow_dependent_launch();
  const int group = static_cast<int>(blockIdx.x);
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = thread / 32;
  const int lane = thread % 32;
  const int picks = shape.tokens * shape.top_k;
  const int slots = shape.top_k + shape.shared_experts;

  // The group's first row is the number of picks of the groups before it.
  int before = 0;
  for (int pick = thread; pick < picks; pick += kSortThreads) {
    const int picked = local_group(shape, experts[pick]);
    if (picked != kNotLocal && picked < group) ++before;
  }
  before = block_sum(before, partial);

  if (group >= shape.local_experts) {
    const int shared = group - shape.local_experts;
    const int first_row = before + shared * shape.tokens;
    for (int token = thread; token < shape.tokens; token += kSortThreads)
      tables.row_of_slot[token * slots + shape.top_k + shared] = first_row + token;
    if (thread == 0) {
      tables.group_offsets[group] = first_row;
      if (group + 1 == shape.groups()) tables.group_offsets[group + 1] = first_row + shape.tokens;
    }
    return;
  }

  int next_row = before;
  for (int first = 0; first < picks; first += kSortThreads) {
    const int pick = first + thread;
    const int picked = pick < picks ? local_group(shape, experts[pick]) : kNotLocal;
    const bool mine = pick < picks && picked == group;
    const unsigned lanes = __ballot_sync(kAllLanes, mine);
    __syncthreads();  // The previous round's counts have been read.
    if (lane == 0) partial[warp] = __popc(lanes);
    __syncthreads();
    const int count = partial[lane];
    const int in_warps_below = __reduce_add_sync(kAllLanes, lane < warp ? count : 0);
    const int in_round = __reduce_add_sync(kAllLanes, count);
    if (pick < picks) {
      const int slot = pick / shape.top_k * slots + pick % shape.top_k;
      if (mine)
        tables.row_of_slot[slot] = next_row + in_warps_below + __popc(lanes & ((1u << lane) - 1u));
      else if (picked == kNotLocal && group == 0)
        tables.row_of_slot[slot] = kNotLocal;
    }
    next_row += in_round;
  }
  if (thread == 0) {
    tables.group_offsets[group] = before;
    if (group + 1 == shape.groups()) tables.group_offsets[group + 1] = next_row;
  }
}

__global__ void __launch_bounds__(kRowThreads)
    quantize_rows_kernel(LayerShape shape, const __nv_bfloat16* tokens, RowTables tables,
                         std::uint8_t* rows, float* scales) {
  constexpr int kThreadsPerBlock = kScaleBlock / kValuesPerThread;
  wait_for_prerequisites();
  allow_dependent_launch();
  const int token = static_cast<int>(blockIdx.x);
  const int slots = shape.top_k + shape.shared_experts;
  const std::int32_t* const token_rows =
      tables.row_of_slot + static_cast<std::size_t>(token) * slots;
  const int pitch = scale_pitch(shape.row_capacity());
  const int in_block = static_cast<int>(threadIdx.x) % kThreadsPerBlock;
  // The trip count is the same for all lanes of a half-warp, which shuffle among themselves.
  const unsigned lanes = 0xffffu << (threadIdx.x % 32 / kThreadsPerBlock * kThreadsPerBlock);
  for (int block = static_cast<int>(threadIdx.x) / kThreadsPerBlock;
       block < shape.hidden / kScaleBlock; block += kRowThreads / kThreadsPerBlock) {
    const int column = block * kScaleBlock + in_block * kValuesPerThread;
    const uint4 packed = *reinterpret_cast<const uint4*>(
        tokens + static_cast<std::size_t>(token) * shape.hidden + column);
    const auto* const pairs = reinterpret_cast<const __nv_bfloat162*>(&packed);
    float values[kValuesPerThread];
    float maximum = 0.0f;
#pragma unroll
    for (int i = 0; i < kValuesPerThread / 2; ++i) {
      const float2 pair = __bfloat1622float2(pairs[i]);
      values[2 * i] = pair.x;
      values[2 * i + 1] = pair.y;
      maximum = fmaxf(maximum, fmaxf(fabsf(pair.x), fabsf(pair.y)));
    }
#pragma unroll
    for (int distance = kThreadsPerBlock / 2; distance > 0; distance /= 2)
      maximum = fmaxf(maximum, __shfl_xor_sync(lanes, maximum, distance));
    const float scale = block_scale(maximum);
    const float inverse = 1.0f / scale;
    uint2 quantized;
    auto* const out_pairs = reinterpret_cast<__nv_fp8x2_storage_t*>(&quantized);
#pragma unroll
    for (int i = 0; i < kValuesPerThread / 2; ++i)
      out_pairs[i] = __nv_cvt_float2_to_fp8x2(
          {values[2 * i] * inverse, values[2 * i + 1] * inverse}, __NV_SATFINITE, __NV_E4M3);
    for (int slot = 0; slot < slots; ++slot) {
      const int row = token_rows[slot];
      if (row == kNotLocal) continue;
      *reinterpret_cast<uint2*>(rows + static_cast<std::size_t>(row) * shape.hidden + column) =
          quantized;
      if (in_block == 0) scales[static_cast<std::size_t>(block) * pitch + row] = scale;
    }
  }
}

__global__ void __launch_bounds__(kRowThreads)
    combine_rows_kernel(LayerShape shape, const __nv_bfloat16* expert_rows, RowTables tables,
                        const float* weights, __nv_bfloat16* out) {
  wait_for_prerequisites();
  allow_dependent_launch();
  const int token = static_cast<int>(blockIdx.x);
  const int column = (static_cast<int>(blockIdx.y) * kRowThreads + static_cast<int>(threadIdx.x)) *
                     kValuesPerThread;
  if (column >= shape.hidden) return;
  const int slots = shape.top_k + shape.shared_experts;
  float sums[kValuesPerThread] = {};
  for (int slot = 0; slot < slots; ++slot) {
    const int row = tables.row_of_slot[static_cast<std::size_t>(token) * slots + slot];
    if (row == kNotLocal) continue;
    const float weight =
        slot < shape.top_k ? weights[static_cast<std::size_t>(token) * shape.top_k + slot] : 1.0f;
    const uint4 packed = *reinterpret_cast<const uint4*>(
        expert_rows + static_cast<std::size_t>(row) * shape.hidden + column);
    const auto* const pairs = reinterpret_cast<const __nv_bfloat162*>(&packed);
#pragma unroll
    for (int i = 0; i < kValuesPerThread / 2; ++i) {
      const float2 pair = __bfloat1622float2(pairs[i]);
      sums[2 * i] = fmaf(weight, pair.x, sums[2 * i]);
      sums[2 * i + 1] = fmaf(weight, pair.y, sums[2 * i + 1]);
    }
  }
  uint4 packed;
  auto* const pairs = reinterpret_cast<__nv_bfloat162*>(&packed);
#pragma unroll
  for (int i = 0; i < kValuesPerThread / 2; ++i)
    pairs[i] = __floats2bfloat162_rn(sums[2 * i], sums[2 * i + 1]);
  *reinterpret_cast<uint4*>(out + static_cast<std::size_t>(token) * shape.hidden + column) = packed;
}

LaunchShape dependent(dim3 grid, unsigned threads, cudaStream_t stream) {
  return {.grid = grid, .block = threads, .stream = stream, .dependent = true};
}

}  // namespace

void launch_sort_rows(const LayerShape& shape, const std::int32_t* experts, const RowTables& tables,
                      cudaStream_t stream) {
  launch_kernel(dependent(static_cast<unsigned>(shape.groups()), kSortThreads, stream),
                sort_rows_kernel, shape, experts, tables);
}

void launch_quantize_rows(const LayerShape& shape, const __nv_bfloat16* tokens,
                          const RowTables& tables, std::uint8_t* rows, float* scales,
                          cudaStream_t stream) {
  if (shape.tokens == 0) return;
  launch_kernel(dependent(static_cast<unsigned>(shape.tokens), kRowThreads, stream),
                quantize_rows_kernel, shape, tokens, tables, rows, scales);
}

void launch_combine_rows(const LayerShape& shape, const __nv_bfloat16* expert_rows,
                         const RowTables& tables, const float* weights, __nv_bfloat16* out,
                         cudaStream_t stream) {
  if (shape.tokens == 0) return;
  const dim3 grid(static_cast<unsigned>(shape.tokens),
                  static_cast<unsigned>(ceil_div(shape.hidden, kRowThreads * kValuesPerThread)));
  launch_kernel(dependent(grid, kRowThreads, stream), combine_rows_kernel, shape, expert_rows,
                tables, weights, out);
}

}  // namespace ridge::kernels::moe
