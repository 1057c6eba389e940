#pragma once

#include "common/portable.hpp"
#include "moe/shape.hpp"

#include <cstdint>

/// Which output tile a thread block computes next, in a grouped GEMM whose group sizes are known
/// only on the device. The host never learns the routing, so a CUDA graph that holds the launch
/// stays valid for any routing.
namespace ridge::kernels::moe {

/// Weight rows of one tile. 256 rows of the interleaved gate/up matrix make 128 columns of SwiGLU
/// output: exactly one activation scale block, so that one thread block can requantize it alone.
inline constexpr int kTileWeights = 256;

/// Token rows of one tile at most.
inline constexpr int kTileTokens = 128;

/// Tiles with at most this many tokens swap the operands: see `OperandOrder`.
inline constexpr int kSwapTokens = 64;

/// Neighboring token tiles that walk the weights together. 16 x 128 tokens of K = 7168 are 15 MB,
/// which the 50 MB L2 keeps while the weights stream past.
inline constexpr int kTokenTilesPerBand = 16;

/// The matrix unit computes 64 x N x 32 with N = 8, 16, ..., 256: only its N side can be narrow.
enum class OperandOrder : std::uint8_t {
  kTokensByWeights,  ///< Tokens are M: two 64-row halves, both with work.
  kWeightsByTokens,  ///< "Swap-AB": weights are M, tokens are N = 16, 32 or 64.
};

/// The order is chosen tile by tile, so that an expert with 129 tokens costs one full tile and one
/// narrow one instead of two full ones.
RIDGE_HOST_DEVICE constexpr OperandOrder operand_order(int tile_tokens) {
  return tile_tokens <= kSwapTokens ? OperandOrder::kWeightsByTokens
                                    : OperandOrder::kTokensByWeights;
}

/// Token rows that a tile holding `tile_tokens` of them occupies in the matrix unit.
RIDGE_HOST_DEVICE constexpr int padded_tokens(int tile_tokens) {
  if (tile_tokens <= 16) return 16;
  if (tile_tokens <= 32) return 32;
  if (tile_tokens <= kSwapTokens) return kSwapTokens;
  return kTileTokens;
}

RIDGE_HOST_DEVICE constexpr int ceil_div(int a, int b) {
  return (a + b - 1) / b;
}

/// One output tile. Rows count within the permuted activation matrix; `weight_block` counts
/// `kTileWeights` rows within the group's weights.
struct Tile {
  int group = 0;
  int first_row = 0;
  int tokens = 0;
  int weight_block = 0;

  constexpr bool operator==(const Tile&) const = default;
};

/// Position `index` of the walk over one group of `rows` tokens: bands of token tiles, in each band
/// the weight blocks in order, and for each weight block the band's token tiles. Thread blocks that
/// run at the same time thus share weights first and tokens second.
RIDGE_HOST_DEVICE constexpr Tile tile_in_group(int group, int group_first_row, int rows,
                                               int weight_blocks, int index) {
  const int token_tiles = ceil_div(rows, kTileTokens);
  const int band = index / (kTokenTilesPerBand * weight_blocks);
  const int band_first = band * kTokenTilesPerBand;
  const int left = token_tiles - band_first;
  const int band_tiles = left < kTokenTilesPerBand ? left : kTokenTilesPerBand;
  const int in_band = index - band_first * weight_blocks;
  const int first = (band_first + in_band % band_tiles) * kTileTokens;
  const int tokens = rows - first < kTileTokens ? rows - first : kTileTokens;
  return {group, group_first_row + first, tokens, in_band / band_tiles};
}

/// Hands thread block `worker` of `workers` its tiles: every `workers`-th of the walk over all
/// groups. `offsets[g]` is the first row of group g and `offsets[groups]` the end; they must not
/// decrease. All workers together receive each tile exactly once, empty groups none. Every role of
/// a thread block (copies, matrix work) walks its own cursor and sees the same sequence.
class TileCursor {
 public:
  RIDGE_HOST_DEVICE constexpr TileCursor(const int* offsets, int groups, int weight_blocks,
                                         int worker, int workers)
      : offsets_(offsets),
        groups_(groups),
        weight_blocks_(weight_blocks),
        workers_(workers),
        position_(worker) {}

  /// Moves to the next tile; false when there is none.
  RIDGE_HOST_DEVICE constexpr bool next(Tile& tile) {
    while (group_ < groups_) {
      const int first_row = offsets_[group_];
      const int rows = offsets_[group_ + 1] - first_row;
      const int tiles = ceil_div(rows, kTileTokens) * weight_blocks_;
      if (position_ < tiles) {
        tile = tile_in_group(group_, first_row, rows, weight_blocks_, position_);
        position_ += workers_;
        return true;
      }
      position_ -= tiles;
      ++group_;
    }
    return false;
  }

 private:
  const int* offsets_;
  int groups_;
  int weight_blocks_;
  int workers_;
  int group_ = 0;
  int position_;  // Of the next tile, counted from the first tile of `group_`.
};

}  // namespace ridge::kernels::moe
