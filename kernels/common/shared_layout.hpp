#pragma once

#include "common/portable.hpp"

#include <cstdint>

/// How matrix tiles lie in shared memory for Hopper's copy engine (TMA) and matrix unit (wgmma),
/// and how wgmma spreads its operands over the threads of a warpgroup. Source: PTX ISA 8.7,
/// "Asynchronous Warpgroup Level Matrix Instructions" and "Tensors: swizzling modes".
///
/// The one layout used throughout is the 128-byte swizzle. A matrix is cut into panels 128 bytes
/// wide (64 two-byte or 128 one-byte elements); a panel stores its rows one after another, 128
/// bytes each, and the eight 16-byte pieces of row r are permuted by XOR with r mod 8. Panels start
/// at multiples of 1024 bytes.
namespace ridge::kernels {

inline constexpr std::uint32_t kPanelRowBytes = 128;
inline constexpr std::uint32_t kSwizzleAtomRows = 8;
inline constexpr std::uint32_t kSwizzleAtomBytes = kPanelRowBytes * kSwizzleAtomRows;

/// The 128-byte swizzle as a map of byte offsets (from a 1024-byte aligned origin): bits 4..6 are
/// XORed with bits 7..9. Its own inverse.
RIDGE_HOST_DEVICE constexpr std::uint32_t swizzle_128b(std::uint32_t offset) {
  return offset ^ ((offset >> 3) & 0x70u);
}

/// Byte offset of the byte `column_byte` of row `row` in a tile of `rows` rows cut into swizzled
/// panels.
RIDGE_HOST_DEVICE constexpr std::uint32_t panel_offset(std::uint32_t rows, std::uint32_t row,
                                                       std::uint32_t column_byte) {
  const std::uint32_t panel = column_byte / kPanelRowBytes;
  return panel * rows * kPanelRowBytes +
         swizzle_128b(row * kPanelRowBytes + column_byte % kPanelRowBytes);
}

/// A wgmma shared-memory matrix descriptor for the 128-byte swizzle.
/// `leading_bytes` and `stride_bytes` are its two strides; their meaning depends on the major-ness,
/// see the two functions below. `address` is the operand's offset in the shared window, in bytes.
RIDGE_HOST_DEVICE constexpr std::uint64_t wgmma_descriptor(std::uint32_t address,
                                                           std::uint32_t leading_bytes,
                                                           std::uint32_t stride_bytes) {
  constexpr std::uint64_t kSwizzle128B = 1;
  return static_cast<std::uint64_t>((address & 0x3ffffu) >> 4) |
         (static_cast<std::uint64_t>((leading_bytes & 0x3ffffu) >> 4) << 16) |
         (static_cast<std::uint64_t>((stride_bytes & 0x3ffffu) >> 4) << 32) | (kSwizzle128B << 62);
}

/// Operand whose K index runs along the 128-byte rows (A as [M][K], B as [N][K]): one panel, 8-row
/// groups 1024 bytes apart; the leading stride is not used. A K step inside the panel is made by
/// adding its bytes to `address`; the next panel starts `rows * 128` bytes on.
RIDGE_HOST_DEVICE constexpr std::uint64_t k_major_descriptor(std::uint32_t address) {
  return wgmma_descriptor(address, 16, kSwizzleAtomBytes);
}

/// Operand whose M or N index runs along the 128-byte rows (B as [K][N], two-byte elements only):
/// `panel_bytes` separates neighboring 64-element panels of N, and 8-row groups of K are 1024
/// bytes apart. A K step of 16 rows is made by adding 2048 to `address`.
RIDGE_HOST_DEVICE constexpr std::uint64_t mn_major_descriptor(std::uint32_t address,
                                                              std::uint32_t panel_bytes) {
  return wgmma_descriptor(address, panel_bytes, kSwizzleAtomBytes);
}

/// The descriptor of what lies `bytes` behind, a multiple of 16: one addition, where a new one is
/// several operations.
RIDGE_HOST_DEVICE constexpr std::uint64_t advanced(std::uint64_t descriptor, std::uint32_t bytes) {
  // The address is the lowest field, and shared memory ends within it.
  const std::uint32_t low = static_cast<std::uint32_t>(descriptor) + (bytes >> 4);
  return (descriptor >> 32 << 32) | low;
}

struct MatrixIndex {
  int row = 0;
  int column = 0;
};

/// Where accumulator register `index` (0 .. N/2-1) of thread `thread` (0..127) of a warpgroup lies
/// in the 64 x N tile D. Every thread owns two rows, 8 apart, and adjacent pairs of columns.
RIDGE_HOST_DEVICE constexpr MatrixIndex wgmma_accumulator_index(int thread, int index) {
  const int warp = thread / 32;
  const int lane = thread % 32;
  return {warp * 16 + lane / 4 + ((index / 2) % 2) * 8,
          (index / 4) * 8 + (lane % 4) * 2 + index % 2};
}

/// Where the half `half` (0 low, 1 high) of A register `index` (0..3) of thread `thread` lies in
/// the 64 x 16 A tile of two-byte elements when A comes from registers.
RIDGE_HOST_DEVICE constexpr MatrixIndex wgmma_a_register_index(int thread, int index, int half) {
  const int warp = thread / 32;
  const int lane = thread % 32;
  return {warp * 16 + lane / 4 + (index % 2) * 8, (index / 2) * 8 + (lane % 4) * 2 + half};
}

struct FragmentSlot {
  int step = 0;  ///< Which 16-column K step of the second product.
  int index = 0;
  int half = 0;
};

/// Which A register receives accumulator register `index` when the 64 x N result of one wgmma
/// becomes the A operand of the next, 16 columns at a time: no thread has to exchange anything.
RIDGE_HOST_DEVICE constexpr FragmentSlot accumulator_as_a(int index) {
  return {index / 8, ((index / 4) % 2) * 2 + (index / 2) % 2, index % 2};
}

}  // namespace ridge::kernels
