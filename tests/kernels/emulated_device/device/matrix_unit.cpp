#include "matrix_unit.hpp"

#include "common/numeric.hpp"
#include "error.hpp"
#include "swizzle.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

namespace ridge::emulated {
namespace {

constexpr int kRows = 16;  // Of a warp's quarter.
constexpr int kMostColumns = 256;
constexpr int kMostDepth = 32;
constexpr std::uint32_t kPieceBytes = 16;
/// What accumulators hold while an instruction is under way: a NaN that no arithmetic makes.
constexpr std::uint32_t kInFlight = 0x7fabcdef;

int element_bytes(OperandType type) {
  return type == OperandType::kE4m3 ? 1 : 2;
}

/// The fields of a shared-memory matrix descriptor.
struct Descriptor {
  std::uint32_t address;
  std::uint32_t leading;
  std::uint32_t stride;

  explicit Descriptor(std::uint64_t bits)
      : address(static_cast<std::uint32_t>(bits & 0x3fff) << 4),
        leading(static_cast<std::uint32_t>(bits >> 16 & 0x3fff) << 4),
        stride(static_cast<std::uint32_t>(bits >> 32 & 0x3fff) << 4) {
    const auto base_offset = static_cast<unsigned>(bits >> 49 & 7);
    const auto swizzle = static_cast<unsigned>(bits >> 62);
    if (swizzle != 1 || base_offset != 0) {
      fail(
          "wgmma descriptor %#llx: the 128-byte swizzle (1) with base offset 0 expected, not %u "
          "with %u",
          static_cast<unsigned long long>(bits), swizzle, base_offset);
    }
    if ((address & 0x380u) != 0) {
      fail(
          "wgmma descriptor %#llx: with base offset 0 the swizzle pattern must start at a multiple "
          "of 1024 bytes",
          static_cast<unsigned long long>(bits));
    }
  }
};

/// All values of a narrow format, indexed by their bits.
template <typename Narrow, typename Bits>
std::vector<float> decode_table() {
  std::vector<float> table(std::size_t{1} << (8 * sizeof(Bits)));
  for (std::size_t i = 0; i < table.size(); ++i) {
    table[i] = kernels::to_float(Narrow{static_cast<Bits>(i)});
  }
  return table;
}

/// Decodes the 16 bytes of a piece; returns the number of elements.
int decode_piece(OperandType type, const std::uint8_t* piece, float* values) {
  static const std::vector<float> f16 = decode_table<kernels::F16, std::uint16_t>();
  static const std::vector<float> e4m3 = decode_table<kernels::E4m3, std::uint8_t>();
  if (type == OperandType::kE4m3) {
    for (int i = 0; i < 16; ++i) {
      values[i] = e4m3[piece[i]];
    }
    return 16;
  }
  std::uint16_t bits[8];
  std::memcpy(bits, piece, sizeof(bits));
  for (int i = 0; i < 8; ++i) {
    values[i] = type == OperandType::kF16
                    ? f16[bits[i]]
                    : std::bit_cast<float>(static_cast<std::uint32_t>(bits[i]) << 16);
  }
  return 8;
}

// Of the sums and of A, a warp's 16 rows lie side by side; of B, a column's whole depth does, as in
// memory.
using OperandA = float[kMostDepth][kRows];
using OperandB = float[kMostColumns][kMostDepth];

/// `c` += `a` `b`. Products of these formats are exact in float, so that only the additions round.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
[[gnu::target_clones("avx512f", "avx2", "default")]]
#endif
void multiply(float (*c)[kRows], const OperandA& a, const OperandB& b, int columns, int depth) {
  // Four columns at once, whose sums do not wait for each other and stay in registers.
  using Rows [[gnu::vector_size(sizeof(float) * kRows)]] = float;
  for (int column = 0; column < columns; column += 4) {
    Rows sums[4];
    std::memcpy(sums, c[column], sizeof(sums));
    for (int k = 0; k < depth; ++k) {
      Rows rows;
      std::memcpy(&rows, a[k], sizeof(rows));
      sums[0] += rows * b[column][k];
      sums[1] += rows * b[column + 1][k];
      sums[2] += rows * b[column + 2][k];
      sums[3] += rows * b[column + 3][k];
    }
    std::memcpy(c[column], sums, sizeof(sums));
  }
}

/// The same for one instruction of E4M3, with the hardware's sums: see Fidelity::fp8_sums.
void multiply_truncating(float (*c)[kRows], const OperandA& a, const OperandB& b, int columns) {
  constexpr int kFractionBits = 13;
  for (int column = 0; column < columns; ++column) {
    for (int row = 0; row < kRows; ++row) {
      float summands[kMostDepth + 1];
      summands[kMostDepth] = c[column][row];
      float largest = std::abs(c[column][row]);
      bool defined = !std::isnan(largest);
      for (int k = 0; k < kMostDepth; ++k) {
        summands[k] = a[k][row] * b[column][k];
        largest = std::max(largest, std::abs(summands[k]));
        defined = defined && !std::isnan(summands[k]);
      }
      if (!defined || largest == 0.0f) {
        c[column][row] = defined ? 0.0f : std::numeric_limits<float>::quiet_NaN();
        continue;
      }
      const float grid = std::ldexp(1.0f, std::ilogb(largest) - kFractionBits);
      float sum = 0.0f;
      for (const float summand : summands) {
        sum += std::trunc(summand / grid) * grid;
      }
      c[column][row] = sum;
    }
  }
}

/// Figure "WGMMA .m64nNk16 D": of a warp's 16 x N, lane l holds in register i the element at row
/// l / 4, plus 8 for the second pair of each four registers, and column 8 (i / 4) + 2 (l mod 4) +
/// i mod 2. Where that is among the sums.
std::size_t place_of(unsigned lane, int i) {
  const unsigned register_number = static_cast<unsigned>(i);
  const unsigned row = lane / 4 + register_number / 2 % 2 * 8;
  const unsigned column = register_number / 4 * 8 + lane % 4 * 2 + register_number % 2;
  return std::size_t{column} * kRows + row;
}

}  // namespace

MatrixUnit::Chain& MatrixUnit::chain(int id) {
  return *std::find_if(chains_.begin(), chains_.end(), [id](const Chain& c) { return c.id == id; });
}

/// The chain of `issued`, begun by its first lane, joined by the others; the lane's accumulators
/// are taken in charge.
MatrixUnit::Chain& MatrixUnit::join_chain(unsigned lane, Issued& issued, bool first_lane,
                                          float* d) {
  const MatrixInstruction& instruction = issued.instruction;
  if (first_lane) {
    const auto mine = std::find_if(chains_.begin(), chains_.end(), [&](const Chain& c) {
      return c.d[lane] == d && c.n == instruction.n;
    });
    if (mine != chains_.end()) {
      issued.chain = mine->id;
    } else {
      issued.chain = next_chain_++;
      Chain begun;
      begun.id = issued.chain;
      begun.n = instruction.n;
      begun.values.resize(std::size_t{32} * static_cast<std::size_t>(instruction.n / 2));
      chains_.push_back(std::move(begun));
    }
  }
  Chain& joined = chain(issued.chain);
  if (joined.done[lane] || (joined.d[lane] != nullptr && joined.d[lane] != d)) {
    fail("wgmma: the lanes of a warp do not agree which accumulators belong together");
  }
  if (joined.d[lane] == nullptr) {
    joined.d[lane] = d;
    const int registers = instruction.n / 2;
    if (instruction.accumulate) {
      for (int i = 0; i < registers; ++i) {
        joined.values[place_of(lane, i)] = d[i];
      }
    }
    std::fill_n(d, registers, std::bit_cast<float>(kInFlight));
  }
  return joined;
}

void MatrixUnit::issue(unsigned lane, const MatrixInstruction& instruction, float* d,
                       const std::uint32_t* a) {
  if (!std::exchange(used_, true)) {
    scheduler_.add(*this);
  }
  Lane& self = lanes_[lane];
  if (!self.fenced) {
    fail("wgmma without a wgmma.fence after the registers were last free for other code");
  }
  const std::uint64_t position = self.issued++ - executed_;
  const bool first_lane = position == queue_.size();
  if (first_lane) {
    queue_.push_back({instruction, 0});
    for (const std::uint64_t part :
         {static_cast<std::uint64_t>(instruction.type), static_cast<std::uint64_t>(instruction.n),
          instruction.a_in_registers ? 0 : instruction.a, instruction.b}) {
      fingerprint_ = (fingerprint_ ^ part) * 0x9e3779b97f4a7c15ull + 1;
    }
  }
  Issued& issued = queue_[position];
  if (!(issued.instruction == instruction)) {
    fail("wgmma: lane %u of warp %u issues another instruction than the lanes before it", lane,
         warp_);
  }
  Chain& joined = join_chain(lane, issued, first_lane, d);
  joined.last = std::max(joined.last, executed_ + position);
  if (a != nullptr) {
    std::copy_n(a, 4, issued.a[lane].begin());
    issued.a_at[lane] = a;
  }
  ++issued.lanes;
}

void MatrixUnit::commit(unsigned lane) {
  lanes_[lane].commits.push_back(lanes_[lane].issued);
}

void MatrixUnit::wait(unsigned lane, int pending) {
  scheduler_.pause();
  Lane& self = lanes_[lane];
  self.fenced = false;
  if (self.commits.size() <= static_cast<std::size_t>(pending)) {
    return;
  }
  const std::uint64_t covered =
      self.commits[self.commits.size() - 1 - static_cast<std::size_t>(pending)];
  while (executed_ < covered) {
    self.waiting = true;
    scheduler_.suspend(
        {"matrix instructions of warp %u (%u committed)", warp_, static_cast<unsigned>(covered)});
  }
  for (Chain& finished : chains_) {
    float* const d = finished.d[lane];
    if (d == nullptr || finished.last >= covered) {
      continue;
    }
    const int registers = finished.n / 2;
    for (int i = 0; i < registers; ++i) {
      if (std::bit_cast<std::uint32_t>(d[i]) != kInFlight) {
        fail("accumulator %d of lane %u in warp %u was written while a wgmma was under way", i,
             lane, warp_);
      }
      d[i] = finished.values[place_of(lane, i)];
    }
    finished.d[lane] = nullptr;
    finished.done[lane] = true;
  }
  std::erase_if(chains_, [](const Chain& c) {
    return std::all_of(c.done.begin(), c.done.end(), [](bool done) { return done; });
  });
}

bool MatrixUnit::has_work() const {
  return !queue_.empty() && queue_.front().lanes == 32;
}

void MatrixUnit::step(Chance&) {
  execute(queue_.front());
  queue_.pop_front();
  ++executed_;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (lanes_[lane].waiting) {
      lanes_[lane].waiting = false;
      scheduler_.wake(warp_ * 32 + lane);
    }
  }
}

