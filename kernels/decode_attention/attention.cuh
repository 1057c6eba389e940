#pragma once

#include "common/async_copy.cuh"
#include "common/device_math.cuh"
#include "common/launch.cuh"
#include "common/wgmma.cuh"
#include "decode_attention/arguments.hpp"
#include "decode_attention/pages.cuh"
#include "decode_attention/tile_plan.hpp"
#include "pipeline/aligned_shared.cuh"
#include "pipeline/online_softmax.cuh"
#include "pipeline/slots.cuh"

#include <cstdint>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

/// The Hopper decode-attention kernel. One CTA per SM works through its segments of the schedule:
///
///   producer warp      streams K and V tiles (one page each) through a ring of shared-memory slots
///   consumer 0 and 1   take alternate tiles: S = Q K^T, online softmax, O += P V, with O in
///   registers;
///                      at the end of a segment consumer 1 hands its (m, l, O) to consumer 0, who
///                      writes
///
/// A slot is empty when the four warps of the one consumer that reads it have arrived. The 64 rows
/// of a tile are the query heads of one KV head; rows beyond the group are zero and never written.
namespace ridge::kernels::decode {

namespace named {
inline constexpr int kConsumersTogether = 1;  // and 2, 3: each consumer alone.
inline constexpr int kFirstConsumer = 2;
}  // namespace named

template <int HeadDim, KvType Type>
struct Attention {
  static constexpr TilePlan kPlan = tile_plan(HeadDim, Type);
  static constexpr bool kFp8 = Type == KvType::kE4m3;
  static constexpr WgmmaType kOperand = kFp8 ? WgmmaType::kF16 : WgmmaType::kBf16;
  static constexpr int kValuePasses = value_passes(Type);
  static constexpr std::uint32_t kPanelBytes = kPageTokens * kPanelRowBytes;
  static constexpr int kOutputRegisters = HeadDim / 2;
  static constexpr int kScoreRegisters = kPageTokens / 2;

  /// What every role needs to know of shared memory.
  struct Shared {
    std::uint32_t origin;
    unsigned char* generic;  // The same place as an ordinary pointer.
    pipeline::Slots<> slots;

    __device__ std::uint32_t slot(std::uint32_t index) const {
      return origin + kPlan.slot_offset + index * kPlan.slot_bytes;
    }
  };

  // ---- producer
  // ------------------------------------------------------------------------------------

  static __device__ void load_tile(const Shared& shared, const CUtensorMap* map, const void* cache,
                                   const pipeline::RingPosition& at, std::int64_t tile_row,
                                   std::uint64_t policy) {
    shared.slots.wait_empty(at);
    const std::uint32_t full = shared.slots.expect(at, kPlan.slot_bytes);
    if constexpr (kFp8) {
      bulk_load(shared.slot(at.slot), static_cast<const unsigned char*>(cache) + tile_row * HeadDim,
                kPlan.slot_bytes, full, policy);
    } else {
      tensor_load_3d(shared.slot(at.slot), map, full, 0, static_cast<std::int32_t>(tile_row), 0,
                     policy);
    }
  }

  static __device__ void produce(const Shared& shared, const CacheMaps& maps,
                                 const Arguments& arguments, int begin, int end) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    // A KV head of more than 64 query heads is streamed once per row block: keep it in L2.
    const std::uint64_t policy =
        arguments.query_heads > kTileRows * arguments.kv_heads ? kEvictNormal : kEvictFirst;
    for_each_page(
        arguments, begin, end, [&](const Segment& segment, std::uint32_t tile, std::int64_t page) {
          if (lane != 0) {
            return;
          }
          const std::int64_t row = (page * arguments.kv_heads + segment.kv_head) * kPageTokens;
          load_tile(shared, &maps.key, arguments.key,
                    tile_position(tile, Tensor::kKey, kPlan.slots), row, policy);
          load_tile(shared, &maps.value, arguments.value,
                    tile_position(tile, Tensor::kValue, kPlan.slots), row, policy);
        });
  }

