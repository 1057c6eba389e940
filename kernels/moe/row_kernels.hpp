#pragma once

#include "moe/shape.hpp"

#include <cstdint>

#include <cuda_bf16.h>
#include <cuda_runtime.h>

/// The memory-moving kernels around the two grouped GEMMs. All are deterministic, allocate nothing,
/// and are programmatic dependents of the kernel before them in the stream.
namespace ridge::kernels::moe {

/// Device pointers of the layer's row bookkeeping; slots as in moe/permutation.hpp.
struct RowTables {
  std::int32_t* group_offsets = nullptr;  ///< [groups + 1]
  std::int32_t* row_of_slot = nullptr;    ///< [tokens][top_k + shared_experts], or kNotLocal
};

/// Sorts the router's picks (`experts`: [tokens][top_k]) by local expert, stably. One thread block
/// per group counts the picks of lower groups itself, so that no block waits for another. Picks
/// outside this GPU's experts, and expert numbers that do not exist, become kNotLocal.
void launch_sort_rows(const LayerShape& shape, const std::int32_t* experts, const RowTables& tables,
                      cudaStream_t stream);

/// Quantizes each token once, 1 x 128, and writes it to every row it owns.
/// `rows` is [row_capacity][hidden] E4M3, `scales` [hidden / 128][scale_pitch(row_capacity)].
void launch_quantize_rows(const LayerShape& shape, const __nv_bfloat16* tokens,
                          const RowTables& tables, std::uint8_t* rows, float* scales,
                          cudaStream_t stream);

/// out[t] = sum over slots of weight x expert_rows[row of slot], in slot order, in float; shared
/// experts have weight 1. `expert_rows` is [row_capacity][hidden], `out` [tokens][hidden].
void launch_combine_rows(const LayerShape& shape, const __nv_bfloat16* expert_rows,
                         const RowTables& tables, const float* weights, __nv_bfloat16* out,
                         cudaStream_t stream);

}  // namespace ridge::kernels::moe
