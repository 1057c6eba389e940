#pragma once

#include "common/numeric.hpp"
#include "common/shared_layout.hpp"
#include "moe/epilogue.hpp"
#include "moe/fragments.hpp"
#include "moe/quantize.hpp"
#include "moe/scale_layout.hpp"
#include "moe/schedule.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <vector>

/// The grouped-GEMM kernel run on the CPU, through the same address maps, schedule and fragment
/// maps: the copy engine writes swizzled boxes into a byte array, the matrix unit reads them back
/// through descriptors, sums land in the registers of 256 emulated threads, and the epilogue stores
/// them. What it cannot show is timing, barriers and races.
namespace ridge::kernels::moe::emulation {

/// Shared memory of one stage: weights, then tokens; both start on a swizzle boundary.
struct Stage {
  static constexpr std::uint32_t kWeights = 0;
  static constexpr std::uint32_t kTokens = kTileWeights * kScaleBlock;
  std::vector<std::uint8_t> bytes =
      std::vector<std::uint8_t>(kTokens + kTileTokens * kScaleBlock, 0xff);
};

/// A bulk tensor copy of `box_rows` rows of 128 bytes, with the 128-byte swizzle, from row
/// `first_row` and byte `first_byte` of a matrix; rows past the end read as zero.
inline void copy_box(Stage& stage, std::uint32_t to, const std::uint8_t* matrix, int rows,
                     int pitch, int first_row, int first_byte, int box_rows) {
  for (int row = 0; row < box_rows; ++row)
    for (int byte = 0; byte < kScaleBlock; ++byte) {
      const bool inside = first_row + row < rows && first_byte + byte < pitch;
      stage.bytes.at(to + swizzle_128b(static_cast<std::uint32_t>(row * 128 + byte))) =
          inside
              ? matrix[static_cast<std::size_t>(first_row + row) * static_cast<std::size_t>(pitch) +
                       static_cast<std::size_t>(first_byte + byte)]
              : 0;
    }
}

/// Element [row][k] of a K-major operand, found as the matrix unit finds it: from the descriptor's
/// start address and 8-row stride, then swizzled.
inline float operand_element(const Stage& stage, std::uint64_t descriptor, int row, int k) {
  const auto start = static_cast<std::uint32_t>(descriptor & 0x3fff) << 4;
  const auto stride = static_cast<std::uint32_t>((descriptor >> 32) & 0x3fff) << 4;
  if (descriptor >> 62 != 1) throw std::logic_error("not a descriptor of the 128-byte swizzle");
  const std::uint32_t address = start + static_cast<std::uint32_t>(row / 8) * stride +
                                static_cast<std::uint32_t>(row % 8 * 128 + k);
  return to_float(E4m3{stage.bytes.at(swizzle_128b(address))});
}

struct GroupedGemm {
  int groups = 0;
  int weight_rows = 0;
  int depth = 0;
  int row_capacity = 0;
  std::vector<std::int32_t> group_offsets;
  std::vector<std::uint8_t> tokens;         ///< [row_capacity][K]
  std::vector<float> token_scales;          ///< [K / 128][scale_pitch]
  std::vector<std::uint8_t> weights;        ///< [groups][N][K]
  std::vector<std::array<float, 2>> pairs;  ///< Weight scales, as `weight_scale_index` orders them.
};

/// What a launch stored; `stores` counts how often each output was written.
struct Result {
  std::vector<float> plain;             ///< [row_capacity][N]
  std::vector<std::uint8_t> activated;  ///< [row_capacity][N / 2]
  std::vector<float> activated_scales;  ///< [N / 256][scale_pitch]
  std::vector<int> stores;
};

namespace detail {

/// One tile, from the first copy to the last register.
class TileRun {
 public:
  TileRun(const GroupedGemm& gemm, Epilogue epilogue, const Tile& tile)
      : gemm_(gemm),
        epilogue_(epilogue),
        tile_(tile),
        order_(operand_order(tile.tokens)),
        padded_(padded_tokens(tile.tokens)),
        columns_(order_ == OperandOrder::kTokensByWeights ? 128 : padded_),
        sums_(2 * 2 * 128 * static_cast<std::size_t>(columns_ / 2), 0.0f) {
    for (int block = 0; block < gemm.depth / kScaleBlock; ++block) accumulate(block);
  }

