// The stand-ins for kernels/common/cp_async.cuh and warp_mma.cuh: mma.sync and ldmatrix as
// exchanges among the lanes of a warp. Layouts: PTX ISA 8.7, "mma.m16n8k16", "ldmatrix".

#include "common/cp_async.cuh"
#include "common/numeric.hpp"
#include "common/warp_mma.cuh"
#include "error.hpp"
#include "thread_block.hpp"

#include <cstring>

namespace ridge::kernels {
namespace {

using emulated::fail;
using emulated::ThreadBlock;
using Lanes = emulated::WarpExchange::Values;

const Lanes& exchange(ThreadBlock& block, const char* operation,
                      std::initializer_list<std::uint64_t> words,
                      void (*together)(Lanes&) = nullptr) {
  return block.warp().exchange(block.lane(), 0xffffffffu, operation, words, together);
}

std::uint64_t pair(std::uint32_t low, std::uint32_t high) {
  return low | static_cast<std::uint64_t>(high) << 32;
}

/// Element 0 or 1 of a word of two.
float element(MmaType type, std::uint32_t word, int which) {
  const auto bits = static_cast<std::uint16_t>(word >> (16 * which));
  return type == MmaType::kBf16 ? to_float(Bf16{bits}) : to_float(F16{bits});
}

/// mma.m16n8k16 of a warp: of its words a[0] and a[1], a[2] and a[3], b[0] and b[1] makes the four
/// sums of each lane, as two words.
template <MmaType Type>
void multiply(Lanes& lanes) {
  constexpr unsigned kRows = 16;
  constexpr unsigned kColumns = 8;
  constexpr unsigned kDepth = 16;
  float a[kRows][kDepth];
  float b[kDepth][kColumns];
  for (unsigned lane = 0; lane < 32; ++lane) {
    const unsigned line = lane / 4;  // Of rows `line` and `line` + 8 of a, and column `line` of b.
    const unsigned first = lane % 4 * 2;
    for (unsigned half = 0; half < 2; ++half) {  // Of the depth.
      const std::uint64_t rows = lanes[half][lane];
      const auto column = static_cast<std::uint32_t>(lanes[2][lane] >> 32 * half);
      for (unsigned i = 0; i < 2; ++i) {
        const unsigned k = half * 8 + first + i;
        a[line][k] = element(Type, static_cast<std::uint32_t>(rows), static_cast<int>(i));
        a[line + 8][k] = element(Type, static_cast<std::uint32_t>(rows >> 32), static_cast<int>(i));
        b[k][line] = element(Type, column, static_cast<int>(i));
      }
    }
  }
  float sums[kRows][kColumns] = {};
  for (unsigned row = 0; row < kRows; ++row) {
    for (unsigned k = 0; k < kDepth; ++k) {
      for (unsigned column = 0; column < kColumns; ++column) {
        sums[row][column] += a[row][k] * b[k][column];
      }
    }
  }
  for (unsigned lane = 0; lane < 32; ++lane) {
    for (unsigned half = 0; half < 2; ++half) {
      std::memcpy(&lanes[half][lane], &sums[lane / 4 + half * 8][lane % 4 * 2], 8);
    }
  }
}

/// The 16 bytes of the row whose address a lane gave.
const std::uint8_t* row_of(ThreadBlock& block, const Lanes& rows, unsigned lane) {
  const auto address = static_cast<std::uint32_t>(rows[0][lane]);
  if (address % 16 != 0) {
    fail("ldmatrix: lane %u's row is not aligned to 16 bytes", lane);
  }
  return block.shared().at(address, 16);
}

}  // namespace

void cp_async_16(void* destination, const void* source) {
  ThreadBlock& block = ThreadBlock::current();
  block.thread_copies().issue(block.thread(), destination, source);
}
void cp_async_commit() {
  ThreadBlock& block = ThreadBlock::current();
  block.thread_copies().commit(block.thread());
}
void cp_async_wait_pending(unsigned pending) {
  ThreadBlock& block = ThreadBlock::current();
  block.thread_copies().wait(block.thread(), pending);
}

void load_matrices(std::uint32_t (&out)[4], const void* row) {
  ThreadBlock& block = ThreadBlock::current();
  const Lanes& rows = exchange(block, "ldmatrix", {block.shared().address_of(row)});
  const unsigned lane = block.lane();
  for (unsigned matrix = 0; matrix < 4; ++matrix) {
    std::memcpy(&out[matrix], row_of(block, rows, matrix * 8 + lane / 4) + lane % 4 * 4, 4);
  }
}

void load_matrices_transposed(std::uint32_t (&out)[4], const void* row) {
  ThreadBlock& block = ThreadBlock::current();
  const Lanes& rows = exchange(block, "ldmatrix.trans", {block.shared().address_of(row)});
  const unsigned lane = block.lane();
  for (unsigned matrix = 0; matrix < 4; ++matrix) {
    std::uint16_t two[2];
    for (unsigned i = 0; i < 2; ++i) {
      std::memcpy(&two[i], row_of(block, rows, matrix * 8 + lane % 4 * 2 + i) + lane / 4 * 2, 2);
    }
    out[matrix] = two[0] | static_cast<std::uint32_t>(two[1]) << 16;
  }
}

void warp_mma(MmaType type, float* d, const std::uint32_t (&a)[4], std::uint32_t b0,
              std::uint32_t b1) {
  ThreadBlock& block = ThreadBlock::current();
  const bool bf16 = type == MmaType::kBf16;
  const Lanes& results = exchange(block, bf16 ? "mma.sync of bf16" : "mma.sync of f16",
                                  {pair(a[0], a[1]), pair(a[2], a[3]), pair(b0, b1)},
                                  bf16 ? multiply<MmaType::kBf16> : multiply<MmaType::kF16>);
  const unsigned lane = block.lane();
  for (unsigned half = 0; half < 2; ++half) {
    float sums[2];
    std::memcpy(sums, &results[half][lane], sizeof(sums));
    d[half * 2] += sums[0];
    d[half * 2 + 1] += sums[1];
  }
}

}  // namespace ridge::kernels
