#include "ridge/answer/latency_plots.hpp"

#include "ridge/base/format.hpp"
#include "ridge/view/svg.hpp"

#include <fmt/format.h>

namespace ridge::answer {
namespace {

// From the first to the last quantile worth a dot.
view::PlotSeries cdf_of(const QuantileSketch& sample) {
  view::PlotSeries series{
      .name = "", .color = view::svg::kColors[0], .radius = 0.0, .connected = true};
  constexpr int kSteps = 200;
  for (int i = 0; i <= kSteps; ++i) {
    const double q = static_cast<double>(i) / kSteps;
    series.points.push_back({.x = sample.quantile(q) * 1e3, .y = 100.0 * q, .label = ""});
  }
  return series;
}

view::ScatterPlot plot_of(const char* title, const QuantileSketch& sample,
                          const std::optional<Seconds>& sla) {
  view::ScatterPlot plot{.title = title, .x_label = "ms", .y_label = "% of them within"};
  constexpr double kWide = 20.0;
  if (sample.quantile(0.0) > 0.0 && sample.quantile(1.0) > kWide * sample.quantile(0.0)) {
    plot.x_scale = view::ScatterPlot::Scale::logarithmic;
  }
  plot.series.push_back(cdf_of(sample));
  const auto ms = [](double seconds) { return significant(seconds * 1e3, 3) + " ms"; };
  plot.subtitle = "p95 " + ms(sample.quantile(0.95));
  if (sla) {
    plot.subtitle += "; SLA " + ms(sla->value());
    plot.lines.push_back(
        {.across = false, .value = sla->value() * 1e3, .label = "SLA " + ms(sla->value())});
  }
  plot.lines.push_back({.across = true, .value = 95.0, .label = "p95"});
  return plot;
}

}  // namespace

std::vector<view::ScatterPlot> latency_plots(const SimulationReport& report) {
  const auto& r = report.result;
  std::vector<view::ScatterPlot> plots;
  if (r.request_tpot.count() == 0) return plots;
  const auto add = [&](const char* title, const QuantileSketch& sample,
                       const std::optional<Seconds>& sla) {
    if (sample.count() >= 2) plots.push_back(plot_of(title, sample, sla));
  };
  add("TPOT, token by token", r.tpot, report.sla.tpot);
  add("TPOT, mean of each request", r.request_tpot, {});
  add("Queueing for admission", r.queueing, report.sla.queueing);
  add("Time in the system", r.time_in_system, report.sla.time_in_system);
  return plots;
}

std::string latency_picture(const SimulationReport& report) {
  std::vector<std::string> drawn;
  for (const view::ScatterPlot& plot : latency_plots(report)) drawn.push_back(plot.svg());
  if (drawn.empty()) {
    drawn.push_back(view::ScatterPlot{.title = report.title,
                                      .x_label = "ms",
                                      .y_label = "% of them within",
                                      .note = "no request finished in the measured time"}
                        .svg());
  }
  return view::svg::grid(drawn, view::ScatterPlot::kWidth, view::ScatterPlot::kHeight);
}

}  // namespace ridge::answer
