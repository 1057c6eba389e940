#pragma once

#include "moe/shape.hpp"

#include <cstdint>
#include <string>
#include <vector>

/// Synthetic router outputs. What a routed layer costs depends on how unevenly tokens choose their
/// experts, so every measurement names one of these.
namespace ridge::kernels::moe {

enum class RoutingKind : std::uint8_t {
  kBalanced,   ///< Every expert gets the same number of tokens, to within one.
  kUniform,    ///< Each token picks uniformly at random: balanced on average only.
  kPowerLaw,   ///< Expert popularity has density x^-exponent; see `expert_popularity`.
  kHotExpert,  ///< One expert is picked by every token, the other picks are uniform.
};

struct Routing {
  RoutingKind kind = RoutingKind::kBalanced;
  double exponent = 0.0;  ///< Of the power law.

  constexpr bool operator==(const Routing&) const = default;
};

/// "balanced", "uniform", "power_law_1.01", "hot_expert".
std::string name(const Routing& routing);

/// The router's decision for a batch, token-major: pick k of token t is at [t * top_k + k].
/// A token's picks are distinct experts; its weights are positive and sum to 1.
struct RouterOutput {
  int tokens = 0;
  int top_k = 0;
  std::vector<std::int32_t> experts;
  std::vector<float> weights;
};

/// Relative popularity of each expert, in a random order that depends on `seed`; sums to 1.
/// The power law takes equally spaced quantiles of the density x^-exponent on [1, 0.8 tokens], or
/// on [0.01, 2] when there are fewer picks than experts: the law behind the public H100 MoE
/// measurements of NVIDIA's aiconfigurator ("power_law_1.01", "power_law_1.2").
std::vector<double> expert_popularity(const LayerShape& shape, const Routing& routing,
                                      std::uint64_t seed);

/// Draws a routing for `shape.tokens` tokens over all `shape.experts`. Equal arguments give equal
/// results.
RouterOutput draw_routing(const LayerShape& shape, const Routing& routing, std::uint64_t seed);

/// Mean number of distinct *local* experts that at least one token picks. Exact for balanced and
/// uniform routing; for the skewed ones, picks of one token are treated as a rejective sample whose
/// inclusion probabilities are 1 - exp(-lambda w), good to about a percent.
double expected_active_experts(const LayerShape& shape, const Routing& routing, std::uint64_t seed);

}  // namespace ridge::kernels::moe
