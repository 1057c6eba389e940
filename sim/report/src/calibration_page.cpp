#include "ridge/report/pages.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace ridge::report {

using namespace hw::calibrated;

view::ScatterPlot residual_plot(std::string_view title, std::span<const HeldOutPoint> points) {
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
  return plot;
}

static std::vector<view::PageCell> row_of(const Calibration& calibration, const Curve& curve) {
  const auto percent = [](double share) {
    return view::PageCell{fmt::format("{:.1f} %", 100.0 * share), share};
  };
  const HeldOutError& e = curve.held_out;
  std::vector<view::PageCell> row = {
      {curve.key.slot()},
      {curve.key.kernel},
      {fmt::format("{}", e.measurements), static_cast<double>(e.measurements)}};
  if (e.measurements > 0) {
    row.push_back({fmt::format("{} {}", e.groups, e.by_shape ? "shapes" : "batch sizes")});
    for (const double share : {e.p50, e.p90, e.worst, e.in_sample_p50, e.coverage_90}) {
      row.push_back(percent(share));
    }
    row.push_back(
        {fmt::format("{}", curve.outlier_count), static_cast<double>(curve.outlier_count)});
  } else {
    row.resize(row.size() + 7);
  }
  std::string use = use_words(calibration, curve);
  if (curve.borrowed) {
    use += fmt::format("; borrowed ({}), + {:.0f} %", curve.borrowed->from,
                       100.0 * curve.borrowed->added_error);
  }
  row.push_back({use});
  return row;
}

static void add_curves(const Calibration& calibration, view::Page& page) {
  page.section("Curves");
  page.paragraph(
      "Held-out: whole shapes were left out of the fit in turn, and these are the errors on them.",
      true);
  view::PageTable table{
      .columns = {{"operator"},
                  {"kernel"},
                  {"measured", true},
                  {"left out"},
                  {"held-out p50", true},
                  {"p90", true},
                  {"worst", true},
                  {"in-sample p50", true},
                  {"in 90 %", true, "share of measurements within the 90 % interval"},
                  {"outliers", true},
                  {"use"}},
      .rows = {}};
  for (const Curve& curve : calibration.curves) table.rows.push_back(row_of(calibration, curve));
  page.table(table);
}

// Family by family, in the order of the curves.
static void add_residuals(const CalibrateResult& result, view::Page& page) {
  page.section("Residuals");
  page.paragraph("Every dot is a measurement beside its prediction by a fit that left it out.",
                 true);
  std::vector<Family> families;
  for (const auto& [key, points] : result.held_out) {
    if (std::find(families.begin(), families.end(), key.family) == families.end()) {
      families.push_back(key.family);
    }
  }
  for (const Family family : families) {
    std::vector<view::ScatterPlot> plots;
    for (const auto& [key, points] : result.held_out) {
      if (key.family != family) continue;
      plots.push_back(
          residual_plot(key.slot() + (key.kernel.empty() ? "" : ", " + key.kernel), points));
    }
    page.subsection(name_of(family));
    page.charts(plots);
  }
}

std::string calibration_page(const CalibrateResult& result, const Asked& asked) {
  const Calibration& calibration = result.calibration;
  view::Page page(fmt::format("Calibration {} of {}", calibration.name, calibration.chip),
                  asked.maker);
  page.lead(calibration.source);
  std::int64_t measurements = 0;
  for (const Curve& curve : calibration.curves) measurements += curve.held_out.measurements;
  page.badge(fmt::format("{} curves from {} measurements", calibration.curves.size(), measurements),
             view::Tone::plain);
  std::vector<std::string> warnings = result.refused;
  warnings.insert(warnings.end(), result.notes.begin(), result.notes.end());
  page.warnings(warnings);
  add_curves(calibration, page);
  add_residuals(result, page);
  page.question({.command = asked.command, .json = "", .file_name = "", .again = ""});
  return page.html();
}

}  // namespace ridge::report
