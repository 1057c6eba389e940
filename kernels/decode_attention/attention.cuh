#pragma once

#include "common/async_copy.cuh"
#include "common/cluster.cuh"
#include "common/device_math.cuh"
#include "common/launch.cuh"
#include "common/wgmma.cuh"
#include "decode_attention/arguments.hpp"
#include "decode_attention/f16_pairs.cuh"
#include "decode_attention/pair_merge.cuh"
#include "decode_attention/result.cuh"
#include "decode_attention/tile_plan.hpp"
#include "decode_attention/tile_stream.cuh"
#include "decode_attention/transposed_attention.cuh"
#include "pipeline/aligned_shared.cuh"
#include "pipeline/online_softmax.cuh"

#include <cstdint>
#include <type_traits>

/// The Hopper decode-attention kernel. One CTA per SM works through its segments of the schedule:
///
///   producer warp      streams K and V tiles through a ring of shared-memory slots
///   consumer 0 and 1   take alternate tiles: S = Q K^T, online softmax, O += P V, O in registers;
///                      at the end of a segment they merge their (m, l, O), half of the columns
///                      each, and write
///
/// The 64 rows of a tile are the query heads of one KV head; rows beyond the group are zero and
/// never written. E4M3 caches of 128 and 256 dimensions have consumers of their own
/// (transposed_attention.cuh), which compute `Heads` rows.
namespace ridge::kernels::decode {

template <int HeadDim, KvType Type, bool OneTerm>
struct Attention : TileStream<HeadDim, Type> {
  using typename TileStream<HeadDim, Type>::Shared;
  using TileStream<HeadDim, Type>::kPlan;
  using TileStream<HeadDim, Type>::valid_tokens;
  static constexpr bool kFp8 = Type == KvType::kE4m3;
  static constexpr WgmmaType kOperand = kFp8 ? WgmmaType::kF16 : WgmmaType::kBf16;
  static constexpr int kValuePasses = value_passes(Type, OneTerm);
  static constexpr std::uint32_t kPanelBytes = kTileTokens * kPanelRowBytes;
  static constexpr int kOutputRegisters = HeadDim / 2;
  static constexpr int kScoreRegisters = kTileTokens / 2;

  /// Both consumers copy the segment's query rows into the swizzled tile, zeros below them.
  static __device__ void load_query(const Shared& shared, const Arguments& arguments,
                                    const Segment& segment, int first_head, int rows) {
    constexpr int kPieces = HeadDim / 8;
    constexpr int kPerThread = kTileRows * kPieces / (kConsumers * 128);
    const std::uint16_t* source =
        arguments.query +
        (static_cast<std::int64_t>(segment.request) * arguments.query_heads + first_head) * HeadDim;
    const int first = static_cast<int>(threadIdx.x);
    // All of a thread's loads are on their way before the first is used.
    uint4 data[kPerThread];
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      const int at = first + i * kConsumers * 128;
      data[i] = make_uint4(0, 0, 0, 0);
      if (at / kPieces < rows) {
        // Not through the read-only path: the kernel ahead may write it while this one starts.
        data[i] = reinterpret_cast<const uint4*>(source)[at];
      }
    }
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      const int at = first + i * kConsumers * 128;
      if constexpr (kFp8) {
        data[i] = make_uint4(bf16_pair_as_f16(data[i].x), bf16_pair_as_f16(data[i].y),
                             bf16_pair_as_f16(data[i].z), bf16_pair_as_f16(data[i].w));
      }
      *reinterpret_cast<uint4*>(shared.generic + kPlan.query_offset +
                                panel_offset(kTileRows, at / kPieces, at % kPieces * 16)) = data[i];
    }
    fence_async_proxy();
    named_barrier(named::kConsumersTogether, kConsumers * 128);
  }

  /// A thread's share of an expansion: 16 codes of every few rows, so that all of them go to the
  /// same places of the swizzled operand, a constant apart. All loads are on their way before the
  /// first is used.
  template <bool Masked>
  static __device__ void convert_codes(const Shared& shared, std::uint32_t slot,
                                       std::uint32_t operand_offset, int valid) {
    constexpr int kSixteenths = HeadDim / 16;
    constexpr int kRowsApart = 128 / kSixteenths;
    constexpr int kSteps = kTileTokens / kRowsApart;
    static_assert(kRowsApart % 8 == 0, "the swizzle repeats every 8 rows");
    const int thread = static_cast<int>(threadIdx.x) % 128;
    const int first_row = thread / kSixteenths;
    const uint4* const source = reinterpret_cast<const uint4*>(shared.generic + kPlan.slot_offset +
                                                               slot * kPlan.slot_bytes) +
                                thread;
    const ConversionStore store = conversion_store(first_row, thread % kSixteenths);
    unsigned char* const first = shared.generic + operand_offset + store.first_piece;
    unsigned char* const second = shared.generic + operand_offset + store.second_piece;
    uint4 codes[kSteps];
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      codes[step] = source[step * 128];
    }
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      if (Masked && first_row + step * kRowsApart >= valid) {
        codes[step] = make_uint4(0, 0, 0, 0);
      }
      const uint4 four = codes[step];
      const std::uint32_t words[4] = {
          store.high_first ? four.z : four.x, store.high_first ? four.w : four.y,
          store.high_first ? four.x : four.z, store.high_first ? four.y : four.w};
      std::uint32_t halves[8];
