#include "moe/bench_shape.hpp"

#include <stdexcept>
#include <string>

namespace ridge::kernels::moe {

bench::Shape layer_fields(const LayerShape& shape, const Routing& routing) {
  return {{"tokens", std::int64_t{shape.tokens}},
          {"hidden", std::int64_t{shape.hidden}},
          {"intermediate", std::int64_t{shape.intermediate}},
          {"experts", std::int64_t{shape.experts}},
          {"local_experts", std::int64_t{shape.local_experts}},
          {"top_k", std::int64_t{shape.top_k}},
          {"shared_experts", std::int64_t{shape.shared_experts}},
          {"routing", name(routing)}};
}

bench::Shape gemm_fields(Gemm gemm, const LayerShape& shape, const Routing& routing) {
  return {{"projection", std::string(gemm == Gemm::kGateUp ? "gate_up" : "down")},
          {"tokens", std::int64_t{shape.tokens}},
          {"hidden", std::int64_t{shape.hidden}},
          {"intermediate", std::int64_t{shape.intermediate}},
          {"experts", std::int64_t{shape.experts}},
          {"local_experts", std::int64_t{shape.local_experts}},
          {"top_k", std::int64_t{shape.top_k}},
          {"shared_experts", std::int64_t{shape.shared_experts}},
          {"routing", name(routing)}};
}

LayerShape layer_shape_of(const bench::Shape& fields) {
  const auto field = [&](const char* key) { return static_cast<int>(fields.integer(key)); };
  const LayerShape shape{.tokens = field("tokens"),
                         .hidden = field("hidden"),
                         .intermediate = field("intermediate"),
                         .experts = field("experts"),
                         .top_k = field("top_k"),
                         .shared_experts = field("shared_experts"),
                         .first_expert = 0,
                         .local_experts = field("local_experts")};
  if (const char* problem = problem_with(shape)) throw std::invalid_argument(problem);
  return shape;
}

Routing routing_of(const bench::Shape& fields) {
  for (const Routing& routing : kRoutings)
    if (fields.word("routing") == name(routing)) return routing;
  throw std::invalid_argument("unknown routing '" + fields.word("routing") + "'");
}

Gemm gemm_of(const bench::Shape& fields) {
  const std::string& projection = fields.word("projection");
  if (projection == "gate_up") return Gemm::kGateUp;
  if (projection == "down") return Gemm::kDown;
  throw std::invalid_argument("unknown projection '" + projection + "'");
}

}  // namespace ridge::kernels::moe
