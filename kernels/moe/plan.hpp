#pragma once

#include "moe/epilogue.hpp"
#include "moe/scale_layout.hpp"
#include "moe/schedule.hpp"
#include "moe/shape.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string>

/// What a launch will do, computed on the host for one routing: tiles, waves, padding, bytes, FLOP.
/// The kernels walk the same `TileCursor`, so that a plan is a statement about them.
namespace ridge::kernels::moe {

struct GemmPlan {
  int groups = 0;
  int active_groups = 0;  ///< With at least one token: those whose weights are read.
  int weight_rows = 0;    ///< N
  int depth = 0;          ///< K
  int rows = 0;           ///< Tokens over all groups.
  int padded_rows = 0;    ///< The same after padding each tile to what the matrix unit computes.

  int full_tiles = 0;  ///< Tokens x weights.
  /// Swap-AB tiles of 16, 32 and 64 tokens.
  std::array<int, 3> swapped_tiles{};
  int tiles = 0;
  int workers = 0;  ///< Persistent thread blocks, one per multiprocessor,
  int cluster = 1;  ///< so many of which go together.
  int waves = 0;    ///< Steps of the busiest worker.

  double weight_bytes = 0.0;  ///< Of the active groups, scales included.
  double token_bytes = 0.0;   ///< Activations read, each row once.
  double output_bytes = 0.0;
  double flop = 0.0;         ///< Useful ones: padding does not count.
  double issued_flop = 0.0;  ///< Those the matrix unit executes.

  [[nodiscard]] constexpr double bytes() const { return weight_bytes + token_bytes + output_bytes; }
  /// Share of the last wave's tile slots that do work, over all waves.
  [[nodiscard]] constexpr double occupancy() const {
    return waves == 0 ? 0.0 : static_cast<double>(tiles) / (static_cast<double>(waves) * workers);
  }
};

/// `group_offsets` has groups + 1 entries, as the device has them; `cluster` is 1 or kPair.
constexpr GemmPlan plan_gemm(std::span<const std::int32_t> group_offsets, int weight_rows,
                             int depth, Epilogue epilogue, int workers, int cluster = 1) {
  GemmPlan plan{.groups = static_cast<int>(group_offsets.size()) - 1,
                .weight_rows = weight_rows,
                .depth = depth,
                .workers = workers / cluster * cluster,
                .cluster = cluster};
  const int blocks = weight_blocks(weight_rows);
  int steps = 0;
  for (int group = 0; group < plan.groups; ++group) {
    const int rows = group_offsets[static_cast<std::size_t>(group) + 1] -
                     group_offsets[static_cast<std::size_t>(group)];
    if (rows > 0) ++plan.active_groups;
    steps += cluster == kPair ? GroupSteps<kPair>(rows, blocks).count()
                              : GroupSteps<1>(rows, blocks).count();
    plan.rows += rows;
    for (int first = 0; first < rows; first += kTileTokens) {
      const int tokens = rows - first < kTileTokens ? rows - first : kTileTokens;
      const int padded = padded_tokens(tokens);
      plan.padded_rows += padded;
      plan.tiles += blocks;
      if (operand_order(tokens) == OperandOrder::kTokensByWeights)
        plan.full_tiles += blocks;
      else
        plan.swapped_tiles[padded == 16 ? 0 : padded == 32 ? 1 : 2] += blocks;
    }
  }
  plan.waves = ceil_div(steps, workers / cluster);
  const double n = weight_rows;
  const double k = depth;
  plan.weight_bytes = plan.active_groups * n * k * (1.0 + 4.0 / (kScaleBlock * kScaleBlock));
  plan.token_bytes = plan.rows * k * (1.0 + 4.0 / kScaleBlock);
  plan.output_bytes = plan.rows * output_row_bytes(weight_rows, epilogue);
  plan.flop = 2.0 * plan.rows * n * k;
  plan.issued_flop = 2.0 * plan.padded_rows * kTileWeights * blocks * k;
  return plan;
}

/// The whole layer: permute + quantize, gate_up with SwiGLU, down, combine.
struct LayerPlan {
  LayerShape shape;
  GemmPlan gate_up;
  GemmPlan down;
  double permute_bytes = 0.0;  ///< Reads BF16 tokens, writes E4M3 rows.
  double combine_bytes = 0.0;  ///< Reads BF16 expert outputs, writes BF16 tokens.

  /// What no implementation can avoid: active weights, tokens in, tokens out.
  [[nodiscard]] constexpr double compulsory_bytes_read() const {
    return gate_up.weight_bytes + down.weight_bytes + 2.0 * shape.tokens * shape.hidden;
  }
  [[nodiscard]] constexpr double compulsory_bytes_written() const {
    return 2.0 * shape.tokens * shape.hidden;
  }
  /// What these kernels move, intermediates included (some of it within the L2).
  [[nodiscard]] constexpr double moved_bytes() const {
    return permute_bytes + gate_up.bytes() + down.bytes() + combine_bytes;
  }
  [[nodiscard]] constexpr double flop() const { return gate_up.flop + down.flop; }
};

constexpr LayerPlan plan_layer(const LayerShape& shape, std::span<const std::int32_t> group_offsets,
                               int workers) {
  const int cluster = cluster_size(shape.balanced_rows(), shape.groups(), workers);
  LayerPlan plan{.shape = shape,
                 .gate_up = plan_gemm(group_offsets, 2 * shape.intermediate, shape.hidden,
                                      Epilogue::kSwiglu, workers, cluster),
                 .down = plan_gemm(group_offsets, shape.hidden, shape.intermediate, Epilogue::kBf16,
                                   workers, cluster)};
  const double tokens_bf16 = 2.0 * shape.tokens * shape.hidden;
  plan.permute_bytes = tokens_bf16 + plan.gate_up.token_bytes;
  plan.combine_bytes = plan.down.output_bytes + tokens_bf16;
  return plan;
}

/// Plans as text, for `--explain`.
std::string explain(const GemmPlan& plan);
std::string explain(const LayerPlan& plan, double expected_active_experts);

}  // namespace ridge::kernels::moe