#pragma unroll
      for (int word = 0; word < 4; ++word) {
        e4m3x4_to_f16x4(words[word], halves[2 * word], halves[2 * word + 1]);
      }
      const int apart = step * kRowsApart * static_cast<int>(kPanelRowBytes);
      *reinterpret_cast<uint4*>(first + apart) =
          make_uint4(halves[0], halves[1], halves[2], halves[3]);
      *reinterpret_cast<uint4*>(second + apart) =
          make_uint4(halves[4], halves[5], halves[6], halves[7]);
    }
  }

  /// Expands an E4M3 tile into an F16 operand of this consumer; tokens from `valid` on become zero,
  /// whatever the cache holds there. Leaves the slot free.
  static __device__ void convert_tile(const Shared& shared, const pipeline::RingPosition& at,
                                      std::uint32_t operand_offset, int consumer, int valid) {
    valid < kTileTokens ? convert_codes<true>(shared, at.slot, operand_offset, valid)
                        : convert_codes<false>(shared, at.slot, operand_offset, valid);
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
    const int pieces = (kTileTokens - valid) * (HeadDim / 8);
    for (int i = thread; i < pieces; i += 128) {
      const int row = valid + i / (HeadDim / 8);
      *reinterpret_cast<uint4*>(tile + panel_offset(kTileTokens, row, (i % (HeadDim / 8)) * 16)) =
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

  // S = Q K^T, begun.
  static __device__ void begin_scores(const Shared& shared, float (&score)[kScoreRegisters],
                                      std::uint32_t key_address) {
    const std::uint32_t query_address = shared.origin + kPlan.query_offset;
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < HeadDim / 16; ++k) {
      const std::uint32_t step = head_dim_step(k);
      Wgmma<kOperand, kTileTokens>::shared(score, k_major_descriptor(query_address + step),
                                           k_major_descriptor(key_address + step), k != 0);
    }
    wgmma_commit();
  }

  /// P as A fragments, in as many terms as P V is computed in.
  using Weights = std::uint32_t[kValuePasses][kScoreRegisters / 8][4];

  /// Scores become weights, and the output of the tiles before shrinks by what their maximum rose.
  static __device__ void weigh(State& state, float (&score)[kScoreRegisters], Weights& weight,
                               int valid, float scale_log2) {
    if (valid < kTileTokens) {
      pipeline::mask_scores(score, valid);
    }
    float shrink[2];
    state.softmax.add(score, scale_log2, shrink);
#pragma unroll
    for (int i = 0; i < kScoreRegisters; i += 2) {
      const FragmentSlot slot = accumulator_as_a(i);
      const std::uint32_t pair = pack_pair<kFp8>(score[i], score[i + 1]);
      weight[0][slot.step][slot.index] = pair;
      if constexpr (kValuePasses == 2) {
        weight[1][slot.step][slot.index] =
            pack_pair<kFp8>(score[i] - __uint_as_float(pair << 16),
                            score[i + 1] - __uint_as_float(pair & 0xffff0000u));
      }
    }
    // After a request's first tiles its largest score rarely rises, and times 1 changes nothing.
    if (__any_sync(0xffffffffu, shrink[0] != 1.0f || shrink[1] != 1.0f)) {
#pragma unroll
      for (int i = 0; i < kOutputRegisters; ++i) {
        state.output[i] *= shrink[(i / 2) % 2];
      }
    }
  }

  // O += P V, begun.
  static __device__ void begin_values(State& state, const Weights& weight,
                                      std::uint32_t value_address) {
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < kTileTokens / 16; ++k) {
      const std::uint64_t tokens = mn_major_descriptor(value_address + token_step(k), kPanelBytes);
#pragma unroll
      for (int pass = 0; pass < kValuePasses; ++pass) {
        Wgmma<kOperand, HeadDim>::registers(state.output, weight[pass][k], tokens);
      }
    }
    wgmma_commit();
  }

  /// A consumer's tiles of a segment, BF16: they are used where they land. `done` tiles of the CTA
  /// came before the segment.
  static __device__ void consume_landed(const Shared& shared, State& state, int consumer,
                                        std::uint32_t done, const Segment& segment,
                                        float scale_log2) {
    for (int tile = consumer_of(done + consumer); tile < segment.tiles; tile += kConsumers) {
      const int valid = valid_tokens(segment, tile);
      const pipeline::RingPosition key = tile_position(done + tile, Tensor::kKey, kPlan.slots);
      shared.slots.wait_full(key);
      float score[kScoreRegisters];
      begin_scores(shared, score, shared.slot(key.slot));
      wgmma_wait<0>();
      shared.slots.release(key);
      Weights weight;
      weigh(state, score, weight, valid, scale_log2);
      const pipeline::RingPosition value = tile_position(done + tile, Tensor::kValue, kPlan.slots);
      shared.slots.wait_full(value);
      if (valid < kTileTokens) {
        clear_values(shared, value.slot, consumer, valid);
      }
      begin_values(state, weight, shared.slot(value.slot));
      wgmma_wait<0>();
      shared.slots.release(value);
    }
  }

  /// The same, E4M3: while the matrix unit multiplies one operand the threads expand the next, V
  /// beside Q K^T and the next tile's K beside P V.
  static __device__ void consume_expanded(const Shared& shared, State& state, int consumer,
                                          std::uint32_t done, const Segment& segment,
                                          float scale_log2) {
    const std::uint32_t key_offset = kPlan.operand_offset + 2 * consumer * kPlan.operand_bytes;
    const std::uint32_t value_offset = key_offset + kPlan.operand_bytes;
    const auto expand_key = [&](int tile) {
      const pipeline::RingPosition key = tile_position(done + tile, Tensor::kKey, kPlan.slots);
      shared.slots.wait_full(key);
      convert_tile(shared, key, key_offset, consumer, valid_tokens(segment, tile));
    };
    int tile = consumer_of(done + consumer);
    if (tile < segment.tiles) {
      expand_key(tile);
    }
    for (; tile < segment.tiles; tile += kConsumers) {
      const int valid = valid_tokens(segment, tile);
      float score[kScoreRegisters];
      begin_scores(shared, score, shared.origin + key_offset);
      const pipeline::RingPosition value = tile_position(done + tile, Tensor::kValue, kPlan.slots);
      shared.slots.wait_full(value);
      // All four warps are done with the tile before, of which V's operand was.
      named_barrier(named::kFirstConsumer + consumer, 128);
      convert_tile(shared, value, value_offset, consumer, valid);
      wgmma_wait<0>();
      Weights weight;
      weigh(state, score, weight, valid, scale_log2);
      begin_values(state, weight, shared.origin + value_offset);
      if (tile + kConsumers < segment.tiles) {
        // All four warps have their scores, and K's operand is free.
        named_barrier(named::kFirstConsumer + consumer, 128);
        expand_key(tile + kConsumers);
      }
      wgmma_wait<0>();
    }
    // The next segment's first K takes the operand's place.
    named_barrier(named::kFirstConsumer + consumer, 128);
  }

  /// Each consumer merges half of the columns: they swap the other halves of their sums through the
  /// query tile, which nobody reads any more and which has room for one half at a time.
  static __device__ void merge_consumers(const Shared& shared, State& state, int consumer) {
    const int thread = static_cast<int>(threadIdx.x) % 128;
    const int row = pipeline::upper_row();
    float4* exchange = reinterpret_cast<float4*>(shared.generic + kPlan.query_offset);
    float* stats = reinterpret_cast<float*>(shared.generic + kPlan.stats_offset);
    const auto stat = [&](int of, int half, int which) -> float& {
      return stats[(of * 2 + which) * kTileRows + row + 8 * half];
    };

    if (thread % 4 == 0) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        stat(consumer, half, 0) = state.softmax.largest[half];
        stat(consumer, half, 1) = state.softmax.sum[half];
      }
    }
    named_barrier(named::kConsumersTogether, kConsumers * 128);
    float mine[2];
    float theirs[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float other = stat(1 - consumer, half, 0);
      const float largest = fmaxf(state.softmax.largest[half], other);
      mine[half] = exp2_approx(state.softmax.largest[half] - largest);
      theirs[half] = exp2_approx(other - largest);
      state.softmax.largest[half] = largest;
      state.softmax.sum[half] =
          state.softmax.sum[half] * mine[half] + stat(1 - consumer, half, 1) * theirs[half];
    }
    if (consumer == 1) {
      hand_over<0>(exchange, state, thread);
    }
    named_barrier(named::kConsumersTogether, kConsumers * 128);
    if (consumer == 0) {
      take_over<0>(exchange, state, thread, mine, theirs);
    }
    named_barrier(named::kConsumersTogether, kConsumers * 128);
    if (consumer == 0) {
      hand_over<1>(exchange, state, thread);
    }
    named_barrier(named::kConsumersTogether, kConsumers * 128);
    if (consumer == 1) {
      take_over<1>(exchange, state, thread, mine, theirs);
    }
  }

  static constexpr int kHalfRegisters = kOutputRegisters / 2;

  template <int Half>
  static __device__ void hand_over(float4* exchange, const State& state, int thread) {
    const float* const output = state.output + Half * kHalfRegisters;
#pragma unroll
    for (int i = 0; i < kHalfRegisters; i += 4) {
      exchange[i * 32 + thread] =
          make_float4(output[i], output[i + 1], output[i + 2], output[i + 3]);
    }
  }

  template <int Half>
  static __device__ void take_over(const float4* exchange, State& state, int thread,
                                   const float (&mine)[2], const float (&theirs)[2]) {
    float* const output = state.output + Half * kHalfRegisters;
#pragma unroll
    for (int i = 0; i < kHalfRegisters; i += 4) {
      const float4 other = exchange[i * 32 + thread];
      output[i] = output[i] * mine[0] + other.x * theirs[0];
      output[i + 1] = output[i + 1] * mine[0] + other.y * theirs[0];
      output[i + 2] = output[i + 2] * mine[1] + other.z * theirs[1];
      output[i + 3] = output[i + 3] * mine[1] + other.w * theirs[1];
    }
  }

  /// The half of the columns that a consumer has, merged with those of the pair's other CTA: each
  /// finishes half of them.
  template <int Half>
  static __device__ void merge_half_in_pair(const Shared& shared, const Arguments& arguments,
                                            const Segment& segment, int first_head, int rows,
                                            const State& state, const float (&factor)[2]) {
    constexpr int kPieces = kHalfRegisters / 8;
    merge_in_pair<HeadDim, false, kTileRows, 1, kPieces>(
        PairMemory::of(shared), arguments, segment, first_head, rows,
        [&](std::uint32_t rank, int, int n) {
          const float* const of_first = state.output + Half * kHalfRegisters + n * 4;
          const float* const of_second = of_first + kPieces * 4;
          return rank == 0 ? make_float4(of_first[0] * factor[0], of_first[1] * factor[0],
                                         of_first[2] * factor[1], of_first[3] * factor[1])
                           : make_float4(of_second[0] * factor[0], of_second[1] * factor[0],
                                         of_second[2] * factor[1], of_second[3] * factor[1]);
        },
        [&](std::uint32_t rank, int, int n) {
          return (Half * 2 + static_cast<int>(rank)) * kPieces + n;
        });
  }

  template <bool Paired>
  static __device__ void consume(const Shared& shared, const Arguments& arguments, int begin,
                                 int end) {
    // From one lane, so that the compiler knows that a warp agrees, and descriptors stay in uniform
    // registers.
    const int consumer = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / 128, 0);
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
      if constexpr (kFp8) {
        consume_expanded(shared, state, consumer, done, segment, scale_log2);
      } else {
        consume_landed(shared, state, consumer, done, segment, scale_log2);
      }
      const bool in_pair = Paired && segment.paired != 0;
      if (in_pair) {
        PairMemory::of(shared).offer_slots();
      }
      state.softmax.finish();
      const bool consumer_1_has_tiles = consumer_of(done + 1) < segment.tiles;
      if (consumer_1_has_tiles || in_pair) {
        merge_consumers(shared, state, consumer);
      }
      const float value_scale = kFp8 ? arguments.v_scale[segment.kv_head] : 1.0f;
      const float factor[2] = {value_scale * state.softmax.normalizer(0),
                               value_scale * state.softmax.normalizer(1)};
      if (in_pair) {
        if (consumer == 0 && threadIdx.x % 4 == 0) {
          float* const lse = PairMemory::of(shared).own_lse() + pipeline::upper_row();
          lse[0] = state.softmax.lse_log2(0);
          lse[8] = state.softmax.lse_log2(1);
        }
        named_barrier(named::kConsumersTogether, kConsumers * 128);
        consumer == 0
            ? merge_half_in_pair<0>(shared, arguments, segment, first_head, rows, state, factor)
            : merge_half_in_pair<1>(shared, arguments, segment, first_head, rows, state, factor);
        break;  // It is the CTA's last.
      }
      if (consumer == 0) {
        write_lse(arguments, segment, first_head, rows, state.softmax);
        write_columns<HeadDim, HeadDim / 2>(arguments, segment, first_head, rows, state.output,
                                            factor, 0);
      }
      if (consumer == (consumer_1_has_tiles ? 1 : 0)) {
        write_columns<HeadDim, HeadDim / 2>(arguments, segment, first_head, rows,
                                            state.output + kHalfRegisters, factor, HeadDim / 2);
      }
      done += segment.tiles;
      // Nobody overwrites the query tile before everybody has left it.
      named_barrier(named::kConsumersTogether, kConsumers * 128);
    }
  }
};