  int registers() const { return columns_ / 2; }
  OperandOrder order() const { return order_; }
  float& sum(int warpgroup, int part, int thread, int index) {
    return sums_.at(
        static_cast<std::size_t>(((warpgroup * 2 + part) * 128 + thread) * registers() + index));
  }
  TileElement element(int warpgroup, int part, int thread, int index) const {
    return order_ == OperandOrder::kTokensByWeights
               ? tokens_by_weights_element(warpgroup, part, thread, index)
               : weights_by_tokens_element(warpgroup, part, thread, index);
  }

 private:
  void load(int block) {
    const std::size_t group_bytes =
        static_cast<std::size_t>(gemm_.weight_rows) * static_cast<std::size_t>(gemm_.depth);
    copy_box(stage_, Stage::kWeights,
             gemm_.weights.data() + static_cast<std::size_t>(tile_.group) * group_bytes,
             gemm_.weight_rows, gemm_.depth, tile_.weight_block * kTileWeights, block * kScaleBlock,
             kTileWeights);
    const int box = padded_ >= 64 ? 64 : 16;
    for (int row = 0; row < padded_; row += box)
      copy_box(stage_, Stage::kTokens + static_cast<std::uint32_t>(row * kScaleBlock),
               gemm_.tokens.data(), gemm_.row_capacity, gemm_.depth, tile_.first_row + row,
               block * kScaleBlock, box);
    const auto from = gemm_.token_scales.begin() +
                      static_cast<std::ptrdiff_t>(block) * scale_pitch(gemm_.row_capacity) +
                      aligned_scale_row(tile_.first_row);
    scales_.assign(from, from + scale_copy_floats(padded_));
  }

  void accumulate(int block) {
    load(block);
    const auto pair = gemm_.pairs.at(
        weight_scale_index(gemm_.weight_rows, gemm_.depth, tile_.group, tile_.weight_block, block));
    for (int warpgroup = 0; warpgroup < 2; ++warpgroup)
      for (int part = 0; part < 2; ++part) {
        const std::vector<float> products = multiply(warpgroup, part);
        for (int thread = 0; thread < 128; ++thread)
          for (int index = 0; index < registers(); ++index) {
            const TileElement at = element(warpgroup, part, thread, index);
            const bool second =
                epilogue_ == Epilogue::kSwiglu ? holds_up(order_, index) : at.weight >= kScaleBlock;
            const MatrixIndex fragment = wgmma_accumulator_index(thread, index);
            const float scale =
                scales_.at(static_cast<std::size_t>(tile_.first_row % kScaleAlignment + at.token));
            sum(warpgroup, part, thread, index) +=
                scale * pair[second ? 1 : 0] *
                products.at(static_cast<std::size_t>(fragment.row * columns_ + fragment.column));
          }
      }
  }

  /// Four wgmma of depth 32: the 64 x N products of this stage.
  std::vector<float> multiply(int warpgroup, int part) const {
    const auto tokens =
        Stage::kTokens + static_cast<std::uint32_t>(token_operand_offset(order_, warpgroup));
    const auto weights = Stage::kWeights +
                         static_cast<std::uint32_t>(weight_operand_offset(order_, warpgroup, part));
    const bool tokens_first = order_ == OperandOrder::kTokensByWeights;
    std::vector<double> exact(static_cast<std::size_t>(64 * columns_), 0.0);
    for (std::uint32_t k = 0; k < kScaleBlock; k += 32) {
      const std::uint64_t a = k_major_descriptor((tokens_first ? tokens : weights) + k);
      const std::uint64_t b = k_major_descriptor((tokens_first ? weights : tokens) + k);
      std::vector<float> a_values;
      std::vector<float> b_values;
      for (int row = 0; row < 64; ++row)
        for (int j = 0; j < 32; ++j) a_values.push_back(operand_element(stage_, a, row, j));
      for (int row = 0; row < columns_; ++row)
        for (int j = 0; j < 32; ++j) b_values.push_back(operand_element(stage_, b, row, j));
      for (int row = 0; row < 64; ++row)
        for (int column = 0; column < columns_; ++column) {
          double sum = 0.0;
          for (int j = 0; j < 32; ++j)
            sum += static_cast<double>(a_values[static_cast<std::size_t>(row * 32 + j)]) *
                   static_cast<double>(b_values[static_cast<std::size_t>(column * 32 + j)]);
          exact[static_cast<std::size_t>(row * columns_ + column)] += sum;
        }
    }
    return {exact.begin(), exact.end()};
  }

