#pragma once

#include "common/async_copy.cuh"
#include "common/device_math.cuh"
#include "common/wgmma.cuh"
#include "decode_attention/arguments.hpp"
#include "decode_attention/pair_merge.cuh"
#include "decode_attention/result.cuh"
#include "decode_attention/tile_plan.hpp"
#include "decode_attention/tile_stream.cuh"
#include "decode_attention/transposed_layout.hpp"
#include "pipeline/online_softmax.cuh"

#include <cstdint>

#include <cuda_bf16.h>

namespace ridge::kernels::decode {

/// A consumer of the Hopper kernel for an E4M3 cache of 128 or 256 dimensions. K and V are the
/// operand that the matrix unit takes from registers, so that their codes are read from shared
/// memory once and expanded to F16 on the way, and never written back:
///
///   S^T [64 tokens][Heads]         = K [tokens][dims]   Q^T [dims][heads]
///   O^T [head_dim][Heads], += per tile V^T [dims][tokens] P^T [tokens][heads]
///
/// `Heads` is 64, or fewer for KV heads of few query heads: what of the work is per head shrinks
/// with it, the layout of shared memory and of parts of results stays. A head is a column here,
/// spread over eight lanes of each of four warps, so that the largest score of a tile would cost an
/// exchange between warps. Weights are therefore relative to a reference that rises only when one
/// would exceed 2^kHeadroom, which after a segment's first tile is rare: F16 holds weights below
/// 65,520, and the sums are floats. transposed_layout.hpp says who has what.
template <int HeadDim, int Heads>
struct TransposedAttention : TileStream<HeadDim, KvType::kE4m3> {
  using typename TileStream<HeadDim, KvType::kE4m3>::Shared;
  using TileStream<HeadDim, KvType::kE4m3>::kPlan;
  using TileStream<HeadDim, KvType::kE4m3>::valid_tokens;

  static constexpr int kBlocks = HeadDim / 64;  ///< Of O^T's rows, and of the sums in Q K^T.
  static constexpr int kCodes = HeadDim / 32;   ///< Of a token, a thread's share of V.
  static constexpr int kHeads = Heads / 4;      ///< Whose columns a thread has parts of.
  static constexpr float kHeadroom = 8.0f;      ///< A weight may be 2 to the power of this.

  using Fragment = std::uint32_t[4];  ///< A thread's part of a 64 x 16 operand.

  struct State {
    float output[kBlocks][Heads / 2];
    float sum[2];  ///< This warp's tokens' share of the denominators of heads of_lane().
  };

  // ---- who has what
  // ------------------------------------------------------------------------------------

  static __device__ int thread() { return static_cast<int>(threadIdx.x) % 128; }
  static __device__ int lane() { return static_cast<int>(threadIdx.x) % 32; }
  /// The n-th head of which this thread has parts: heads come in pairs, 8 apart.
  static __device__ int head(int n) { return n / 2 * 8 + lane() % 4 * 2 + n % 2; }
  /// The first of the two heads whose reductions over a warp's tokens end in this lane; of fewer
  /// than 64 heads each ends in several lanes.
  static __device__ int of_lane() { return lane() / 4 % (Heads / 8) * 8 + lane() % 4 * 2; }

  // A consumer's part of the statistics: see kTransposedStatsBytes.
  static __device__ float* reference(const Shared& shared, int consumer) {
    return reinterpret_cast<float*>(shared.generic + kPlan.stats_offset +
                                    consumer * kTransposedStatsBytes);
  }
  static __device__ float* shares(const Shared& shared, int consumer, int warp) {
    return reference(shared, consumer) + (1 + warp) * kTileRows;
  }
  static __device__ std::uint32_t* flags(const Shared& shared, int consumer) {
    return reinterpret_cast<std::uint32_t*>(reference(shared, consumer) + 5 * kTileRows);
  }

