#include "common/async_copy.cuh"
#include "common/device_math.cuh"
#include "common/launch.cuh"
#include "common/wgmma.cuh"
#include "decode_attention/arguments.hpp"
#include "decode_attention/latent_plan.hpp"
#include "decode_attention/pages.cuh"
#include "decode_attention/result.cuh"
#include "pipeline/aligned_shared.cuh"
#include "pipeline/online_softmax.cuh"
#include "pipeline/slots.cuh"

#include <cstdint>

#include <cuda_bf16.h>

/// MLA decode attention for Hopper. One CTA per SM works through its segments of the schedule:
///
///   producer warp           streams pages through two slots, a panel of 64 elements per copy
///   score warpgroup         S = Q K^T, online softmax; hands P over in shared memory
///   value warpgroup 0, 1    O += P V for 256 of the 512 columns each, O in registers
///
/// The score warpgroup computes the next tile's P while the value warpgroups work on this one's.
/// Panels become full one by one; a slot is empty when the eight warps of the value warpgroups have
/// arrived. latent_plan.hpp says what is where, and how scores and values keep step.
namespace ridge::kernels::decode {
namespace {

using pipeline::arrive_as_warp;
using pipeline::OnlineSoftmax;
using pipeline::ring_position;
using pipeline::RingPosition;
using pipeline::upper_row;

constexpr LatentPlan kPlan = latent_plan();
static_assert(kPlan.total_bytes <= kSharedLimitBytes);

constexpr int kScoreTogether = 1;  // Named barrier of the score warpgroup.
constexpr int kScoreRegisters = kTileTokens / 2;
constexpr int kBlockRegisters = kLatentColumns / 2;

/// Shared memory as addresses in the shared window.
struct Shared {
  std::uint32_t origin;
  unsigned char* generic;  // The same place as an ordinary pointer.
  pipeline::Slots<kLatentPanels> slots;
  pipeline::Slots<> mailbox;

  __device__ std::uint32_t slot(std::uint32_t index) const {
    return origin + kPlan.slot_offset + index * kPlan.slot_bytes;
  }
  __device__ float* rows() const { return reinterpret_cast<float*>(generic + kPlan.row_offset); }
};

// ---- producer

__device__ void produce(const Shared& shared, const CUtensorMap* latent, const Arguments& arguments,
                        int begin, int end) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  // More than 64 heads stream the latent once per row block: keep it in L2.
  const std::uint64_t policy = arguments.query_heads > kTileRows ? kEvictNormal : kEvictFirst;
  for_each_tile(arguments, begin, end,
                [&](const Segment&, std::uint32_t tile, int token, SegmentPages& pages) {
                  const std::int32_t page = pages.page_of(token, kTileLog2);
                  if (lane != 0) {
                    return;
                  }
                  const RingPosition at = ring_position(tile, kPlan.slots);
                  shared.slots.wait_empty(at);
                  for (int panel = 0; panel < kLatentPanels; ++panel) {
                    const std::uint32_t full = shared.slots.expect(at, kLatentPanelBytes, panel);
                    tensor_load_3d(shared.slot(at.slot) + panel * kLatentPanelBytes, latent, full,
                                   0, page * kTileTokens, panel, policy);
                  }
                });
}

// ---- scores

__device__ std::uint32_t pack(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}

/// Copies the segment's query rows into the swizzled tile, zeros below them.
__device__ void load_query(const Shared& shared, const Arguments& arguments, const Segment& segment,
                           int rows) {
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
    *reinterpret_cast<uint4*>(shared.generic + kPlan.query_offset +
                              panel_offset(kTileRows, row, piece * 16)) = data;
  }
  fence_async_proxy();
  named_barrier(kScoreTogether, 128);
}

/// Unused tokens of a request's last page may hold anything, NaN included, and 0 x NaN is NaN:
/// clear them before P V reads them. As keys they need none of this, their scores are replaced.
__device__ void clear_values(unsigned char* slot, int valid) {
  constexpr int kPieces = kLatentRank / 8;
  const int pieces = (kTileTokens - valid) * kPieces;
  for (int i = static_cast<int>(threadIdx.x) % 128; i < pieces; i += 128) {
    *reinterpret_cast<uint4*>(slot + panel_offset(kTileTokens, valid + i / kPieces,
                                                  i % kPieces * 16)) = make_uint4(0, 0, 0, 0);
  }
}

