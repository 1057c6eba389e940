#include "moe/family.hpp"

#include "moe/bench_shape.hpp"
#include "moe/permutation.hpp"
#include "moe/plan.hpp"

#include <algorithm>
#include <stdexcept>

namespace ridge::kernels::moe {
namespace {

constexpr Routing kBalanced{RoutingKind::kBalanced};
constexpr Routing kUniform{RoutingKind::kUniform};
constexpr Routing kMildPowerLaw{RoutingKind::kPowerLaw, 1.01};
constexpr Routing kSteepPowerLaw{RoutingKind::kPowerLaw, 1.2};
constexpr Routing kHotExpert{RoutingKind::kHotExpert};

/// Layers of published models and slices of them. Token counts are filled in by the grids.
struct GridLayer {
  LayerShape shape;
  bool quick;   ///< Part of the quick grid.
  bool target;  ///< A layer that the kernel was made for.
};

std::vector<GridLayer> grid_layers() {
  const LayerShape step3 = whole_layer(1, 7168, 5120, 48, 3, 1);
  const LayerShape deepseek_v3 = whole_layer(1, 7168, 2048, 256, 8, 1);
  const LayerShape qwen3_235b = whole_layer(1, 4096, 1536, 128, 8, 0);
  return {{step3, true, true},
          {slice(step3, 8, 2, 0), true, false},
          {slice(step3, 8, 1, 0), true, false},
          {slice(step3, 4, 1, 0), false, false},
          {deepseek_v3, true, true},
          {slice(deepseek_v3, 1, 8, 0), true, false},
          {slice(deepseek_v3, 1, 32, 0), false, false},
          {qwen3_235b, true, false},
          {slice(qwen3_235b, 1, 8, 0), true, false}};
}

LayerPlan plan_of(const LayerShape& shape, const Routing& routing, int sm_count) {
  const Permutation permutation = permute(shape, draw_routing(shape, routing, kRoutingSeed));
  return plan_layer(shape, permutation.group_offsets, sm_count);
}

bench::Work work_of(const LayerPlan& plan) {
  return {plan.compulsory_bytes_read(), plan.compulsory_bytes_written(), plan.flop()};
}

bench::Work work_of(const GemmPlan& plan) {
  return {plan.weight_bytes + plan.token_bytes, plan.output_bytes, plan.flop};
}

const GemmPlan& plan_of(Gemm gemm, const LayerPlan& plan) {
  return gemm == Gemm::kGateUp ? plan.gate_up : plan.down;
}

/// Bytes on the device that a point takes, roughly: weights, rows and intermediates, as often as
/// the timer has sets of them.
double footprint(const LayerShape& shape, const bench::DeviceFacts& device) {
  const double weights = 3.0 * shape.groups() * shape.hidden * shape.intermediate;
  const double rows = shape.row_capacity();
  const double active = std::min<double>(shape.groups(), rows);
  const int sets =
      bench::input_sets(weights / shape.groups() * std::max(active, 1.0), device, kMostSets);
  return (weights + rows * (5.0 * shape.hidden + 5.0 * shape.intermediate)) * sets;
}

/// Calls `visit(shape, turn)` for each layer and token count of a grid that fits the device.
template <typename Visit>
void each_shape(bench::Extent extent, const bench::DeviceFacts& device, Visit visit) {
  const bool full = extent == bench::Extent::kFull;
  const std::vector<int> token_counts =
      full ? std::vector{1, 8, 32, 128, 256, 512, 1024, 2048, 4096, 8192}
           : std::vector{8, 32, 128, 512, 2048, 8192};
  for (const GridLayer& layer : grid_layers()) {
    if (!full && !layer.quick) continue;
    for (const int tokens : token_counts) {
      LayerShape shape = layer.shape;
      shape.tokens = tokens;
      if (footprint(shape, device) <= 0.8 * static_cast<double>(device.free_bytes)) {
        const bool target = layer.target && (tokens == 128 || tokens == 512 || tokens == 2048 ||
                                             (tokens == 8192 && shape.experts < 64));
        visit(shape, target ? bench::Turn::kTarget : bench::Turn::kGrid);
      }
    }
  }
}

/// The simple version takes seconds where many rows meet a large layer.
bool simple_is_quick_enough(const LayerShape& shape) {
  return shape.tokens <= 32;
}

/// From the simplest to the whole: the first failure names the stage that is wrong.
template <typename Add>
void each_case(bench::Extent extent, Add add) {
  // A hidden size of 640 is an odd number of 128-row blocks: the last weight tile of `down` is half
  // empty.
  const auto small = [](int tokens) { return whole_layer(tokens, 640, 384, 8, 2, 1); };
  const auto one_expert = [](int tokens) { return whole_layer(tokens, 256, 128, 4, 1, 0); };
  const auto step3_slice = [](int tokens) {
    return slice(whole_layer(tokens, 7168, 5120, 48, 3, 1), 8, 24, 0);
  };
  add("one token of one expert: one narrow tile", one_expert(1), kHotExpert);
  add("a full tile of one expert", one_expert(128), kHotExpert);
  add("no tokens at all", small(0), kBalanced);
  add("one token", small(1), kBalanced);
  add("most experts are empty", whole_layer(3, 256, 128, 64, 2, 0), kUniform);
  for (const int tokens : {16, 17, 32, 33, 64, 65, 127, 129, 144, 145, 192, 193})
    add("all tokens to one expert, around each width of tile", one_expert(tokens), kHotExpert);
  add("two full tiles of one expert: a pair of thread blocks shares their weights",
      whole_layer(256, 256, 128, 1, 1, 0), kBalanced);
  for (const Routing& routing : {kUniform, kHotExpert})
    add("full and narrow tiles for thread blocks in pairs", whole_layer(400, 640, 384, 3, 1, 1),
        routing);
  for (const Routing& routing : kRoutings) add("every routing", small(90), routing);
  add("an expert-parallel subset drops other ranks' picks", slice(small(60), 1, 2, 0), kUniform);
  add("a tensor-parallel slice of 640", slice(whole_layer(40, 1024, 5120, 6, 3, 1), 8, 1, 0),
      kUniform);
  add("more groups than multiprocessors", whole_layer(40, 256, 128, 256, 8, 1), kSteepPowerLaw);
  add("the accumulation length of a real model", step3_slice(24), kUniform);
  if (extent == bench::Extent::kFull)
    for (const Routing& routing : {kSteepPowerLaw, kHotExpert}) {
      add("many tokens: several bands and waves", whole_layer(2500, 256, 128, 4, 2, 1), routing);
      add("a real model's slice", step3_slice(200), routing);
    }
}

}  // namespace

std::vector<bench::Point> layer_grid(bench::Extent extent, const bench::DeviceFacts& device) {
  const bool full = extent == bench::Extent::kFull;
  std::vector<bench::Point> points;
  each_shape(extent, device, [&](const LayerShape& shape, bench::Turn turn) {
    const auto add = [&](std::string_view kernel, const Routing& routing) {
      const bench::Work work = work_of(plan_of(shape, routing, device.sm_count));
      // One token may well pick none of a rank's experts: nothing to measure.
      if (work.flop > 0)
        points.push_back({std::string(kernel), layer_fields(shape, routing), work,
                          kernel == "ridge" && routing == kBalanced ? turn : bench::Turn::kGrid});
    };
    if (simple_is_quick_enough(shape)) add("simple", kBalanced);
    const bool skewed = full && (shape.tokens == 8 || shape.tokens == 128 || shape.tokens == 2048);
    for (const Routing& routing : kRoutings)
      if (routing == kBalanced || skewed || (routing == kMildPowerLaw && shape.tokens == 2048))
        add("ridge", routing);
  });
  return points;
}

std::vector<bench::Point> gemm_grid(bench::Extent extent, const bench::DeviceFacts& device) {
  std::vector<bench::Point> points;
  each_shape(extent, device, [&](const LayerShape& shape, bench::Turn) {
    const LayerPlan plan = plan_of(shape, kBalanced, device.sm_count);
    for (const Gemm gemm : {Gemm::kGateUp, Gemm::kDown}) {
      const GemmPlan& gemm_plan = plan_of(gemm, plan);
      if (gemm_plan.rows == 0) continue;
      const bench::Shape fields = gemm_fields(gemm, shape, kBalanced);
      const auto add = [&](const char* kernel, const bench::Work& work) {
        points.push_back({kernel, fields, work});
      };
      if (shape.tokens == 128 || shape.tokens == 2048) {
        // The library has no SwiGLU epilogue: it writes all N columns, as BF16.
        bench::Work library = work_of(gemm_plan);
        library.bytes_written =
            gemm_plan.rows * output_row_bytes(gemm_plan.weight_rows, Epilogue::kBf16);
        add("cublaslt_per_expert", library);
      }
      add("ridge", work_of(gemm_plan));
    }
  });
  return points;
}

std::vector<bench::Case> layer_cases(bench::Extent extent, const bench::DeviceFacts&) {
  std::vector<bench::Case> all;
  each_case(extent, [&](const char* claim, const LayerShape& shape, const Routing& routing) {
    for (const char* kernel : {"simple", "ridge"})
      all.push_back({kernel, claim, layer_fields(shape, routing)});
  });
  return all;
}

std::vector<bench::Case> gemm_cases(bench::Extent extent, const bench::DeviceFacts&) {
  std::vector<bench::Case> all;
  each_case(extent, [&](const char* claim, const LayerShape& shape, const Routing& routing) {
    for (const char* kernel : {"simple", "ridge"})
      all.push_back({kernel, claim, gemm_fields(Gemm::kDown, shape, routing)});
  });
  return all;
}

bool runs(std::string_view, const bench::Shape&, const bench::DeviceFacts& device) {
  return device.capability == 90;
}

std::string explain_layer(const bench::Point& point, const bench::DeviceFacts& device) {
  if (point.kernel == "simple")
    return "  one warp per output element of each GEMM; SwiGLU, rounding and rows in kernels of "
           "their own\n";
  const LayerShape shape = layer_shape_of(point.shape);
  const Routing routing = routing_of(point.shape);
  return explain(plan_of(shape, routing, device.sm_count),
                 expected_active_experts(shape, routing, kRoutingSeed));
}

std::string explain_gemm(const bench::Point& point, const bench::DeviceFacts& device) {
  if (point.kernel == "cublaslt_per_expert")
    return "  one cuBLASLt block-scaled FP8 GEMM per active expert, tokens padded to 16, BF16 out; "
           "the host knows the routing\n";
  const LayerPlan plan =
      plan_of(layer_shape_of(point.shape), routing_of(point.shape), device.sm_count);
  return explain(plan_of(gemm_of(point.shape), plan));
}

}  // namespace ridge::kernels::moe
