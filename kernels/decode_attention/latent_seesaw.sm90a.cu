#include "common/async_copy.cuh"
#include "common/launch.cuh"
#include "common/wgmma.cuh"
#include "decode_attention/arguments.hpp"
#include "decode_attention/f16_pairs.cuh"
#include "decode_attention/pages.cuh"
#include "decode_attention/result.cuh"
#include "decode_attention/seesaw_plan.hpp"
#include "pipeline/aligned_shared.cuh"
#include "pipeline/online_softmax.cuh"
#include "pipeline/slots.cuh"

#include <cstdint>

/// MLA decode attention for Hopper, the seesaw: seesaw_plan.hpp says who does what in which order.
///
/// Who waits for whom. Copies of tile t wait until tile t - 2 is read, part by part: the rotary
/// panel by its owner's scores, columns by the P V of whoever holds them. P V of t by the warpgroup
/// that does not own it waits for the owner's message t. The second warpgroup does so behind the
/// issue of S(t + 1), whose copies wait for nothing later than P V of t - 1. So every wait is for
/// an earlier tile, or an earlier step of the same, and none can close a circle.
///
/// Whoever waits for a use of a barrier has waited for each use before it, so that a parity cannot
/// be taken for that of two uses ago. Whoever sends message t has read message t - 1, and thereby
/// knows that t - 2 is read: P needs one place and no barrier for its readers. A message tells that
/// the owner's four warps have read all that they want of the tile but their own columns, so that
/// the four warps that hold a part's columns are enough to free it.
namespace ridge::kernels::decode {
namespace {

struct SeesawAttention {
  static constexpr SeesawPlan kPlan = seesaw_plan();
  static_assert(kPlan.total_bytes <= kSharedLimitBytes);

  // Named barriers: of both warpgroups, and of the one that has a segment's last tile.
  static constexpr int kBothTogether = 1;
  static constexpr int kOwnerTogether = 2;

  static constexpr int kScoreRegisters = kTileTokens / 2;
  static constexpr int kSteps = kTileTokens / 16;  // Of P V, and of a panel of Q K^T.

  /// A warpgroup's 256 columns of the output.
  using Output = float[kLatentBlocks][kLatentColumns / 2];
  /// A operands of four steps: P of a tile, or the rotary part of Q.
  using Fragments = std::uint32_t[kSteps][4];

  /// Shared memory as addresses in the shared window.
  struct Shared {
    std::uint32_t origin;
    unsigned char* generic;  // The same place as an ordinary pointer.
    pipeline::Slots<kLatentPanels, kSeesawParts> slots;
    pipeline::Slots<> messages;  // Only full: nobody waits until one is read.

    __device__ std::uint32_t slot(std::uint32_t index) const {
      return origin + kPlan.slot_offset + index * kPlan.slot_bytes;
    }
    __device__ uint4* weights(std::uint32_t k) const {
      return reinterpret_cast<uint4*>(generic + kPlan.weight_offset +
                                      weight_fragment(k, threadIdx.x % 128));
    }
    /// A float per row of a warpgroup's.
    __device__ float* rows(std::uint32_t offset, int warpgroup) const {
      return reinterpret_cast<float*>(generic + offset) + warpgroup * kTileRows;
    }
  };

  // ---- producer

  static __device__ void load_part(const Shared& shared, const pipeline::RingPosition& at,
                                   const CUtensorMap& map, std::int32_t row, int part) {
    // As in the other kernel: the second of two row blocks finds pages in L2.
    constexpr std::uint64_t kPolicy = kEvictFirst;
    const int first = part * kSeesawPartPanels;
    const int panels = part == kSeesawRotaryPart ? 1 : kSeesawPartPanels;
    shared.slots.wait_empty(at, part);
    for (int panel = first; panel < first + panels; ++panel) {
      const std::uint32_t full = shared.slots.expect(at, kLatentPanelBytes, panel);
      tensor_load_3d(shared.slot(at.slot) + panel * kLatentPanelBytes, &map, full, 0, row, panel,
                     kPolicy);
    }
  }

