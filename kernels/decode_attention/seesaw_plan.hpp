#pragma once

#include "common/portable.hpp"
#include "common/shared_layout.hpp"
#include "decode_attention/latent_plan.hpp"
#include "decode_attention/problem.hpp"
#include "decode_attention/tile_plan.hpp"
#include "pipeline/ring.hpp"

#include <cstdint>

/// How one CTA of MLA's second kernel, the seesaw, divides its work and its shared memory.
///
/// A tile is that of latent_plan.hpp: 64 query heads against a page of 64 tokens. Two warpgroups
/// hold 256 of the 512 output columns each. Even tiles (counted over the CTA's whole work) are the
/// first warpgroup's, odd ones the second's: the *owner* computes a tile's scores and weights P,
/// and hands P to the other, since both need it for their columns. So one's softmax runs beside the
/// other's products. The idea is that of FlashMLA's "seesaw" schedule (its
/// docs/20250422-new-kernel-deep-dive.md); the order of steps is another:
///
///   first warpgroup     S(0)       softmax(0) P V(0)             P V(1)   S(2) ...
///   second warpgroup          S(1) P V(0) beside softmax(1)      P V(1)        S(3) ...
///
/// Both add tiles to their columns in the order of the tokens, so that nothing is scaled twice. The
/// second issues the products with the other's P behind its own scores and works on its softmax
/// meanwhile. The first does them before its next scores: it would wait for their page's copy
/// anyway, and so frees the second's page sooner.
///
/// There are two slots, one for either's tiles. What a slot holds becomes free in five parts, as
/// soon as each is read for the last time: the rotary panel with the scores, four times 128 columns
/// with the products of whoever holds these columns. Parts are freed, copied anew and read in one
/// order, the owner's columns first.
namespace ridge::kernels::decode {

inline constexpr int kSeesawWarpgroups = 2;
inline constexpr int kSeesawThreads = (kSeesawWarpgroups + 1) * 128;

/// Parts of a slot that become free by themselves: those of values, then the rotary panel.
inline constexpr int kSeesawValueParts = kLatentRank / kLatentColumns;
inline constexpr int kSeesawRotaryPart = kSeesawValueParts;
inline constexpr int kSeesawParts = kSeesawValueParts + 1;
inline constexpr int kSeesawPartPanels = kLatentColumns / 64;
inline constexpr int kSeesawRotaryPanel = kLatentValuePanels;

/// The part of columns that the scores of `owner`'s tile read as their `i`-th, behind the rotary
/// panel, and that is copied and freed as such.
RIDGE_HOST_DEVICE constexpr int seesaw_part(int owner, int i) {
  return (owner * kLatentBlocks + i) % kSeesawValueParts;
}

/// Of a tile: its slot, which is its owner's number, and the use of it; likewise of the owner's
/// messages, in which it hands over P and, per row, the largest score so far. Messages go to and
/// fro, so that one place holds P: whoever writes it has read what was there.
RIDGE_HOST_DEVICE constexpr pipeline::RingPosition seesaw_position(std::uint32_t tile) {
  return pipeline::ring_position(tile, kSeesawWarpgroups);
}

struct SeesawPlan {
  std::uint32_t query_bytes = 0;  ///< Without the rotary part, which is in registers.
  std::uint32_t slot_bytes = 0;

  // Offsets from a 1024-byte aligned origin.
  std::uint32_t query_offset = 0;
  std::uint32_t slot_offset = 0;
  std::uint32_t weight_offset = 0;   ///< P of the last tile, see weight_fragment.
  std::uint32_t largest_offset = 0;  ///< Per owner: a float per row.
  std::uint32_t sum_offset = 0;      ///< The same: a segment's denominators, of the owner's tiles.
  std::uint32_t full_offset = 0;     ///< A barrier per slot and panel.
  std::uint32_t empty_offset = 0;    ///< A barrier per slot and part.
  std::uint32_t message_offset = 0;  ///< A barrier per owner.
  std::uint32_t total_bytes = 0;     ///< What to ask of the launch, alignment slack included.
};

constexpr SeesawPlan seesaw_plan() {
  constexpr std::uint32_t kEach = kSeesawWarpgroups;
  constexpr std::uint32_t kRowBytes = kEach * kTileRows * sizeof(float);
  SeesawPlan plan;
  plan.query_bytes = kTileRows * kLatentRank * 2;
  plan.slot_bytes = kTileTokens * kLatentKeyDim * 2;
  plan.slot_offset = plan.query_bytes;
  plan.weight_offset = plan.slot_offset + kEach * plan.slot_bytes;
  plan.largest_offset = plan.weight_offset + kLatentWeightBytes;
  plan.sum_offset = plan.largest_offset + kRowBytes;
  plan.full_offset = plan.sum_offset + kRowBytes;
  plan.empty_offset = plan.full_offset + kEach * kLatentPanels * 8;
  plan.message_offset = plan.empty_offset + kEach * kSeesawParts * 8;
  plan.total_bytes = plan.message_offset + kEach * 8 + kSwizzleAtomBytes;
  return plan;
}

/// Whether the seesaw serves a problem: MLA with a BF16 cache. It multiplies by P in one term.
inline bool seesaw_serves(const Problem& problem) {
  return problem.latent() && problem.kv_type == KvType::kBf16;
}

}  // namespace ridge::kernels::decode