  /// Of this thread's values per head, the reductions over the eight lanes that share the heads:
  /// each lane ends with those of heads of_lane() and the next, in the first two.
  template <typename Reduce>
  static __device__ void reduce_over_lanes(float (&values)[kHeads], Reduce reduce) {
    static_assert(Heads == 64 || Heads == 32 || Heads == 16);
    if constexpr (Heads == 64) {
      halve<8>(values, reduce);
    }
    if constexpr (Heads >= 32) {
      halve<4>(values, reduce);
    }
    halve<2>(values, reduce);
#pragma unroll
    for (int distance = Heads / 2; distance < 32; distance *= 2) {
      values[0] = reduce(values[0], __shfl_xor_sync(0xffffffffu, values[0], distance));
      values[1] = reduce(values[1], __shfl_xor_sync(0xffffffffu, values[1], distance));
    }
  }
  /// Two lanes share their 2 `Kept` values: either reduces half of them.
  template <int Kept, typename Reduce>
  static __device__ void halve(float (&values)[kHeads], Reduce reduce) {
    constexpr int kDistance = 2 * Kept;
    const bool upper = (lane() & kDistance) != 0;
#pragma unroll
    for (int i = 0; i < Kept; ++i) {
      const float given = upper ? values[i] : values[i + Kept];
      const float own = upper ? values[i + Kept] : values[i];
      values[i] = reduce(own, __shfl_xor_sync(0xffffffffu, given, kDistance));
    }
  }

  // ---- operands
  // ------------------------------------------------------------------------------------

  /// Both consumers copy the segment's query rows into the swizzled tile, zeros below them, and
  /// begin without a reference.
  static __device__ void load_query(const Shared& shared, const Arguments& arguments,
                                    const Segment& segment, int first_head, int rows) {
    // A warp takes 128 bytes of four rows at a time, whose pairs go to 32 different banks.
    constexpr int kPerThread = Heads / 4 * kBlocks / (kConsumers * 4);
    const std::uint16_t* const source =
        arguments.query +
        (static_cast<std::int64_t>(segment.request) * arguments.query_heads + first_head) * HeadDim;
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const auto row = [&](int i) { return (warp + i * kConsumers * 4) / kBlocks * 4 + lane() / 8; };
    const auto dim = [&](int i) {
      return (warp + i * kConsumers * 4) % kBlocks * 64 + lane() % 8 * 8;
    };
    // All of a thread's loads are on their way before the first is used.
    uint4 data[kPerThread];
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      data[i] = make_uint4(0, 0, 0, 0);
      if (row(i) < rows) {
        // Not through the read-only path: the kernel ahead may write it while this one starts.
        data[i] = *reinterpret_cast<const uint4*>(source + row(i) * HeadDim + dim(i));
      }
    }
    if (thread() < kTileRows) {
      reference(shared, static_cast<int>(threadIdx.x) / 128)[thread()] = -INFINITY;
    }
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      const std::uint32_t pairs[4] = {data[i].x, data[i].y, data[i].z, data[i].w};
#pragma unroll
      for (int pair = 0; pair < 4; ++pair) {
        const std::uint32_t column = query_column(static_cast<std::uint32_t>(dim(i) + pair * 2));
        *reinterpret_cast<std::uint32_t*>(shared.generic + kPlan.query_offset +
                                          panel_offset(kTileRows, row(i), column * 2)) =
            bf16_pair_as_f16(pairs[pair]);
      }
    }
    fence_async_proxy();
    named_barrier(named::kConsumersTogether, kConsumers * 128);
  }

  /// K's operands of a block of 64 dimensions.
  static __device__ void expand_keys(const unsigned char* tile, int block, Fragment (&keys)[4]) {
    const uint4 upper = *reinterpret_cast<const uint4*>(tile + key_codes(thread(), block));
    const uint4 lower =
        *reinterpret_cast<const uint4*>(tile + key_codes(thread(), block) + 8 * kPanelRowBytes);
    const std::uint32_t upper_words[4] = {upper.x, upper.y, upper.z, upper.w};
    const std::uint32_t lower_words[4] = {lower.x, lower.y, lower.z, lower.w};
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      e4m3x4_to_f16x4(upper_words[step], keys[step][0], keys[step][2]);
      e4m3x4_to_f16x4(lower_words[step], keys[step][1], keys[step][3]);
    }
  }

  /// V's operands of the `step`-th 16 tokens; tokens from `valid` on become zero, whatever the
  /// cache holds there, since 0 x NaN is NaN.
  template <bool Masked>
  static __device__ void expand_values(const unsigned char* tile, int step, int valid,
                                       Fragment (&values)[kBlocks]) {
    constexpr int kWords = kCodes / 4;
    const int first_token = lane() % 4 * 2;
    std::uint32_t words[4][kWords];  // Of tokens 2 t, 2 t + 1, 2 t + 8, 2 t + 9.
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const auto* const codes = reinterpret_cast<const std::uint32_t*>(
          tile + value_codes(HeadDim, thread(), first_token + i % 2) +
          (step * 16 + i / 2 * 8) * kPanelRowBytes);
      const bool counts = !Masked || step * 16 + i / 2 * 8 + first_token + i % 2 < valid;
      if constexpr (kWords == 2) {
        const uint2 both = *reinterpret_cast<const uint2*>(codes);
        words[i][0] = counts ? both.x : 0;
        words[i][1] = counts ? both.y : 0;
      } else {
        words[i][0] = counts ? *codes : 0;
      }
    }
