#pragma once

#include "bench/family.hpp"
#include "moe/routing.hpp"
#include "moe/shape.hpp"

#include <cstdint>

/// Layer shapes and routings as ridge-bench names them: tokens, hidden, intermediate, experts,
/// local_experts, top_k, shared_experts, routing, and for a single grouped GEMM also projection.
/// `first_expert` has no field and is 0: which rank is measured makes no difference to a random
/// routing.
namespace ridge::kernels::moe {

/// Which of the layer's two grouped GEMMs.
enum class Gemm : std::uint8_t {
  kGateUp,  ///< With SwiGLU and requantization.
  kDown,
};

bench::Shape layer_fields(const LayerShape& shape, const Routing& routing);
bench::Shape gemm_fields(Gemm gemm, const LayerShape& shape, const Routing& routing);

/// Throw std::invalid_argument for fields that are missing or name nothing known.
LayerShape layer_shape_of(const bench::Shape& fields);
Routing routing_of(const bench::Shape& fields);
Gemm gemm_of(const bench::Shape& fields);

/// Seed of the routing that every measurement and case uses.
inline constexpr std::uint64_t kRoutingSeed = 20250724;

/// Sets of inputs that a measurement rotates over, at most.
inline constexpr int kMostSets = 64;

/// Every routing that is measured.
inline constexpr Routing kRoutings[] = {{RoutingKind::kBalanced},
                                        {RoutingKind::kUniform},
                                        {RoutingKind::kPowerLaw, 1.01},
                                        {RoutingKind::kPowerLaw, 1.2},
                                        {RoutingKind::kHotExpert}};

}  // namespace ridge::kernels::moe
