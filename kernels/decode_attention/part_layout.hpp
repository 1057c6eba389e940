#pragma once

#include "common/portable.hpp"
#include "decode_attention/transposed_layout.hpp"

namespace ridge::kernels::decode {

/// How a part of a split result lies in memory: as the registers of the 128 threads that summed it,
/// [value_dim / 8][128 threads][4], so that the kernel that writes it and combine_kernel both move
/// 16 bytes per thread and 512 in a row per warp. Four registers are two neighboring columns of two
/// rows (query heads): those of `row` first, then those of the row kRowsApart below.
/// `Transposed`: as the transposed kernel leaves it, where heads are the columns of the matrix
/// unit.
template <int ValueDim, bool Transposed>
struct PartLayout {
  static constexpr int kVectors = ValueDim / 8 * 128;  ///< Of four registers.
  static constexpr int kRowsApart = Transposed ? 1 : 8;

  RIDGE_HOST_DEVICE static constexpr int row(int vector) {
    const int thread = vector % 128;
    return Transposed ? vector / 128 % 8 * 8 + thread % 4 * 2 : thread / 32 * 16 + thread % 32 / 4;
  }
  RIDGE_HOST_DEVICE static constexpr int column(int vector) {
    const int thread = vector % 128;
    return Transposed ? static_cast<int>(first_value_dim(ValueDim, static_cast<unsigned>(thread))) +
                            vector / 1024 * 2
                      : vector / 128 * 8 + thread % 4 * 2;
  }

  /// The lanes of a warp that hold the same rows: how many, this one's place among them, and the
  /// least of the powers of two by which their numbers differ.
  static constexpr int kSharers = Transposed ? 8 : 4;
  static constexpr int kSharersApart = Transposed ? 4 : 1;
  RIDGE_HOST_DEVICE static constexpr int sharer(int lane) {
    return lane / kSharersApart % kSharers;
  }
};

}  // namespace ridge::kernels::decode
