#pragma once

#include "common/async_copy.cuh"
#include "common/device_math.cuh"
#include "common/launch.cuh"
#include "common/wgmma.cuh"
#include "decode_attention/arguments.hpp"
#include "decode_attention/f16_pairs.cuh"
#include "decode_attention/latent_plan.hpp"
#include "decode_attention/pages.cuh"
#include "decode_attention/result.cuh"
#include "pipeline/aligned_shared.cuh"
#include "pipeline/online_softmax.cuh"
#include "pipeline/slots.cuh"

#include <cstdint>
#include <type_traits>

/// MLA decode attention for Hopper. One CTA per SM works through its segments of the schedule:
///
///   producer warp           streams pages through two slots, a panel per copy
///   three expander warps    of E4M3 caches: codes become F16 where they landed, scaled; those of
///                           the last tokens by the score warpgroup
///   score warpgroup         S = Q K^T, online softmax; hands P over in shared memory
///   value warpgroup 0, 1    O += P V for 256 of the 512 columns each, O in registers
///
/// The score warpgroup computes the next tile's P while the value warpgroups work on this one's.
/// Slots become full in parts; a slot is empty when the eight warps of the value warpgroups have
/// arrived. latent_plan.hpp says what is where, and how scores and values keep step.
namespace ridge::kernels::decode {

template <KvType Type, int Passes>
struct LatentAttention {
  static constexpr LatentPlan kPlan = latent_plan(Type);
  static_assert(kPlan.total_bytes <= kSharedLimitBytes);
  static constexpr LatentRegisters kRegisters = latent_registers(Type);
  static constexpr bool kCoded = Type == KvType::kE4m3;
  static constexpr WgmmaType kOperand = kCoded ? WgmmaType::kF16 : WgmmaType::kBf16;
  using Maps = std::conditional_t<kCoded, CodedLatentMaps, CUtensorMap>;

  static constexpr int kScoreTogether = 1;  // Named barrier of the score warpgroup.
  static constexpr int kScoreRegisters = kTileTokens / 2;
  static constexpr int kBlockRegisters = kLatentColumns / 2;

  /// Shared memory as addresses in the shared window.
  struct Shared {
    std::uint32_t origin;
    unsigned char* generic;  // The same place as an ordinary pointer.
    pipeline::Slots<latent_parts(Type)> slots;
    pipeline::Slots<kLandedParts> landed;  // E4M3 only; a slot has one barrier for empty.
    pipeline::Slots<> mailbox;
    std::uint32_t scaled;  // E4M3 only; address of slot 0's barrier.

    __device__ std::uint32_t slot(std::uint32_t index) const {
      return origin + kPlan.slot_offset + index * kPlan.slot_bytes;
    }
    __device__ float* rows() const { return reinterpret_cast<float*>(generic + kPlan.row_offset); }
  };

  // ---- producer

  static __device__ void load_page(const Shared& shared, const pipeline::RingPosition& at,
                                   const Maps& maps, std::int32_t page) {
    // Of two row blocks the second finds pages in L2 as long as their CTAs keep step: on an H200
    // small batches gain up to 7 % by this, and batches of 84 and 128 lose 3 to 5.
    constexpr std::uint64_t kPolicy = kEvictFirst;
    const std::int32_t row = page * kTileTokens;
    const std::uint32_t slot = shared.slot(at.slot);
    if constexpr (kCoded) {
      for (int block = 0; block < kLatentScales; ++block) {
        const std::uint32_t scale_bytes = block == 0 ? kScaleLandingBytes : 0;
        const std::uint32_t landed =
            shared.landed.expect(at, kLatentPanelBytes + scale_bytes, block);
        if (block == 0) {
          tensor_load_2d(slot + kScaleLandingOffset, &maps.scales, landed, 0, row, kPolicy);
        }
        tensor_load_3d(slot + code_panel_offset(block), &maps.codes, landed, 0, row, block,
                       kPolicy);
        if (block == 0) {
          // The scores begin with it.
          tensor_load_2d(slot + kRopePanelOffset, &maps.rope,
                         shared.landed.expect(at, kLatentPanelBytes, kLandedRope), 0, row, kPolicy);
        }
      }
    } else {
      for (int panel = 0; panel < kLatentPanels; ++panel) {
        const std::uint32_t full = shared.slots.expect(at, kLatentPanelBytes, panel);
        tensor_load_3d(slot + panel * kLatentPanelBytes, &maps, full, 0, row, panel, kPolicy);
      }
    }
  }

