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

/// Thread blocks of a cluster, where there are clusters: two tiles are computed side by side.
inline constexpr int kPair = 2;

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
  if (tile_tokens == 0) return 0;
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
  /// What the two thread blocks of a pair have in common, of which each fetches half for both.
  enum class Shared : std::uint8_t {
    kNothing,
    kWeights,  ///< Two full tiles of tokens.
    kTokens,   ///< A full one, for two weight blocks.
  };

  int group = 0;
  int first_row = 0;
  int tokens = 0;  ///< 0: the other tile of the pair has no fellow.
  int weight_block = 0;
  Shared shared = Shared::kNothing;

  constexpr bool operator==(const Tile&) const = default;
};

/// Thread blocks of a cluster: two where groups have more than a full tile of tokens on average.
/// Elsewhere few weights are shared, and of two blocks that hand each other their memory one waits
/// for what the other does between its tiles: 8 % for groups of 64 tokens and K = 2048 on an H200.
constexpr int cluster_size(double rows, int groups, int sm_count) {
  return sm_count >= kPair && rows > static_cast<double>(kTileTokens) * groups ? kPair : 1;
}

/// How the tiles of a group of `rows` tokens are dealt to clusters of `Cluster` thread blocks. In a
/// cluster of two, two full tiles of tokens go together, so that their weights leave L2 once. What
/// is left, a full tile without a fellow and a narrow one, which would wait for its fellow's
/// arithmetic, takes as many weight blocks at a time as there are thread blocks.
template <int Cluster>
struct GroupSteps {
  int token_pairs = 0;   ///< Pairs of token tiles,
  int single_tiles = 0;  ///< and token tiles behind them.
  int weight_blocks = 0;

  RIDGE_HOST_DEVICE constexpr GroupSteps(int rows, int blocks)
      : token_pairs(Cluster == kPair ? (rows + kTileTokens - kSwapTokens - 1) / kTileTokens / kPair
                                     : 0),
        single_tiles(ceil_div(rows, kTileTokens) - kPair * token_pairs),
        weight_blocks(blocks) {}

  [[nodiscard]] RIDGE_HOST_DEVICE constexpr int count() const {
    return token_pairs * weight_blocks + single_tiles * ceil_div(weight_blocks, Cluster);
  }
};

/// What thread block `rank` of a cluster computes at step `index` of the walk over one group: bands
/// of token tiles, in each band the weight blocks in order, and for each weight block the band's
/// token tiles. Clusters that run at the same time thus share weights first and tokens second.
template <int Cluster>
RIDGE_HOST_DEVICE constexpr Tile tile_in_group(int group, int group_first_row, int rows,
                                               const GroupSteps<Cluster>& steps, int index,
                                               int rank) {
  const int paired = steps.token_pairs * steps.weight_blocks;
  const bool pair = index < paired;
  // Of pairs and of single tiles alike: how many there are, of how many token tiles each, and for
  // how many weight blocks at a time.
  const int all = pair ? steps.token_pairs : steps.single_tiles;
  const int tiles = pair ? kPair : 1;
  const int blocks = pair ? 1 : Cluster;
  const int per_band = kTokenTilesPerBand / tiles;
  const int at = pair ? index : index - paired;
  const int runs = ceil_div(steps.weight_blocks, blocks);
  const int band_first = at / (per_band * runs) * per_band;
  const int left = all - band_first;
  const int in_band = at - band_first * runs;
  const int band = left < per_band ? left : per_band;
  const int token_tile =
      (band_first + in_band % band) * tiles + (pair ? rank : kPair * steps.token_pairs);
  const int block = in_band / band * blocks + (pair ? 0 : rank);
  const int first = token_tile * kTileTokens;
  const int tokens = rows - first < kTileTokens ? rows - first : kTileTokens;
  const bool fellow = Cluster == kPair && in_band / band * blocks + 1 < steps.weight_blocks;
  const Tile::Shared shared = pair ? Tile::Shared::kWeights
                              : fellow && operand_order(tokens) == OperandOrder::kTokensByWeights
                                  ? Tile::Shared::kTokens
                                  : Tile::Shared::kNothing;
  return {group, group_first_row + first, block < steps.weight_blocks ? tokens : 0, block, shared};
}

/// Hands thread block `rank` of cluster `worker` of `workers` its tiles: of every `workers`-th step
/// of the walk over all groups. `offsets[g]` is the first row of group g and `offsets[groups]` the
/// end; they must not decrease. All workers together receive each tile exactly once, empty groups
/// none. Every role of a thread block (copies, matrix work) walks its own cursor and sees the same
/// sequence, and so do the blocks of a cluster, one of which may find a tile without tokens.
template <int Cluster>
class TileCursor {
 public:
  RIDGE_HOST_DEVICE constexpr TileCursor(const int* offsets, int groups, int weight_blocks,
                                         int worker, int workers, int rank)
      : offsets_(offsets),
        groups_(groups),
        weight_blocks_(weight_blocks),
        workers_(workers),
        rank_(rank),
        position_(worker) {}

  /// Moves to the next step; false when there is none.
  RIDGE_HOST_DEVICE constexpr bool next(Tile& tile) {
    while (group_ < groups_) {
      const int first_row = offsets_[group_];
      const int rows = offsets_[group_ + 1] - first_row;
      const GroupSteps<Cluster> steps(rows, weight_blocks_);
      if (position_ < steps.count()) {
        tile = tile_in_group(group_, first_row, rows, steps, position_, rank_);
        position_ += workers_;
        return true;
      }
      position_ -= steps.count();
      ++group_;
    }
    return false;
  }

 private:
  const int* offsets_;
  int groups_;
  int weight_blocks_;
  int workers_;
  int rank_;
  int group_ = 0;
  int position_;  // Of the next step, counted from the first of `group_`.
};

}  // namespace ridge::kernels::moe
