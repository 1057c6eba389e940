#pragma once

#include "common/portable.hpp"
#include "common/shared_layout.hpp"
#include "decode_attention/problem.hpp"
#include "decode_attention/schedule.hpp"
#include "decode_attention/tile_plan.hpp"
#include "pipeline/ring.hpp"

#include <cstdint>

/// How one CTA of the MLA kernel divides its work and its shared memory: what the kernel is
/// compiled from, and what the tests and --explain read.
///
/// A tile is 64 query heads against a page of 64 tokens, whose 576 values (512 of latent, 64
/// rotary) are nine swizzled panels of 64. An output of 64 x 512 is more than one warpgroup's
/// registers hold, so two share it by columns; a third computes the scores, once for both. They
/// issue m64n128: ptxas compiles no m64n256 into a kernel of 512 threads.
namespace ridge::kernels::decode {

inline constexpr int kValueWarpgroups = 2;
inline constexpr int kScoreWarpgroup = kValueWarpgroups;  ///< Its number; the producer's is next.
inline constexpr int kLatentThreads = (kValueWarpgroups + 2) * 128;
inline constexpr int kLatentKeyDim = kLatentRank + kLatentRopeDim;
inline constexpr int kLatentColumns = 128;  ///< Of one wgmma of P V.
inline constexpr int kLatentBlocks = kLatentRank / kValueWarpgroups / kLatentColumns;
inline constexpr int kLatentPanels = kLatentKeyDim / 64;
inline constexpr int kLatentValuePanels = kLatentRank / 64;
inline constexpr std::uint32_t kLatentPanelBytes = kTileTokens * kPanelRowBytes;
inline constexpr int kLatentValuePasses = value_passes(KvType::kBf16);  ///< At most.

// Registers per thread, of 65,536 for 512 threads: 2 x 192 + 88 + 40 = 512 = 4 x 128.
inline constexpr int kLatentValueRegisters = 192;
inline constexpr int kLatentScoreRegisters = 88;

/// One of the two terms of P, as BF16.
inline constexpr std::uint32_t kLatentWeightBytes = kTileRows * kTileTokens * 2;

struct LatentPlan {
  std::uint32_t query_bytes = 0;
  std::uint32_t slot_bytes = 0;  ///< A page.
  int slots = 2;

  // Offsets from a 1024-byte aligned origin.
  std::uint32_t query_offset = 0;
  std::uint32_t slot_offset = 0;
  std::uint32_t weight_offset = 0;  ///< P's first term; its second lies in the tile's slot.
  std::uint32_t row_offset = 0;     ///< A float per row: see message_position.
  std::uint32_t full_offset = 0;    ///< A barrier per slot and panel.
  std::uint32_t empty_offset = 0;   ///< One per slot.
  std::uint32_t message_ready_offset = 0;
  std::uint32_t message_read_offset = 0;
  std::uint32_t total_bytes = 0;  ///< What to ask of the launch, alignment slack included.
};

constexpr LatentPlan latent_plan() {
  LatentPlan plan;
  plan.query_bytes = kTileRows * kLatentKeyDim * 2;
  plan.slot_bytes = kTileTokens * kLatentKeyDim * 2;
  plan.query_offset = 0;
  plan.slot_offset = plan.query_bytes;
  plan.weight_offset = plan.slot_offset + static_cast<std::uint32_t>(plan.slots) * plan.slot_bytes;
  plan.row_offset = plan.weight_offset + kLatentWeightBytes;
  const auto slots = static_cast<std::uint32_t>(plan.slots);
  plan.full_offset = plan.row_offset + kTileRows * sizeof(float);
  plan.empty_offset = plan.full_offset + slots * kLatentPanels * 8;
  plan.message_ready_offset = plan.empty_offset + slots * 8;
  plan.message_read_offset = plan.message_ready_offset + 8;
  plan.total_bytes = plan.message_read_offset + 8 + kSwizzleAtomBytes;
  return plan;
}

/// Byte offset, in a slot, of P's second term. The rotary part of the keys is no value: once all
/// scores are there its panel is dead, and just large enough. Shared memory has no room for a
/// second tile of P beside two slots.
inline constexpr std::uint32_t kSecondWeightOffset = kLatentValuePanels * kLatentPanelBytes;
static_assert(kLatentWeightBytes == kLatentPanelBytes);

/// Byte offset of a thread's A fragment for the 16 tokens of step `k` in a term of P. The scores'
/// thread holds what the values' thread of the same number in its warpgroup needs, so that P needs
/// no matrix layout on its way, only 16 bytes per thread side by side.
RIDGE_HOST_DEVICE constexpr std::uint32_t weight_fragment(std::uint32_t k, std::uint32_t thread) {
  return (k * 128 + thread) * 16;
}

/// The score warpgroup tells the two value warpgroups of its progress in messages, one at a time
/// through one mailbox (a ring of one slot): for each tile P and, per row, the factor by which the
/// output so far shrinks; after a segment's last tile, per row, the factor that turns the output
/// into the result. The next message is written when this one is in the readers' registers.
RIDGE_HOST_DEVICE constexpr pipeline::RingPosition message_position(std::uint32_t number) {
  return pipeline::ring_position(number, 1);
}

}  // namespace ridge::kernels::decode
