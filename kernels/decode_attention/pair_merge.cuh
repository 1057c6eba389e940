#pragma once

#include "common/async_copy.cuh"
#include "common/cluster.cuh"
#include "common/device_math.cuh"
#include "decode_attention/arguments.hpp"
#include "decode_attention/part_layout.hpp"
#include "decode_attention/result.cuh"
#include "decode_attention/tile_plan.hpp"
#include "pipeline/online_softmax.cuh"
#include "pipeline/slots.cuh"

#include <cstdint>

/// How two CTAs of a cluster merge the result of which each has a part (Segment::paired), each
/// CTA's last. Of what either consumer holds, a CTA finishes one half and stores the other half in
/// the other CTA's shared memory, where the ring of slots was:
///
///   offered   the other CTA's consumers (8 warps) are done with their slots
///   landed    the other CTA's half, and the log-sum-exps of its part, are here
///
/// Neither CTA can end too early: a CTA that has waited for both has nothing more to come.
namespace ridge::kernels::decode {

/// Where a CTA's half arrives, in pieces of 16 bytes, and the log-sum-exps of the other's part;
/// behind them lie those of its own. Log-sum-exps are in base 2, by row; only rows in use have
/// them.
struct PairMemory {
  std::uint32_t origin;
  unsigned char* generic;  ///< The same place as an ordinary pointer.
  std::uint32_t offered;
  std::uint32_t landed;

  template <typename Shared>
  static __device__ PairMemory of(const Shared& shared) {
    constexpr TilePlan kPlan = Shared::kPlan;
    const std::uint32_t barriers = shared.origin + kPlan.pair_offset;
    return {shared.origin + kPlan.slot_offset, shared.generic + kPlan.slot_offset, barriers,
            barriers + 8};
  }

  static constexpr int kMostPieceBytes = 32768;  ///< With 256 dimensions and 64 heads.
  __device__ float* their_lse() const {
    return reinterpret_cast<float*>(generic + kMostPieceBytes);
  }
  __device__ float* own_lse() const { return their_lse() + kTileRows; }

