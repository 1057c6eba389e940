#include "common/async_copy.cuh"
#include "common/cluster.cuh"
#include "common/dynamic_shared.cuh"
#include "common/launch.cuh"
#include "common/shared_layout.hpp"
#include "common/tensor_map.hpp"
#include "common/wgmma.cuh"
#include "moe/fragments.hpp"
#include "moe/grouped_gemm.hpp"
#include "moe/quantize.hpp"
#include "moe/scale_layout.hpp"
#include "moe/schedule.hpp"
#include "pipeline/slots.cuh"

#include <stdexcept>

#include <cuda_bf16.h>
#include <cuda_fp8.h>

namespace ridge::kernels::moe {
namespace {

constexpr int kStages = 4;
constexpr int kConsumerGroups = 2;
constexpr int kConsumerWarps = kConsumerGroups * 4;
constexpr int kThreads = 128 * (1 + kConsumerGroups);
constexpr int kConsumerBarrier = 1;
// 40 x 128 + 232 x 256 = 64,512 of the 65,536 registers of a multiprocessor.
constexpr int kProducerRegisters = 40;
constexpr int kConsumerRegisters = 232;

constexpr int kWgmmaDepth = 32;

constexpr int kWeightsBox = kTileWeights / kPair;  // Weight rows of a copy.
constexpr std::uint16_t kBothRanks = 0b11;

// A warp stages 16 rows of 128 bytes for 16-byte stores; the 16 bytes of padding spread the rows
// over all banks.
constexpr int kStagedRows = 16;
constexpr int kStagedBytes = 128;
constexpr int kStagedPitch = kStagedBytes + 16;

struct Stage {
  std::uint8_t weights[kTileWeights * kScaleBlock];
  std::uint8_t tokens[kTileTokens * kScaleBlock];
};

struct Shared {
  Stage stages[kStages];
  float token_scales[kStages][scale_copy_floats(kTileTokens)];
  std::uint8_t staged[kConsumerWarps][kStagedRows * kStagedPitch];
  // Two sets in turn: the barrier between writing and reading one set also separates the readers
  // of the other set from its next writers.
  float column_maxima[2][kConsumerWarps][kSwapTokens];
  std::uint64_t full[kStages];
  std::uint64_t empty[kStages];
  std::int32_t group_offsets[kMaxGroups + 1];
};
static_assert(sizeof(Stage) % kSwizzleAtomBytes == 0, "stages must keep the swizzle's alignment");
static_assert(sizeof(float[scale_copy_floats(kTileTokens)]) % 16 == 0, "bulk copy destinations");
static_assert(sizeof(Shared) <= 232448, "more shared memory than a Hopper thread block can have");

/// What the matrix warps carry from tile to tile.
template <int Cluster>
struct Consumer {
  Shared& shared;
  const GroupedGemmOperands& operands;
  int warpgroup;
  int thread;  // Within the warpgroup.
  pipeline::Slots<> slots;
  pipeline::RingCursor<kStages> ring{};
  int maxima_set = 0;

  __device__ int warp() const { return warpgroup * 4 + thread / 32; }
  __device__ int lane() const { return thread % 32; }