  const GroupedGemm& gemm_;
  Epilogue epilogue_;
  Tile tile_;
  OperandOrder order_;
  int padded_;
  int columns_;  // N of the wgmma.
  Stage stage_;
  std::vector<float> scales_;
  std::vector<float> sums_;
};

}  // namespace detail

/// Runs all workers one after another.
inline Result run(const GroupedGemm& gemm, Epilogue epilogue, int workers) {
  const bool swiglu = epilogue == Epilogue::kSwiglu;
  const int out_columns = swiglu ? gemm.weight_rows / 2 : gemm.weight_rows;
  const auto outputs =
      static_cast<std::size_t>(gemm.row_capacity) * static_cast<std::size_t>(out_columns);
  Result result;
  result.stores.assign(outputs, 0);
  if (swiglu) {
    result.activated.assign(outputs, 0xff);
    result.activated_scales.assign(
        static_cast<std::size_t>(weight_blocks(gemm.weight_rows) * scale_pitch(gemm.row_capacity)),
        -1.0f);
  } else {
    result.plain.assign(outputs, -1.0f);
  }

  for (int worker = 0; worker < workers; ++worker) {
    TileCursor cursor(gemm.group_offsets.data(), gemm.groups, weight_blocks(gemm.weight_rows),
                      worker, workers);
    Tile tile;
    while (cursor.next(tile)) {
      detail::TileRun run(gemm, epilogue, tile);
      const auto each_register = [&](const std::function<void(int, int, int, int)>& visit) {
        for (int warpgroup = 0; warpgroup < 2; ++warpgroup)
          for (int part = 0; part < 2; ++part)
            for (int thread = 0; thread < 128; ++thread)
              for (int index = 0; index < run.registers(); ++index)
                visit(warpgroup, part, thread, index);
      };
      const auto output_index = [&](int token, int column) {
        return static_cast<std::size_t>(tile.first_row + token) *
                   static_cast<std::size_t>(out_columns) +
               static_cast<std::size_t>(column);
      };
      if (!swiglu) {
        each_register([&](int warpgroup, int part, int thread, int index) {
          const TileElement at = run.element(warpgroup, part, thread, index);
          const int column = tile.weight_block * kTileWeights + at.weight;
          if (at.token >= tile.tokens || column >= gemm.weight_rows) return;
          result.plain[output_index(at.token, column)] = run.sum(warpgroup, part, thread, index);
          ++result.stores[output_index(at.token, column)];
        });
        continue;
      }
      std::vector<float> maxima(kTileTokens, 0.0f);
      each_register([&](int warpgroup, int part, int thread, int index) {
        if (holds_up(run.order(), index)) return;
        float& gate = run.sum(warpgroup, part, thread, index);
        const float up =
            run.sum(warpgroup, part, thread, index + up_register_distance(run.order()));
        gate = gate / (1.0f + std::exp(-gate)) * up;
        float& maximum =
            maxima.at(static_cast<std::size_t>(run.element(warpgroup, part, thread, index).token));
        maximum = std::max(maximum, std::abs(gate));
      });
      each_register([&](int warpgroup, int part, int thread, int index) {
        if (holds_up(run.order(), index)) return;
        const TileElement at = run.element(warpgroup, part, thread, index);
        if (at.token >= tile.tokens) return;
        const float scale = block_scale(maxima.at(static_cast<std::size_t>(at.token)));
        const std::size_t to =
            output_index(at.token, tile.weight_block * kScaleBlock + activation_column(at.weight));
        result.activated[to] =
            to_e4m3(run.sum(warpgroup, part, thread, index) * (1.0f / scale)).bits;
        ++result.stores[to];
        result.activated_scales[static_cast<std::size_t>(
            tile.weight_block * scale_pitch(gemm.row_capacity) + tile.first_row + at.token)] =
            scale;
      });
    }
  }
  return result;
}

}  // namespace ridge::kernels::moe::emulation
