#include "common/numeric.hpp"
#include "common/random.hpp"
#include "common/shared_layout.hpp"
#include "support/hopper_emulation.hpp"

#include <cstdint>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace ridge::kernels {
namespace {

using emulation::SharedMemory;

TEST(SharedLayout, SwizzleIsTheCopyEnginesAndItsOwnInverse) {
  for (std::uint32_t offset = 0; offset < 65536; ++offset) {
    ASSERT_EQ(swizzle_128b(offset), emulation::swizzled(offset));
    ASSERT_EQ(swizzle_128b(swizzle_128b(offset)), offset);
  }
}

/// A row-major matrix of distinct two-byte elements, loaded by the copy engine panel after panel.
struct LoadedTile {
  LoadedTile(std::size_t row_count, std::size_t column_count, std::size_t origin)
      : rows(row_count), columns(column_count), shared(origin + rows * columns * 2) {
    global.resize(rows * columns);
    for (std::size_t i = 0; i < global.size(); ++i) {
      global[i] = static_cast<std::uint16_t>(i);
    }
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(global.data());
    emulation::tensor_load(
        shared, origin,
        {bytes, 2, {64, rows, columns / 64}, {columns * 2, 128}, {64, rows, columns / 64}},
        {0, 0, 0});
  }
  std::uint16_t at(std::size_t address) const {
    return static_cast<std::uint16_t>(shared[address] | shared[address + 1] << 8);
  }
  std::size_t rows;
  std::size_t columns;
  std::vector<std::uint16_t> global;
  SharedMemory shared;
};

TEST(SharedLayout, PanelOffsetFindsWhatTheCopyEngineWrote) {
  const std::size_t origin = 2048;
  const LoadedTile tile(64, 256, origin);
  for (std::uint32_t row = 0; row < 64; ++row) {
    for (std::uint32_t column = 0; column < 256; ++column) {
      ASSERT_EQ(tile.at(origin + panel_offset(64, row, column * 2)),
                tile.global[row * 256 + column]);
    }
  }
}

TEST(SharedLayout, KMajorDescriptorsReadTheTileTheCopyEngineWrote) {
  const std::size_t origin = 4096;
  const LoadedTile tile(64, 256, origin);
  for (std::uint32_t step = 0; step < 16; ++step) {
    const emulation::Descriptor descriptor(k_major_descriptor(
        static_cast<std::uint32_t>(origin) + (step / 4) * 64 * kPanelRowBytes + (step % 4) * 32));
    for (std::size_t row = 0; row < 64; ++row) {
      for (std::size_t k = 0; k < 16; ++k) {
        ASSERT_EQ(tile.at(emulation::k_major_address(descriptor, row, k, 2)),
                  tile.global[row * 256 + step * 16 + k]);
      }
    }
  }
}

TEST(SharedLayout, MnMajorDescriptorsReadTheSameTileTransposed) {
  const std::size_t origin = 1024;
  const LoadedTile tile(64, 256, origin);
  for (std::uint32_t step = 0; step < 4; ++step) {
    const emulation::Descriptor descriptor(mn_major_descriptor(
        static_cast<std::uint32_t>(origin) + step * 2 * kSwizzleAtomBytes, 64 * kPanelRowBytes));
    for (std::size_t k = 0; k < 16; ++k) {
      for (std::size_t n = 0; n < 256; ++n) {
        ASSERT_EQ(tile.at(emulation::mn_major_address(descriptor, k, n)),
                  tile.global[(step * 16 + k) * 256 + n]);
      }
    }
  }
}

TEST(SharedLayout, EightRowsOfAPanelColumnLieOnDistinctBanks) {
  for (std::uint32_t piece = 0; piece < 8; ++piece) {
    std::set<std::uint32_t> banks;
    for (std::uint32_t row = 0; row < 8; ++row) {
      banks.insert(panel_offset(64, row, piece * 16) % 128 / 16);
    }
    EXPECT_EQ(banks.size(), 8u);
  }
}

TEST(WgmmaFragments, AccumulatorMapIsTheIsasAndCoversTheTileOnce) {
  for (const std::size_t n : {8, 64, 128, 256}) {
    std::size_t visited = 0;
    emulation::for_each_accumulator(
        n, [&](std::size_t row, std::size_t column, std::size_t thread, std::size_t index) {
          const MatrixIndex at =
              wgmma_accumulator_index(static_cast<int>(thread), static_cast<int>(index));
          ASSERT_EQ(at.row, static_cast<int>(row));
          ASSERT_EQ(at.column, static_cast<int>(column));
          ++visited;
        });
    EXPECT_EQ(visited, 64 * n);
  }
}

TEST(WgmmaFragments, AnAccumulatorIsTheNextProductsAOperandWithoutAnyExchange) {
  for (int thread = 0; thread < 128; ++thread) {
    for (int index = 0; index < 32; ++index) {
      const FragmentSlot slot = accumulator_as_a(index);
      const MatrixIndex as_d = wgmma_accumulator_index(thread, index);
      const MatrixIndex as_a = wgmma_a_register_index(thread, slot.index, slot.half);
      EXPECT_EQ(as_d.row, as_a.row);
      EXPECT_EQ(as_d.column, slot.step * 16 + as_a.column);
    }
  }
}

TEST(WgmmaEmulation, TwoChainedProductsEqualTheMatrixProducts) {
  // S = A B^T from shared memory, then D = S V with S from registers: the shape of attention.
  constexpr std::size_t kDim = 64;
  std::vector<std::uint16_t> a(64 * kDim), b(64 * kDim), v(64 * kDim);
  for (std::size_t i = 0; i < a.size(); ++i) {
    // Small integers: every product and sum is exact, in BF16 too.
    a[i] = to_bf16(static_cast<float>(random_bits(1, i) % 3) - 1).bits;
    b[i] = to_bf16(static_cast<float>(random_bits(2, i) % 3) - 1).bits;
    v[i] = to_bf16(static_cast<float>(random_bits(3, i) % 5) - 2).bits;
  }
  SharedMemory shared(3 * 8192);
  const auto load = [&](std::size_t at, const std::vector<std::uint16_t>& m) {
    emulation::tensor_load(
        shared, at, {reinterpret_cast<const std::uint8_t*>(m.data()), 2, {64, 64}, {128}, {64, 64}},
        {0, 0});
  };
  load(0, a);
  load(8192, b);
  load(16384, v);
  const auto decode = [](const std::uint8_t* p) {
    return to_float(Bf16{static_cast<std::uint16_t>(p[0] | p[1] << 8)});
  };
  emulation::Registers s(128, std::vector<float>(32, 1e9f));
  for (std::uint32_t k = 0; k < 4; ++k) {
    emulation::wgmma_shared(shared, s, k_major_descriptor(k * 32),
                            k_major_descriptor(8192 + k * 32), 64, 2, decode, k != 0);
  }
  emulation::Registers d(128, std::vector<float>(32, 0.0f));
  for (std::uint32_t k = 0; k < 4; ++k) {
    std::vector<std::vector<float>> operand(128, std::vector<float>(8));
    for (std::size_t thread = 0; thread < 128; ++thread) {
      for (int index = 0; index < 32; ++index) {
        const FragmentSlot slot = accumulator_as_a(index);
        if (slot.step == static_cast<int>(k)) {
          operand[thread][slot.index * 2 + slot.half] = s[thread][index];
        }
      }
    }
    emulation::wgmma_registers(shared, d, operand, mn_major_descriptor(16384 + k * 2048, 8192), 64,
                               decode);
  }
  const auto f = [](std::uint16_t bits) { return static_cast<double>(to_float(Bf16{bits})); };
  for (int thread = 0; thread < 128; ++thread) {
    for (int index = 0; index < 32; ++index) {
      const MatrixIndex at = wgmma_accumulator_index(thread, index);
      double want = 0;
      for (std::size_t j = 0; j < 64; ++j) {
        double score = 0;
        for (std::size_t k = 0; k < kDim; ++k) {
          score += f(a[at.row * kDim + k]) * f(b[j * kDim + k]);
        }
        want += score * f(v[j * 64 + at.column]);
      }
      ASSERT_EQ(d[thread][index], want) << thread << " " << index;
    }
  }
}

TEST(SharedLayout, AnAdvancedDescriptorIsThatOfALaterAddressUpToTheEndOfSharedMemory) {
  for (std::uint32_t bytes = 0; bytes < 227 * 1024; bytes += 16) {
    EXPECT_EQ(advanced(k_major_descriptor(0), bytes), k_major_descriptor(bytes));
    EXPECT_EQ(advanced(mn_major_descriptor(0, 8192), bytes), mn_major_descriptor(bytes, 8192));
  }
}

}  // namespace
}  // namespace ridge::kernels
