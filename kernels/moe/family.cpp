#include "moe/family.hpp"

#include "moe/permutation.hpp"
#include "moe/plan.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

namespace ridge::kernels::moe {
namespace {

constexpr Routing kBalanced{RoutingKind::kBalanced};
constexpr Routing kUniform{RoutingKind::kUniform};
constexpr Routing kMildPowerLaw{RoutingKind::kPowerLaw, 1.01};
constexpr Routing kSteepPowerLaw{RoutingKind::kPowerLaw, 1.2};
constexpr Routing kHotExpert{RoutingKind::kHotExpert};
constexpr std::array kRoutings{kBalanced, kUniform, kMildPowerLaw, kSteepPowerLaw, kHotExpert};

constexpr std::array<std::pair<Operation, const char*>, 3> kOperationNames{
    {{Operation::kLayer, "moe_layer"},
     {Operation::kGateUp, "moe_gate_up"},
     {Operation::kDown, "moe_down"}}};

/// Layer shapes of published models and of slices of them; hidden x intermediate, experts, top_k,
/// shared experts.
struct Model {
  LayerShape layer;
  bool quick;  ///< Part of the quick grid.
};

std::vector<Model> models() {
  const LayerShape step3 = whole_layer(1, 7168, 5120, 48, 3, 1);
  const LayerShape deepseek_v3 = whole_layer(1, 7168, 2048, 256, 8, 1);
  const LayerShape qwen3_235b = whole_layer(1, 4096, 1536, 128, 8, 0);
  return {{step3, true},
          {slice(step3, 8, 2, 0), true},
          {slice(step3, 8, 1, 0), false},
          {deepseek_v3, true},
          {slice(deepseek_v3, 1, 8, 0), false},
          {slice(deepseek_v3, 1, 32, 0), false},
          {qwen3_235b, false},
          {slice(qwen3_235b, 1, 8, 0), false}};
}

LayerPlan plan_of(const LayerShape& shape, const Routing& routing, int sm_count) {
  const Permutation permutation = permute(shape, draw_routing(shape, routing, kRoutingSeed));
  return plan_layer(shape, permutation.group_offsets, sm_count);
}

bench::Work work_of(Operation operation, const LayerPlan& plan) {
  const auto of_gemm = [](const GemmPlan& gemm) {
    return bench::Work{gemm.weight_bytes + gemm.token_bytes, gemm.output_bytes, gemm.flop};
  };
  switch (operation) {
    case Operation::kLayer:
      return {plan.compulsory_bytes_read(), plan.compulsory_bytes_written(), plan.flop()};
    case Operation::kGateUp:
      return of_gemm(plan.gate_up);
    case Operation::kDown:
      return of_gemm(plan.down);
  }
  throw std::logic_error("unknown operation");
}

/// Bytes on the device that a point takes, roughly: weights, rows and intermediates.
double footprint(const LayerShape& shape) {
  const double weights = 3.0 * shape.groups() * shape.hidden * shape.intermediate;
  const double rows = shape.row_capacity();
  return weights + rows * (3.0 * shape.hidden + shape.intermediate);
}

}  // namespace

bench::Shape to_bench_shape(Operation operation, const LayerShape& shape, const Routing& routing) {
  const char* op = nullptr;
  for (const auto& [known, text] : kOperationNames)
    if (known == operation) op = text;
  return {{"op", std::string(op)},
          {"tokens", std::int64_t{shape.tokens}},
          {"hidden", std::int64_t{shape.hidden}},
          {"intermediate", std::int64_t{shape.intermediate}},
          {"experts", std::int64_t{shape.experts}},
          {"local_experts", std::int64_t{shape.local_experts}},
          {"top_k", std::int64_t{shape.top_k}},
          {"shared_experts", std::int64_t{shape.shared_experts}},
          {"routing", name(routing)}};
}

Operation operation_of(const bench::Shape& shape) {
  for (const auto& [operation, text] : kOperationNames)
    if (shape.word("op") == text) return operation;
  throw std::invalid_argument("unknown MoE operation '" + shape.word("op") + "'");
}

LayerShape layer_shape_of(const bench::Shape& shape) {
  const auto field = [&](const char* key) { return static_cast<int>(shape.integer(key)); };
  const LayerShape layer{.tokens = field("tokens"),
                         .hidden = field("hidden"),
                         .intermediate = field("intermediate"),
                         .experts = field("experts"),
                         .top_k = field("top_k"),
                         .shared_experts = field("shared_experts"),
                         .first_expert = 0,
                         .local_experts = field("local_experts")};
  if (const char* problem = problem_with(layer)) throw std::invalid_argument(problem);
  return layer;
}

Routing routing_of(const bench::Shape& shape) {
  for (const Routing& routing : kRoutings)
    if (shape.word("routing") == name(routing)) return routing;
  throw std::invalid_argument("unknown routing '" + shape.word("routing") + "'");
}

std::string explain(const bench::Point& point, const bench::DeviceFacts& device) {
  const LayerShape shape = layer_shape_of(point.shape);
  const Routing routing = routing_of(point.shape);
  if (point.kernel == "simple")
    return "  one warp per output element of each GEMM; SwiGLU, rounding and rows in kernels of "
           "their own\n";
  return explain(plan_of(shape, routing, device.sm_count), routing,
                 expected_active_experts(shape, routing, kRoutingSeed));
}

std::vector<bench::Point> grid(bench::Extent extent, const bench::DeviceFacts& device) {
  const bool full = extent == bench::Extent::kFull;
  const std::vector<int> token_counts =
      full ? std::vector{1, 8, 32, 128, 512, 2048, 8192} : std::vector{128, 2048};
  std::vector<bench::Point> points;
  for (const Model& model : models()) {
    if (!full && !model.quick) continue;
    for (const int tokens : token_counts) {
      LayerShape shape = model.layer;
      shape.tokens = tokens;
      if (footprint(shape) > 0.8 * static_cast<double>(device.free_bytes)) continue;
      const auto add = [&](const char* kernel, Operation operation, const Routing& routing) {
        const bench::Work work = work_of(operation, plan_of(shape, routing, device.sm_count));
        // One token may well pick none of a rank's experts: nothing to measure.
        if (work.flop > 0)
          points.push_back({kernel, to_bench_shape(operation, shape, routing), work});
      };
      for (const Operation operation : {Operation::kLayer, Operation::kGateUp, Operation::kDown})
        add("ridge", operation, kBalanced);
      const bool skewed = full ? tokens == 8 || tokens == 128 || tokens == 2048 : tokens == 2048;
      for (const Routing& routing : kRoutings) {
        if (!skewed || routing == kBalanced) continue;
        if (full || routing == kMildPowerLaw) add("ridge", Operation::kLayer, routing);
      }
      // Seconds per run on large shapes, where its slowness is known anyway.
      if (tokens <= 128 && shape.row_capacity() <= 1024 && (full || model.quick))
        add("simple", Operation::kLayer, kBalanced);
    }
  }
  return points;
}

std::vector<bench::Case> cases(bench::Extent extent) {
  std::vector<bench::Case> all;
  const auto add = [&](const char* claim, const LayerShape& shape, const Routing& routing) {
    for (const char* kernel : {"simple", "ridge"})
      all.push_back({kernel, claim, to_bench_shape(Operation::kLayer, shape, routing)});
  };
  // From the simplest to the whole: the first failure names the stage that is wrong. A hidden size
  // of 640 is an odd number of 128-row blocks: the last weight tile of `down` is half empty.
  const auto small = [](int tokens) { return whole_layer(tokens, 640, 384, 8, 2, 1); };
  const auto one_expert = [](int tokens) { return whole_layer(tokens, 256, 128, 4, 1, 0); };
  add("one token of one expert: one narrow tile", one_expert(1), kHotExpert);
  add("a full tile of one expert", one_expert(128), kHotExpert);
  add("no tokens at all", small(0), kBalanced);
  add("one token", small(1), kBalanced);
  add("most experts are empty", whole_layer(3, 256, 128, 64, 2, 0), kUniform);
  for (const int tokens : {16, 17, 32, 33, 64, 65, 127, 129, 144, 145, 192, 193})
    add("all tokens to one expert, around each width of tile", one_expert(tokens), kHotExpert);
  for (const Routing& routing : kRoutings) add("every routing", small(90), routing);
  add("an expert-parallel subset drops other ranks' picks", slice(small(60), 1, 2, 0), kUniform);
  add("a tensor-parallel slice of 640", slice(whole_layer(40, 1024, 5120, 6, 3, 1), 8, 1, 0),
      kUniform);
  add("more groups than multiprocessors", whole_layer(40, 256, 128, 256, 8, 1), kSteepPowerLaw);
  add("the accumulation length of a real model",
      slice(whole_layer(24, 7168, 5120, 48, 3, 1), 8, 24, 0), kUniform);
  if (extent == bench::Extent::kFull) {
    for (const Routing& routing : {kSteepPowerLaw, kHotExpert}) {
      add("many tokens: several bands and waves", whole_layer(2500, 256, 128, 4, 2, 1), routing);
      add("a real model's slice", slice(whole_layer(200, 7168, 5120, 48, 3, 1), 8, 24, 0), routing);
    }
  }
  return all;
}

}  // namespace ridge::kernels::moe