template <int HeadDim, KvType Type, bool OneTerm, int Heads>
using Consumers =
    std::conditional_t<expands_in_registers(HeadDim, Type), TransposedAttention<HeadDim, Heads>,
                       Attention<HeadDim, Type, OneTerm>>;

template <int HeadDim, KvType Type, bool OneTerm, int Heads, bool Paired>
__global__ void __launch_bounds__(kThreads, 1)
    attention_kernel(const __grid_constant__ CacheMaps maps,
                     const __grid_constant__ Arguments arguments) {
  using Kernel = Consumers<HeadDim, Type, OneTerm, Heads>;
  const pipeline::AlignedShared memory = pipeline::AlignedShared::of_this_cta();
  const std::uint32_t barriers = memory.origin + Kernel::kPlan.barrier_offset;
  const typename Kernel::Shared shared{
      memory.origin, memory.generic, {barriers, barriers + Kernel::kPlan.slots * 8}};

  if (threadIdx.x == 0) {
    if constexpr (Kernel::kByMap) {
      prefetch_tensor_map(&maps.key);
      prefetch_tensor_map(&maps.value);
    }
    shared.slots.init(Kernel::kPlan.slots, 1, 4);
    if constexpr (Paired) {
      PairMemory::of(shared).init();
    }
    mbarrier_init_fence();
  }
  if constexpr (Paired) {
    cluster_sync();  // The other CTA's barriers are there.
  } else {
    __syncthreads();
  }
  // The schedule is older than the kernel ahead.
  const int begin = arguments.cta_begin[blockIdx.x];
  const int end = arguments.cta_begin[blockIdx.x + 1];
  wait_for_prerequisites();
  allow_dependent_launch();

  if (threadIdx.x >= kConsumers * 128) {
    register_budget_decrease<kProducerRegisters>();
    if (threadIdx.x < kConsumers * 128 + 32) {
      // A kernel ahead may have appended to the cache by ordinary stores.
      fence_async_proxy_global();
      Kernel::produce(shared, maps, arguments, begin, end);
    }
  } else {
    register_budget_increase<kConsumerRegisters>();
    Kernel::template consume<Paired>(shared, arguments, begin, end);
  }
}

