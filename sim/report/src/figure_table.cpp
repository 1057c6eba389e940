#include "figure_table.hpp"

#include "ridge/base/format.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace ridge::report {

std::string heading_of(const view::FigureSpec& spec) {
  std::string heading(spec.heading.empty() ? spec.name : spec.heading);
  std::replace(heading.begin(), heading.end(), '\n', ' ');
  return heading;
}

view::PageCell cell_of(const view::FigureValue& value) {
  if (value.spec->kind == view::FigureKind::label) return {value.label};
  if (!std::isfinite(value.number)) return {};
  constexpr double kLarge = 1e6;
  if (std::abs(value.number) >= kLarge) return {si(value.number, ""), value.number};
  return {value.spec->kind == view::FigureKind::count ? fmt::format("{:.0f}", value.number)
                                                      : significant(value.number, 3),
          value.number};
}

}  // namespace ridge::report