  __device__ void wait_full() const { slots.wait_full(ring.position()); }
  /// Once per warp: hands the stage back to the copies, in a pair to those of both thread blocks,
  /// since either's may fill it.
  __device__ void release() const {
    if constexpr (Cluster == 1) {
      slots.release(ring.position());
    } else {
      __syncwarp();
      if (lane() < Cluster) mbarrier_arrive_at(slots.empty_barrier(ring.slot()), lane());
    }
  }
  /// Scales of the tile's tokens in the current stage.
  __device__ const float* token_scales(const Tile& tile) const {
    return shared.token_scales[ring.slot()] + tile.first_row % kScaleAlignment;
  }
  __device__ const float2* weight_scales(const Tile& tile) const {
    return operands.weight_scales + weight_scale_index(operands.weight_rows, operands.depth,
                                                       tile.group, tile.weight_block, 0);
  }
  __device__ int k_blocks() const { return operands.depth / kScaleBlock; }
};

__device__ __forceinline__ float silu(float x) {
  return __fdividef(x, 1.0f + __expf(-x));
}

__device__ __forceinline__ std::uint8_t to_e4m3_bits(float x) {
  return __nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3);
}

/// Copies a warp's staged 16 x 128 bytes to rows `pitch` bytes apart, the first `rows` of them.
__device__ __forceinline__ void store_staged(const std::uint8_t* staged, int lane,
                                             std::uint8_t* out, std::size_t pitch, int rows) {
  __syncwarp();
#pragma unroll
  for (int i = 0; i < kStagedRows * kStagedBytes / (32 * 16); ++i) {
    const int row = i * 4 + lane / 8;
    const int byte = lane % 8 * 16;
    if (row < rows) {
      *reinterpret_cast<uint4*>(out + static_cast<std::size_t>(row) * pitch + byte) =
          *reinterpret_cast<const uint4*>(staged + row * kStagedPitch + byte);
    }
  }
  __syncwarp();
}

// ---- tokens x weights
// ------------------------------------------------------------------------------

/// SwiGLU on the sums of a warpgroup's 64 tokens, requantized: the 128 columns of a token's scale
/// block lie in the four threads of a quad.
template <int Cluster>
__device__ __forceinline__ void store_swiglu(Consumer<Cluster>& self, const Tile& tile,
                                             float (&sums)[2][64]) {
  constexpr OperandOrder kOrder = OperandOrder::kTokensByWeights;
  constexpr int kUp = up_register_distance(kOrder);
  const int lane = self.lane();
  float maximum[2] = {0.0f, 0.0f};
#pragma unroll
  for (int part = 0; part < 2; ++part) {
#pragma unroll
    for (int i = 0; i < 64; ++i) {
      if (holds_up(kOrder, i)) continue;
      sums[part][i] = silu(sums[part][i]) * sums[part][i + kUp];
      maximum[i / 2 % 2] = fmaxf(maximum[i / 2 % 2], fabsf(sums[part][i]));
    }
  }
  std::uint8_t* const staged = self.shared.staged[self.warp()];
  const int warp_first = self.warp() * kStagedRows;
  const int columns = self.operands.weight_rows / 2;
#pragma unroll
  for (int upper = 0; upper < 2; ++upper) {
    float m = maximum[upper];
    m = fmaxf(m, __shfl_xor_sync(0xffffffffu, m, 1));
    m = fmaxf(m, __shfl_xor_sync(0xffffffffu, m, 2));
    const float scale = block_scale(m);
    const float inverse = 1.0f / scale;
    const int row = lane / 4 + 8 * upper;
#pragma unroll
    for (int part = 0; part < 2; ++part) {
#pragma unroll
      for (int i = 2 * upper; i < 64; i += 8) {
        const __nv_fp8x2_storage_t pair = __nv_cvt_float2_to_fp8x2(
            {sums[part][i] * inverse, sums[part][i + 1] * inverse}, __NV_SATFINITE, __NV_E4M3);
        const int column = part * 64 + i / 8 * 8 + lane % 4 * 2;
        *reinterpret_cast<__nv_fp8x2_storage_t*>(staged + row * kStagedPitch + column) = pair;
      }
    }
    if (lane % 4 == 0 && warp_first + row < tile.tokens) {
      self.operands.out_scales[static_cast<std::size_t>(tile.weight_block) *
                                   scale_pitch(self.operands.row_capacity) +
                               tile.first_row + warp_first + row] = scale;
    }
  }
  store_staged(staged, lane,
               static_cast<std::uint8_t*>(self.operands.out) +
                   static_cast<std::size_t>(tile.first_row + warp_first) * columns +
                   tile.weight_block * kScaleBlock,
               columns, tile.tokens - warp_first);
}

template <typename Out, int Cluster>
__device__ __forceinline__ void store_plain(Consumer<Cluster>& self, const Tile& tile,
                                            float (&sums)[2][64]) {
  constexpr int kChunk = kStagedBytes / static_cast<int>(sizeof(Out));  // Columns staged at once.
  const int lane = self.lane();
  std::uint8_t* const staged = self.shared.staged[self.warp()];
  const int warp_first = self.warp() * kStagedRows;
#pragma unroll
  for (int part = 0; part < 2; ++part) {
#pragma unroll
    for (int chunk = 0; chunk < 128; chunk += kChunk) {
      const int column = tile.weight_block * kTileWeights + part * 128 + chunk;
      if (column >= self.operands.weight_rows) continue;
#pragma unroll
      for (int i = chunk / 2; i < (chunk + kChunk) / 2; i += 2) {
        std::uint8_t* const at =
            staged + (lane / 4 + i / 2 % 2 * 8) * kStagedPitch +
            ((i / 4 * 8 - chunk) + lane % 4 * 2) * static_cast<int>(sizeof(Out));
        if constexpr (sizeof(Out) == 2) {
          *reinterpret_cast<__nv_bfloat162*>(at) =
              __floats2bfloat162_rn(sums[part][i], sums[part][i + 1]);
        } else {
          *reinterpret_cast<float2*>(at) = {sums[part][i], sums[part][i + 1]};
        }
      }
      store_staged(
          staged, lane,
          static_cast<std::uint8_t*>(self.operands.out) +
              (static_cast<std::size_t>(tile.first_row + warp_first) * self.operands.weight_rows +
               column) *
                  sizeof(Out),
          static_cast<std::size_t>(self.operands.weight_rows) * sizeof(Out),
          tile.tokens - warp_first);
    }
  }
}

/// 128 tokens x 256 weights: each warpgroup takes 64 tokens and the weights in two halves, so that
/// one half's fresh products and both halves' sums fit its registers (64 + 128).
template <Epilogue kEpilogue, int Cluster>
__device__ __forceinline__ void tokens_by_weights(Consumer<Cluster>& self, const Tile& tile) {
  using Mma = Wgmma<WgmmaType::kE4m3, 128>;
  constexpr OperandOrder kOrder = OperandOrder::kTokensByWeights;
  float sums[2][64];
#pragma unroll
  for (int i = 0; i < 128; ++i) sums[i / 64][i % 64] = 0.0f;

  const int k_blocks = self.k_blocks();
  const float2* const weight_scales = self.weight_scales(tile);
  const int row = self.warp() * 16 + self.lane() / 4;
  float2 next_scale = __ldg(weight_scales);
  for (int block = 0; block < k_blocks; ++block) {
    const float2 weight_scale = next_scale;
    next_scale = __ldg(weight_scales + min(block + 1, k_blocks - 1));
    self.wait_full();
    const Stage& stage = self.shared.stages[self.ring.slot()];
    const float* const token_scales = self.token_scales(tile);
    const float token_scale[2] = {token_scales[row], token_scales[row + 8]};
    const std::uint32_t a =
        shared_address(stage.tokens) + token_operand_offset(kOrder, self.warpgroup);
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      const std::uint32_t b =
          shared_address(stage.weights) + weight_operand_offset(kOrder, self.warpgroup, part);
      float products[64];
      wgmma_fence();
#pragma unroll
      for (int k = 0; k < kScaleBlock; k += kWgmmaDepth)
        Mma::shared(products, k_major_descriptor(a + k), k_major_descriptor(b + k), k != 0);
      wgmma_commit();
      wgmma_wait<0>();
      if (part == 1) self.release();
#pragma unroll
      for (int i = 0; i < 64; ++i) {
        const bool second = kEpilogue == Epilogue::kSwiglu ? holds_up(kOrder, i) : part == 1;
        sums[part][i] +=
            token_scale[i / 2 % 2] * (second ? weight_scale.y : weight_scale.x) * products[i];
      }
    }
    self.ring.advance();
  }
  if constexpr (kEpilogue == Epilogue::kSwiglu) {
    store_swiglu(self, tile, sums);
  } else if constexpr (kEpilogue == Epilogue::kBf16) {
    store_plain<__nv_bfloat16>(self, tile, sums);
  } else {
    store_plain<float>(self, tile, sums);
  }
}