  static __device__ void produce(const Shared& shared, const CUtensorMap& map,
                                 const Arguments& arguments, int begin, int end) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    for_each_tile(arguments, begin, end,
                  [&](const Segment&, std::uint32_t tile, int token, SegmentPages& pages) {
                    const std::int32_t row = pages.page_of(token, kTileLog2) * kTileTokens;
                    if (lane != 0) {
                      return;
                    }
                    const pipeline::RingPosition at = seesaw_position(tile);
                    load_part(shared, at, map, row, kSeesawRotaryPart);
                    for (int i = 0; i < kSeesawValueParts; ++i) {
                      load_part(shared, at, map, row, seesaw_part(static_cast<int>(at.slot), i));
                    }
                  });
  }

  // ---- consumers; `Mine` is the number of the warpgroup, and of the slot of its tiles

  static __device__ int used_rows(const Arguments& arguments, const Segment& segment) {
    return min(kTileRows, arguments.query_heads - segment.row_block * kTileRows);
  }

  /// The segment's query rows, zeros below them: the latent part into the swizzled tile, half by
  /// either warpgroup, the rotary part into registers.
  static __device__ void load_query(const Shared& shared, const Arguments& arguments,
                                    const Segment& segment, Fragments& rotary) {
    const std::uint32_t rows = used_rows(arguments, segment);
    constexpr std::uint32_t kPieces = kLatentRank / 8;
    constexpr std::uint32_t kRowsAtOnce = kSeesawWarpgroups * 128 / kPieces;
    const std::uint16_t* source =
        arguments.query + (static_cast<std::int64_t>(segment.request) * arguments.query_heads +
                           segment.row_block * kTileRows) *
                              kLatentKeyDim;
    // Not through the read-only path: the kernel ahead may write it while this one starts.
    const std::uint32_t piece = threadIdx.x % kPieces;
#pragma unroll 8
    for (std::uint32_t i = 0; i < kTileRows / kRowsAtOnce; ++i) {
      const std::uint32_t row = threadIdx.x / kPieces + i * kRowsAtOnce;
      uint4 data = make_uint4(0, 0, 0, 0);
      if (row < rows) {
        data = *reinterpret_cast<const uint4*>(source + row * kLatentKeyDim + piece * 8);
      }
      *reinterpret_cast<uint4*>(shared.generic + kPlan.query_offset +
                                panel_offset(kTileRows, row, piece * 16)) = data;
    }
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
#pragma unroll
      for (int index = 0; index < 4; ++index) {
        const MatrixIndex at =
            wgmma_a_register_index(static_cast<int>(threadIdx.x % 128), index, 0);
        rotary[k][index] = 0;
        if (at.row < static_cast<int>(rows)) {
          rotary[k][index] = *reinterpret_cast<const std::uint32_t*>(
              source + at.row * kLatentKeyDim + kLatentRank + k * 16 + at.column);
        }
      }
    }
    fence_async_proxy();
    named_barrier(kBothTogether, kSeesawWarpgroups * 128);
  }

