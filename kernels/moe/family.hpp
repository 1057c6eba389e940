#pragma once

#include "bench/family.hpp"
#include "moe/routing.hpp"
#include "moe/shape.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace ridge::kernels::moe {

/// The family's entry for ridge-bench. Defined in family.cu; the functions below, in family.cpp,
/// are its host half.
const bench::Family& moe_family();

std::vector<bench::Point> grid(bench::Extent extent, const bench::DeviceFacts& device);
std::vector<bench::Case> cases(bench::Extent extent);
std::string explain(const bench::Point& point, const bench::DeviceFacts& device);

/// What a point times.
enum class Operation {
  kLayer,   ///< Sort, permute + quantise, gate_up + SwiGLU, down, combine.
  kGateUp,  ///< The first grouped GEMM alone, with SwiGLU and requantisation.
  kDown,    ///< The second alone.
};

/// A point's or case's shape, with the field's names: op, tokens, hidden, intermediate, experts,
/// local_experts, top_k, shared_experts, routing. `first_expert` is always 0: which of the ranks
/// is measured makes no difference to a random routing.
bench::Shape to_bench_shape(Operation operation, const LayerShape& shape, const Routing& routing);

/// Throw std::invalid_argument for fields that are missing or name nothing known.
Operation operation_of(const bench::Shape& shape);
LayerShape layer_shape_of(const bench::Shape& shape);
Routing routing_of(const bench::Shape& shape);

/// Seed of the routing that every measurement and case uses.
inline constexpr std::uint64_t kRoutingSeed = 20250724;

}  // namespace ridge::kernels::moe