// ---- weights x tokens
// ------------------------------------------------------------------------------

/// SwiGLU on the sums of 256 weight rows and kTokens tokens. A token's 128 columns are spread over
/// all eight warps, so that their maximum goes through shared memory.
template <int kTokens, int Cluster>
__device__ __forceinline__ void store_swiglu_swapped(Consumer<Cluster>& self, const Tile& tile,
                                                     float (&sums)[2][kTokens / 2]) {
  constexpr OperandOrder kOrder = OperandOrder::kWeightsByTokens;
  constexpr int kUp = up_register_distance(kOrder);
  const int lane = self.lane();
  float(&maxima)[kConsumerWarps][kSwapTokens] = self.shared.column_maxima[self.maxima_set];
  self.maxima_set ^= 1;
#pragma unroll
  for (int i = 0; i < kTokens / 2; ++i) {
    if (holds_up(kOrder, i)) continue;
    float m = 0.0f;
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      sums[part][i] = silu(sums[part][i]) * sums[part][i + kUp];
      m = fmaxf(m, fabsf(sums[part][i]));
    }
    m = fmaxf(m, __shfl_xor_sync(0xffffffffu, m, 4));
    m = fmaxf(m, __shfl_xor_sync(0xffffffffu, m, 8));
    m = fmaxf(m, __shfl_xor_sync(0xffffffffu, m, 16));
    const int token = i / 4 * 8 + lane % 4 * 2 + i % 2;
    if (lane < 4) maxima[self.warp()][token] = m;
  }
  named_barrier(kConsumerBarrier, kConsumerWarps * 32);

  const int columns = self.operands.weight_rows / 2;
