// How many rows each expert of a rank gets from a routing that a measurement names.
#pragma once

#include "ridge/hwmodels/calibrated/grouped_gemm.hpp"

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

// Means over seeded draws, for the busiest of `expert_parallel` ranks.
struct BusiestRank {
  double rows = 0;
  double active_experts = 0;
  LoadProfile profile;
};
[[nodiscard]] BusiestRank busiest_rank(double tokens, double top_k, double experts,
                                       double expert_parallel, const ExpertChoice& routing);

}  // namespace ridge::hw::calibrated