  /// Issues S = Q K^T of a tile of this warpgroup's, in the order in which its parts land.
  template <int Mine>
  static __device__ __forceinline__ void multiply_keys(const Shared& shared,
                                                       const pipeline::RingPosition& at,
                                                       const Fragments& rotary,
                                                       float (&score)[kScoreRegisters]) {
    using Product = Wgmma<WgmmaType::kBf16, kTileTokens>;
    const std::uint64_t queries = k_major_descriptor(shared.origin + kPlan.query_offset);
    const std::uint64_t keys = k_major_descriptor(shared.slot(Mine));
    shared.slots.wait_full(at, kSeesawRotaryPanel);
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
      const std::uint32_t step = head_dim_step(kSeesawRotaryPanel * kSteps + k);
      Product::registers_k_major(score, rotary[k], advanced(keys, step), k != 0);
    }
#pragma unroll
    for (int i = 0; i < kSeesawValueParts; ++i) {
#pragma unroll
      for (int j = 0; j < kSeesawPartPanels; ++j) {
        const int panel = seesaw_part(Mine, i) * kSeesawPartPanels + j;
        shared.slots.wait_full(at, panel);
        wgmma_fence();
#pragma unroll
        for (int k = panel * kSteps; k < (panel + 1) * kSteps; ++k) {
          const std::uint32_t step = head_dim_step(k);
          Product::shared(score, advanced(queries, step), advanced(keys, step), true);
        }
      }
    }
    wgmma_commit();
  }

  /// Issues O += P V for this warpgroup's columns of the tile in slot `Slot`, a group per part.
  template <int Mine, int Slot>
  static __device__ __forceinline__ void multiply_values(const Shared& shared, Output& output,
                                                         const Fragments& weight,
                                                         const float (&shrink)[2]) {
    if (__any_sync(0xffffffffu, shrink[0] != 1.0f || shrink[1] != 1.0f)) {
      // Rarely, after a request's first tiles.
#pragma unroll
      for (int block = 0; block < kLatentBlocks; ++block) {
#pragma unroll
        for (int i = 0; i < kLatentColumns / 2; ++i) {
          output[block][i] *= shrink[(i / 2) % 2];
        }
      }
    }
    const std::uint64_t values = mn_major_descriptor(shared.slot(Slot), kLatentPanelBytes);
#pragma unroll
    for (int block = 0; block < kLatentBlocks; ++block) {
      wgmma_fence();
      const int first_panel = (Mine * kLatentBlocks + block) * kSeesawPartPanels;
#pragma unroll
      for (int k = 0; k < kSteps; ++k) {
        Wgmma<WgmmaType::kBf16, kLatentColumns>::registers(
            output[block], weight[k],
            advanced(values, first_panel * kLatentPanelBytes + token_step(k)));
      }
      wgmma_commit();
    }
  }

  /// Frees this warpgroup's columns of the tile whose products are the last that it issued.
  template <int Mine>
  static __device__ __forceinline__ void free_values(const Shared& shared,
                                                     const pipeline::RingPosition& at) {
    static_assert(kLatentBlocks == 2);
    wgmma_wait<1>();
    shared.slots.release(at, Mine * kLatentBlocks);
    wgmma_wait<0>();
    shared.slots.release(at, Mine * kLatentBlocks + 1);
  }

  /// Takes the other's message of a tile: its weights, and by how much they shrink the sums.
  template <int Mine>
  static __device__ __forceinline__ void take_over(const Shared& shared,
                                                   const pipeline::RingPosition& at,
                                                   Fragments& weight, float (&shrink)[2],
                                                   pipeline::OnlineSoftmax& softmax) {
    constexpr int kOther = 1 - Mine;
    shared.messages.wait_full(at);
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
      const uint4 fragment = *shared.weights(k);
      weight[k][0] = fragment.x;
      weight[k][1] = fragment.y;
      weight[k][2] = fragment.z;
      weight[k][3] = fragment.w;
    }
    const float* const rows = shared.rows(kPlan.largest_offset, kOther);
    const float largest[2] = {rows[pipeline::upper_row()], rows[pipeline::upper_row() + 8]};
    softmax.rise_to(largest, shrink);
    // They were full before the scores were computed; this lets *these* threads read them.
