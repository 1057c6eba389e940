#include "ridge/hwmodels/calibrated/residual_plot.hpp"

#include "ridge/view/scatter_plot.hpp"

#include <fmt/format.h>

namespace ridge::hw::calibrated {

std::string residual_plot(std::string_view title, std::span<const HeldOutPoint> points) {
  view::ScatterPlot plot{.title = std::string(title),
                         .x_label = "measured latency in us",
                         .y_label = "held-out prediction over measurement, less 1",
                         .x_scale = view::ScatterPlot::Scale::logarithmic};
  for (const double guide : {-0.5, -0.25, -0.1, 0.0, 0.1, 0.25, 0.5}) {
    plot.guides.push_back({.y = guide, .label = fmt::format("{:+.0f} %", 100.0 * guide)});
  }
  view::PlotSeries dots{.opacity = 0.4, .radius = 1.8};
  for (const HeldOutPoint& point : points) {
    dots.points.push_back(
        {.x = point.measured_us, .y = point.predicted_us / point.measured_us - 1.0});
  }
  plot.series.push_back(std::move(dots));
  return plot.svg();
}

}  // namespace ridge::hw::calibrated
