#pragma once

#include "common/portable.hpp"
#include "common/shared_layout.hpp"
#include "decode_attention/problem.hpp"
#include "decode_attention/schedule.hpp"
#include "pipeline/ring.hpp"

#include <cstdint>

/// How one CTA of the decode-attention kernel lays out its shared memory and walks its ring of
/// tiles: what the kernel is compiled from, and what the tests and --explain read.
namespace ridge::kernels::decode {

/// Shared memory a CTA may use on Hopper (CUDA C++ programming guide, table of compute
/// capabilities).
inline constexpr std::uint32_t kSharedLimitBytes = 232448;
inline constexpr int kConsumers = 2;  ///< Consumer warpgroups, taking alternate tiles.
inline constexpr int kThreads = 384;  ///< Two consumer warpgroups and the producer's.
inline constexpr int kProducerRegisters = 40;
inline constexpr int kConsumerRegisters = 232;
inline constexpr int kMaxSlots = 24;
inline constexpr int kPairBarriers = 2;  ///< Of two CTAs that merge what they share.

struct TilePlan {
  std::uint32_t query_bytes = 0;    ///< The 64 x head_dim query tile, two-byte elements.
  std::uint32_t operand_bytes = 0;  ///< A K, V or P tile as wgmma reads it, two-byte elements.
  std::uint32_t slot_bytes = 0;     ///< A K or V tile as it lies in the cache.
  int slots = 0;                    ///< K or V tiles in flight, half of them each consumer's.

