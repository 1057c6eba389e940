// A sweep as a picture: its designs, and the front that none of them beats.
#pragma once

#include "ridge/sweep/sweep.hpp"

#include <string>

namespace ridge::sweep {

// Throws UserError where the sweep has fewer than two objectives: before a long sweep, not after
// it.
void check_picture(const SweepScenario& scenario);

// An SVG document. Across: the first objective of "pareto"; up: the second. Every row is a dot,
// the front a line, an SLA a dashed line; references are named diamonds. One color per group that
// is compared within itself, or by what stands in the column or axis `color_by`. Throws UserError
// as check_picture() does, and where there is no such column.
[[nodiscard]] std::string sweep_picture(const SweepResult& result,
                                        const std::string& color_by = {});

}  // namespace ridge::sweep
