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
///
/// A cache of E4M3 codes lands in the very slots in which it is expanded to F16, scales included:
/// 41 KiB land where 64 KiB of operands and the rotary panel will be. Three warps of the producer's
/// warpgroup, idle otherwise, expand it, and those of the scores a part.
namespace ridge::kernels::decode {

inline constexpr int kValueWarpgroups = 2;
inline constexpr int kScoreWarpgroup = kValueWarpgroups;  ///< Its number; the producer's is next.
inline constexpr int kLatentThreads = (kValueWarpgroups + 2) * 128;
inline constexpr int kScoreWarps = 4;
inline constexpr int kExpanderWarps = 3;  ///< Of the producer's warpgroup, behind the producer.
inline constexpr int kLatentKeyDim = kLatentRank + kLatentRopeDim;
inline constexpr int kLatentColumns = 128;  ///< Of one wgmma of P V.
inline constexpr int kLatentBlocks = kLatentRank / kValueWarpgroups / kLatentColumns;
inline constexpr int kLatentPanels = kLatentKeyDim / 64;
inline constexpr int kLatentValuePanels = kLatentRank / 64;
inline constexpr std::uint32_t kLatentPanelBytes = kTileTokens * kPanelRowBytes;

/// Registers per thread of the three kinds of warpgroups, of 65,536 for 512 threads: those of the
/// values count twice, and their sum is 4 x 128. One term of P leaves the values' warpgroups some
/// to spare, and who expands can use them.
struct LatentRegisters {
  int value;
  int score;
  int producer;
};
constexpr LatentRegisters latent_registers(KvType type) {
  return type == KvType::kBf16 ? LatentRegisters{192, 88, kProducerRegisters}
                               : LatentRegisters{176, 88, 72};
}

/// A slot becomes full in so many parts: by panel as BF16 lands, at once as codes are expanded.
constexpr int latent_parts(KvType type) {
  return type == KvType::kBf16 ? kLatentPanels : 1;
}

/// Copies of a tile of codes that are waited for one by one: the codes of a scale each, the first
/// together with all scales, then the rotary panel.
inline constexpr int kLandedParts = kLatentScales + 1;
inline constexpr int kLandedRope = kLatentScales;

/// One of the two terms of P, as BF16, or the one, as F16.
inline constexpr std::uint32_t kLatentWeightBytes = kTileRows * kTileTokens * 2;

struct LatentPlan {
  std::uint32_t query_bytes = 0;
  std::uint32_t slot_bytes = 0;     ///< A page, two bytes per value.
  std::uint32_t landing_bytes = 0;  ///< A page as it lies in the cache.
  int slots = 2;

  // Offsets from a 1024-byte aligned origin.
  std::uint32_t query_offset = 0;
  std::uint32_t slot_offset = 0;
  std::uint32_t weight_offset = 0;  ///< P's first term; its second lies in the tile's slot.
  std::uint32_t row_offset = 0;     ///< A float per row: see message_position.
  std::uint32_t full_offset = 0;    ///< A barrier per slot and part.
  std::uint32_t landed_offset = 0;  ///< E4M3: a barrier per slot and landed part.
  std::uint32_t scaled_offset = 0;  ///< E4M3: a barrier per slot: all warps have their scales.
  std::uint32_t empty_offset = 0;   ///< One per slot.
  std::uint32_t message_ready_offset = 0;
  std::uint32_t message_read_offset = 0;
  std::uint32_t total_bytes = 0;  ///< What to ask of the launch, alignment slack included.
};

constexpr LatentPlan latent_plan(KvType type) {
  const bool coded = type == KvType::kE4m3;
  LatentPlan plan;
  plan.query_bytes = kTileRows * kLatentKeyDim * 2;
  plan.slot_bytes = kTileTokens * kLatentKeyDim * 2;
  plan.landing_bytes = coded ? kTileTokens * kCodedTokenBytes : plan.slot_bytes;
  plan.query_offset = 0;
  plan.slot_offset = plan.query_bytes;
  const auto slots = static_cast<std::uint32_t>(plan.slots);
  plan.weight_offset = plan.slot_offset + slots * plan.slot_bytes;
  plan.row_offset = plan.weight_offset + kLatentWeightBytes;
  plan.full_offset = plan.row_offset + kTileRows * sizeof(float);
  plan.landed_offset =
      plan.full_offset + slots * static_cast<std::uint32_t>(latent_parts(type)) * 8;
  plan.scaled_offset = plan.landed_offset + (coded ? slots * kLandedParts * 8 : 0);
  plan.empty_offset = plan.scaled_offset + (coded ? slots * 8 : 0);
  plan.message_ready_offset = plan.empty_offset + slots * 8;
  plan.message_read_offset = plan.message_ready_offset + 8;
  plan.total_bytes = plan.message_read_offset + 8 + kSwizzleAtomBytes;
  return plan;
}

/// Byte offset of the rotary panel in a slot, where it lands and is used.
inline constexpr std::uint32_t kRopePanelOffset = kLatentValuePanels * kLatentPanelBytes;

/// Byte offset, in a slot, of P's second term. The rotary part of the keys is no value: once all
/// scores are there its panel is dead, and just large enough. Shared memory has no room for a
/// second tile of P beside two slots.
inline constexpr std::uint32_t kSecondWeightOffset = kRopePanelOffset;
static_assert(kLatentWeightBytes == kLatentPanelBytes);

/// Where the codes of the scale `block` land in a slot: a panel of 64 tokens x 128 codes, behind
/// what the blocks before it become.
RIDGE_HOST_DEVICE constexpr std::uint32_t code_panel_offset(std::uint32_t block) {
  return (kLatentValuePanels - kLatentScales + block) * kLatentPanelBytes;
}

/// What a block becomes lies so far behind what the one before it becomes.
inline constexpr std::uint32_t kExpandedBlockBytes =
    kLatentValuePanels / kLatentScales * kLatentPanelBytes;

/// Where a tile's scales land, 16 bytes per token: what the last tokens become overwrites them.
inline constexpr std::uint32_t kScaleLandingBytes = kTileTokens * kLatentScales * 4;
inline constexpr std::uint32_t kScaleLandingOffset = code_panel_offset(0) - kScaleLandingBytes;

/// A warp expands the 512 codes of four tokens at a time, a group. They lie in the same four rows
/// of every panel as what they become, so that a warp overwrites no codes but those that it has
/// read.
inline constexpr int kGroupTokens = 4;
inline constexpr int kGroups = kTileTokens / kGroupTokens;

/// Groups that the warps of the scores expand, which would wait for the expanders otherwise: one
/// each, the last ones, whose results lie where all warps' scales were. With six or seven of them
/// an H200 takes up to 4 % longer.
inline constexpr int kScoreGroups = kScoreWarps;
static_assert(kScoreGroups * kGroupTokens * kPanelRowBytes >= kScaleLandingBytes);

/// The groups of one of the expanding warps: the expanders, then those of the scores.
struct WarpGroups {
  int first;
  int end;
  int step;
};
RIDGE_HOST_DEVICE constexpr WarpGroups groups_of(int warp) {
  constexpr int kScoresFirst = kGroups - kScoreGroups;
  return warp < kExpanderWarps
             ? WarpGroups{warp, kScoresFirst, kExpanderWarps}
             : WarpGroups{kScoresFirst + warp - kExpanderWarps, kGroups, kScoreWarps};
}
constexpr int most_groups(bool scores) {
  return scores ? (kScoreGroups + kScoreWarps - 1) / kScoreWarps
                : (kGroups - kScoreGroups + kExpanderWarps - 1) / kExpanderWarps;
}

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