  static __device__ void produce(const Shared& shared, const Maps& maps, const Arguments& arguments,
                                 int begin, int end) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    for_each_tile(arguments, begin, end,
                  [&](const Segment&, std::uint32_t tile, int token, SegmentPages& pages) {
                    const std::int32_t page = pages.page_of(token, kTileLog2);
                    if (lane != 0) {
                      return;
                    }
                    const pipeline::RingPosition at = pipeline::ring_position(tile, kPlan.slots);
                    shared.slots.wait_empty(at);
                    load_page(shared, at, maps, page);
                  });
  }

  // ---- expanding warps

  /// Codes of this warp's groups of a tile become F16, times their scales. Tokens from `valid` on
  /// become zeros, whatever the cache holds there: 0 x NaN is NaN.
  template <bool Scores>
  static __device__ __forceinline__ void expand_groups(const Shared& shared,
                                                       const pipeline::RingPosition& at, int valid,
                                                       int warp) {
    constexpr int kMost = most_groups(Scores);
    const WarpGroups groups = groups_of(warp);
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int sixteenth = lane % 8;  // Of a token's 128 codes of a block.
    const auto token_of = [&](int i) {
      return (groups.first + i * groups.step) * kGroupTokens + lane / 8;
    };
    const auto is_mine = [&](int i) { return groups.first + i * groups.step < groups.end; };
    unsigned char* const slot = shared.generic + kPlan.slot_offset + at.slot * kPlan.slot_bytes;

    shared.landed.wait_full(at, 0);
    std::uint32_t scales[kMost][2];
#pragma unroll
    for (int i = 0; i < kMost; ++i) {
      const int token = token_of(i);
      scales[i][0] = scales[i][1] = 0;
      if (is_mine(i) && token < valid) {
        const float4 four = reinterpret_cast<const float4*>(slot + kScaleLandingOffset)[token];
        scales[i][0] = pack_f16(four.x, four.y);
        scales[i][1] = pack_f16(four.z, four.w);
      }
    }
    const std::uint32_t scaled = shared.scaled + at.slot * 8;
    pipeline::arrive_as_warp(scaled);
#pragma unroll
    for (int block = 1; block < kLatentScales; ++block) {
      shared.landed.wait_full(at, block);
    }
    uint4 codes[kLatentScales];
    const auto load = [&](int i) {
      const int token = token_of(i);
      const unsigned char* const source = slot + panel_offset(kTileTokens, token, sixteenth * 16);
#pragma unroll
      for (int block = 0; block < kLatentScales; ++block) {
        codes[block] = token < valid
                           ? *reinterpret_cast<const uint4*>(source + code_panel_offset(block))
                           : make_uint4(0, 0, 0, 0);
      }
    };
    load(0);
    if constexpr (Scores) {
      mbarrier_wait(scaled, at.full_parity);
    }
#pragma unroll
    for (int i = 0; i < kMost; ++i) {
      if (!is_mine(i)) {
        break;
      }
      if (i > 0) {
        load(i);
      }
      __syncwarp();  // All lanes have read what any overwrites.
      const ConversionStore store = conversion_store(token_of(i), sixteenth);
#pragma unroll
      for (int block = 0; block < kLatentScales; ++block) {
        const std::uint32_t pair = scales[i][block / 2];
        expand_codes(codes[block], block % 2 == 0 ? pair & 0xffffu : pair >> 16, store.high_first,
                     slot + store.first_piece + block * kExpandedBlockBytes,
                     slot + store.second_piece + block * kExpandedBlockBytes);
      }
    }
    fence_async_proxy();
    pipeline::arrive_as_warp(shared.slots.full_barrier(at.slot));
  }