__device__ void multiply_keys(const Shared& shared, const RingPosition& at,
                              float (&score)[kScoreRegisters]) {
  const std::uint32_t query = shared.origin + kPlan.query_offset;
  const std::uint32_t keys = shared.slot(at.slot);
#pragma unroll
  for (int panel = 0; panel < kLatentPanels; ++panel) {
    shared.slots.wait_full(at, panel);
    wgmma_fence();
#pragma unroll
    for (int k = 4 * panel; k < 4 * panel + 4; ++k) {
      const std::uint32_t step = head_dim_step(k);
      Wgmma<WgmmaType::kBf16, kTileTokens>::shared(score, k_major_descriptor(query + step),
                                                   k_major_descriptor(keys + step), k != 0);
    }
  }
  wgmma_commit();
  wgmma_wait<0>();
}

/// Where a term of P is, as an offset from the origin.
__device__ uint4* weight_fragments(const Shared& shared, std::uint32_t offset, int k) {
  return reinterpret_cast<uint4*>(shared.generic + offset + weight_fragment(k, threadIdx.x % 128));
}

/// Hands P over as one BF16 term or two: what rounding to the first leaves is the second.
template <int Passes>
__device__ void store_weights(const Shared& shared, const float (&p)[kScoreRegisters],
                              std::uint32_t second_offset) {
#pragma unroll
  for (int k = 0; k < kTileTokens / 16; ++k) {
    std::uint32_t first[4];
    std::uint32_t second[4];
#pragma unroll
    for (int i = 8 * k; i < 8 * k + 8; i += 2) {
      const std::uint32_t pair = pack(p[i], p[i + 1]);
      const int index = accumulator_as_a(i).index;
      first[index] = pair;
      second[index] =
          pack(p[i] - __uint_as_float(pair << 16), p[i + 1] - __uint_as_float(pair & 0xffff0000u));
    }
    *weight_fragments(shared, kPlan.weight_offset, k) =
        make_uint4(first[0], first[1], first[2], first[3]);
    if constexpr (Passes == 2) {
      *weight_fragments(shared, second_offset, k) =
          make_uint4(second[0], second[1], second[2], second[3]);
    }
  }
}

template <int Passes>
__device__ void score_tile(const Shared& shared, OnlineSoftmax& softmax, std::uint32_t tile,
                           std::uint32_t message, int valid, float scale_log2) {
  const RingPosition at = ring_position(tile, kPlan.slots);
  float score[kScoreRegisters];
  multiply_keys(shared, at, score);

  if (valid < kTileTokens) {
    pipeline::mask_scores(score, valid);
  }
  float shrink[2];
  softmax.add(score, scale_log2, shrink);

  // All four warps must have read the keys before P or zeros take their place, and the value
  // warpgroups the last message.
  named_barrier(kScoreTogether, 128);
  shared.mailbox.wait_empty(message_position(message));
  const std::uint32_t slot = kPlan.slot_offset + at.slot * kPlan.slot_bytes;
  store_weights<Passes>(shared, score, slot + kSecondWeightOffset);
  const int row = upper_row();
  if (threadIdx.x % 4 == 0) {
    shared.rows()[row] = shrink[0];
    shared.rows()[row + 8] = shrink[1];
  }
  if (valid < kTileTokens) {
    clear_values(shared.generic + slot, valid);
  }
  fence_async_proxy();  // For wgmma, which reads the zeros, and the copy that reuses the slot.
  arrive_as_warp(shared.mailbox.full_barrier(0));
}

/// A segment's last message, and its log-sum-exp.
__device__ void finish_scores(const Shared& shared, const Arguments& arguments,
                              const Segment& segment, OnlineSoftmax& softmax, std::uint32_t message,
                              int rows) {
  softmax.finish();
  shared.mailbox.wait_empty(message_position(message));
  if (threadIdx.x % 4 == 0) {
    shared.rows()[upper_row()] = softmax.normalizer(0);
    shared.rows()[upper_row() + 8] = softmax.normalizer(1);
  }
  write_lse(arguments, segment, segment.row_block * kTileRows, rows, softmax);
  arrive_as_warp(shared.mailbox.full_barrier(0));
}

template <int Passes>
__device__ void compute_scores(const Shared& shared, const Arguments& arguments, int begin,
                               int end) {
  const float scale_log2 = arguments.softmax_scale * pipeline::kLog2OfE;
  std::uint32_t tile = 0;     // Of the CTA.
  std::uint32_t message = 0;  // Of the CTA.
  for (int index = begin; index < end; ++index) {
    const Segment segment = arguments.segments[index];
    const int rows = min(kTileRows, arguments.query_heads - segment.row_block * kTileRows);
    load_query(shared, arguments, segment, rows);
    OnlineSoftmax softmax;
    for (int i = 0; i < segment.tiles; ++i) {
      const int left = segment.kv_tokens - (segment.first_tile + i) * kTileTokens;
      score_tile<Passes>(shared, softmax, tile++, message++, min(left, kTileTokens), scale_log2);
    }
    finish_scores(shared, arguments, segment, softmax, message++, rows);
  }
}