#pragma unroll
    for (int panel = 0; panel < kLatentBlocks * kSeesawPartPanels; ++panel) {
      shared.slots.wait_full(at, Mine * kLatentBlocks * kSeesawPartPanels + panel);
    }
  }

  /// Clears the values of tokens from `valid` on, by one warpgroup: they may be NaN, and 0 x NaN
  /// is.
  static __device__ void clear_values(unsigned char* slot, int valid) {
    constexpr std::uint32_t kPieces = kLatentRank / 8;
    const std::uint32_t pieces = (kTileTokens - valid) * kPieces;
    // Not unrolled: addresses made ahead would hold registers through the loop over tiles.
#pragma unroll 1
    for (std::uint32_t i = threadIdx.x % 128; i < pieces; i += 128) {
      *reinterpret_cast<uint4*>(slot + panel_offset(kTileTokens, valid + i / kPieces,
                                                    i % kPieces * 16)) = make_uint4(0, 0, 0, 0);
    }
  }

  /// Hands a tile's weights to the other warpgroup, and keeps them.
  template <int Mine>
  static __device__ __forceinline__ void hand_over(const Shared& shared,
                                                   const float (&p)[kScoreRegisters],
                                                   const pipeline::OnlineSoftmax& softmax,
                                                   Fragments& weight) {
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
#pragma unroll
      for (int i = 8 * k; i < 8 * k + 8; i += 2) {
        weight[k][accumulator_as_a(i).index] = pack_pair<false>(p[i], p[i + 1]);
      }
      *shared.weights(k) = make_uint4(weight[k][0], weight[k][1], weight[k][2], weight[k][3]);
    }
    if (threadIdx.x % 4 == 0) {
      float* const rows = shared.rows(kPlan.largest_offset, Mine);
      rows[pipeline::upper_row()] = softmax.largest[0];
      rows[pipeline::upper_row() + 8] = softmax.largest[1];
    }
  }

  /// A tile of this warpgroup's; `Behind`: with the products of the tile ahead beside its softmax.
  template <int Mine, bool Behind>
  static __device__ __forceinline__ void add_own(const Shared& shared, std::uint32_t tile,
                                                 int valid, float scale_log2,
                                                 const Fragments& rotary, Output& output,
                                                 pipeline::OnlineSoftmax& softmax) {
    const pipeline::RingPosition at = seesaw_position(tile);
    float score[kScoreRegisters];
    multiply_keys<Mine>(shared, at, rotary, score);
    Fragments others;
    float others_shrink[2];
    if constexpr (Behind) {
      take_over<Mine>(shared, seesaw_position(tile - 1), others, others_shrink, softmax);
    }
    wgmma_wait<0>();
    shared.slots.release(at, kSeesawRotaryPart);
    if constexpr (Behind) {
      multiply_values<Mine, 1 - Mine>(shared, output, others, others_shrink);
    }
    if (valid < kTileTokens) {
      pipeline::mask_scores(score, valid);
    }
    float shrink[2];
    softmax.add(score, scale_log2, shrink);

    if (valid < kTileTokens) {
      // As keys other warps may still read them: their scores are replaced.
      clear_values(shared.generic + kPlan.slot_offset + Mine * kPlan.slot_bytes, valid);
      fence_async_proxy();  // For wgmma, which reads the zeros, and the copy that reuses the slot.
      named_barrier(kOwnerTogether, 128);
    }
    Fragments weight;
    hand_over<Mine>(shared, score, softmax, weight);
    pipeline::arrive_as_warp(shared.messages.full_barrier(Mine));
    if constexpr (Behind) {
      free_values<Mine>(shared, seesaw_position(tile - 1));
    }
    multiply_values<Mine, Mine>(shared, output, weight, shrink);
    free_values<Mine>(shared, at);
  }

  /// A tile of the other's, by itself.
  template <int Mine>
  static __device__ __forceinline__ void add_others(const Shared& shared, std::uint32_t tile,
                                                    Output& output,
                                                    pipeline::OnlineSoftmax& softmax) {
    const pipeline::RingPosition at = seesaw_position(tile);
    Fragments weight;
    float shrink[2];
    take_over<Mine>(shared, at, weight, shrink, softmax);
    multiply_values<Mine, 1 - Mine>(shared, output, weight, shrink);
    free_values<Mine>(shared, at);
  }

  /// Both warpgroups' denominators become one, and the segment's result leaves.
  template <int Mine>
  static __device__ void finish(const Shared& shared, const Arguments& arguments,
                                const Segment& segment, const Output& output,
                                pipeline::OnlineSoftmax& softmax) {
    const int rows = used_rows(arguments, segment);
    softmax.finish();
    const int row = pipeline::upper_row();
    if (threadIdx.x % 4 == 0) {
      shared.rows(kPlan.sum_offset, Mine)[row] = softmax.sum[0];
      shared.rows(kPlan.sum_offset, Mine)[row + 8] = softmax.sum[1];
    }
    // It also says that nobody reads the query any more.
    named_barrier(kBothTogether, kSeesawWarpgroups * 128);
    softmax.sum[0] += shared.rows(kPlan.sum_offset, 1 - Mine)[row];
    softmax.sum[1] += shared.rows(kPlan.sum_offset, 1 - Mine)[row + 8];
    const int first_head = segment.row_block * kTileRows;
    if (Mine == 0) {
      write_lse(arguments, segment, first_head, rows, softmax);
    }
    const float factor[2] = {softmax.normalizer(0), softmax.normalizer(1)};
#pragma unroll
    for (int block = 0; block < kLatentBlocks; ++block) {
      write_columns<kLatentRank, kLatentColumns>(arguments, segment, first_head, rows,
                                                 output[block], factor,
                                                 (Mine * kLatentBlocks + block) * kLatentColumns);
    }
  }

  template <int Mine>
  static __device__ void consume(const Shared& shared, const Arguments& arguments) {
    const float scale_log2 = arguments.softmax_scale * pipeline::kLog2OfE;
    std::uint32_t tile = 0;  // Of the CTA.
    // The schedule is read where it is needed: there are no registers to keep it in.
    const Segment* at = arguments.segments + arguments.cta_begin[blockIdx.x];
    for (; at < arguments.segments + arguments.cta_begin[blockIdx.x + 1]; ++at) {
      const Segment& segment = *at;
      const std::uint32_t last = tile + segment.tiles;
      const auto valid = [&] {
        return tile + 1 == last
                   ? min(segment.kv_tokens - (segment.first_tile + segment.tiles - 1) * kTileTokens,
                         kTileTokens)
                   : kTileTokens;
      };
      Fragments rotary;
      load_query(shared, arguments, segment, rotary);
      Output output = {};
      pipeline::OnlineSoftmax softmax;
      if (Mine == 1 && tile % 2 == 1 && tile != last) {
        add_own<Mine, false>(shared, tile, valid(), scale_log2, rotary, output, softmax);
        ++tile;
      }
      for (; tile != last; ++tile) {
        if (tile % 2 == Mine) {
          add_own<Mine, Mine == 1>(shared, tile, valid(), scale_log2, rotary, output, softmax);
        } else if (Mine == 0 || tile + 1 == last) {
          add_others<Mine>(shared, tile, output, softmax);
        }
      }
      finish<Mine>(shared, arguments, segment, output, softmax);
    }
  }
};

