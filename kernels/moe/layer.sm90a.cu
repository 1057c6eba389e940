#include "common/launch.cuh"
#include "moe/layer.hpp"
#include "moe/scale_layout.hpp"
#include "moe/simple.hpp"

#include <algorithm>
#include <stdexcept>

namespace ridge::kernels::moe {
namespace {

constexpr int kFillThreads = 256;
constexpr int kFillBytes = 16;

enum class Matrix { kGateUp, kDown };

/// Each thread writes 16 consecutive K of one row.
template <Matrix kMatrix>
__global__ void fill_weights_kernel(DeviceLayout layout, int rows, int depth, std::uint8_t* out) {
  const int group = static_cast<int>(blockIdx.z);
  const int row = static_cast<int>(blockIdx.x);
  const int k =
      (static_cast<int>(blockIdx.y) * kFillThreads + static_cast<int>(threadIdx.x)) * kFillBytes;
  if (k >= depth) return;
  alignas(16) std::uint8_t bytes[kFillBytes];
#pragma unroll
  for (int i = 0; i < kFillBytes; ++i) {
    if constexpr (kMatrix == Matrix::kGateUp)
      bytes[i] = layout.gate_up(group, row, k + i).bits;
    else
      bytes[i] = layout.down(group, row, k + i).bits;
  }
  *reinterpret_cast<uint4*>(out + (static_cast<std::size_t>(group) * rows + row) * depth + k) =
      *reinterpret_cast<const uint4*>(bytes);
}

template <Matrix kMatrix>
__global__ void fill_scales_kernel(DeviceLayout layout, int rows, int depth, float2* out) {
  const int group = static_cast<int>(blockIdx.z);
  const int weight_block = static_cast<int>(blockIdx.x);
  for (int k_block = static_cast<int>(threadIdx.x); k_block < depth / kScaleBlock;
       k_block += kFillThreads) {
    const DeviceLayout::ScalePair pair = kMatrix == Matrix::kGateUp
                                             ? layout.gate_up_scales(group, weight_block, k_block)
                                             : layout.down_scales(group, weight_block, k_block);
    out[weight_scale_index(rows, depth, group, weight_block, k_block)] = {pair.first, pair.second};
  }
}

template <Matrix kMatrix>
void fill(const DeviceLayout& layout, int groups, int rows, int depth,
          DeviceBuffer<std::uint8_t>& values, DeviceBuffer<float2>& scales, cudaStream_t stream) {
  values = DeviceBuffer<std::uint8_t>(static_cast<std::size_t>(groups) * rows * depth);
  scales = DeviceBuffer<float2>(weight_scale_index(rows, depth, groups, 0, 0));
  const auto z = static_cast<unsigned>(groups);
  const dim3 value_grid(static_cast<unsigned>(rows),
                        static_cast<unsigned>(ceil_div(depth, kFillThreads * kFillBytes)), z);
  launch_kernel({.grid = value_grid, .block = kFillThreads, .stream = stream},
                fill_weights_kernel<kMatrix>, layout, rows, depth, values.data());
  const dim3 scale_grid(static_cast<unsigned>(weight_blocks(rows)), 1, z);
  launch_kernel({.grid = scale_grid, .block = kFillThreads, .stream = stream},
                fill_scales_kernel<kMatrix>, layout, rows, depth, scales.data());
}

std::size_t elements(int rows, int columns) {
  return static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
}

/// Device pointers must not be null for the tensor maps, even when no token comes.
int at_least_one_row(const LayerShape& shape) {
  return std::max(1, shape.row_capacity());
}

std::size_t scale_elements(const LayerShape& shape, int columns) {
  return elements(columns / kScaleBlock, scale_pitch(shape.row_capacity()));
}

const LayerShape& checked(const LayerShape& shape, const DeviceWeights& weights) {
  if (const char* problem = problem_with(shape)) throw std::invalid_argument(problem);
  if (weights.groups != shape.groups() || weights.source.hidden != shape.hidden ||
      weights.source.intermediate != shape.intermediate)
    throw std::invalid_argument("the weights are of another layer shape");
  return shape;
}

}  // namespace

DeviceWeights make_device_weights(const RandomWeights& source, int groups, cudaStream_t stream) {
  DeviceWeights weights;
  weights.groups = groups;
  weights.source = source;
  fill<Matrix::kGateUp>({source}, groups, 2 * source.intermediate, source.hidden, weights.gate_up,
                        weights.gate_up_scales, stream);
  fill<Matrix::kDown>({source}, groups, source.hidden, source.intermediate, weights.down,
                      weights.down_scales, stream);
  return weights;
}

LayerWorkspace::LayerWorkspace(const LayerShape& shape)
    : group_offsets(static_cast<std::size_t>(shape.groups()) + 1),
      row_of_slot(elements(shape.tokens, shape.top_k + shape.shared_experts)),
      rows(elements(at_least_one_row(shape), shape.hidden)),
      row_scales(scale_elements(shape, shape.hidden)),
      activated(elements(at_least_one_row(shape), shape.intermediate)),
      activated_scales(scale_elements(shape, shape.intermediate)),
      expert_rows(elements(at_least_one_row(shape), shape.hidden)) {}

RowTables LayerWorkspace::tables() const {
  return {group_offsets.data(), row_of_slot.data()};
}

void LayerWorkspace::poison() {
  constexpr int kNanBytes = 0xff;
  group_offsets.fill_bytes(kNanBytes);
  row_of_slot.fill_bytes(kNanBytes);
  rows.fill_bytes(kNanBytes);
  row_scales.fill_bytes(kNanBytes);
  activated.fill_bytes(kNanBytes);
  activated_scales.fill_bytes(kNanBytes);
  expert_rows.fill_bytes(kNanBytes);
}

Layer::Layer(const LayerShape& shape, const DeviceWeights& weights, LayerWorkspace& workspace,
             int sm_count)
    : shape_(checked(shape, weights)),
      workspace_(workspace),
      sm_count_(sm_count),
      gate_up_(make_grouped_gemm({.groups = shape.groups(),
                                  .weight_rows = 2 * shape.intermediate,
                                  .depth = shape.hidden,
                                  .row_capacity = shape.row_capacity(),
                                  .balanced_rows = shape.balanced_rows(),
                                  .group_offsets = workspace.group_offsets.data(),
                                  .tokens = workspace.rows.data(),
                                  .token_scales = workspace.row_scales.data(),
                                  .weights = weights.gate_up.data(),
                                  .weight_scales = weights.gate_up_scales.data(),
                                  .out = workspace.activated.data(),
                                  .out_scales = workspace.activated_scales.data()},
                                 Epilogue::kSwiglu)),
      down_(make_grouped_gemm({.groups = shape.groups(),
                               .weight_rows = shape.hidden,
                               .depth = shape.intermediate,
                               .row_capacity = shape.row_capacity(),
                               .balanced_rows = shape.balanced_rows(),
                               .group_offsets = workspace.group_offsets.data(),
                               .tokens = workspace.activated.data(),
                               .token_scales = workspace.activated_scales.data(),
                               .weights = weights.down.data(),
                               .weight_scales = weights.down_scales.data(),
                               .out = workspace.expert_rows.data()},
                              Epilogue::kBf16)) {}

void Layer::launch_rows(const LayerInputs& inputs, cudaStream_t stream) const {
  launch_sort_rows(shape_, inputs.experts, workspace_.tables(), stream);
  launch_quantize_rows(shape_, inputs.tokens, workspace_.tables(), workspace_.rows.data(),
                       workspace_.row_scales.data(), stream);
}

void Layer::launch(const LayerInputs& inputs, __nv_bfloat16* out, cudaStream_t stream) const {
  launch_rows(inputs, stream);
  moe::launch(gate_up_, sm_count_, stream);
  moe::launch(down_, sm_count_, stream);
  launch_combine_rows(shape_, workspace_.expert_rows.data(), workspace_.tables(),
                      inputs.router_weights, out, stream);
}

void Layer::launch_simple(const LayerInputs& inputs, float* sums, __nv_bfloat16* out,
                          cudaStream_t stream) const {
  launch_rows(inputs, stream);
  launch_simple_grouped_gemm(gate_up_.operands, true, sums, stream);
  launch_simple_swiglu(gate_up_.operands, sums, workspace_.activated.data(),
                       workspace_.activated_scales.data(), stream);
  launch_simple_grouped_gemm(down_.operands, false, sums, stream);
  launch_simple_round(down_.operands, sums, workspace_.expert_rows.data(), stream);
  launch_combine_rows(shape_, workspace_.expert_rows.data(), workspace_.tables(),
                      inputs.router_weights, out, stream);
}

}  // namespace ridge::kernels::moe