#pragma unroll
    for (int later = 0; later < 2; ++later) {
#pragma unroll
      for (int word = 0; word < kWords; ++word) {
        const std::uint32_t first = words[2 * later][word];
        const std::uint32_t second = words[2 * later + 1][word];
        Fragment& low = values[2 * word];
        Fragment& high = values[2 * word + 1];
        e4m3x4_to_f16x4(__byte_perm(first, second, 0x5140), low[2 * later], low[2 * later + 1]);
        e4m3x4_to_f16x4(__byte_perm(first, second, 0x7362), high[2 * later], high[2 * later + 1]);
      }
    }
  }

  // ---- a tile
  // ------------------------------------------------------------------------------------

  static __device__ const unsigned char* tile_of(const Shared& shared,
                                                 const pipeline::RingPosition& at) {
    return shared.generic + kPlan.slot_offset + at.slot * kPlan.slot_bytes;
  }

  /// S^T = K Q^T; each block's codes are expanded while the matrix unit has the block before.
  static __device__ void scores(const Shared& shared, float (&score)[Heads / 2],
                                const pipeline::RingPosition& key) {
    const unsigned char* const tile = tile_of(shared, key);
    Fragment keys[2][4];  // A block that the matrix unit has, and the next.
    shared.slots.wait_full(key);
    expand_keys(tile, 0, keys[0]);
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      wgmma_fence();
#pragma unroll
      for (int step = 0; step < 4; ++step) {
        const std::uint32_t query =
            shared.origin + kPlan.query_offset + head_dim_step(block * 4 + step);
        Wgmma<WgmmaType::kF16, Heads>::registers_k_major(
            score, keys[block % 2][step], k_major_descriptor(query), block + step != 0);
      }
      wgmma_commit();
      if (block + 1 < kBlocks) {
        if (block > 0) {
          wgmma_wait<1>();  // The block before this one is done with the registers of the next.
        }
        expand_keys(tile, block + 1, keys[(block + 1) % 2]);
      }
    }
    shared.slots.release(key);
    wgmma_wait<0>();
  }

  /// O^T += V^T P^T, the weights being in `weights`; each step's codes are expanded while the
  /// matrix unit has the step before, and the weights are added up while it has the last.
  template <bool Masked>
  static __device__ void values(const Shared& shared, State& state, std::uint32_t weights,
                                const pipeline::RingPosition& value, float (&part)[kHeads],
                                int consumer, int valid) {
    constexpr int kSteps = kTileTokens / 16;
    const unsigned char* const tile = tile_of(shared, value);
    Fragment operands[2][kBlocks];
    shared.slots.wait_full(value);
    expand_values<Masked>(tile, 0, valid, operands[0]);
    // All four warps have stored their weights.
    named_barrier(named::kFirstConsumer + consumer, 128);
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      const std::uint64_t tokens =
          mn_major_descriptor(weights + token_step(step), kTileTokens * kPanelRowBytes);
      wgmma_fence();
#pragma unroll
      for (int block = 0; block < kBlocks; ++block) {
        Wgmma<WgmmaType::kF16, Heads>::registers(state.output[block], operands[step % 2][block],
                                                 tokens);
      }
      wgmma_commit();
      if (step + 1 < kSteps) {
        if (step > 0) {
          wgmma_wait<1>();
        }
        expand_values<Masked>(tile, step + 1, valid, operands[(step + 1) % 2]);
      }
    }
    shared.slots.release(value);
    add_up(state, part);
    wgmma_wait<0>();
  }

  /// The reference rises to the largest score so far, and everything summed so far shrinks.
  /// `highest` are the tile's largest scores of this thread per head, in powers of two.
  static __device__ void raise_reference(const Shared& shared, State& state, int consumer,
                                         float (&highest)[kHeads], float (&against)[kHeads]) {
    const float2 own = *reinterpret_cast<float2*>(reference(shared, consumer) + of_lane());
    reduce_over_lanes(highest, [](float a, float b) { return fmaxf(a, b); });
    *reinterpret_cast<float2*>(shares(shared, consumer, thread() / 32) + of_lane()) =
        make_float2(highest[0], highest[1]);
    named_barrier(named::kFirstConsumer + consumer, 128);
    const auto raised = [&](float2 old, int first_head) {
#pragma unroll
      for (int warp = 0; warp < 4; ++warp) {
        const float2 more = *reinterpret_cast<float2*>(shares(shared, consumer, warp) + first_head);
        old = make_float2(fmaxf(old.x, more.x), fmaxf(old.y, more.y));
      }
      return old;
    };
    // A tile has a valid token, so that what was raised is finite and exp2 meets no inf - inf.
    const float2 own_raised = raised(own, of_lane());
    state.sum[0] *= exp2_approx(own.x - own_raised.x);
    state.sum[1] *= exp2_approx(own.y - own_raised.y);
#pragma unroll
    for (int pair = 0; pair < kHeads / 2; ++pair) {
      const float2 old = make_float2(against[2 * pair], against[2 * pair + 1]);
      const float2 now = raised(old, head(2 * pair));
      const float shrink[2] = {exp2_approx(old.x - now.x), exp2_approx(old.y - now.y)};
      against[2 * pair] = now.x;
      against[2 * pair + 1] = now.y;
      if (thread() < 4) {  // Everybody has read the old ones.
        *reinterpret_cast<float2*>(reference(shared, consumer) + head(2 * pair)) = now;
      }
#pragma unroll
      for (int block = 0; block < kBlocks; ++block) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          state.output[block][4 * pair + i] *= shrink[i % 2];
        }
      }
    }
  }

  /// Scores become weights in shared memory; `part` receives the sums of this thread's, per head.
  static __device__ void weigh(const Shared& shared, State& state, float (&score)[Heads / 2],
                               float (&part)[kHeads], std::uint32_t weights_offset, int consumer,
                               int valid, float scale_log2) {
    const int token = static_cast<int>(score_token(thread() / 32 * 16 + lane() / 4));
    if (valid < kTileTokens) {
#pragma unroll
      for (int i = 0; i < Heads / 2; ++i) {
        score[i] = token + i / 2 % 2 * 8 < valid ? score[i] : -INFINITY;
      }
    }
    float against[kHeads];
    float highest[kHeads];
    bool exceeds = false;
#pragma unroll
    for (int pair = 0; pair < kHeads / 2; ++pair) {
      const float2 both = *reinterpret_cast<float2*>(reference(shared, consumer) + head(2 * pair));
      against[2 * pair] = both.x;
      against[2 * pair + 1] = both.y;
#pragma unroll
      for (int which = 0; which < 2; ++which) {
        const int n = 2 * pair + which;
        highest[n] = fmaxf(score[4 * pair + which], score[4 * pair + 2 + which]) * scale_log2;
        exceeds = exceeds || highest[n] > against[n] + kHeadroom;
      }
    }
    const int any = __any_sync(0xffffffffu, exceeds);
    if (lane() == 0) {
      flags(shared, consumer)[thread() / 32] = static_cast<std::uint32_t>(any);
    }
    // Also: all four warps are done with the weights of the tile before. (What they read of its
    // flags they read before they met in values().)
    named_barrier(named::kFirstConsumer + consumer, 128);
    const uint4 raised = *reinterpret_cast<const uint4*>(flags(shared, consumer));
    if ((raised.x | raised.y | raised.z | raised.w) != 0) {
      raise_reference(shared, state, consumer, highest, against);
    }
    unsigned char* const weights = shared.generic + weights_offset;
#pragma unroll
    for (int pair = 0; pair < kHeads / 2; ++pair) {
      float weight[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        weight[i] = exp2_approx(fmaf(score[4 * pair + i], scale_log2, -against[2 * pair + i % 2]));
      }
      part[2 * pair] = weight[0] + weight[2];
      part[2 * pair + 1] = weight[1] + weight[3];
      // The pair's place within 128 bytes enters the offset by XOR, as the token's does.
      const std::uint32_t at =
          weight_pair(thread(), token, 0) ^ static_cast<std::uint32_t>(pair) * 16;
      *reinterpret_cast<std::uint32_t*>(weights + at) = pack_f16(weight[0], weight[1]);
      *reinterpret_cast<std::uint32_t*>(weights + at + 8 * kPanelRowBytes) =
          pack_f16(weight[2], weight[3]);
    }
    fence_async_proxy();
  }

  /// A tile's weights go into the denominators.
  static __device__ void add_up(State& state, float (&part)[kHeads]) {
    reduce_over_lanes(part, [](float a, float b) { return a + b; });
    state.sum[0] += part[0];
    state.sum[1] += part[1];
  }

  // ---- a segment's end
  // ------------------------------------------------------------------------------------

  /// What each consumer's output is to be multiplied by, per head, left where its references were;
  /// and the log-sum-exp, written, or kept for the merge of a pair.
  template <bool Paired>
  static __device__ void weigh_consumers(const Shared& shared, const State& state,
                                         const Arguments& arguments, const Segment& segment,
                                         int consumer, int first_head, int rows) {
    *reinterpret_cast<float2*>(shares(shared, consumer, thread() / 32) + of_lane()) =
        make_float2(state.sum[0], state.sum[1]);
    named_barrier(named::kConsumersTogether, kConsumers * 128);
    const bool in_pair = Paired && segment.paired != 0;
    const int row = thread() % Heads;
    float largest = -INFINITY;
    float total = 0;
    float own = 0;
    if (thread() < Heads) {
      const float references[2] = {reference(shared, 0)[row], reference(shared, 1)[row]};
      largest = fmaxf(references[0], references[1]);
#pragma unroll
      for (int which = 0; which < kConsumers; ++which) {
        const float weight =
            merge_weight(references[which], largest, [](float x) { return exp2_approx(x); });
        float sum = 0;
#pragma unroll
        for (int warp = 0; warp < 4; ++warp) {
          sum += shares(shared, which, warp)[row];
        }
        total += sum * weight;
        own = which == consumer ? weight : own;
      }
    }
    // Everybody has read the references.
    named_barrier(named::kConsumersTogether, kConsumers * 128);
    if (thread() < Heads) {
      const float value_scale = arguments.v_scale[segment.kv_head];
      reference(shared, consumer)[row] = total > 0 ? own / total * value_scale : 0.0f;
      if (consumer == 0 && row < rows) {
        const float lse = total > 0 ? largest + log2f(total) : -INFINITY;
        if (in_pair) {
          PairMemory::of(shared).own_lse()[row] = lse;
        } else {
          write_row_lse(arguments, segment, first_head, row, lse);
        }
      }
    }
    named_barrier(named::kFirstConsumer + consumer, 128);
  }

  static __device__ void scale_output(const Shared& shared, State& state, int consumer) {
#pragma unroll
    for (int pair = 0; pair < kHeads / 2; ++pair) {
      const float2 factor =
          *reinterpret_cast<float2*>(reference(shared, consumer) + head(2 * pair));
#pragma unroll
      for (int block = 0; block < kBlocks; ++block) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          state.output[block][4 * pair + i] *= i % 2 == 0 ? factor.x : factor.y;
        }
      }
    }
  }

  static constexpr int kHalfBlocks = kBlocks / 2;
  static constexpr int kHalfPieces = kHalfBlocks * Heads / 8;  ///< Of four registers.

  template <int Half>
  static __device__ float* piece(State& state, int i) {
    return state.output[Half * kHalfBlocks + i / (Heads / 8)] + i % (Heads / 8) * 4;
  }
  template <int Half>
  static __device__ void hand_over(float4* exchange, State& state) {
#pragma unroll
    for (int i = 0; i < kHalfPieces; ++i) {
      const float* const from = piece<Half>(state, i);
      exchange[i * 128 + thread()] = make_float4(from[0], from[1], from[2], from[3]);
    }
  }
  template <int Half>
  static __device__ void take_over(const float4* exchange, State& state) {
#pragma unroll
    for (int i = 0; i < kHalfPieces; ++i) {
      const float4 more = exchange[i * 128 + thread()];
      float* const to = piece<Half>(state, i);
      to[0] += more.x;
      to[1] += more.y;
      to[2] += more.z;
      to[3] += more.w;
    }
  }

  /// Each consumer adds up half of the rows of O^T: they swap the other halves through the query
  /// tile, which nobody reads any more and which has room for one half at a time.
  static __device__ void merge_consumers(const Shared& shared, State& state, int consumer) {
    float4* const exchange = reinterpret_cast<float4*>(shared.generic + kPlan.query_offset);
    if (consumer == 1) {
      hand_over<0>(exchange, state);
    }
    named_barrier(named::kConsumersTogether, kConsumers * 128);
    if (consumer == 0) {
      // A thread reads and then writes the same places.
      take_over<0>(exchange, state);
      hand_over<1>(exchange, state);
    }
    named_barrier(named::kConsumersTogether, kConsumers * 128);
    if (consumer == 1) {
      take_over<1>(exchange, state);
    }
  }

  /// Writes a half of the rows of O^T: parts of results as PartLayout says, whole ones to the rows
  /// of the output.
  template <int Half>
  static __device__ void write_half(const Arguments& arguments, const Segment& segment,
                                    int first_head, int rows, const State& state) {
    const int first_dim =
        static_cast<int>(first_value_dim(HeadDim, thread())) + Half * 2 * kHalfBlocks;
    if (segment.partial >= 0) {
      float4* const to = reinterpret_cast<float4*>(arguments.partial_output) +
                         static_cast<std::int64_t>(segment.partial) * (HeadDim / 8) * 128 +
                         thread();
#pragma unroll
      for (int i = Half * kHalfPieces; i < (Half + 1) * kHalfPieces; ++i) {
        const int block = i / (Heads / 8);
        const int pair = i % (Heads / 8);
        const float* const from = state.output[block] + pair * 4;
        if (head(pair * 2) < rows) {
          to[(block * (kTileRows / 8) + pair) * 128] =
              make_float4(from[0], from[2], from[1], from[3]);
        }
      }
      return;
    }
#pragma unroll
    for (int n = 0; n < kHeads; ++n) {
      if (head(n) >= rows) {
        continue;
      }
      const std::int64_t at = (static_cast<std::int64_t>(segment.request) * arguments.query_heads +
                               first_head + head(n)) *
                                  HeadDim +
                              first_dim;
#pragma unroll
      for (int i = 0; i < kHalfBlocks; ++i) {
        const float* const from = state.output[Half * kHalfBlocks + i] + n / 2 * 4 + n % 2;
        if (arguments.output_float) {
          *reinterpret_cast<float2*>(static_cast<float*>(arguments.output) + at + 2 * i) =
              make_float2(from[0], from[2]);
        } else {
          *reinterpret_cast<__nv_bfloat162*>(static_cast<__nv_bfloat16*>(arguments.output) + at +
                                             2 * i) = __floats2bfloat162_rn(from[0], from[2]);
        }
      }
    }
  }

  /// The half of the rows of O^T that a consumer has, merged with those of the pair's other CTA:
  /// each finishes half of the heads.
  template <int Half>
  static __device__ void merge_half_in_pair(const Shared& shared, const Arguments& arguments,
                                            const Segment& segment, int first_head, int rows,
                                            const State& state) {
    constexpr int kPairs = Heads / 16;
    merge_in_pair<HeadDim, true, Heads, kPairs, kHalfBlocks>(
        PairMemory::of(shared), arguments, segment, first_head, rows,
        [&](std::uint32_t rank, int pair, int n) {
          const float* const of_first = state.output[Half * kHalfBlocks + n] + pair * 4;
          const float* const of_second = of_first + kPairs * 4;
          return rank == 0 ? make_float4(of_first[0], of_first[2], of_first[1], of_first[3])
                           : make_float4(of_second[0], of_second[2], of_second[1], of_second[3]);
        },
        [&](std::uint32_t rank, int pair, int n) {
          return (Half * kHalfBlocks + n) * (kTileRows / 8) + static_cast<int>(rank) * kPairs +
                 pair;
        });
  }

  template <bool Paired>
  static __device__ void consume(const Shared& shared, const Arguments& arguments, int begin,
                                 int end) {
    // From one lane, so that the compiler knows that a warp agrees, and descriptors stay in uniform
    // registers.
    const int consumer = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / 128, 0);
    const int group = arguments.query_heads / arguments.kv_heads;
    const std::uint32_t weights_offset = kPlan.operand_offset + consumer * kPlan.operand_bytes;
    std::uint32_t done = 0;
    for (int index = begin; index < end; ++index) {
      const Segment segment = arguments.segments[index];
      const int first_head = segment.kv_head * group + segment.row_block * kTileRows;
      const int rows = min(kTileRows, group - segment.row_block * kTileRows);
      const float scale_log2 =
          arguments.softmax_scale * pipeline::kLog2OfE * arguments.k_scale[segment.kv_head];
      load_query(shared, arguments, segment, first_head, rows);

      State state;
      state.sum[0] = 0;
      state.sum[1] = 0;
#pragma unroll
      for (int block = 0; block < kBlocks; ++block) {
#pragma unroll
        for (int i = 0; i < Heads / 2; ++i) {
          state.output[block][i] = 0;
        }
      }
      for (int tile = consumer_of(done + consumer); tile < segment.tiles; tile += kConsumers) {
        const int valid = valid_tokens(segment, tile);
        float score[Heads / 2];
        scores(shared, score, tile_position(done + tile, Tensor::kKey, kPlan.slots));
        float part[kHeads];
        weigh(shared, state, score, part, weights_offset, consumer, valid, scale_log2);
        const pipeline::RingPosition value =
            tile_position(done + tile, Tensor::kValue, kPlan.slots);
        const std::uint32_t weights = shared.origin + weights_offset;
        valid < kTileTokens ? values<true>(shared, state, weights, value, part, consumer, valid)
                            : values<false>(shared, state, weights, value, part, consumer, valid);
      }
      const bool in_pair = Paired && segment.paired != 0;
      if (in_pair) {
        PairMemory::of(shared).offer_slots();
      }
      weigh_consumers<Paired>(shared, state, arguments, segment, consumer, first_head, rows);
      scale_output(shared, state, consumer);
      const bool consumer_1_has_tiles = consumer_of(done + 1) < segment.tiles;
      if (consumer_1_has_tiles || in_pair) {
        merge_consumers(shared, state, consumer);
      }
      if (in_pair) {
        consumer == 0 ? merge_half_in_pair<0>(shared, arguments, segment, first_head, rows, state)
                      : merge_half_in_pair<1>(shared, arguments, segment, first_head, rows, state);
        break;  // It is the CTA's last.
      }
      if (consumer == 0) {
        write_half<0>(arguments, segment, first_head, rows, state);
      }
      if (consumer == (consumer_1_has_tiles ? 1 : 0)) {
        write_half<1>(arguments, segment, first_head, rows, state);
      }
      done += segment.tiles;
      // Nobody overwrites the query tile before everybody has left it.
      named_barrier(named::kConsumersTogether, kConsumers * 128);
    }
  }
};

}  // namespace ridge::kernels::decode