// ---- values

/// This warpgroup's 256 columns of the output.
using Output = float[kLatentBlocks][kBlockRegisters];

template <int Passes>
__device__ void add_values(const Shared& shared, Output& output, std::uint32_t tile,
                           int warpgroup) {
  const RingPosition at = ring_position(tile, kPlan.slots);
  const std::uint32_t slot = kPlan.slot_offset + at.slot * kPlan.slot_bytes;
  const std::uint32_t terms[kLatentValuePasses] = {kPlan.weight_offset, slot + kSecondWeightOffset};
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
  const float rescale[2] = {shared.rows()[upper_row()], shared.rows()[upper_row() + 8]};
  arrive_as_warp(shared.mailbox.empty_barrier(0));
  const bool shrinks = __any_sync(0xffffffffu, rescale[0] != 1.0f || rescale[1] != 1.0f);
  constexpr int kPanels = kLatentColumns / 64;  // Of a block.
#pragma unroll
  for (int block = 0; block < kLatentBlocks; ++block) {
    const int first_panel = (warpgroup * kLatentBlocks + block) * kPanels;
    // The panels landed before the scores were computed; this lets *these* threads read them.
#pragma unroll
    for (int panel = 0; panel < kPanels; ++panel) {
      shared.slots.wait_full(at, first_panel + panel);
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
        Wgmma<WgmmaType::kBf16, kLatentColumns>::registers(output[block], weight[term][k], tokens);
      }
    }
  }
  wgmma_commit();
  wgmma_wait<0>();
  shared.slots.release(at);
}

template <int Passes>
__device__ void compute_values(const Shared& shared, const Arguments& arguments, int begin,
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
      add_values<Passes>(shared, output, tile++, warpgroup);
    }
    shared.mailbox.wait_full(message_position(message++));
    const float factor[2] = {shared.rows()[upper_row()], shared.rows()[upper_row() + 8]};
    arrive_as_warp(shared.mailbox.empty_barrier(0));
#pragma unroll
    for (int block = 0; block < kLatentBlocks; ++block) {
      write_columns<kLatentRank, kLatentColumns>(
          arguments, segment, segment.row_block * kTileRows, rows, output[block], factor,
          (warpgroup * kLatentBlocks + block) * kLatentColumns);
    }
  }
}

template <int Passes>
__global__ void __launch_bounds__(kLatentThreads, 1)
    latent_attention_kernel(const __grid_constant__ CUtensorMap latent,
                            const __grid_constant__ Arguments arguments) {
  const auto [origin, generic] = pipeline::AlignedShared::of_this_cta();
  const Shared shared{origin,
                      generic,
                      {origin + kPlan.full_offset, origin + kPlan.empty_offset},
                      {origin + kPlan.message_ready_offset, origin + kPlan.message_read_offset}};

  if (threadIdx.x == 0) {
    prefetch_tensor_map(&latent);
    shared.slots.init(kPlan.slots, 1, kValueWarpgroups * 4);
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
    register_budget_increase<kLatentValueRegisters>();
    compute_values<Passes>(shared, arguments, begin, end);
  } else if (warpgroup == kScoreWarpgroup) {
    register_budget_decrease<kLatentScoreRegisters>();
    compute_scores<Passes>(shared, arguments, begin, end);
  } else {
    register_budget_decrease<kProducerRegisters>();
    if (threadIdx.x < (kScoreWarpgroup + 1) * 128 + 32) {
      // A kernel ahead may have appended to the cache by ordinary stores.
      fence_async_proxy_global();
      produce(shared, &latent, arguments, begin, end);
    }
  }
}

}  // namespace

void launch_latent_attention(const CUtensorMap& latent, const Arguments& arguments, int ctas,
                             bool one_term, cudaStream_t stream) {
  const auto kernel =
      one_term ? latent_attention_kernel<1> : latent_attention_kernel<kLatentValuePasses>;
  allow_shared_bytes(kernel, kPlan.total_bytes);
  launch_kernel({.grid = static_cast<unsigned>(ctas),
                 .block = kLatentThreads,
                 .shared_bytes = kPlan.total_bytes,
                 .stream = stream,
                 .dependent = true},
                kernel, latent, arguments);
}

}  // namespace ridge::kernels::decode
