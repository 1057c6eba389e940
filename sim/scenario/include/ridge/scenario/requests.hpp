// The parts of a scenario that say who asks for tokens and what drafts them, for other questions
// that have them, too.
#pragma once

#include "ridge/decode/workload.hpp"
#include "ridge/scenario/scenario.hpp"

namespace ridge::scenario {

// Of a request, at most.
inline constexpr double kMaxTokens = 1e9;

[[nodiscard]] const KeyTable& keys_of(const DraftModel*);
[[nodiscard]] const KeyTable& keys_of(const Lengths*);
[[nodiscard]] const KeyTable& keys_of(const Poisson*);
[[nodiscard]] const KeyTable& keys_of(const Trace*);

// To draw numbers of tokens from.
[[nodiscard]] decode::LengthDistribution distribution_of(const Lengths& lengths);

}  // namespace ridge::scenario
