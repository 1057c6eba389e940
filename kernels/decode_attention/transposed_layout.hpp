#pragma once

#include "common/portable.hpp"
#include "common/shared_layout.hpp"
#include "decode_attention/problem.hpp"

#include <cstdint>

/// Who has what in the transposed kernel (transposed_attention.cuh), where K and V are the operand
/// that the matrix unit takes from registers: S^T = K Q^T and O^T = V^T P^T. A thread of such an
/// operand holds, of rows r and r + 8 (r = lane / 4), columns 2 t, 2 t + 1, 2 t + 8 and 2 t + 9
/// (t = lane % 4). Which token or dimension a row or column stands for is ours to choose, as long
/// as the other operand agrees, and is chosen so that a thread's codes lie side by side in the
/// cache and eight lanes that load together meet eight different groups of four banks.
namespace ridge::kernels::decode {

/// The token of row `row` of S^T: within a warp's 16 rows, bits 0 and 2 change places, so that the
/// two rows which a phase of 16-byte loads touches are swizzled into different halves of 128 bytes.
RIDGE_HOST_DEVICE constexpr std::uint32_t score_token(std::uint32_t row) {
  return (row & ~5u) | (row & 1u) << 2 | (row >> 2 & 1u);
}

/// Where dimension `dim` of a query lies in the operand Q^T: a thread loads 16 codes of K at once
/// and needs four of them at each of four steps of 16 columns.
RIDGE_HOST_DEVICE constexpr std::uint32_t query_column(std::uint32_t dim) {
  const std::uint32_t thread = dim % 64 / 16;
  const std::uint32_t step = dim % 16 / 4;
  return dim / 64 * 64 + step * 16 + dim % 4 / 2 * 8 + thread * 2 + dim % 2;
}

/// The first of the head_dim / 32 neighboring dimensions of O^T that a thread of a warpgroup holds:
/// dimension first + 2 b + half is row r + 8 half of its warp's share of block b of 64 rows.
RIDGE_HOST_DEVICE constexpr std::uint32_t first_value_dim(std::uint32_t head_dim,
                                                          std::uint32_t thread) {
  return head_dim / 4 * (thread / 32) + head_dim / 32 * (thread % 32 / 4);
}

/// Byte offset of the 16 codes of K that a thread loads of block `block` of 64 dimensions, of the
/// token of its upper row; those of the lower row lie 8 tokens on.
RIDGE_HOST_DEVICE constexpr std::uint32_t key_codes(std::uint32_t thread, std::uint32_t block) {
  const std::uint32_t row = thread / 32 * 16 + thread % 32 / 4;
  return panel_offset(kTileTokens, score_token(row), block * 64 + thread % 4 * 16);
}

/// Byte offset of the head_dim / 32 codes of V that a thread loads of a token.
RIDGE_HOST_DEVICE constexpr std::uint32_t value_codes(std::uint32_t head_dim, std::uint32_t thread,
                                                      std::uint32_t token) {
  return panel_offset(kTileTokens, token, first_value_dim(head_dim, thread));
}

/// Byte offset of the weights of heads 8 pair + 2 t and the next in the operand P^T, in the row of
/// `token`.
RIDGE_HOST_DEVICE constexpr std::uint32_t weight_pair(std::uint32_t thread, std::uint32_t token,
                                                      std::uint32_t pair) {
  return panel_offset(kTileTokens, token, pair * 16 + thread % 4 * 4);
}

}  // namespace ridge::kernels::decode