  // ---- consumer
  // ------------------------------------------------------------------------------------

  static __device__ std::uint32_t pack(float low, float high) {
    if constexpr (kFp8) {
      const __half2 pair = __floats2half2_rn(low, high);
      return *reinterpret_cast<const std::uint32_t*>(&pair);
    } else {
      const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
      return *reinterpret_cast<const std::uint32_t*>(&pair);
    }
  }

  /// Two BF16 queries as two F16.
  static __device__ std::uint32_t to_f16_pair(std::uint32_t bf16_pair) {
    return pack(__uint_as_float(bf16_pair << 16), __uint_as_float(bf16_pair & 0xffff0000u));
  }

  /// Both consumers copy the segment's query rows into the swizzled tile, zeros below them.
  static __device__ void load_query(const Shared& shared, const Arguments& arguments,
                                    const Segment& segment, int first_head, int rows) {
    constexpr int kPieces = HeadDim / 8;
    const std::uint16_t* source =
        arguments.query +
        (static_cast<std::int64_t>(segment.request) * arguments.query_heads + first_head) * HeadDim;
    for (int i = static_cast<int>(threadIdx.x); i < kTileRows * kPieces; i += kConsumers * 128) {
      const int row = i / kPieces;
      const int piece = i % kPieces;
      uint4 data = make_uint4(0, 0, 0, 0);
      if (row < rows) {
        data = __ldg(reinterpret_cast<const uint4*>(source + row * HeadDim + piece * 8));
        if constexpr (kFp8) {
          data = make_uint4(to_f16_pair(data.x), to_f16_pair(data.y), to_f16_pair(data.z),
                            to_f16_pair(data.w));
        }
      }
      *reinterpret_cast<uint4*>(shared.generic + kPlan.query_offset +
                                panel_offset(kTileRows, row, piece * 16)) = data;
    }
    fence_async_proxy();
    named_barrier(named::kConsumersTogether, kConsumers * 128);
  }

  /// Expands an E4M3 tile into this consumer's F16 operand; tokens from `valid` on become zero,
  /// whatever the cache holds there. Leaves the slot free.
  static __device__ void convert_tile(const Shared& shared, const pipeline::RingPosition& at,
                                      int consumer, int valid) {
    constexpr int kSixteenths = HeadDim / 16;
    const int thread = static_cast<int>(threadIdx.x) % 128;
    const unsigned char* source = shared.generic + kPlan.slot_offset + at.slot * kPlan.slot_bytes;
    unsigned char* target = shared.generic + kPlan.operand_offset + consumer * kPlan.operand_bytes;
#pragma unroll 4
    for (int i = thread; i < kPageTokens * kSixteenths; i += 128) {
      const int row = i / kSixteenths;
      const uint4 codes = *reinterpret_cast<const uint4*>(source + i * 16);
      const std::uint32_t words[4] = {codes.x, codes.y, codes.z, codes.w};
      std::uint32_t halves[8];
#pragma unroll
      for (int word = 0; word < 4; ++word) {
        const std::uint32_t four = row < valid ? words[word] : 0u;
        e4m3x4_to_f16x4(four, halves[2 * word], halves[2 * word + 1]);
      }
      const uint4 low = make_uint4(halves[0], halves[1], halves[2], halves[3]);
      const uint4 high = make_uint4(halves[4], halves[5], halves[6], halves[7]);
      const ConversionStore store = conversion_store(row, i % kSixteenths);
      *reinterpret_cast<uint4*>(target + store.first_piece) = store.high_first ? high : low;
      *reinterpret_cast<uint4*>(target + store.second_piece) = store.high_first ? low : high;
    }
    shared.slots.release(at);
    fence_async_proxy();
    named_barrier(named::kFirstConsumer + consumer, 128);
  }