#pragma unroll
  for (int i = 0; i < kTokens / 2; ++i) {
    if (holds_up(kOrder, i)) continue;
    const int token = weights_by_tokens_element(self.warpgroup, 0, self.thread, i).token;
    float m = 0.0f;
#pragma unroll
    for (int warp = 0; warp < kConsumerWarps; ++warp) m = fmaxf(m, maxima[warp][token]);
    if (token >= tile.tokens) continue;
    const float scale = block_scale(m);
    const float inverse = 1.0f / scale;
    const std::size_t row = tile.first_row + token;
    if (self.warp() == 0 && lane < 4) {
      self.operands.out_scales[static_cast<std::size_t>(tile.weight_block) *
                                   scale_pitch(self.operands.row_capacity) +
                               row] = scale;
    }
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      const int weight = weights_by_tokens_element(self.warpgroup, part, self.thread, i).weight;
      static_cast<std::uint8_t*>(
          self.operands
              .out)[row * columns + tile.weight_block * kScaleBlock + activation_column(weight)] =
          to_e4m3_bits(sums[part][i] * inverse);
    }
  }
}

template <typename Out, int kTokens, int Cluster>
__device__ __forceinline__ void store_plain_swapped(Consumer<Cluster>& self, const Tile& tile,
                                                    float (&sums)[2][kTokens / 2]) {
  if (tile.weight_block * kTileWeights + self.warpgroup * 128 >= self.operands.weight_rows) return;
  Out* const out = static_cast<Out*>(self.operands.out) +
                   static_cast<std::size_t>(tile.first_row) * self.operands.weight_rows +
                   tile.weight_block * kTileWeights;
#pragma unroll
  for (int part = 0; part < 2; ++part) {
#pragma unroll
    for (int i = 0; i < kTokens / 2; ++i) {
      const TileElement at = weights_by_tokens_element(self.warpgroup, part, self.thread, i);
      if (at.token < tile.tokens)
        out[static_cast<std::size_t>(at.token) * self.operands.weight_rows + at.weight] =
            static_cast<Out>(sums[part][i]);
    }
  }
}

