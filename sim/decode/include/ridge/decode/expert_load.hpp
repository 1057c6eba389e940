// How many rows each expert-parallel rank gets: popularity of experts, and copies of the busy ones.
#pragma once

#include "ridge/models/ffn.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace ridge::decode {

struct ExpertPopularity {
  enum class Kind : std::uint8_t { uniform, power_law, shares };
  Kind kind = Kind::uniform;
  double exponent = 0.0;       // power_law: the r-th expert is chosen in proportion to r^-exponent
  std::vector<double> shares;  // shares: of the choices, per expert
};

// What one rank sees in one layer.
struct RankLoad {
  double load = 1.0;  // rows over the mean of all ranks
  std::int64_t experts_held = 0;
  std::vector<double> token_share;  // per held expert: of all tokens, those routed to it here

  // Held experts that get at least one of `tokens` tokens.
  [[nodiscard]] double active_experts(double tokens) const;
};

// Loads of `ranks` ranks holding experts + redundant copies. Under uniform popularity every rank
// has load 1. Otherwise which experts are popular is drawn anew for each (seed, layer); copies go
// to the busiest experts, and copies are placed on the ranks with the least load so far, as serving
// systems balance them. Each rank holds the same number of copies; throws UserError if they do not
// divide.
[[nodiscard]] std::vector<RankLoad> rank_loads(const models::MoeFfn& ffn,
                                               const ExpertPopularity& popularity,
                                               std::int64_t ranks, std::int64_t redundant,
                                               std::uint64_t seed, std::uint64_t layer);

}  // namespace ridge::decode