  /// Unused tokens of a request's last page may hold anything, NaN included, and 0 x NaN is NaN:
  /// clear them before P V reads them. K needs none of this, its scores are replaced.
  static __device__ void clear_values(const Shared& shared, std::uint32_t slot, int consumer,
                                      int valid) {
    const int thread = static_cast<int>(threadIdx.x) % 128;
    unsigned char* tile = shared.generic + kPlan.slot_offset + slot * kPlan.slot_bytes;
    const int pieces = (kPageTokens - valid) * (HeadDim / 8);
    for (int i = thread; i < pieces; i += 128) {
      const int row = valid + i / (HeadDim / 8);
      *reinterpret_cast<uint4*>(tile + panel_offset(kPageTokens, row, (i % (HeadDim / 8)) * 16)) =
          make_uint4(0, 0, 0, 0);
    }
    fence_async_proxy();
    named_barrier(named::kFirstConsumer + consumer, 128);
  }

  /// The online softmax's state of this thread's two rows, and its output tile.
  struct State {
    pipeline::OnlineSoftmax softmax;
    float output[kOutputRegisters];
  };

  static __device__ void consume_tile(const Shared& shared, State& state, int consumer,
                                      std::uint32_t tile, int valid, float scale_log2) {
    // S = Q K^T.
    const pipeline::RingPosition key = tile_position(tile, Tensor::kKey, kPlan.slots);
    shared.slots.wait_full(key);
    const std::uint32_t converted =
        shared.origin + kPlan.operand_offset + consumer * kPlan.operand_bytes;
    if constexpr (kFp8) {
      convert_tile(shared, key, consumer, valid);
    }
    const std::uint32_t key_address = kFp8 ? converted : shared.slot(key.slot);
    const std::uint32_t query_address = shared.origin + kPlan.query_offset;
    float score[kScoreRegisters];
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < HeadDim / 16; ++k) {
      const std::uint32_t step = head_dim_step(k);
      Wgmma<kOperand, kPageTokens>::shared(score, k_major_descriptor(query_address + step),
                                           k_major_descriptor(key_address + step), k != 0);
    }
    wgmma_commit();
    wgmma_wait<0>();
    if constexpr (!kFp8) {
      shared.slots.release(key);
    }

    if (valid < kPageTokens) {
      pipeline::mask_scores(score, valid);
    }
    float shrink[2];
    state.softmax.add(score, scale_log2, shrink);
    std::uint32_t weight[kValuePasses][kScoreRegisters / 8][4];
#pragma unroll
    for (int i = 0; i < kScoreRegisters; i += 2) {
      const FragmentSlot slot = accumulator_as_a(i);
      const std::uint32_t pair = pack(score[i], score[i + 1]);
      weight[0][slot.step][slot.index] = pair;
      if constexpr (kValuePasses == 2) {
        weight[1][slot.step][slot.index] = pack(score[i] - __uint_as_float(pair << 16),
                                                score[i + 1] - __uint_as_float(pair & 0xffff0000u));
      }
    }
#pragma unroll
    for (int i = 0; i < kOutputRegisters; ++i) {
      state.output[i] *= shrink[(i / 2) % 2];
    }