void MatrixUnit::execute(Issued& issued) {
  const MatrixInstruction& instruction = issued.instruction;
  const int depth = 32 / element_bytes(instruction.type);
  const int first_row = static_cast<int>(warp_ % 4) * kRows;
  static OperandA a;
  static OperandB b;
  float values[kPieceBytes];

  // K-major: rows are 128-byte lines, groups of 8 rows are `stride` apart.
  const auto k_major_piece = [&](const Descriptor& d, int row, std::uint32_t piece, float* to) {
    const std::uint32_t address = d.address + static_cast<std::uint32_t>(row / 8) * d.stride +
                                  static_cast<std::uint32_t>(row % 8) * kSwizzleSpan +
                                  piece * kPieceBytes;
    return decode_piece(instruction.type, shared_.engine_read(swizzled(address)), to);
  };
  if (instruction.a_in_registers) {
    // Figure "WGMMA .m64nNk16 A": registers 0 and 1 are rows l / 4 and 8 below, columns
    // 2 (l mod 4) and the next; registers 2 and 3 the same rows 8 columns on.
    for (unsigned lane = 0; lane < 32; ++lane) {
      if (!std::equal(issued.a[lane].begin(), issued.a[lane].end(), issued.a_at[lane])) {
        fail("the A registers of lane %u in warp %u changed while their wgmma was under way", lane,
             warp_);
      }
      for (int i = 0; i < 4; ++i) {
        std::uint8_t piece[kPieceBytes] = {};
        std::memcpy(piece, &issued.a[lane][static_cast<std::size_t>(i)], 4);
        decode_piece(instruction.type, piece, values);
        const unsigned row = lane / 4 + static_cast<unsigned>(i % 2) * 8;
        const unsigned k = static_cast<unsigned>(i / 2) * 8 + lane % 4 * 2;
        a[k][row] = values[0];
        a[k + 1][row] = values[1];
      }
    }
  } else {
    const Descriptor operand(instruction.a);
    for (int row = 0; row < kRows; ++row) {
      for (std::uint32_t piece = 0; piece < 2; ++piece) {
        const int count = k_major_piece(operand, first_row + row, piece, values);
        for (int i = 0; i < count; ++i) {
          a[static_cast<int>(piece) * count + i][row] = values[i];
        }
      }
    }
  }
  const Descriptor operand(instruction.b);
  if (!instruction.b_k_major) {
    // MN-major: k are 128-byte lines of 64 columns, groups of 8 k are `stride` apart, groups of 64
    // columns are `leading` apart.
    for (int column = 0; column < instruction.n; column += 8) {
      for (int k = 0; k < depth; ++k) {
        const std::uint32_t address = operand.address +
                                      static_cast<std::uint32_t>(column / 64) * operand.leading +
                                      static_cast<std::uint32_t>(k / 8) * operand.stride +
                                      static_cast<std::uint32_t>(k % 8) * kSwizzleSpan +
                                      static_cast<std::uint32_t>(column % 64) * 2;
        const int count =
            decode_piece(instruction.type, shared_.engine_read(swizzled(address)), values);
        for (int i = 0; i < count; ++i) {
          b[column + i][k] = values[i];
        }
      }
    }
  } else {
    for (int column = 0; column < instruction.n; ++column) {
      for (int piece = 0; piece < 2; ++piece) {
        k_major_piece(operand, column, static_cast<std::uint32_t>(piece),
                      &b[column][piece * depth / 2]);
      }
    }
  }

  Chain& target = chain(issued.chain);
  if (!instruction.accumulate) {
    std::fill(target.values.begin(), target.values.end(), 0.0f);
  }
  auto* const sums = reinterpret_cast<float(*)[kRows]>(target.values.data());
  if (truncate_fp8_sums_ && instruction.type == OperandType::kE4m3) {
    multiply_truncating(sums, a, b, instruction.n);
  } else {
    multiply(sums, a, b, instruction.n, depth);
  }
}

}  // namespace ridge::emulated
