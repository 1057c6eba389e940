#pragma once

#include "common/portable.hpp"
#include "decode_attention/problem.hpp"
#include "decode_attention/tile_plan.hpp"

#include <cstdint>

/// How a CTA of the portable kernel uses its shared memory: Q, and two stages of a K and a V tile.
/// An E4M3 cache lands in stages of its own and is expanded into one K and one V tile of F16.
/// Everything fits the 99 KiB that the smallest chips from Ampere on give a CTA.
namespace ridge::kernels::decode {

/// Columns of the output that a warp holds for its 16 rows: so many that nothing spills anywhere.
constexpr int portable_columns(int head_dim) {
  return head_dim == 256 ? 128 : 64;
}
/// Four warps of 16 query rows, for each group of columns.
constexpr int portable_threads(int head_dim) {
  return head_dim / portable_columns(head_dim) * 128;
}
inline constexpr int kPortableStages = 2;
inline constexpr std::uint32_t kPortableLimitBytes = 101376;

struct PortablePlan {
  int tile_tokens = 0;
  std::uint32_t query_bytes = 0;
  std::uint32_t tile_bytes = 0;  ///< A K or V tile in two-byte elements.
  std::uint32_t slot_bytes = 0;  ///< A K or V tile as it lies in the cache.

  std::uint32_t tile_offset = 0;  ///< Of the tiles that matrix instructions read.
  std::uint32_t slot_offset = 0;  ///< Of the stages, each K then V; BF16: the tiles themselves.
  std::uint32_t total_bytes = 0;
};

constexpr PortablePlan portable_plan(int head_dim, KvType type) {
  PortablePlan plan;
  const auto dim = static_cast<std::uint32_t>(head_dim);
  plan.tile_tokens = head_dim == 256 ? 32 : 64;
  const auto tokens = static_cast<std::uint32_t>(plan.tile_tokens);
  plan.query_bytes = kTileRows * dim * 2;
  plan.tile_bytes = tokens * dim * 2;
  plan.slot_bytes = tokens * dim * static_cast<std::uint32_t>(kv_element_bytes(type));
  plan.tile_offset = plan.query_bytes;
  plan.slot_offset = plan.tile_offset + (type == KvType::kE4m3 ? 2 * plan.tile_bytes : 0);
  plan.total_bytes = plan.slot_offset + kPortableStages * 2 * plan.slot_bytes;
  return plan;
}

/// Byte offset of 16-byte piece `piece` of row `row` in a tile of two-byte elements: pieces of
/// eight neighboring rows lie on different banks, for the loads of a matrix as well as for its
/// stores.
RIDGE_HOST_DEVICE constexpr std::uint32_t portable_offset(int head_dim, std::uint32_t row,
                                                          std::uint32_t piece) {
  return row * static_cast<std::uint32_t>(head_dim) * 2 + (piece ^ (row % 8)) * 16;
}

/// Two E4M3 codes (bits 0..7 and 16..23) as two F16 that are 2^-8 of their values. Moving exponent
/// and mantissa into F16's fields does it, subnormals included, on chips without an instruction for
/// it; the factor goes into the scales. A NaN becomes a number: unused tokens need no clearing.
RIDGE_HOST_DEVICE constexpr std::uint32_t e4m3_pair_as_f16(std::uint32_t codes) {
  return (codes & 0x00800080u) << 8 | (codes & 0x007f007fu) << 7;
}
inline constexpr float kE4m3AsF16Scale = 256.0f;

}  // namespace ridge::kernels::decode