    // O += P V.
    const pipeline::RingPosition value = tile_position(tile, Tensor::kValue, kPlan.slots);
    shared.slots.wait_full(value);
    if constexpr (kFp8) {
      // All four warps must be done with K before V takes its place.
      named_barrier(named::kFirstConsumer + consumer, 128);
      convert_tile(shared, value, consumer, valid);
    } else if (valid < kPageTokens) {
      clear_values(shared, value.slot, consumer, valid);
    }
    const std::uint32_t value_address = kFp8 ? converted : shared.slot(value.slot);
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < kPageTokens / 16; ++k) {
      const std::uint64_t tokens = mn_major_descriptor(value_address + token_step(k), kPanelBytes);
#pragma unroll
      for (int pass = 0; pass < kValuePasses; ++pass) {
        Wgmma<kOperand, HeadDim>::registers(state.output, weight[pass][k], tokens);
      }
    }
    wgmma_commit();
    wgmma_wait<0>();
    if constexpr (kFp8) {
      // And done with V before the next K does.
      named_barrier(named::kFirstConsumer + consumer, 128);
    } else {
      shared.slots.release(value);
    }
  }

  /// Consumer 1 hands over its state through the query tile, which nobody reads any more: it holds
  /// half of a float output tile, so the hand-over takes two rounds.
  static __device__ void merge_consumers(const Shared& shared, State& state, int consumer) {
    constexpr int kHalf = kOutputRegisters / 2;
    const int thread = static_cast<int>(threadIdx.x) % 128;
    const int row = pipeline::upper_row();
    float* exchange = reinterpret_cast<float*>(shared.generic + kPlan.query_offset);
    float* stats = reinterpret_cast<float*>(shared.generic + kPlan.stats_offset);
    float mine[2] = {1, 1};
    float theirs[2] = {0, 0};

    named_barrier(named::kConsumersTogether, kConsumers * 128);
#pragma unroll
    for (int round = 0; round < 2; ++round) {
      if (consumer == 1) {
        if (round == 0 && thread % 4 == 0) {
#pragma unroll
          for (int half = 0; half < 2; ++half) {
            stats[row + 8 * half] = state.softmax.largest[half];
            stats[kTileRows + row + 8 * half] = state.softmax.sum[half];
          }
        }
#pragma unroll
        for (int i = 0; i < kHalf; ++i) {
          exchange[i * 128 + thread] = state.output[round * kHalf + i];
        }
      }
      named_barrier(named::kConsumersTogether, kConsumers * 128);
      if (consumer == 0) {
        if (round == 0) {
#pragma unroll
          for (int half = 0; half < 2; ++half) {
            const float other = stats[row + 8 * half];
            const float largest = fmaxf(state.softmax.largest[half], other);
            mine[half] = exp2_approx(state.softmax.largest[half] - largest);
            theirs[half] = exp2_approx(other - largest);
            state.softmax.largest[half] = largest;
            state.softmax.sum[half] = state.softmax.sum[half] * mine[half] +
                                      stats[kTileRows + row + 8 * half] * theirs[half];
          }
        }
#pragma unroll
        for (int i = 0; i < kHalf; ++i) {
          float& output = state.output[round * kHalf + i];
          output = output * mine[(i / 2) % 2] + exchange[i * 128 + thread] * theirs[(i / 2) % 2];
        }
      }
      if (round == 0) {
        named_barrier(named::kConsumersTogether, kConsumers * 128);
      }
    }
  }

  static __device__ void write_result(const Arguments& arguments, const Segment& segment,
                                      const State& state, int first_head, int rows) {
    const int thread = static_cast<int>(threadIdx.x) % 128;
    const int column = (thread % 4) * 2;
    const float value_scale = kFp8 ? arguments.v_scale[segment.kv_head] : 1.0f;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = pipeline::upper_row() + 8 * half;
      if (row >= rows) {
        continue;
      }
      const float factor = value_scale * state.softmax.normalizer(half);
      const float lse = state.softmax.lse_log2(half);
      const std::int64_t vector =
          segment.partial >= 0
              ? static_cast<std::int64_t>(segment.partial) * kTileRows + row
              : static_cast<std::int64_t>(segment.request) * arguments.query_heads + first_head +
                    row;
      if (thread % 4 == 0) {
        if (segment.partial >= 0) {
          arguments.partial_lse[vector] = lse;
        } else {
          arguments.lse[vector] = lse * pipeline::kLn2;
        }
      }
      const bool as_float = segment.partial >= 0 || arguments.output_float;
      float* floats =
          segment.partial >= 0 ? arguments.partial_output : static_cast<float*>(arguments.output);
#pragma unroll
      for (int j = 0; j < HeadDim / 8; ++j) {
        const float x = state.output[4 * j + 2 * half] * factor;
        const float y = state.output[4 * j + 2 * half + 1] * factor;
        const std::int64_t at = vector * HeadDim + j * 8 + column;
        if (as_float) {
          *reinterpret_cast<float2*>(floats + at) = make_float2(x, y);
        } else {
          *reinterpret_cast<__nv_bfloat162*>(static_cast<__nv_bfloat16*>(arguments.output) + at) =
              __floats2bfloat162_rn(x, y);
        }
      }
    }
  }

  static __device__ void consume(const Shared& shared, const Arguments& arguments, int begin,
                                 int end) {
    const int consumer = static_cast<int>(threadIdx.x) / 128;
    const int group = arguments.query_heads / arguments.kv_heads;
    std::uint32_t done = 0;
    for (int index = begin; index < end; ++index) {
      const Segment segment = arguments.segments[index];
      const int first_head = segment.kv_head * group + segment.row_block * kTileRows;
      const int rows = min(kTileRows, group - segment.row_block * kTileRows);
      float scale_log2 = arguments.softmax_scale * pipeline::kLog2OfE;
      if constexpr (kFp8) {
        scale_log2 *= arguments.k_scale[segment.kv_head];
      }
      load_query(shared, arguments, segment, first_head, rows);

      State state;
#pragma unroll
      for (int i = 0; i < kOutputRegisters; ++i) {
        state.output[i] = 0;
      }
      for (int tile = consumer_of(done + consumer); tile < segment.tiles; tile += kConsumers) {
        const int left = segment.kv_tokens - (segment.first_tile + tile) * kPageTokens;
        consume_tile(shared, state, consumer, done + tile, min(left, kPageTokens), scale_log2);
      }
      state.softmax.finish();
      const bool consumer_1_has_tiles = consumer_of(done + 1) < segment.tiles;
      if (consumer_1_has_tiles) {
        merge_consumers(shared, state, consumer);
      }
      done += segment.tiles;
      if (consumer == 0) {
        write_result(arguments, segment, state, first_head, rows);
      }
      // Nobody overwrites the query tile before everybody has left it.
      named_barrier(named::kConsumersTogether, kConsumers * 128);
    }
  }
};

