#include "ridge/view/designs.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/format.hpp"
#include "ridge/base/nearest_name.hpp"
#include "ridge/view/svg.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::view {
namespace {

// Dark to light; equal steps look equal, in gray too (after viridis).
constexpr std::array<const char*, 6> kSteps = {"#440154", "#414487", "#2a788e",
                                               "#22a884", "#7ad151", "#d8c80f"};

// Which color each design has, and what the colors are called.
struct Coloring {
  std::vector<std::string> names;
  std::vector<std::string> colors;
  std::vector<std::uint32_t> of_row;
};

Coloring by_group(const Designs& designs) {
  Coloring out;
  out.names = designs.groups;
  if (designs.groups.size() == 1 && out.names[0].empty()) out.names[0] = "Pareto front";
  for (std::size_t g = 0; g < designs.groups.size(); ++g) {
    out.colors.emplace_back(svg::kColors[g % svg::kColors.size()]);
  }
  for (const Design& row : designs.rows) out.of_row.push_back(row.group);
  return out;
}

Coloring by_column(const Designs& designs, std::size_t column) {
  std::set<double> values;
  for (std::size_t row = 0; row < designs.rows.size(); ++row) {
    const double value = designs.value(row, column);
    if (std::isfinite(value)) values.insert(value);
  }
  const DesignColumn& of = designs.columns[column];
  Coloring out;
  const bool steps = !of.label && values.size() > svg::kColors.size() - 1;
  const double least = values.empty() ? 0.0 : *values.begin();
  const double step =
      values.empty() ? 0.0 : (*values.rbegin() - least) / static_cast<double>(kSteps.size());
  if (steps) {
    for (std::size_t i = 0; i < kSteps.size(); ++i) {
      const double from = least + step * static_cast<double>(i);
      out.names.push_back(fmt::format("{}{} to {}", i == 0 ? of.name + " " : "",
                                      significant(from, 3), significant(from + step, 3)));
      out.colors.emplace_back(kSteps[i]);
    }
  } else {
    for (const double value : values) {
      out.colors.emplace_back(svg::kColors[out.names.size() % (svg::kColors.size() - 1)]);
      out.names.push_back(fmt::format(
          "{} {}", of.name,
          of.label ? designs.labels[static_cast<std::size_t>(value)] : significant(value, 4)));
    }
  }
  for (std::size_t row = 0; row < designs.rows.size(); ++row) {
    const double value = designs.value(row, column);
    if (!std::isfinite(value)) {
      out.of_row.push_back(static_cast<std::uint32_t>(out.names.size()));  // unknown
    } else if (steps) {
      const double at = step > 0.0 ? (value - least) / step : 0.0;
      out.of_row.push_back(
          std::min(static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(kSteps.size() - 1)));
    } else {
      out.of_row.push_back(
          static_cast<std::uint32_t>(std::distance(values.begin(), values.find(value))));
    }
  }
  out.names.emplace_back(fmt::format("{} unknown", of.name));
  out.colors.emplace_back("#8a8f98");
  return out;
}

struct Range {
  double least = std::numeric_limits<double>::infinity();
  double most = 0.0;
  void add(double value) {
    if (!std::isfinite(value)) return;
    least = std::min(least, value);
    most = std::max(most, value);
  }
  // Where values differ twentyfold, a linear axis would press most of them together.
  [[nodiscard]] ScatterPlot::Scale scale() const {
    return least > 0.0 && most > 20.0 * least ? ScatterPlot::Scale::logarithmic
                                              : ScatterPlot::Scale::linear;
  }
};

std::string axis_label(const DesignColumn& column, bool more) {
  return fmt::format("{}: {} ({} is better)", column.name, column.words, more ? "more" : "less");
}

// The intervals of a design, as bars through its point.
void add_bars(const Designs& designs, std::size_t row, const PlotPoint& point, PlotSeries& series) {
  const DesignColumn& across = designs.columns[designs.x];
  const DesignColumn& up = designs.columns[designs.y];
  if (across.low && across.high) {
    series.bars.push_back(
        {designs.value(row, *across.low), point.y, designs.value(row, *across.high), point.y});
  }
  if (up.low && up.high) {
    series.bars.push_back(
        {point.x, designs.value(row, *up.low), point.x, designs.value(row, *up.high)});
  }
}

std::string note_of(const Designs& designs) {
  if (designs.rows.empty()) return "no design is left: none passed the filters";
  const bool any = std::any_of(designs.rows.begin(), designs.rows.end(),
                               [&](const Design& row) { return row.front && !row.reference; });
  return any ? "" : "the Pareto front is empty: no design has both figures";
}

}  // namespace

