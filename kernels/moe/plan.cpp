#include "moe/plan.hpp"

#include <cstdarg>
#include <cstdio>

namespace ridge::kernels::moe {
namespace {

[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...) {
  char line[256];
  va_list arguments;
  va_start(arguments, pattern);
  std::vsnprintf(line, sizeof line, pattern, arguments);
  va_end(arguments);
  return line;
}

}  // namespace

std::string explain(const GemmPlan& plan) {
  std::string text = format("  %d rows x %d x %d (M x N x K) in %d of %d groups\n", plan.rows,
                            plan.weight_rows, plan.depth, plan.active_groups, plan.groups);
  text += format(
      "  tiles    %d: 128 tokens x 256 weights: %d; swap-AB, 256 weights x 16: %d, x 32: %d, x 64: "
      "%d\n",
      plan.tiles, plan.full_tiles, plan.swapped_tiles[0], plan.swapped_tiles[1],
      plan.swapped_tiles[2]);
  text += format(
      "  waves    %d of %d thread blocks%s, %.1f %% of the slots filled; %d K blocks per tile\n",
      plan.waves, plan.workers, plan.cluster == kPair ? " in pairs" : "", 100.0 * plan.occupancy(),
      plan.depth / kScaleBlock);
  text += format("  padding  %d token rows computed for %d\n", plan.padded_rows, plan.rows);
  text += format("  bytes    %.4g GB: weights %.4g, tokens %.4g, output %.4g\n", plan.bytes() / 1e9,
                 plan.weight_bytes / 1e9, plan.token_bytes / 1e9, plan.output_bytes / 1e9);
  text += format("  flop     %.4g T needed, %.4g T issued; %.0f per byte\n", plan.flop / 1e12,
                 plan.issued_flop / 1e12, plan.bytes() > 0 ? plan.flop / plan.bytes() : 0.0);
  return text;
}

std::string explain(const LayerPlan& plan, double expected_active_experts) {
  std::string text =
      format("  experts  %d of %d local and shared active here; %.1f expected of such a routing\n",
             plan.gate_up.active_groups, plan.gate_up.groups,
             expected_active_experts + plan.shape.shared_experts);
  text += format("permute + quantize: %.4g GB\n", plan.permute_bytes / 1e9);
  text += "gate_up + SwiGLU + requantize:\n" + explain(plan.gate_up);
  text += "down:\n" + explain(plan.down);
  text += format("combine: %.4g GB\n", plan.combine_bytes / 1e9);
  text += format("layer: %.4g TFLOP; %.4g GB compulsory, %.4g GB moved\n", plan.flop() / 1e12,
                 (plan.compulsory_bytes_read() + plan.compulsory_bytes_written()) / 1e9,
                 plan.moved_bytes() / 1e9);
  return text;
}

}  // namespace ridge::kernels::moe