template <int HeadDim, KvType Type, bool OneTerm, int Heads, bool Paired = false>
void launch_instance(const CacheMaps& maps, const Arguments& arguments, int ctas,
                     cudaStream_t stream) {
  constexpr std::uint32_t kBytes = tile_plan(HeadDim, Type).total_bytes;
  static_assert(kBytes <= kSharedLimitBytes);
  const auto kernel = attention_kernel<HeadDim, Type, OneTerm, Heads, Paired>;
  allow_shared_bytes(kernel, kBytes);
  launch_kernel({.grid = static_cast<unsigned>(ctas),
                 .block = kThreads,
                 .shared_bytes = kBytes,
                 .stream = stream,
                 .dependent = true,
                 .cluster = Paired ? 2 : 1},
                kernel, maps, arguments);
}

template <int HeadDim, KvType Type, int Heads>
void launch_whole(const CacheMaps& maps, const Arguments& arguments, int ctas, bool pairs,
                  cudaStream_t stream) {
  pairs ? launch_instance<HeadDim, Type, false, Heads, true>(maps, arguments, ctas, stream)
        : launch_instance<HeadDim, Type, false, Heads>(maps, arguments, ctas, stream);
}

template <int HeadDim, KvType Type>
void launch_attention(const CacheMaps& maps, const Arguments& arguments, int ctas, Pairing pairing,
                      Implementation implementation, cudaStream_t stream) {
  const bool pairs = pairing == Pairing::kPairs;
  if constexpr (expands_in_registers(HeadDim, Type)) {
    switch (computed_heads(HeadDim, Type, arguments.query_heads / arguments.kv_heads)) {
      case 16:
        return launch_whole<HeadDim, Type, 16>(maps, arguments, ctas, pairs, stream);
      case 32:
        return launch_whole<HeadDim, Type, 32>(maps, arguments, ctas, pairs, stream);
      default:
        return launch_whole<HeadDim, Type, kTileRows>(maps, arguments, ctas, pairs, stream);
    }
  } else if constexpr (value_passes(Type) == 1) {
    launch_whole<HeadDim, Type, kTileRows>(maps, arguments, ctas, pairs, stream);
  } else {
    implementation == Implementation::kHopperOneTerm
        ? launch_instance<HeadDim, Type, true, kTileRows>(maps, arguments, ctas, stream)
        : launch_whole<HeadDim, Type, kTileRows>(maps, arguments, ctas, pairs, stream);
  }
}

}  // namespace ridge::kernels::decode