/// 256 weights x kTokens tokens: each warpgroup takes 128 weight rows as two wgmma heights.
template <Epilogue kEpilogue, int kTokens, int Cluster>
__device__ __forceinline__ void weights_by_tokens(Consumer<Cluster>& self, const Tile& tile) {
  using Mma = Wgmma<WgmmaType::kE4m3, kTokens>;
  constexpr OperandOrder kOrder = OperandOrder::kWeightsByTokens;
  constexpr int kRegisters = kTokens / 2;
  float sums[2][kRegisters];
#pragma unroll
  for (int i = 0; i < 2 * kRegisters; ++i) sums[i / kRegisters][i % kRegisters] = 0.0f;

  const int k_blocks = self.k_blocks();
  const float2* const weight_scales = self.weight_scales(tile);
  float2 next_scale = __ldg(weight_scales);
  for (int block = 0; block < k_blocks; ++block) {
    const float2 weight_scale = next_scale;
    next_scale = __ldg(weight_scales + min(block + 1, k_blocks - 1));
    self.wait_full();
    const Stage& stage = self.shared.stages[self.ring.slot()];
    const float* const token_scales = self.token_scales(tile);
    float token_scale[kTokens / 4];
#pragma unroll
    for (int i = 0; i < kTokens / 4; ++i)
      token_scale[i] = token_scales[i / 2 * 8 + self.lane() % 4 * 2 + i % 2];
    const std::uint32_t b =
        shared_address(stage.tokens) + token_operand_offset(kOrder, self.warpgroup);
    float products[2][kRegisters];
    wgmma_fence();
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      const std::uint32_t a =
          shared_address(stage.weights) + weight_operand_offset(kOrder, self.warpgroup, part);
#pragma unroll
      for (int k = 0; k < kScaleBlock; k += kWgmmaDepth)
        Mma::shared(products[part], k_major_descriptor(a + k), k_major_descriptor(b + k), k != 0);
    }
    wgmma_commit();
    wgmma_wait<0>();
    self.release();
    const float plain_scale = self.warpgroup == 0 ? weight_scale.x : weight_scale.y;
#pragma unroll
    for (int part = 0; part < 2; ++part) {
#pragma unroll
      for (int i = 0; i < kRegisters; ++i) {
        float scale = plain_scale;
        if constexpr (kEpilogue == Epilogue::kSwiglu)
          scale = holds_up(kOrder, i) ? weight_scale.y : weight_scale.x;
        sums[part][i] += token_scale[i / 4 * 2 + i % 2] * scale * products[part][i];
      }
    }
    self.ring.advance();
  }
  if constexpr (kEpilogue == Epilogue::kSwiglu) {
    store_swiglu_swapped<kTokens>(self, tile, sums);
  } else if constexpr (kEpilogue == Epilogue::kBf16) {
    store_plain_swapped<__nv_bfloat16, kTokens>(self, tile, sums);
  } else {
    store_plain_swapped<float, kTokens>(self, tile, sums);
  }
}

/// The other thread block's tile has no fellow: goes through the stages beside it.
template <int Cluster>
__device__ __forceinline__ void skip(Consumer<Cluster>& self) {
  for (int block = 0; block < self.k_blocks(); ++block) {
    self.wait_full();
    self.release();
    self.ring.advance();
  }
}

// ---- the kernel
// ------------------------------------------------------------------------------------

template <int Cluster>
__device__ TileCursor<Cluster> tiles_of_block(const Shared& shared,
                                              const GroupedGemmOperands& operands) {
  return {shared.group_offsets,
          operands.groups,
          weight_blocks(operands.weight_rows),
          static_cast<int>(blockIdx.x) / Cluster,
          static_cast<int>(gridDim.x) / Cluster,
          Cluster == 1 ? 0 : static_cast<int>(cluster_rank())};
}

