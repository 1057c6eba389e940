#include "moe_emulation.hpp"

#include "moe/reference.hpp"
#include "moe/weights.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace ridge::kernels::moe {
namespace {

/// Sizes that make every kind of tile: empty, 16, 32, 64 wide, full, full plus each remainder.
const std::vector<int> kSizes{0, 1, 22, 0, 64, 65, 128, 130, 150, 0};

struct Problem {
  RandomWeights source;
  std::vector<std::int32_t> offsets{0};
  Quantized gate_up_tokens;
  Quantized down_tokens;
  std::vector<ExpertWeights> experts;

  int groups() const { return static_cast<int>(offsets.size()) - 1; }
};

Quantized random_tokens(int rows, int columns, std::uint64_t seed) {
  std::vector<float> values;
  for (int i = 0; i < rows * columns; ++i)
    values.push_back(random_normal(seed, static_cast<std::uint64_t>(i)) *
                     std::ldexp(1.0f, i / columns % 7 - 3));
  return quantize_1x128(values, rows, columns);
}

/// hidden = 384 is an odd number of 128-row blocks: half of the last weight tile lies outside.
Problem make_problem() {
  Problem problem;
  problem.source = {.hidden = 384, .intermediate = 256, .seed = 17};
  for (const int size : kSizes) problem.offsets.push_back(problem.offsets.back() + size);
  problem.gate_up_tokens = random_tokens(problem.offsets.back(), 384, 5);
  problem.down_tokens = random_tokens(problem.offsets.back(), 256, 6);
  problem.experts = materialize(problem.source, problem.groups());
  return problem;
}

/// The operands in the kernels' layouts. Rows and scales past the last token are NaN, as unused
/// memory may be.
emulation::GroupedGemm operands(const Problem& problem, bool gate_up) {
  const Quantized& tokens = gate_up ? problem.gate_up_tokens : problem.down_tokens;
  const DeviceLayout layout{problem.source};
  emulation::GroupedGemm gemm{
      .groups = problem.groups(),
      .weight_rows = gate_up ? 2 * problem.source.intermediate : problem.source.hidden,
      .depth = tokens.columns,
      .row_capacity = tokens.rows + 37,
      .group_offsets = problem.offsets,
      .tokens = {},
      .token_scales = {},
      .weights = {},
      .pairs = {}};
  for (const E4m3 value : tokens.values) gemm.tokens.push_back(value.bits);
  gemm.tokens.resize(
      static_cast<std::size_t>(gemm.row_capacity) * static_cast<std::size_t>(gemm.depth), 0xff);
  const int k_blocks = gemm.depth / kScaleBlock;
  gemm.token_scales.assign(static_cast<std::size_t>(k_blocks * scale_pitch(gemm.row_capacity)),
                           std::numeric_limits<float>::quiet_NaN());
  for (int block = 0; block < k_blocks; ++block)
    for (int row = 0; row < tokens.rows; ++row)
      gemm.token_scales[static_cast<std::size_t>(block * scale_pitch(gemm.row_capacity) + row)] =
          tokens.scale(row, block * kScaleBlock);
  gemm.pairs.resize(weight_scale_index(gemm.weight_rows, gemm.depth, gemm.groups, 0, 0));
  for (int group = 0; group < gemm.groups; ++group) {
    for (int row = 0; row < gemm.weight_rows; ++row)
      for (int k = 0; k < gemm.depth; ++k)
        gemm.weights.push_back(
            (gate_up ? layout.gate_up(group, row, k) : layout.down(group, row, k)).bits);
    for (int wb = 0; wb < weight_blocks(gemm.weight_rows); ++wb)
      for (int block = 0; block < k_blocks; ++block) {
        const DeviceLayout::ScalePair pair = gate_up ? layout.gate_up_scales(group, wb, block)
                                                     : layout.down_scales(group, wb, block);
        gemm.pairs[weight_scale_index(gemm.weight_rows, gemm.depth, group, wb, block)] = {
            pair.first, pair.second};
      }
  }
  return gemm;
}

/// Rows of the groups are written exactly once, all other rows never.
void expect_each_output_stored_once(const emulation::Result& result, int rows, int columns) {
  const auto used = result.stores.begin() +
                    static_cast<std::ptrdiff_t>(rows) * static_cast<std::ptrdiff_t>(columns);
  EXPECT_TRUE(std::all_of(result.stores.begin(), used, [](int n) { return n == 1; }));
  EXPECT_TRUE(std::all_of(used, result.stores.end(), [](int n) { return n == 0; }));
}

TEST(MoeEmulatedKernel, PlainGemmEqualsTheReferenceForEveryKindOfTile) {
  const Problem problem = make_problem();
  const emulation::GroupedGemm gemm = operands(problem, false);
  const emulation::Result result = emulation::run(gemm, Epilogue::kFloat, 3);
  expect_each_output_stored_once(result, problem.offsets.back(), 384);

  std::vector<const Quantized*> downs;
  for (const ExpertWeights& expert : problem.experts) downs.push_back(&expert.down);
  const std::vector<double> expected = grouped_gemm(problem.down_tokens, problem.offsets, downs);
  const std::vector<double> actual(
      result.plain.begin(), result.plain.begin() + static_cast<std::ptrdiff_t>(expected.size()));
  EXPECT_LT(relative_error(actual, expected), 1e-6);
}

TEST(MoeEmulatedKernel, SwigluRequantisesWhatTheReferenceComputes) {
  const Problem problem = make_problem();
  const emulation::GroupedGemm gemm = operands(problem, true);
  const emulation::Result result = emulation::run(gemm, Epilogue::kSwiglu, 5);
  expect_each_output_stored_once(result, problem.offsets.back(), 256);

  const std::vector<double> expected =
      gate_up_swiglu(problem.gate_up_tokens, problem.offsets, problem.experts);
  for (int row = 0; row < problem.offsets.back(); ++row)
    for (int column = 0; column < 256; ++column) {
      const std::size_t at = static_cast<std::size_t>(row * 256 + column);
      const double scale = static_cast<double>(result.activated_scales[static_cast<std::size_t>(
          column / kScaleBlock * scale_pitch(gemm.row_capacity) + row)]);
      const double actual = static_cast<double>(to_float(E4m3{result.activated[at]})) * scale;
      // Half an E4M3 spacing, and a little for the float sums.
      const double bound =
          std::max(std::abs(expected[at]) * 0x1p-4, scale * 0x1p-10) + 1e-5 * 448 * scale;
      ASSERT_LE(std::abs(actual - expected[at]), bound) << row << ", " << column;
    }
}

TEST(MoeEmulatedKernel, GivesTheSameResultOnAnyNumberOfThreadBlocks) {
  const Problem problem = make_problem();
  const emulation::GroupedGemm gemm = operands(problem, true);
  const emulation::Result one = emulation::run(gemm, Epilogue::kSwiglu, 1);
  const emulation::Result many = emulation::run(gemm, Epilogue::kSwiglu, 132);
  EXPECT_EQ(one.activated, many.activated);
}

}  // namespace
}  // namespace ridge::kernels::moe
