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

Lanes exchange(const char* operation, std::uint64_t value) {
  ThreadBlock& block = ThreadBlock::current();
  return block.warp().exchange(block.lane(), 0xffffffffu, operation, value);
}

std::uint64_t pair(std::uint32_t low, std::uint32_t high) {
  return low | static_cast<std::uint64_t>(high) << 32;
}

/// Element 0 or 1 of a word of two.
float element(MmaType type, std::uint32_t word, int which) {
  const auto bits = static_cast<std::uint16_t>(word >> (16 * which));
  return type == MmaType::kBf16 ? to_float(Bf16{bits}) : to_float(F16{bits});
}

/// The 16 bytes of the row whose address a lane gave.
const std::uint8_t* row_of(const Lanes& rows, unsigned lane) {
  const auto address = static_cast<std::uint32_t>(rows[lane]);
  if (address % 16 != 0) {
    fail("ldmatrix: lane %u's row is not aligned to 16 bytes", lane);
  }
  return ThreadBlock::current().shared().at(address, 16);
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
  const Lanes rows = exchange("ldmatrix", block.shared().address_of(row));
  const unsigned lane = block.lane();
  for (unsigned matrix = 0; matrix < 4; ++matrix) {
    std::memcpy(&out[matrix], row_of(rows, matrix * 8 + lane / 4) + lane % 4 * 4, 4);
  }
}

void load_matrices_transposed(std::uint32_t (&out)[4], const void* row) {
  ThreadBlock& block = ThreadBlock::current();
  const Lanes rows = exchange("ldmatrix.trans", block.shared().address_of(row));
  const unsigned lane = block.lane();
  for (unsigned matrix = 0; matrix < 4; ++matrix) {
    std::uint16_t two[2];
    for (unsigned i = 0; i < 2; ++i) {
      std::memcpy(&two[i], row_of(rows, matrix * 8 + lane % 4 * 2 + i) + lane / 4 * 2, 2);
    }
    out[matrix] = two[0] | static_cast<std::uint32_t>(two[1]) << 16;
  }
}

void warp_mma(MmaType type, float* d, const std::uint32_t (&a)[4], std::uint32_t b0,
              std::uint32_t b1) {
  const Lanes low = exchange("mma.sync", pair(a[0], a[1]));
  const Lanes high = exchange("mma.sync", pair(a[2], a[3]));
  const Lanes columns = exchange("mma.sync", pair(b0, b1));
  const unsigned lane = ThreadBlock::current().lane();
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned row_quad = lane / 4;  // Of rows row_quad and row_quad + 8.
    const unsigned column = lane % 4 * 2 + i % 2;
    float sum = 0;
    for (unsigned k = 0; k < 16; ++k) {
      const unsigned owner = k % 8 / 2;  // In a quad, of columns k (of a) and rows k (of b).
      const std::uint64_t a_words = (k < 8 ? low : high)[row_quad * 4 + owner];
      const auto a_word = static_cast<std::uint32_t>(i < 2 ? a_words : a_words >> 32);
      const std::uint64_t b_words = columns[column * 4 + owner];
      const auto b_word = static_cast<std::uint32_t>(k < 8 ? b_words : b_words >> 32);
      sum += element(type, a_word, static_cast<int>(k % 2)) *
             element(type, b_word, static_cast<int>(k % 2));
    }
    d[i] += sum;
  }
}

}  // namespace ridge::kernels