  /// 16 codes and the scale of all of them, as F16.
  static __device__ __forceinline__ void expand_codes(const uint4& codes, std::uint32_t scale,
                                                      bool high_first, unsigned char* first,
                                                      unsigned char* second) {
    const std::uint32_t scales = scale | scale << 16;
    const std::uint32_t words[4] = {high_first ? codes.z : codes.x, high_first ? codes.w : codes.y,
                                    high_first ? codes.x : codes.z, high_first ? codes.y : codes.w};
    std::uint32_t halves[8];
#pragma unroll
    for (int word = 0; word < 4; ++word) {
      e4m3x4_to_f16x4(words[word], halves[2 * word], halves[2 * word + 1]);
    }
#pragma unroll
    for (std::uint32_t& pair : halves) {
      pair = multiply_f16_pairs(pair, scales);
    }
    *reinterpret_cast<uint4*>(first) = make_uint4(halves[0], halves[1], halves[2], halves[3]);
    *reinterpret_cast<uint4*>(second) = make_uint4(halves[4], halves[5], halves[6], halves[7]);
  }

  static __device__ void expand(const Shared& shared, const Arguments& arguments, int begin,
                                int end) {
    const int warp = static_cast<int>(threadIdx.x) % 128 / 32 - 1;
    std::uint32_t tile = 0;
    for (int index = begin; index < end; ++index) {
      const Segment segment = arguments.segments[index];
      for (int i = 0; i < segment.tiles; ++i) {
        const int left = segment.kv_tokens - (segment.first_tile + i) * kTileTokens;
        expand_groups<false>(shared, pipeline::ring_position(tile++, kPlan.slots),
                             min(left, kTileTokens), warp);
      }
    }
  }

  // ---- scores

  /// Copies the segment's query rows into the swizzled tile, zeros below them; of E4M3 caches, what
  /// meets the latent as F16.
  static __device__ void load_query(const Shared& shared, const Arguments& arguments,
                                    const Segment& segment, int rows) {
    constexpr int kPieces = kLatentKeyDim / 8;
    const std::uint16_t* source =
        arguments.query + (static_cast<std::int64_t>(segment.request) * arguments.query_heads +
                           segment.row_block * kTileRows) *
                              kLatentKeyDim;
#pragma unroll 4
    for (int i = static_cast<int>(threadIdx.x) % 128; i < kTileRows * kPieces; i += 128) {
      const int row = i / kPieces;
      const int piece = i % kPieces;
      uint4 data = make_uint4(0, 0, 0, 0);
      if (row < rows) {
        // Not through the read-only path: the kernel ahead may write it while this one starts.
        data = *reinterpret_cast<const uint4*>(source + row * kLatentKeyDim + piece * 8);
      }
      if constexpr (kCoded) {
        if (piece < kLatentRank / 8) {
          data = make_uint4(bf16_pair_as_f16(data.x), bf16_pair_as_f16(data.y),
                            bf16_pair_as_f16(data.z), bf16_pair_as_f16(data.w));
        }
      }
      *reinterpret_cast<uint4*>(shared.generic + kPlan.query_offset +
                                panel_offset(kTileRows, row, piece * 16)) = data;
    }
    fence_async_proxy();
    named_barrier(kScoreTogether, 128);
  }

  /// Unused tokens of a request's last page may hold anything, NaN included, and 0 x NaN is NaN:
  /// clear them before P V reads them. As keys they need none of this, their scores are replaced.
  static __device__ void clear_values(unsigned char* slot, int valid) {
    constexpr int kPieces = kLatentRank / 8;
    const int pieces = (kTileTokens - valid) * kPieces;
    for (int i = static_cast<int>(threadIdx.x) % 128; i < pieces; i += 128) {
      *reinterpret_cast<uint4*>(slot + panel_offset(kTileTokens, valid + i / kPieces,
                                                    i % kPieces * 16)) = make_uint4(0, 0, 0, 0);
    }
  }

  /// S = Q K^T over the 16 elements of step `k`, added to what is there or in its place.
  template <WgmmaType Operand>
  static __device__ __forceinline__ void multiply_step(const Shared& shared, std::uint32_t keys,
                                                       float (&score)[kScoreRegisters], int k,
                                                       bool add) {
    const std::uint32_t step = head_dim_step(k);
    Wgmma<Operand, kTileTokens>::shared(
        score, k_major_descriptor(shared.origin + kPlan.query_offset + step),
        k_major_descriptor(keys + step), add);
  }