std::size_t Designs::column_named(std::string_view name, std::string_view option) const {
  std::vector<std::string> known;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    if (columns[c].name == name) return c;
    known.push_back(columns[c].name);
  }
  throw UserError(fmt::format("{}: expected a column ({}), got \"{}\"{}", option,
                              fmt::join(known, ", "), name, did_you_mean(name, known)));
}

ScatterPlot plot_of(const Designs& designs, std::optional<std::size_t> color_by) {
  const Coloring coloring = color_by ? by_column(designs, *color_by) : by_group(designs);
  const DesignColumn& across = designs.columns[designs.x];
  const DesignColumn& up = designs.columns[designs.y];
  ScatterPlot plot{.title = designs.title,
                   .subtitle = designs.provenance,
                   .x_label = axis_label(across, designs.more_x_is_better),
                   .y_label = axis_label(up, designs.more_y_is_better),
                   .note = note_of(designs)};
  const std::size_t colors = coloring.colors.size();
  std::vector<PlotSeries> dots(colors);
  std::vector<PlotSeries> front(colors);
  std::vector<PlotSeries> references(colors);
  std::vector<PlotSeries> lines(designs.groups.size());
  for (std::size_t c = 0; c < colors; ++c) {
    dots[c] = {.color = coloring.colors[c], .opacity = color_by ? 0.6 : 0.2, .radius = 2.0};
    front[c] = {.color = coloring.colors[c], .radius = 3.0};
    references[c] = {.color = coloring.colors[c],
                     .radius = 6.0,
                     .marker = PlotSeries::Marker::diamond,
                     .labeled = true};
  }
  PlotSeries named{.color = "#000000", .radius = 0.0, .labeled = true};
  Range x_range;
  Range y_range;
  std::vector<bool> used(colors);
  for (std::size_t row = 0; row < designs.rows.size(); ++row) {
    const Design& design = designs.rows[row];
    const std::uint32_t color = coloring.of_row[row];
    PlotPoint point{.x = designs.value(row, designs.x), .y = designs.value(row, designs.y)};
    x_range.add(point.x);
    y_range.add(point.y);
    if (const auto name = designs.names.find(row); name != designs.names.end()) {
      point.label = name->second;
    }
    used[color] = true;
    if (design.front && !design.reference) {
      lines[design.group].points.push_back({.x = point.x, .y = point.y, .label = {}});
    }
    PlotSeries& series = design.reference ? references[color]
                         : design.front   ? front[color]
                                          : dots[color];
    add_bars(designs, row, point, series);
    if (designs.names_are_shown && !design.reference && !point.label.empty()) {
      named.points.push_back(point);
    }
    series.points.push_back(std::move(point));
  }
  plot.x_scale = x_range.scale();
  plot.y_scale = y_range.scale();
  for (const DesignBound& bound : designs.bounds) {
    if (bound.column != designs.x && bound.column != designs.y) continue;
    plot.lines.push_back(
        {.across = bound.column == designs.y, .value = bound.value, .label = bound.label});
  }
  // Every color's designs lie below every front, and the references above all. What the colors
  // mean is told by those of the front, or of all designs where the front says less.
  for (std::size_t c = 0; c < colors; ++c) {
    if (used[c]) front[c].name = coloring.names[c];
    plot.series.push_back(std::move(dots[c]));
  }
  for (std::size_t g = 0; g < lines.size(); ++g) {
    auto& points = lines[g].points;
    std::stable_sort(points.begin(), points.end(),
                     [](const PlotPoint& a, const PlotPoint& b) { return a.x < b.x; });
    lines[g].connected = designs.front_is_a_line;
    lines[g].radius = 0.0;
    lines[g].color = color_by ? "#8a8f98" : coloring.colors[g];
    if (lines[g].connected) plot.series.push_back(std::move(lines[g]));
  }
  for (auto& series : front) plot.series.push_back(std::move(series));
  for (auto& series : references) plot.series.push_back(std::move(series));
  plot.series.push_back(std::move(named));
  return plot;
}

}  // namespace ridge::view
