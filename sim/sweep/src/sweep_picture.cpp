#include "ridge/sweep/sweep_picture.hpp"

#include "ridge/base/error.hpp"
#include "ridge/view/scatter_plot.hpp"
#include "ridge/view/svg.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::sweep {
namespace {

// "context_tokens = 8192, chip = h800": where a point stands on some of the axes.
std::string words(const SweepResult& part, std::uint64_t point,
                  const std::vector<std::size_t>& axes) {
  std::vector<std::string> parts;
  for (const std::size_t a : axes) {
    const Axis& axis = part.scenario().axes[a];
    for (std::size_t p = 0; p < axis.headers.size(); ++p) {
      parts.push_back(
          fmt::format("{} = {}", axis.headers[p], text_of(axis.at(part.position(point, a), p))));
    }
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::vector<std::size_t> all_axes(const SweepScenario& scenario) {
  std::vector<std::size_t> axes(scenario.axes.size());
  for (std::size_t a = 0; a < axes.size(); ++a) axes[a] = a;
  return axes;
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
  [[nodiscard]] view::ScatterPlot::Scale scale() const {
    return least > 0.0 && most > 20.0 * least ? view::ScatterPlot::Scale::logarithmic
                                              : view::ScatterPlot::Scale::linear;
  }
};

std::string axis_label(const SweepScenario& scenario, const Objective& objective) {
  const view::FigureSpec& column = scenario.column(objective.column);
  return fmt::format("{}: {} ({} is better)", column.name, column.words,
                     objective.maximize ? "more" : "less");
}

// The series of the rows that are compared with each other.
struct Group {
  view::PlotSeries designs;
  view::PlotSeries front;
  view::PlotSeries references;
};

}  // namespace

void check_picture(const SweepScenario& scenario) {
  const auto& objectives = scenario.pareto.objectives;
  if (objectives.size() < 2) {
    throw UserError(fmt::format(
        "{}: /pareto: a picture needs two objectives, one for each direction, and found {}: add "
        "for instance \"pareto\": {{\"minimize\": [\"{}\"], \"maximize\": [...]}}",
        scenario.document.name(), objectives.size(), scenario.column(0).name));
  }
}

std::string sweep_picture(const SweepResult& result) {
  const SweepScenario& scenario = result.scenario();
  const auto& objectives = scenario.pareto.objectives;
  check_picture(scenario);
  const std::size_t width = scenario.columns.size();
  Range across;
  Range up;
  std::map<std::string, std::size_t> numbers;  // of the groups, in the order of the sweep
  std::vector<Group> groups;
  const auto group_named = [&](const std::string& name) -> Group& {
    const auto [found, is_new] = numbers.emplace(name, groups.size());
    if (is_new) {
      const char* color = view::svg::kColors[groups.size() % view::svg::kColors.size()];
      groups.push_back({.designs = {.color = color, .opacity = 0.2, .radius = 2.0},
                        .front = {.name = name.empty() ? "Pareto front" : name,
                                  .color = color,
                                  .connected = true},
                        .references = {.color = color,
                                       .radius = 6.0,
                                       .marker = view::PlotSeries::Marker::diamond,
                                       .labeled = true}});
    }
    return groups[found->second];
  };
  const auto for_each_row = [&](const SweepResult& part, auto&& place) {
    for (const SweepChunk& chunk : part.chunks()) {
      for (std::size_t row = 0; row < chunk.offsets.size(); ++row) {
        view::PlotPoint point{.x = chunk.values[row * width + objectives[0].column],
                              .y = chunk.values[row * width + objectives[1].column]};
        across.add(point.x);
        up.add(point.y);
        place(chunk, row, std::move(point));
      }
    }
  };
  const auto every_axis = all_axes(scenario);
  for_each_row(result, [&](const SweepChunk& chunk, std::size_t row, view::PlotPoint point) {
    const std::uint64_t number = chunk.first + chunk.offsets[row];
    Group& group = group_named(words(result, number, scenario.pareto.within));
    if (chunk.pareto[row]) {
      point.label = words(result, number, every_axis);
      group.front.points.push_back(std::move(point));
    } else {
      group.designs.points.push_back(std::move(point));
    }
  });
  for (const SweepResult& reference : result.references()) {
    std::vector<std::size_t> within;
    for (const std::size_t a : scenario.pareto.within) {
      for (std::size_t b = 0; b < reference.scenario().axes.size(); ++b) {
        if (reference.scenario().axes[b].location == scenario.axes[a].location) within.push_back(b);
      }
    }
    for_each_row(reference, [&](const SweepChunk& chunk, std::size_t row, view::PlotPoint point) {
      point.label = reference.subject();
      group_named(words(reference, chunk.first + chunk.offsets[row], within))
          .references.points.push_back(std::move(point));
    });
  }

  view::ScatterPlot plot{.title = scenario.title,
                         .subtitle = result.provenance(),
                         .x_label = axis_label(scenario, objectives[0]),
                         .y_label = axis_label(scenario, objectives[1]),
                         .x_scale = across.scale(),
                         .y_scale = up.scale()};
  // Every group's designs lie below every front, and the references above all.
  for (auto& group : groups) plot.series.push_back(std::move(group.designs));
  for (auto& group : groups) {
    auto& points = group.front.points;
    std::stable_sort(points.begin(), points.end(),
                     [](const view::PlotPoint& a, const view::PlotPoint& b) { return a.x < b.x; });
    // With a third objective the front is a surface, which no line follows.
    group.front.connected = objectives.size() == 2;
    plot.series.push_back(std::move(group.front));
  }
  for (auto& group : groups) plot.series.push_back(std::move(group.references));
  return plot.svg();
}

}  // namespace ridge::sweep