  // Offsets from a 1024-byte aligned origin.
  std::uint32_t query_offset = 0;
  std::uint32_t operand_offset = 0;  ///< FP8 only: per consumer, K and V expanded, or P.
  std::uint32_t slot_offset = 0;
  std::uint32_t stats_offset = 0;    ///< Each consumer's row maxima and sums, see the kernels.
  std::uint32_t barrier_offset = 0;  ///< Per slot: full, then per slot: empty.
  std::uint32_t pair_offset = 0;     ///< The barriers of a pair of CTAs, see pair_merge.cuh.
  std::uint32_t total_bytes = 0;     ///< What to ask of the launch, alignment slack included.
};

/// E4M3 tiles are expanded to F16, which holds every E4M3 value exactly, by one instruction for two
/// elements where BF16 would take several. Where a row of the cache fills a swizzled panel they
/// are expanded on their way into the registers of the matrix unit's first operand
/// (transposed_attention.cuh), otherwise in shared memory (attention.cuh).
constexpr bool expands_in_registers(int head_dim, KvType type) {
  return type == KvType::kE4m3 && head_dim % 128 == 0;
}

/// Whether tiles land swizzled, by a tensor map, or as the plain bytes of their page.
constexpr bool tiles_by_map(int head_dim, KvType type) {
  return type == KvType::kBf16 || expands_in_registers(head_dim, type);
}

/// What a consumer of the transposed kernel keeps per query head, as floats in shared memory:
/// the reference of its weights, four warps' shares of a reduction (a tile's largest scores, at the
/// end the sums), and then a flag per warp.
inline constexpr std::uint32_t kTransposedStatsBytes = (kTileRows + 4 * kTileRows + 4) * 4;

/// Query heads that a tile's products are computed for, those that no query uses included: KV heads
/// of few have transposed products of fewer columns, since a tile's softmax and matrix work, which
/// are per column, otherwise take longer than its bytes.
constexpr int computed_heads(int head_dim, KvType type, int group) {
  if (!expands_in_registers(head_dim, type)) {
    return kTileRows;
  }
  return group <= 16 ? 16 : group <= 32 ? 32 : kTileRows;
}

/// K and V tiles travel through one ring of slots in the order K0 V0 K1 V1 ...; BF16 tiles are used
/// where they land, E4M3 tiles that are expanded in shared memory go to two buffers of their
/// consumer, K's and V's.
constexpr TilePlan tile_plan(int head_dim, KvType type) {
  TilePlan plan;
  const auto dim = static_cast<std::uint32_t>(head_dim);
  plan.query_bytes = kTileRows * dim * 2;
  const bool in_registers = expands_in_registers(head_dim, type);
  plan.operand_bytes = kTileTokens * (in_registers ? kTileRows : dim) * 2;
  plan.slot_bytes = kTileTokens * dim * (type == KvType::kBf16 ? 2 : 1);
  const std::uint32_t operands = type == KvType::kBf16 ? 0 : in_registers ? 1 : 2;
  const std::uint32_t converted = kConsumers * operands * plan.operand_bytes;
  const std::uint32_t stats =
      kConsumers * (in_registers ? kTransposedStatsBytes : kTileRows * 2u * sizeof(float));
  const std::uint32_t barriers = (kMaxSlots * 2 + kPairBarriers) * 8;
  const std::uint32_t fixed = plan.query_bytes + converted + stats + barriers + kSwizzleAtomBytes;
  const auto fitting = static_cast<int>((kSharedLimitBytes - fixed) / plan.slot_bytes);
  plan.slots = (fitting < kMaxSlots ? fitting : kMaxSlots) / 2 * 2;
  plan.query_offset = 0;
  plan.operand_offset = plan.query_bytes;
  plan.slot_offset = plan.operand_offset + converted;
  plan.stats_offset = plan.slot_offset + static_cast<std::uint32_t>(plan.slots) * plan.slot_bytes;
  plan.barrier_offset = plan.stats_offset + stats;
  plan.pair_offset = plan.barrier_offset + kMaxSlots * 2 * 8;
  plan.total_bytes = plan.barrier_offset + barriers + kSwizzleAtomBytes;
  return plan;
}

/// How often P V is computed per tile: in how many terms P is written. One BF16 term alone costs an
/// error of 1.3e-3 of the output; a sum of two makes it vanish, which costs nothing where the
/// kernel waits for memory and the whole second product where it waits for arithmetic, so that
/// `one_term` leaves it to the caller. F16 carries three more bits and needs no second term.
constexpr int value_passes(KvType type, bool one_term = false) {
  return type == KvType::kBf16 && !one_term ? 2 : 1;
}

/// Tiles alternate between the consumers over a CTA's whole work, and each consumer has half of the
/// slots to itself, used in turn by the K and V of its tiles. A shared ring would let a consumer
/// wait for a use of a slot while the other's use before it has not landed; parities cannot tell
/// uses two apart, and the wait would pass too early.
enum class Tensor : std::uint32_t { kKey = 0, kValue = 1 };

RIDGE_HOST_DEVICE constexpr int consumer_of(std::uint32_t tile) {
  return static_cast<int>(tile % kConsumers);
}

/// Place of the K or V of the CTA's `tile`-th tile.
RIDGE_HOST_DEVICE constexpr pipeline::RingPosition tile_position(std::uint32_t tile, Tensor tensor,
                                                                 std::uint32_t slots) {
  const std::uint32_t own_slots = slots / kConsumers;
  pipeline::RingPosition at = pipeline::ring_position(
      tile / kConsumers * 2 + static_cast<std::uint32_t>(tensor), own_slots);
  at.slot += tile % kConsumers * own_slots;
  return at;
}

/// Byte offset of the k-th 16-element step along head_dim in a query or key tile (K-major
/// operands).
RIDGE_HOST_DEVICE constexpr std::uint32_t head_dim_step(std::uint32_t k) {
  return k / 4 * kTileTokens * kPanelRowBytes + k % 4 * 32;
}

/// Byte offset of the k-th 16-token step in a value tile (MN-major operand).
RIDGE_HOST_DEVICE constexpr std::uint32_t token_step(std::uint32_t k) {
  return k * 2 * kSwizzleAtomBytes;
}

/// Where 16 E4M3 codes of the linear tile go in the swizzled F16 operand. A thread reads 16 codes
/// and writes two 16-byte pieces; odd panels write their second piece first, which keeps the eight
/// lanes of a store phase on distinct banks.
struct ConversionStore {
  std::uint32_t first_piece = 0;  ///< Byte offset of the piece stored first.
  std::uint32_t second_piece = 0;
  bool high_first = false;  ///< The piece stored first holds codes 8..15.
};

RIDGE_HOST_DEVICE constexpr ConversionStore conversion_store(std::uint32_t row,
                                                             std::uint32_t sixteenth) {
  const std::uint32_t low = panel_offset(kTileTokens, row, sixteenth * 32);
  const std::uint32_t high = panel_offset(kTileTokens, row, sixteenth * 32 + 16);
  const bool high_first = (sixteenth / 4) % 2 == 1;
  return high_first ? ConversionStore{high, low, true} : ConversionStore{low, high, false};
}

/// Weight of a partial result whose log2 of the softmax's denominator is `lse`, given the largest
/// of all. Parts without a token have -infinity and weigh nothing.
template <typename Exp2>
RIDGE_HOST_DEVICE constexpr float merge_weight(float lse, float largest, Exp2 exp2) {
  return lse == largest ? 1.0f : exp2(lse - largest);
}

}  // namespace ridge::kernels::decode
