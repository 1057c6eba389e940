// How many rows each expert of a rank gets from a routing that a measurement names.
#pragma once

#include "ridge/hwmodels/calibrated/grouped_gemm.hpp"
#include "ridge/hwmodels/calibrated/kernel_facts.hpp"

#include <optional>
#include <string_view>

namespace ridge::hw::calibrated {

struct ExpertChoice {
  enum class Kind : std::uint8_t { balanced, uniform, power_law };
  Kind kind = Kind::balanced;
  double exponent = 0.0;  // of the power law
};

// "balanced", "uniform", "power_law_1.2"; nothing for other words.
[[nodiscard]] std::optional<ExpertChoice> expert_choice_of(std::string_view name);

// Means over seeded draws, for the busiest of `expert_parallel` ranks. `folded`
// (kernel_facts.hpp, experts_are_folded): it is handed only the tokens that chose one of its
// experts, and their choices of other ranks' experts fall to its first. `groups`
// (groups_of_experts): of draws from a power law.
struct BusiestRank {
  double tokens = 0;  // that it is handed
  double rows = 0;
  double active_experts = 0;
  LoadProfile profile;
};
[[nodiscard]] BusiestRank busiest_rank(double tokens, double top_k, double experts,
                                       double expert_parallel, const ExpertChoice& routing,
                                       bool folded = false, const ExpertGroups& groups = {});

}  // namespace ridge::hw::calibrated
