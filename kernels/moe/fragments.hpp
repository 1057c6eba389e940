#pragma once

#include "common/portable.hpp"
#include "common/shared_layout.hpp"
#include "moe/schedule.hpp"

/// Which output element every accumulator register of a grouped-GEMM tile holds, in both operand
/// orders, and how gate and up projections are interleaved so that SwiGLU happens in registers.
///
/// A tile is `kTileWeights` = 256 weight rows by up to 128 tokens, computed by two warpgroups with
/// two 64-row or 128-column parts each:
///   tokens x weights: warpgroup w takes tokens 64 w..; part p is weights 128 p...
///   weights x tokens: warpgroup w takes weights 128 w..; part p is their rows 64 p...
namespace ridge::kernels::moe {

/// Position within a tile.
struct TileElement {
  int token = 0;
  int weight = 0;

  constexpr bool operator==(const TileElement&) const = default;
};

/// Element in accumulator register `index` of thread `thread` (0..127) of warpgroup `warpgroup`.
RIDGE_HOST_DEVICE constexpr TileElement tokens_by_weights_element(int warpgroup, int part,
                                                                  int thread, int index) {
  const MatrixIndex at = wgmma_accumulator_index(thread, index);
  return {warpgroup * 64 + at.row, part * 128 + at.column};
}

RIDGE_HOST_DEVICE constexpr TileElement weights_by_tokens_element(int warpgroup, int part,
                                                                  int thread, int index) {
  const MatrixIndex at = wgmma_accumulator_index(thread, index);
  return {at.column, warpgroup * 128 + part * 64 + at.row};
}

/// Byte offsets of wgmma operands within a stage's swizzled panels (128 bytes of K per row).
RIDGE_HOST_DEVICE constexpr int token_operand_offset(OperandOrder order, int warpgroup) {
  return order == OperandOrder::kTokensByWeights ? warpgroup * 64 * kScaleBlock : 0;
}
RIDGE_HOST_DEVICE constexpr int weight_operand_offset(OperandOrder order, int warpgroup, int part) {
  return order == OperandOrder::kTokensByWeights ? part * 128 * kScaleBlock
                                                 : (warpgroup * 128 + part * 64) * kScaleBlock;
}

/// Gate and up rows alternate in runs of 8, the height of half an accumulator fragment and the
/// width of its column group: whichever side of the multiply the weights are on, the thread that
/// holds a gate value also holds the up value it belongs to.
inline constexpr int kInterleave = 8;

/// Row of the interleaved matrix that holds row `column` of the gate (or up) projection.
RIDGE_HOST_DEVICE constexpr int interleaved_row(int column, bool up) {
  return column / kInterleave * (2 * kInterleave) + (up ? kInterleave : 0) + column % kInterleave;
}

/// Its inverse: the projection row, and whether it is of the up projection.
RIDGE_HOST_DEVICE constexpr int activation_column(int interleaved) {
  return interleaved / (2 * kInterleave) * kInterleave + interleaved % kInterleave;
}
RIDGE_HOST_DEVICE constexpr bool is_up(int interleaved) {
  return interleaved / kInterleave % 2 != 0;
}

/// The same question asked of a register index, which is known at compile time.
RIDGE_HOST_DEVICE constexpr bool holds_up(OperandOrder order, int index) {
  return (order == OperandOrder::kTokensByWeights ? index / 4 : index / 2) % 2 != 0;
}

/// From the register that holds a gate value to the one that holds its up value.
RIDGE_HOST_DEVICE constexpr int up_register_distance(OperandOrder order) {
  return order == OperandOrder::kTokensByWeights ? 4 : 2;
}

}  // namespace ridge::kernels::moe
