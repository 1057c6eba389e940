// A sweep as a picture: its designs, and the front that none of them beats.
#pragma once

#include "ridge/sweep/sweep.hpp"

#include <string>

namespace ridge::sweep {

// Throws UserError where the sweep has fewer than two objectives: before a long sweep, not after
// it.
void check_picture(const SweepScenario& scenario);

// An SVG document. Across: the first objective of "pareto"; up: the second. Every row is a dot,
// the front a line; one color per group that is compared within itself; references are named
// diamonds. Throws UserError as check_picture() does.
[[nodiscard]] std::string sweep_picture(const SweepResult& result);

}  // namespace ridge::sweep
