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

std::string gemm_lines(const char* title, const GemmPlan& plan) {
  std::string text =
      format("%s: %d rows x %d x %d (M x N x K) in %d of %d groups\n", title, plan.rows,
             plan.weight_rows, plan.depth, plan.active_groups, plan.groups);
  text += format(
      "  tiles   %d: %d of 128 tokens x 256 weights; swap-AB 256 weights x 16: %d, x 32: %d, x 64: "
      "%d\n",
      plan.tiles, plan.full_tiles, plan.swapped_tiles[0], plan.swapped_tiles[1],
      plan.swapped_tiles[2]);
  text += format(
      "  waves   %d of %d thread blocks, %.1f %% of the slots filled; %d K blocks per tile\n",
      plan.waves, plan.workers, 100.0 * plan.occupancy(), plan.depth / kScaleBlock);
  text += format("  padding %d rows computed for %d\n", plan.padded_rows, plan.rows);
  text += format("  bytes   %.4g GB: weights %.4g, tokens %.4g, output %.4g\n", plan.bytes() / 1e9,
                 plan.weight_bytes / 1e9, plan.token_bytes / 1e9, plan.output_bytes / 1e9);
  text += format("  FLOP    %.4g T useful, %.4g T issued; %.0f useful FLOP per byte\n",
                 plan.flop / 1e12, plan.issued_flop / 1e12,
                 plan.bytes() > 0 ? plan.flop / plan.bytes() : 0.0);
  return text;
}

}  // namespace

std::string explain(const LayerPlan& plan, const Routing& routing, double expected_active_experts) {
  const LayerShape& s = plan.shape;
  std::string text = format(
      "MoE layer: %d tokens, top-%d of %d experts (%d here, from %d), %d shared, hidden %d, "
      "intermediate %d\n",
      s.tokens, s.top_k, s.experts, s.local_experts, s.first_expert, s.shared_experts, s.hidden,
      s.intermediate);
  text += format("routing %s: %.1f local experts expected active\n", name(routing).c_str(),
                 expected_active_experts);
  text += format("permute + quantise: %.4g GB\n", plan.permute_bytes / 1e9);
  text += gemm_lines("gate_up + SwiGLU + requantise", plan.gate_up);
  text += gemm_lines("down", plan.down);
  text += format("combine: %.4g GB\n", plan.combine_bytes / 1e9);
  text += format("layer: %.4g TFLOP; %.4g GB compulsory, %.4g GB moved\n", plan.flop() / 1e12,
                 (plan.compulsory_bytes_read() + plan.compulsory_bytes_written()) / 1e9,
                 plan.moved_bytes() / 1e9);
  return text;
}

}  // namespace ridge::kernels::moe