  static __device__ void multiply_keys(const Shared& shared, const pipeline::RingPosition& at,
                                       float (&score)[kScoreRegisters]) {
    const std::uint32_t keys = shared.slot(at.slot);
    if constexpr (kCoded) {
      // The rotary panel first: nobody expands it.
      constexpr int kFirst = kLatentRank / 16;
      shared.landed.wait_full(at, kLandedRope);
      wgmma_fence();
#pragma unroll
      for (int k = kFirst; k < kLatentKeyDim / 16; ++k) {
        multiply_step<WgmmaType::kBf16>(shared, keys, score, k, k != kFirst);
      }
    }
    constexpr int kParts = latent_parts(Type);
    constexpr int kSteps = kCoded ? kLatentRank / 16 : 4;
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      shared.slots.wait_full(at, part);
      wgmma_fence();
#pragma unroll
      for (int k = kSteps * part; k < kSteps * (part + 1); ++k) {
        multiply_step<kOperand>(shared, keys, score, k, kCoded || k != 0);
      }
    }
    wgmma_commit();
    wgmma_wait<0>();
  }

  /// Where a term of P is, as an offset from the origin.
  static __device__ uint4* weight_fragments(const Shared& shared, std::uint32_t offset, int k) {
    return reinterpret_cast<uint4*>(shared.generic + offset +
                                    weight_fragment(k, threadIdx.x % 128));
  }

  /// Hands P over as one term or, in BF16, two: what rounding to the first leaves is the second.
  static __device__ void store_weights(const Shared& shared, const float (&p)[kScoreRegisters],
                                       std::uint32_t second_offset) {
#pragma unroll
    for (int k = 0; k < kTileTokens / 16; ++k) {
      std::uint32_t first[4];
      [[maybe_unused]] std::uint32_t second[4];
#pragma unroll
      for (int i = 8 * k; i < 8 * k + 8; i += 2) {
        const std::uint32_t pair = pack_pair<kCoded>(p[i], p[i + 1]);
        const int index = accumulator_as_a(i).index;
        first[index] = pair;
        if constexpr (Passes == 2) {
          second[index] = pack_pair<kCoded>(p[i] - __uint_as_float(pair << 16),
                                            p[i + 1] - __uint_as_float(pair & 0xffff0000u));
        }
      }
      *weight_fragments(shared, kPlan.weight_offset, k) =
          make_uint4(first[0], first[1], first[2], first[3]);
      if constexpr (Passes == 2) {
        *weight_fragments(shared, second_offset, k) =
            make_uint4(second[0], second[1], second[2], second[3]);
      }
    }
  }

  static __device__ void score_tile(const Shared& shared, pipeline::OnlineSoftmax& softmax,
                                    std::uint32_t tile, std::uint32_t message, int valid,
                                    float scale_log2) {
    const pipeline::RingPosition at = pipeline::ring_position(tile, kPlan.slots);
    if constexpr (kCoded) {
      expand_groups<true>(shared, at, valid,
                          kExpanderWarps + static_cast<int>(threadIdx.x) % 128 / 32);
    }
    float score[kScoreRegisters];
    multiply_keys(shared, at, score);

    if (valid < kTileTokens) {
      pipeline::mask_scores(score, valid);
    }
    float shrink[2];
    softmax.add(score, scale_log2, shrink);

    if constexpr (!kCoded) {
      // All four warps must have read the keys before P or zeros take their place.
      named_barrier(kScoreTogether, 128);
    }
    // The value warpgroups must have read the last message.
    shared.mailbox.wait_empty(message_position(message));
    const std::uint32_t slot = kPlan.slot_offset + at.slot * kPlan.slot_bytes;
    store_weights(shared, score, slot + kSecondWeightOffset);
    const int row = pipeline::upper_row();
    if (threadIdx.x % 4 == 0) {
      shared.rows()[row] = shrink[0];
      shared.rows()[row + 8] = shrink[1];
    }
    if constexpr (!kCoded) {
      if (valid < kTileTokens) {
        clear_values(shared.generic + slot, valid);
      }
      fence_async_proxy();  // For wgmma, which reads the zeros, and the copy that reuses the slot.
    }
    pipeline::arrive_as_warp(shared.mailbox.full_barrier(0));
  }

  /// A segment's last message, and its log-sum-exp.
  static __device__ void finish_scores(const Shared& shared, const Arguments& arguments,
                                       const Segment& segment, pipeline::OnlineSoftmax& softmax,
                                       std::uint32_t message, int rows) {
    softmax.finish();
    shared.mailbox.wait_empty(message_position(message));
    if (threadIdx.x % 4 == 0) {
      shared.rows()[pipeline::upper_row()] = softmax.normalizer(0);
      shared.rows()[pipeline::upper_row() + 8] = softmax.normalizer(1);
    }
    write_lse(arguments, segment, segment.row_block * kTileRows, rows, softmax);
    pipeline::arrive_as_warp(shared.mailbox.full_barrier(0));
  }

  static __device__ void compute_scores(const Shared& shared, const Arguments& arguments, int begin,
                                        int end) {
    const float scale_log2 = arguments.softmax_scale * pipeline::kLog2OfE;
    std::uint32_t tile = 0;     // Of the CTA.
    std::uint32_t message = 0;  // Of the CTA.
    for (int index = begin; index < end; ++index) {
      const Segment segment = arguments.segments[index];
      const int rows = min(kTileRows, arguments.query_heads - segment.row_block * kTileRows);
      load_query(shared, arguments, segment, rows);
      pipeline::OnlineSoftmax softmax;
      for (int i = 0; i < segment.tiles; ++i) {
        const int left = segment.kv_tokens - (segment.first_tile + i) * kTileTokens;
        score_tile(shared, softmax, tile++, message++, min(left, kTileTokens), scale_log2);
      }
      finish_scores(shared, arguments, segment, softmax, message++, rows);
    }
  }

  // ---- values

  /// This warpgroup's 256 columns of the output.
  using Output = float[kLatentBlocks][kBlockRegisters];

  static __device__ void add_values(const Shared& shared, Output& output, std::uint32_t tile,
                                    int warpgroup) {
    const pipeline::RingPosition at = pipeline::ring_position(tile, kPlan.slots);
    const std::uint32_t slot = kPlan.slot_offset + at.slot * kPlan.slot_bytes;
    const std::uint32_t terms[2] = {kPlan.weight_offset, slot + kSecondWeightOffset};
    std::uint32_t weight[Passes][kTileTokens / 16][4];
#pragma unroll
    for (int term = 0; term < Passes; ++term) {
#pragma unroll
      for (int k = 0; k < kTileTokens / 16; ++k) {
        const uint4 fragment = *weight_fragments(shared, terms[term], k);
        weight[term][k][0] = fragment.x;
        weight[term][k][1] = fragment.y;
        weight[term][k][2] = fragment.z;
        weight[term][k][3] = fragment.w;
      }
    }
    const float rescale[2] = {shared.rows()[pipeline::upper_row()],
                              shared.rows()[pipeline::upper_row() + 8]};
    pipeline::arrive_as_warp(shared.mailbox.empty_barrier(0));
    const bool shrinks = __any_sync(0xffffffffu, rescale[0] != 1.0f || rescale[1] != 1.0f);
    constexpr int kPanels = kLatentColumns / 64;  // Of a block.
#pragma unroll
    for (int block = 0; block < kLatentBlocks; ++block) {
      const int first_panel = (warpgroup * kLatentBlocks + block) * kPanels;
      // They were full before the scores were computed; this lets *these* threads read them.
      if constexpr (kCoded) {
        shared.slots.wait_full(at);
      } else {
#pragma unroll
        for (int panel = 0; panel < kPanels; ++panel) {
          shared.slots.wait_full(at, first_panel + panel);
        }
      }
      if (shrinks) {  // Rarely, after a request's first tiles.
#pragma unroll
        for (int i = 0; i < kBlockRegisters; ++i) {
          output[block][i] *= rescale[(i / 2) % 2];
        }
      }
      wgmma_fence();
#pragma unroll
      for (int k = 0; k < kTileTokens / 16; ++k) {
        const std::uint64_t tokens = mn_major_descriptor(
            shared.slot(at.slot) + first_panel * kLatentPanelBytes + token_step(k),
            kLatentPanelBytes);
#pragma unroll
        for (int term = 0; term < Passes; ++term) {
          Wgmma<kOperand, kLatentColumns>::registers(output[block], weight[term][k], tokens);
        }
      }
    }
    wgmma_commit();
    wgmma_wait<0>();
    shared.slots.release(at);
  }

  static __device__ void compute_values(const Shared& shared, const Arguments& arguments, int begin,
                                        int end) {
    const int warpgroup = static_cast<int>(threadIdx.x) / 128;
    std::uint32_t tile = 0;
    std::uint32_t message = 0;
    for (int index = begin; index < end; ++index) {
      const Segment segment = arguments.segments[index];
      const int rows = min(kTileRows, arguments.query_heads - segment.row_block * kTileRows);
      Output output = {};
      for (int i = 0; i < segment.tiles; ++i) {
        shared.mailbox.wait_full(message_position(message++));
        add_values(shared, output, tile++, warpgroup);
      }
      shared.mailbox.wait_full(message_position(message++));
      const float factor[2] = {shared.rows()[pipeline::upper_row()],
                               shared.rows()[pipeline::upper_row() + 8]};
      pipeline::arrive_as_warp(shared.mailbox.empty_barrier(0));
#pragma unroll
      for (int block = 0; block < kLatentBlocks; ++block) {
        write_columns<kLatentRank, kLatentColumns>(
            arguments, segment, segment.row_block * kTileRows, rows, output[block], factor,
            (warpgroup * kLatentBlocks + block) * kLatentColumns);
      }
    }
  }
};