/// One thread feeds the ring of stages.
template <int Cluster>
__device__ void produce(Shared& shared, const pipeline::Slots<>& slots,
                        const GroupedGemmOperands& operands, const CUtensorMap& weights,
                        const CUtensorMap& tokens_by_64, const CUtensorMap& tokens_by_16) {
  const int pitch = scale_pitch(operands.row_capacity);
  const int k_blocks = operands.depth / kScaleBlock;
  TileCursor cursor = tiles_of_block<Cluster>(shared, operands);
  pipeline::RingCursor<kStages> ring;
  Tile tile;
  while (cursor.next(tile)) {
    const int padded = padded_tokens(tile.tokens);
    const std::uint32_t scale_bytes = scale_copy_floats(padded) * sizeof(float);
    const std::uint32_t bytes =
        tile.tokens == 0 ? 0 : sizeof(Stage::weights) + padded * kScaleBlock + scale_bytes;
    const float* scales = operands.token_scales + aligned_scale_row(tile.first_row);
    const int group_rows = shared.group_offsets[tile.group + 1] - shared.group_offsets[tile.group];
    // Weights that one token tile reads are not read again; those of several are, at once, by the
    // neighboring thread blocks.
    const std::uint64_t policy = group_rows <= kTileTokens ? kEvictFirst : kEvictNormal;
    for (int block = 0; block < k_blocks; ++block) {
      Stage& stage = shared.stages[ring.slot()];
      const std::uint32_t to_scales = shared_address(shared.token_scales[ring.slot()]);
      slots.wait_empty(ring.position());
      const std::uint32_t full = slots.expect(ring.position(), bytes);
      ring.advance();
      if (tile.tokens == 0) continue;
      const int k = block * kScaleBlock;
      if (Cluster == kPair && tile.shared == Tile::Shared::kWeights) {
        const int first = static_cast<int>(cluster_rank()) * kWeightsBox;
        tensor_load_3d_multicast(shared_address(stage.weights) + first * kScaleBlock, &weights,
                                 full, k, tile.weight_block * kTileWeights + first, tile.group,
                                 kBothRanks, policy);
      } else {
#pragma unroll
        for (int first = 0; first < kTileWeights; first += kWeightsBox)
          tensor_load_3d(shared_address(stage.weights) + first * kScaleBlock, &weights, full, k,
                         tile.weight_block * kTileWeights + first, tile.group, policy);
      }
      const std::uint32_t to = shared_address(stage.tokens);
      if (Cluster == kPair && tile.shared == Tile::Shared::kTokens) {
        const int first = static_cast<int>(cluster_rank()) * (kTileTokens / kPair);
        tensor_load_2d_multicast(to + first * kScaleBlock, &tokens_by_64, full, k,
                                 tile.first_row + first, kBothRanks, kEvictNormal);
      } else if (padded >= 64) {
        for (int row = 0; row < padded; row += 64)
          tensor_load_2d(to + row * kScaleBlock, &tokens_by_64, full, k, tile.first_row + row,
                         kEvictNormal);
      } else {
        for (int row = 0; row < padded; row += 16)
          tensor_load_2d(to + row * kScaleBlock, &tokens_by_16, full, k, tile.first_row + row,
                         kEvictNormal);
      }
      bulk_load(to_scales, scales, scale_bytes, full, kEvictNormal);
      scales += pitch;
    }
  }
}

template <Epilogue kEpilogue, int Cluster>
__global__ void __launch_bounds__(kThreads, 1)
    grouped_gemm_kernel(const __grid_constant__ CUtensorMap weights,
                        const __grid_constant__ CUtensorMap tokens_by_64,
                        const __grid_constant__ CUtensorMap tokens_by_16,
                        const __grid_constant__ GroupedGemmOperands operands) {
  Shared& shared = *reinterpret_cast<Shared*>(dynamic_shared_memory());
  const pipeline::Slots<> slots{shared_address(shared.full), shared_address(shared.empty)};
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    if (shared_address(&shared) % kSwizzleAtomBytes != 0) __trap();
    prefetch_tensor_map(&weights);
    prefetch_tensor_map(&tokens_by_64);
    prefetch_tensor_map(&tokens_by_16);
    slots.init(kStages, 1, Cluster * kConsumerWarps);
    mbarrier_init_fence();
  }
  if constexpr (Cluster > 1) cluster_sync();  // The other block's barriers are there.
  wait_for_prerequisites();
  allow_dependent_launch();
  for (int i = thread; i <= operands.groups; i += kThreads)
    shared.group_offsets[i] = operands.group_offsets[i];
  __syncthreads();

  if (thread < 128) {
    register_budget_decrease<kProducerRegisters>();
    if (thread == 0) {
      // The token rows were written by ordinary stores of an earlier kernel.
      fence_async_proxy_global();
      produce<Cluster>(shared, slots, operands, weights, tokens_by_64, tokens_by_16);
    }
  } else {
    register_budget_increase<kConsumerRegisters>();
    // From one lane, so that the compiler knows that a warp agrees, and descriptors stay in uniform
    // registers.
    const int warpgroup = __shfl_sync(0xffffffffu, thread / 128, 0) - 1;
    Consumer<Cluster> self{shared, operands, warpgroup, thread % 128, slots};
    TileCursor cursor = tiles_of_block<Cluster>(shared, operands);
    Tile tile;
    while (cursor.next(tile)) {
      switch (padded_tokens(tile.tokens)) {
        case 0:
          skip(self);
          break;
        case 16:
          weights_by_tokens<kEpilogue, 16>(self, tile);
          break;
        case 32:
          weights_by_tokens<kEpilogue, 32>(self, tile);
          break;
        case 64:
          weights_by_tokens<kEpilogue, 64>(self, tile);
          break;
        default:
          tokens_by_weights<kEpilogue>(self, tile);
          break;
      }
    }
  }
  if constexpr (Cluster > 1) {
    // The other thread block may still copy into this one's memory, and arrive at its barriers.
    __syncwarp();
    cluster_sync();
  }
}

