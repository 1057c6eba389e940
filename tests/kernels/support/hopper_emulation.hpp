#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <vector>

/// Hopper's copy engine and matrix unit as PTX ISA 8.7 describes them, on bytes. Written from that
/// text and not from the kernels' own address maps, so that the two check each other.
namespace ridge::kernels::emulation {

using SharedMemory = std::vector<std::uint8_t>;

/// "128B swizzling mode": within each 1024-byte block of shared memory, 16-byte chunk c of 128-byte
/// line l sits at chunk c XOR l.
inline std::size_t swizzled(std::size_t address) {
  const std::size_t block = address / 1024;
  const std::size_t line = address % 1024 / 128;
  const std::size_t chunk = address % 128 / 16;
  return block * 1024 + line * 128 + (chunk ^ line) * 16 + address % 16;
}

/// cp.async.bulk.tensor (tile mode, 128-byte swizzle): a box of a global tensor of up to three
/// dimensions, innermost first, lands packed at `destination`.
struct TensorMap {
  const std::uint8_t* global = nullptr;
  std::size_t element_bytes = 2;
  std::vector<std::size_t> sizes;
  std::vector<std::size_t> strides_bytes;  ///< Of the dimensions above the innermost.
  std::vector<std::size_t> box;
};

inline void tensor_load(SharedMemory& shared, std::size_t destination, const TensorMap& map,
                        std::vector<std::size_t> at) {
  if (map.box[0] * map.element_bytes != 128 || destination % 1024 != 0) {
    throw std::logic_error("the 128-byte swizzle wants 128-byte boxes at 1024-byte addresses");
  }
  at.resize(3, 0);
  std::vector<std::size_t> box = map.box;
  box.resize(3, 1);
  std::size_t packed = 0;
  for (std::size_t z = 0; z < box[2]; ++z) {
    for (std::size_t y = 0; y < box[1]; ++y) {
      for (std::size_t x = 0; x < box[0] * map.element_bytes; ++x, ++packed) {
        std::size_t offset = at[0] * map.element_bytes + x + (at[1] + y) * map.strides_bytes[0];
        if (map.strides_bytes.size() > 1) {
          offset += (at[2] + z) * map.strides_bytes[1];
        }
        shared.at(swizzled(destination + packed)) = map.global[offset];
      }
    }
  }
}

/// The fields of a wgmma matrix descriptor.
struct Descriptor {
  std::size_t address;
  std::size_t leading;
  std::size_t stride;
  unsigned swizzle;

  explicit Descriptor(std::uint64_t bits)
      : address((bits & 0x3fff) << 4),
        leading((bits >> 16 & 0x3fff) << 4),
        stride((bits >> 32 & 0x3fff) << 4),
        swizzle(static_cast<unsigned>(bits >> 62)) {
    if (swizzle != 1 || (bits >> 49 & 7) != 0) {
      throw std::logic_error("only the 128-byte swizzle with base offset 0 is emulated");
    }
  }
};

/// Address of element (row, k) of a K-major operand: rows are 128-byte lines, groups of 8 rows are
/// `stride` apart.
inline std::size_t k_major_address(const Descriptor& d, std::size_t row, std::size_t k,
                                   std::size_t element_bytes) {
  return swizzled(d.address + (row / 8) * d.stride + (row % 8) * 128 + k * element_bytes);
}

/// Address of element (k, n) of an MN-major operand of two-byte elements: k are 128-byte lines of
/// 64 n, groups of 8 k are `stride` apart, groups of 64 n are `leading` apart.
inline std::size_t mn_major_address(const Descriptor& d, std::size_t k, std::size_t n) {
  return swizzled(d.address + (n / 64) * d.leading + (k / 8) * d.stride + (k % 8) * 128 +
                  (n % 64) * 2);
}

/// The registers of a warpgroup: [128 threads][registers].
using Registers = std::vector<std::vector<float>>;
using Decode = std::function<float(const std::uint8_t*)>;

/// Figure "WGMMA .m64nNk16 D": thread t of warp w holds, for each group of 8 columns, two elements
/// of row 16 w + t/4 and two of the row 8 below, at columns 2 (t mod 4) and the next.
template <typename Visit>
void for_each_accumulator(std::size_t n, Visit&& visit) {
  for (std::size_t row = 0; row < 64; ++row) {
    for (std::size_t column = 0; column < n; ++column) {
      const std::size_t thread = (row / 16) * 32 + (row % 8) * 4 + (column % 8) / 2;
      const std::size_t index = (column / 8) * 4 + (row % 16 / 8) * 2 + column % 2;
      visit(row, column, thread, index);
    }
  }
}

namespace detail {

inline void multiply(Registers& d, const std::vector<float>& a, const std::vector<float>& b,
                     std::size_t n, std::size_t depth, bool accumulate) {
  for_each_accumulator(
      n, [&](std::size_t row, std::size_t column, std::size_t thread, std::size_t index) {
        float sum = accumulate ? d[thread][index] : 0.0f;
        for (std::size_t k = 0; k < depth; ++k) {
          sum += a[row * depth + k] * b[column * depth + k];
        }
        d[thread][index] = sum;
      });
}

}  // namespace detail

/// wgmma with both operands in shared memory, K-major; `depth` is 32 bytes of K.
inline void wgmma_shared(SharedMemory& shared, Registers& d, std::uint64_t a_bits,
                         std::uint64_t b_bits, std::size_t n, std::size_t element_bytes,
                         const Decode& decode, bool accumulate) {
  const Descriptor a(a_bits);
  const Descriptor b(b_bits);
  const std::size_t depth = 32 / element_bytes;
  std::vector<float> a_values(64 * depth);
  std::vector<float> b_values(n * depth);
  for (std::size_t k = 0; k < depth; ++k) {
    for (std::size_t row = 0; row < 64; ++row) {
      a_values[row * depth + k] = decode(&shared.at(k_major_address(a, row, k, element_bytes)));
    }
    for (std::size_t row = 0; row < n; ++row) {
      b_values[row * depth + k] = decode(&shared.at(k_major_address(b, row, k, element_bytes)));
    }
  }
  detail::multiply(d, a_values, b_values, n, depth, accumulate);
}

/// wgmma m64nNk16 with A in registers ([128 threads][4 registers][2 halves], already decoded) and B
/// in shared memory, MN-major. Figure "WGMMA .m64nNk16 A": registers 0, 1 are rows r and r + 8 of
/// columns 2 (t mod 4) .. + 1; registers 2, 3 the same rows 8 columns on.
inline void wgmma_registers(SharedMemory& shared, Registers& d,
                            const std::vector<std::vector<float>>& a, std::uint64_t b_bits,
                            std::size_t n, const Decode& decode) {
  const Descriptor b(b_bits);
  constexpr std::size_t kDepth = 16;
  std::vector<float> a_values(64 * kDepth);
  std::vector<float> b_values(n * kDepth);
  for (std::size_t row = 0; row < 64; ++row) {
    for (std::size_t k = 0; k < kDepth; ++k) {
      const std::size_t thread = (row / 16) * 32 + (row % 8) * 4 + (k % 8) / 2;
      const std::size_t index = (k / 8) * 2 + row % 16 / 8;
      a_values[row * kDepth + k] = a[thread][index * 2 + k % 2];
    }
  }
  for (std::size_t k = 0; k < kDepth; ++k) {
    for (std::size_t column = 0; column < n; ++column) {
      b_values[column * kDepth + k] = decode(&shared.at(mn_major_address(b, k, column)));
    }
  }
  detail::multiply(d, a_values, b_values, n, kDepth, true);
}

}  // namespace ridge::kernels::emulation