template <KvType Type, int Passes>
__global__ void __launch_bounds__(kLatentThreads, 1)
    latent_attention_kernel(const __grid_constant__
                            typename LatentAttention<Type, Passes>::Maps maps,
                            const __grid_constant__ Arguments arguments) {
  using Kernel = LatentAttention<Type, Passes>;
  constexpr LatentPlan kPlan = Kernel::kPlan;
  const auto [origin, generic] = pipeline::AlignedShared::of_this_cta();
  const typename Kernel::Shared shared{
      origin,
      generic,
      {origin + kPlan.full_offset, origin + kPlan.empty_offset},
      {origin + kPlan.landed_offset, origin + kPlan.empty_offset},
      {origin + kPlan.message_ready_offset, origin + kPlan.message_read_offset},
      origin + kPlan.scaled_offset};

  if (threadIdx.x == 0) {
    if constexpr (Kernel::kCoded) {
      prefetch_tensor_map(&maps.scales);
      prefetch_tensor_map(&maps.codes);
      prefetch_tensor_map(&maps.rope);
      shared.landed.init_full(kPlan.slots, 1);
      for (int slot = 0; slot < kPlan.slots; ++slot) {
        mbarrier_init(shared.scaled + slot * 8, kExpanderWarps + kScoreWarps);
      }
    } else {
      prefetch_tensor_map(&maps);
    }
    shared.slots.init(kPlan.slots, Kernel::kCoded ? kExpanderWarps + kScoreWarps : 1,
                      kValueWarpgroups * 4);
    shared.mailbox.init(1, 4, kValueWarpgroups * 4);
    mbarrier_init_fence();
  }
  __syncthreads();
  wait_for_prerequisites();
  allow_dependent_launch();

  const int begin = arguments.cta_begin[blockIdx.x];
  const int end = arguments.cta_begin[blockIdx.x + 1];
  const int warpgroup = static_cast<int>(threadIdx.x) / 128;
  if (warpgroup < kValueWarpgroups) {
    register_budget_increase<Kernel::kRegisters.value>();
    Kernel::compute_values(shared, arguments, begin, end);
  } else if (warpgroup == kScoreWarpgroup) {
    register_budget_decrease<Kernel::kRegisters.score>();
    Kernel::compute_scores(shared, arguments, begin, end);
  } else {
    register_budget_decrease<Kernel::kRegisters.producer>();
    if (threadIdx.x < (kScoreWarpgroup + 1) * 128 + 32) {
      // A kernel ahead may have appended to the cache by ordinary stores.
      fence_async_proxy_global();
      Kernel::produce(shared, maps, arguments, begin, end);
    } else if constexpr (Kernel::kCoded) {
      Kernel::expand(shared, arguments, begin, end);
    }
  }
}

template <KvType Type, int Passes>
void launch_latent(const typename LatentAttention<Type, Passes>::Maps& maps,
                   const Arguments& arguments, int ctas, cudaStream_t stream) {
  constexpr std::uint32_t kBytes = latent_plan(Type).total_bytes;
  const auto kernel = latent_attention_kernel<Type, Passes>;
  allow_shared_bytes(kernel, kBytes);
  launch_kernel({.grid = static_cast<unsigned>(ctas),
                 .block = kLatentThreads,
                 .shared_bytes = kBytes,
                 .stream = stream,
                 .dependent = true},
                kernel, maps, arguments);
}

}  // namespace ridge::kernels::decode