template <Epilogue kEpilogue, int Cluster>
void launch_clusters(const GroupedGemm& gemm, int sm_count, cudaStream_t stream) {
  // Per device and context, and cheap: not worth remembering.
  allow_shared_bytes(grouped_gemm_kernel<kEpilogue, Cluster>, sizeof(Shared));
  launch_kernel({.grid = static_cast<unsigned>(sm_count / Cluster * Cluster),
                 .block = kThreads,
                 .shared_bytes = sizeof(Shared),
                 .stream = stream,
                 .dependent = true,
                 .cluster = Cluster},
                grouped_gemm_kernel<kEpilogue, Cluster>, gemm.weights, gemm.tokens_by_64,
                gemm.tokens_by_16, gemm.operands);
}

template <Epilogue kEpilogue>
void launch_with(const GroupedGemm& gemm, int sm_count, cudaStream_t stream) {
  cluster_size(gemm.operands.balanced_rows, gemm.operands.groups, sm_count) == kPair
      ? launch_clusters<kEpilogue, kPair>(gemm, sm_count, stream)
      : launch_clusters<kEpilogue, 1>(gemm, sm_count, stream);
}

}  // namespace

GroupedGemm make_grouped_gemm(const GroupedGemmOperands& operands, Epilogue epilogue) {
  if (operands.groups <= 0 || operands.groups > kMaxGroups)
    throw std::invalid_argument("a grouped GEMM holds 1..512 groups");
  if (operands.depth <= 0 || operands.depth % kScaleBlock != 0 || operands.weight_rows <= 0 ||
      operands.weight_rows % (epilogue == Epilogue::kSwiglu ? kTileWeights : kScaleBlock) != 0)
    throw std::invalid_argument("grouped GEMM: N and K must be multiples of 128, 2 N of 256");
  const auto depth = static_cast<std::uint64_t>(operands.depth);
  const auto weight_rows = static_cast<std::uint64_t>(operands.weight_rows);
  const auto rows =
      static_cast<std::uint64_t>(operands.row_capacity > 0 ? operands.row_capacity : 1);
  const auto token_map = [&](std::uint32_t box_rows) {
    return make_tensor_map(CU_TENSOR_MAP_DATA_TYPE_UINT8, operands.tokens, {depth, rows}, {depth},
                           {kScaleBlock, box_rows});
  };
  return {
      .weights = make_tensor_map(CU_TENSOR_MAP_DATA_TYPE_UINT8, operands.weights,
                                 {depth, weight_rows, static_cast<std::uint64_t>(operands.groups)},
                                 {depth, depth * weight_rows}, {kScaleBlock, kWeightsBox, 1}),
      .tokens_by_64 = token_map(64),
      .tokens_by_16 = token_map(16),
      .operands = operands,
      .epilogue = epilogue};
}

void launch(const GroupedGemm& gemm, int sm_count, cudaStream_t stream) {
  switch (gemm.epilogue) {
    case Epilogue::kFloat:
      return launch_with<Epilogue::kFloat>(gemm, sm_count, stream);
    case Epilogue::kBf16:
      return launch_with<Epilogue::kBf16>(gemm, sm_count, stream);
    case Epilogue::kSwiglu:
      return launch_with<Epilogue::kSwiglu>(gemm, sm_count, stream);
  }
}

}  // namespace ridge::kernels::moe
