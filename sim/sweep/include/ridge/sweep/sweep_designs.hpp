// A sweep's rows as designs side by side, for pictures and pages.
#pragma once

#include "ridge/sweep/sweep.hpp"
#include "ridge/view/designs.hpp"

#include <cstddef>
#include <limits>
#include <string>

namespace ridge::sweep {

struct DesignsWanted {
  // Only the two objectives and, unless empty, this column: ten million rows of all fit no memory.
  bool objectives_only = false;
  std::string and_column{};
  // Of more rows, those on the front and of references, and others evenly.
  std::size_t most_rows = std::numeric_limits<std::size_t>::max();
};

// Across: the first objective of "pareto"; up: the second. Throws UserError where the sweep has
// fewer than two, or no such column.
[[nodiscard]] view::Designs designs_of(const SweepResult& result, const DesignsWanted& wanted = {});

}  // namespace ridge::sweep