__global__ void __launch_bounds__(kSeesawThreads, 1)
    seesaw_attention_kernel(const __grid_constant__ CUtensorMap map,
                            const __grid_constant__ Arguments arguments) {
  using Kernel = SeesawAttention;
  constexpr SeesawPlan kPlan = Kernel::kPlan;
  const auto [origin, generic] = pipeline::AlignedShared::of_this_cta();
  const Kernel::Shared shared{origin,
                              generic,
                              {origin + kPlan.full_offset, origin + kPlan.empty_offset},
                              {origin + kPlan.message_offset, 0}};

  if (threadIdx.x == 0) {
    prefetch_tensor_map(&map);
    shared.slots.init(kSeesawWarpgroups, 1, 4);
    shared.messages.init_full(kSeesawWarpgroups, 4);
    mbarrier_init_fence();
  }
  __syncthreads();
  wait_for_prerequisites();
  allow_dependent_launch();

  const int warpgroup = static_cast<int>(threadIdx.x) / 128;
  if (warpgroup == kSeesawWarpgroups) {
    register_budget_decrease<kProducerRegisters>();
    if (threadIdx.x < kSeesawWarpgroups * 128 + 32) {
      // A kernel ahead may have appended to the cache by ordinary stores.
      fence_async_proxy_global();
      Kernel::produce(shared, map, arguments, arguments.cta_begin[blockIdx.x],
                      arguments.cta_begin[blockIdx.x + 1]);
    }
    return;
  }
  register_budget_increase<kConsumerRegisters>();
  if (warpgroup == 0) {
    Kernel::consume<0>(shared, arguments);
  } else {
    Kernel::consume<1>(shared, arguments);
  }
}

}  // namespace

void launch_seesaw_attention(const CUtensorMap& latent, const Arguments& arguments, int ctas,
                             cudaStream_t stream) {
  constexpr std::uint32_t kBytes = seesaw_plan().total_bytes;
  allow_shared_bytes(seesaw_attention_kernel, kBytes);
  launch_kernel({.grid = static_cast<unsigned>(ctas),
                 .block = kSeesawThreads,
                 .shared_bytes = kBytes,
                 .stream = stream,
                 .dependent = true},
                seesaw_attention_kernel, latent, arguments);
}

}  // namespace ridge::kernels::decode