template <int HeadDim, KvType Type>
__global__ void __launch_bounds__(kThreads, 1)
    attention_kernel(const __grid_constant__ CacheMaps maps,
                     const __grid_constant__ Arguments arguments) {
  using Kernel = Attention<HeadDim, Type>;
  const pipeline::AlignedShared memory = pipeline::AlignedShared::of_this_cta();
  const std::uint32_t barriers = memory.origin + Kernel::kPlan.barrier_offset;
  const typename Kernel::Shared shared{
      memory.origin, memory.generic, {barriers, barriers + Kernel::kPlan.slots * 8}};

  if (threadIdx.x == 0) {
    shared.slots.init(Kernel::kPlan.slots, 1, 4);
    mbarrier_init_fence();
  }
  __syncthreads();
  allow_dependent_launch();

  const int begin = arguments.cta_begin[blockIdx.x];
  const int end = arguments.cta_begin[blockIdx.x + 1];
  if (threadIdx.x >= kConsumers * 128) {
    register_budget_decrease<kProducerRegisters>();
    if (threadIdx.x < kConsumers * 128 + 32) {
      Kernel::produce(shared, maps, arguments, begin, end);
    }
  } else {
    register_budget_increase<kConsumerRegisters>();
    Kernel::consume(shared, arguments, begin, end);
  }
}

template <int HeadDim, KvType Type>
void launch_attention(const CacheMaps& maps, const Arguments& arguments, int ctas,
                      cudaStream_t stream) {
  constexpr std::uint32_t kBytes = Attention<HeadDim, Type>::kPlan.total_bytes;
  static_assert(kBytes <= kSharedLimitBytes);
  const auto kernel = attention_kernel<HeadDim, Type>;
  allow_shared_bytes(kernel, kBytes);
  launch_kernel({.grid = static_cast<unsigned>(ctas),
                 .block = kThreads,
                 .shared_bytes = kBytes,
                 .stream = stream},
                kernel, maps, arguments);
}

}  // namespace ridge::kernels::decode