  /// By one thread, before the cluster meets.
  __device__ void init() const {
    mbarrier_init(offered, kConsumers * 4);
    mbarrier_init(landed, 1);
  }
  /// By each warp of the consumers, when it is done with its slots for good.
  __device__ void offer_slots() const {
    __syncwarp();
    if (threadIdx.x % 32 == 0) {
      mbarrier_arrive_at(offered, cluster_rank() ^ 1u);
    }
  }
};

/// Merges. All consumers' threads call it after they have met since own_lse() was written. Of the
/// pieces (PartLayout) that a thread holds, CTA `rank` of the pair finishes `Groups` x `PerGroup`,
/// those of a group being of the same two rows: `piece(rank, group, n)`, as whole normalized
/// results, is the index(rank, group, n)-th of 128 threads' pieces of the result.
template <int ValueDim, bool Transposed, int Heads, int Groups, int PerGroup, typename Piece,
          typename Index>
__device__ __forceinline__ void merge_in_pair(const PairMemory& memory, const Arguments& arguments,
                                              const Segment& segment, int first_head, int rows,
                                              const Piece& piece, const Index& index) {
  using Layout = PartLayout<ValueDim, Transposed>;
  constexpr int kKept = Groups * PerGroup;
  constexpr int kPieceBytes = kConsumers * kKept * 128 * 16;
  static_assert(kPieceBytes <= PairMemory::kMostPieceBytes && Heads % 4 == 0);
  const auto exp2 = [](float x) { return exp2_approx(x); };
  const int all = static_cast<int>(threadIdx.x);
  const int thread = all % 128;
  const int first_piece = all / 128 * kKept * 128 + thread;
  const std::uint32_t rank = cluster_rank();
  const std::uint32_t other = rank ^ 1u;

  if (all == 0) {
    mbarrier_arrive_expect(memory.landed, kPieceBytes + Heads * 4);
  }
  mbarrier_wait(memory.offered, 0);
  const std::uint32_t there = address_at(memory.origin, other);
  const std::uint32_t landed_there = address_at(memory.landed, other);
#pragma unroll
  for (int group = 0; group < Groups; ++group) {
#pragma unroll
    for (int n = 0; n < PerGroup; ++n) {
      store_async(there + (first_piece + (group * PerGroup + n) * 128) * 16, piece(other, group, n),
                  landed_there);
    }
  }
  if (all < Heads / 4) {
    store_async(there + PairMemory::kMostPieceBytes + all * 16,
                reinterpret_cast<const float4*>(memory.own_lse())[all], landed_there);
  }
  mbarrier_wait_in_cluster(memory.landed, 0);

  float4 merged[Groups][PerGroup];
  const float4* const theirs = reinterpret_cast<const float4*>(memory.generic) + first_piece;
#pragma unroll
  for (int group = 0; group < Groups; ++group) {
    const int row = Layout::row(index(rank, group, 0) * 128 + thread);
    float own_weight[2];
    float their_weight[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float own = memory.own_lse()[row + half * Layout::kRowsApart];
      const float their = memory.their_lse()[row + half * Layout::kRowsApart];
      const float largest = fmaxf(own, their);
      own_weight[half] = merge_weight(own, largest, exp2);
      their_weight[half] = merge_weight(their, largest, exp2);
      const float factor = 1.0f / (own_weight[half] + their_weight[half]);
      own_weight[half] *= factor;
      their_weight[half] *= factor;
    }
#pragma unroll
    for (int n = 0; n < PerGroup; ++n) {
      const float4 own = piece(rank, group, n);
      const float4 their = theirs[(group * PerGroup + n) * 128];
      merged[group][n] = make_float4(own.x * own_weight[0] + their.x * their_weight[0],
                                     own.y * own_weight[0] + their.y * their_weight[0],
                                     own.z * own_weight[1] + their.z * their_weight[1],
                                     own.w * own_weight[1] + their.w * their_weight[1]);
    }
  }
  const auto for_each_piece = [&](auto&& write) {
#pragma unroll
    for (int group = 0; group < Groups; ++group) {
#pragma unroll
      for (int n = 0; n < PerGroup; ++n) {
        write(index(rank, group, n) * 128 + thread, merged[group][n]);
      }
    }
  };
  if (segment.partial >= 0) {
    float4* const part = reinterpret_cast<float4*>(arguments.partial_output) +
                         static_cast<std::int64_t>(segment.partial) * Layout::kVectors;
    for_each_piece([&](int vector, const float4& piece) {
      if (Layout::row(vector) < rows) {
        part[vector] = piece;
      }
    });
  } else {
    const std::int64_t first =
        static_cast<std::int64_t>(segment.request) * arguments.query_heads + first_head;
    const auto write_rows = [&](auto write_pair) {
      for_each_piece([&](int vector, const float4& piece) {
        const int row = Layout::row(vector);
        const std::int64_t at = (first + row) * ValueDim + Layout::column(vector);
        if (row < rows) {
          write_pair(at, piece.x, piece.y);
        }
        if (row + Layout::kRowsApart < rows) {
          write_pair(at + Layout::kRowsApart * ValueDim, piece.z, piece.w);
        }
      });
    };
    if (arguments.output_float) {
      write_rows([&](std::int64_t at, float x, float y) { write_float_pair(arguments, at, x, y); });
    } else {
      write_rows([&](std::int64_t at, float x, float y) { write_bf16_pair(arguments, at, x, y); });
    }
  }
  if (rank == 0 && all < min(rows, Heads)) {
    const float own = memory.own_lse()[all];
    const float their = memory.their_lse()[all];
    const float largest = fmaxf(own, their);
    write_row_lse(
        arguments, segment, first_head, all,
        largest + log2f(merge_weight(own, largest, exp2) + merge_weight(their, largest, exp2)));
  }
}

}  // namespace ridge::kernels::decode
