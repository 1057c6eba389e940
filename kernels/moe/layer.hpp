#pragma once

#include "common/device.hpp"
#include "moe/grouped_gemm.hpp"
#include "moe/routing.hpp"
#include "moe/row_kernels.hpp"
#include "moe/shape.hpp"
#include "moe/weights.hpp"

#include <cstdint>

#include <cuda_bf16.h>
#include <cuda_runtime.h>

/// The whole expert layer on one GPU: sort, permute + quantize, gate_up + SwiGLU + requantize,
/// down, combine. Five launches, no host decision between them.
namespace ridge::kernels::moe {

/// Expert weights in device memory, in the kernels' layout.
struct DeviceWeights {
  int groups = 0;
  RandomWeights source;
  DeviceBuffer<std::uint8_t> gate_up;   ///< [groups][2 intermediate][hidden] E4M3, interleaved.
  DeviceBuffer<std::uint8_t> down;      ///< [groups][hidden][intermediate] E4M3.
  DeviceBuffer<float2> gate_up_scales;  ///< As moe/scale_layout.hpp orders them.
  DeviceBuffer<float2> down_scales;
};

/// Fills `groups` experts with the values of `source`.
DeviceWeights make_device_weights(const RandomWeights& source, int groups, cudaStream_t stream);

/// What a launch reads and writes besides weights. Every buffer belongs to the caller.
struct LayerInputs {
  const __nv_bfloat16* tokens = nullptr;  ///< [tokens][hidden]
  const std::int32_t* experts = nullptr;  ///< [tokens][top_k], global expert numbers.
  const float* router_weights = nullptr;  ///< [tokens][top_k]
};

/// Intermediates of one launch.
struct LayerWorkspace {
  DeviceBuffer<std::int32_t> group_offsets;  ///< [groups + 1]
  DeviceBuffer<std::int32_t> row_of_slot;    ///< [tokens][top_k + shared_experts]
  DeviceBuffer<std::uint8_t> rows;           ///< [row_capacity][hidden] E4M3
  DeviceBuffer<float> row_scales;            ///< [hidden / 128][scale_pitch]
  DeviceBuffer<std::uint8_t> activated;      ///< [row_capacity][intermediate] E4M3
  DeviceBuffer<float> activated_scales;      ///< [intermediate / 128][scale_pitch]
  DeviceBuffer<__nv_bfloat16> expert_rows;   ///< [row_capacity][hidden]

  explicit LayerWorkspace(const LayerShape& shape);
  RowTables tables() const;
  /// Fills everything with 0xff bytes, which are NaN in every format used here.
  void poison();
};

/// One prepared layer; `weights` and `workspace` must outlive it.
class Layer {
 public:
  /// Throws std::invalid_argument for a shape the kernels cannot hold, CudaError from the driver.
  Layer(const LayerShape& shape, const DeviceWeights& weights, LayerWorkspace& workspace,
        int sm_count);

  const GroupedGemm& gate_up() const { return gate_up_; }
  const GroupedGemm& down() const { return down_; }

  /// Writes [tokens][hidden] to `out`. Can be captured into a CUDA graph and replayed for any
  /// routing of the same number of tokens.
  void launch(const LayerInputs& inputs, __nv_bfloat16* out, cudaStream_t stream) const;

  /// The same with the simple grouped GEMMs; `sums` is
  /// [row_capacity][max(2 intermediate, hidden)] float.
  void launch_simple(const LayerInputs& inputs, float* sums, __nv_bfloat16* out,
                     cudaStream_t stream) const;

 private:
  void launch_rows(const LayerInputs& inputs, cudaStream_t stream) const;

  LayerShape shape_;
  LayerWorkspace& workspace_;
  int sm_count_;
  GroupedGemm gate_up_;
  GroupedGemm down_;
};

}  // namespace ridge::kernels::moe
