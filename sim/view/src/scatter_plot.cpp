#include "ridge/view/scatter_plot.hpp"

#include "ridge/base/format.hpp"
#include "ridge/view/svg.hpp"
#include "ridge/view/text_table.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include <fmt/format.h>

namespace ridge::view {
namespace {

using svg::escaped;

constexpr double kWidth = ScatterPlot::kWidth;
constexpr double kHeight = ScatterPlot::kHeight;
constexpr double kLeft = 70.0;
constexpr double kRight = 20.0;
constexpr double kTop = 86.0;  // title, subtitle, legend, label of the y axis
constexpr double kBottom = 44.0;
constexpr double kLegend = 58.0;
constexpr double kMargin = 16.0;
constexpr double kLetter = 6.2;  // width, of the small font
constexpr double kLine = 14.0;   // height, of the same
constexpr int kTicks = 6;

std::string tick_text(double value) {
  if (std::abs(value) < 1e5) return fmt::format("{:g}", value);
  const std::string text = si(value, "");
  return text.substr(0, text.find_last_not_of(' ') + 1);
}

// Values of one axis to positions in the picture.
class AxisMap {
 public:
  AxisMap(std::vector<double> ticks, ScatterPlot::Scale scale, double from, double to)
      : ticks_(std::move(ticks)), logarithmic_(scale == ScatterPlot::Scale::logarithmic) {
    const double first = place(ticks_.front());
    const double last = place(ticks_.back());
    slope_ = (to - from) / (last - first);
    offset_ = from - slope_ * first;
  }

  [[nodiscard]] const std::vector<double>& ticks() const { return ticks_; }
  // Values beyond the axis stand at its end.
  [[nodiscard]] double operator()(double value) const {
    return offset_ + slope_ * place(std::clamp(value, ticks_.front(), ticks_.back()));
  }

 private:
  [[nodiscard]] double place(double value) const {
    return logarithmic_ ? std::log10(value) : value;
  }

  std::vector<double> ticks_;
  bool logarithmic_;
  double slope_ = 1.0;
  double offset_ = 0.0;
};

// Decades, with 2 and 5 between them where they are few.
std::vector<double> decade_ticks(double least, double most) {
  const double first = std::floor(std::log10(least) + 1e-9);
  const double last = std::max(first + 1.0, std::ceil(std::log10(most) - 1e-9));
  const bool few = last - first <= 2.0;
  std::vector<double> ticks;
  for (double decade = first; decade <= last; decade += 1.0) {
    const double base = std::pow(10.0, decade);
    for (const double step : {1.0, 2.0, 5.0}) {
      if (step == 1.0 || (few && decade < last)) ticks.push_back(step * base);
    }
  }
  // Only what is needed to hold the points.
  while (ticks.size() > 2 && ticks[1] <= least) ticks.erase(ticks.begin());
  while (ticks.size() > 2 && ticks[ticks.size() - 2] >= most) ticks.pop_back();
  return ticks;
}

bool drawable(const ScatterPlot& plot, const PlotPoint& point) {
  using Scale = ScatterPlot::Scale;
  return std::isfinite(point.x) && std::isfinite(point.y) &&
         (plot.x_scale == Scale::linear || point.x > 0.0) &&
         (plot.y_scale == Scale::linear || point.y > 0.0);
}

AxisMap axis_map(const ScatterPlot& plot, double PlotPoint::*value, ScatterPlot::Scale scale,
                 double from, double to) {
  double least = std::numeric_limits<double>::infinity();
  double most = -least;
  for (const auto& series : plot.series) {
    for (const auto& point : series.points) {
      if (!drawable(plot, point)) continue;
      least = std::min(least, point.*value);
      most = std::max(most, point.*value);
    }
  }
  // The ends of intervals are seen as well.
  for (const auto& series : plot.series) {
    for (const PlotBar& bar : series.bars) {
      for (const PlotPoint& end : {PlotPoint{bar.x0, bar.y0, {}}, PlotPoint{bar.x1, bar.y1, {}}}) {
        if (!drawable(plot, end)) continue;
        least = std::min(least, end.*value);
        most = std::max(most, end.*value);
      }
    }
  }
  // And a bound, unless that would press the points together.
  const bool of_x = value == &PlotPoint::x;
  for (const PlotLine& line : plot.lines) {
    const double span = std::max(most - least, 0.2 * std::abs(most));
    if (line.across == of_x || !(line.value > least - span && line.value < most + span)) continue;
    least = std::min(least, line.value);
    most = std::max(most, line.value);
  }
  if (least > most) least = most = 1.0;
  return {scale == ScatterPlot::Scale::linear ? round_ticks(least, most, kTicks)
                                              : decade_ticks(least, most),
          scale, from, to};
}

struct Box {
  double left;
  double top;
  double right;
  double bottom;
  [[nodiscard]] bool meets(const Box& other) const {
    return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
  }
};

double width_of(const std::string& text) {
  return kLetter * static_cast<double>(display_width(text));
}

// Finds room for labels: above a point, or beside or below it where another stands there already.
class Labels {
 public:
  // Text that stands where it stands, from `left` on.
  void take(double left, double base, const std::string& text) {
    taken_.push_back({left, base - 0.75 * kLine, left + width_of(text), base + 2.0});
  }
  void put(double x, double y, double away, const std::string& text, std::string& svg) {
    const double width = width_of(text);
    const double lower = away + 0.7 * kLine;
    const std::array<std::pair<double, double>, 4> places = {{{x, y - away},
                                                              {x + away + 0.5 * width, y + 4.0},
                                                              {x - away - 0.5 * width, y + 4.0},
                                                              {x, y + lower}}};
    for (const auto& [middle, base] : places) {
      const Box box{middle - 0.5 * width, base - 0.75 * kLine, middle + 0.5 * width, base + 2.0};
      const bool inside = box.left >= 0.0 && box.right <= kWidth;
      const bool free = std::none_of(taken_.begin(), taken_.end(),
                                     [&](const Box& other) { return box.meets(other); });
      if (!inside || !free) continue;
      taken_.push_back(box);
      svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n",
                         middle, base, escaped(text));
      return;
    }
  }

 private:
  std::vector<Box> taken_;
};

void draw(const ScatterPlot& plot, const PlotSeries& series, const AxisMap& x, const AxisMap& y,
          std::string& svg) {
  svg += fmt::format("<g fill=\"{0}\" fill-opacity=\"{1}\" stroke=\"none\">\n", series.color,
                     series.opacity);
  std::string line;
  std::set<std::pair<long, long>> taken;
  for (const PlotPoint& point : series.points) {
    if (!drawable(plot, point)) continue;
    const double at_x = x(point.x);
    const double at_y = y(point.y);
    if (series.connected) line += fmt::format("{:.1f},{:.1f} ", at_x, at_y);
    if (series.radius <= 0.0 || !taken.insert({std::lround(at_x), std::lround(at_y)}).second) {
      continue;
    }
    const std::string title =
        point.label.empty() ? "" : fmt::format("<title>{}</title>", escaped(point.label));
    if (series.marker == PlotSeries::Marker::dot) {
      svg += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\">{}</circle>\n", at_x, at_y,
                         series.radius, title);
    } else {
      svg += fmt::format("<path d=\"M{0:.1f} {1:.1f}l{2} {2}l-{2} {2}l-{2} -{2}z\">{3}</path>\n",
                         at_x, at_y - series.radius, series.radius, title);
    }
  }
  svg += "</g>\n";
  for (const PlotBar& bar : series.bars) {
    if (!drawable(plot, {bar.x0, bar.y0, {}}) || !drawable(plot, {bar.x1, bar.y1, {}})) continue;
    svg += fmt::format(
        "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" "
        "stroke-opacity=\"0.6\"/>\n",
        x(bar.x0), y(bar.y0), x(bar.x1), y(bar.y1), series.color);
  }
  if (!line.empty()) {
    svg +=
        fmt::format("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\"/>\n", line, series.color);
  }
}

// Above the plot, in as many lines as it takes; how far they push it down goes to `lower`.
std::string legend(const std::vector<PlotSeries>& series, double& lower) {
  std::string svg;
  double at = kLeft;
  for (const auto& one : series) {
    if (one.name.empty()) continue;
    const double width = 30.0 + width_of(one.name);
    if (at > kLeft && at + width > kWidth) {
      at = kLeft;
      lower += kLine;
    }
    svg += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{}\" r=\"4\" fill=\"{}\"/>"
        "<text x=\"{:.1f}\" y=\"{}\">{}</text>\n",
        at + 4.0, kLegend + lower - 4.0, one.color, at + 12.0, kLegend + lower, escaped(one.name));
    at += width;
  }
  return svg;
}

// A line across the plot; the room of its words is taken.
std::string bound(const PlotLine& line, const AxisMap& x, const AxisMap& y, Labels& labels) {
  const AxisMap& axis = line.across ? y : x;
  if (line.value < axis.ticks().front() || line.value > axis.ticks().back()) return {};
  const double at = axis(line.value);
  const double width = width_of(line.label);
  const double right = kWidth - kRight;
  double left = right - 4.0 - width;
  double base = at < kTop + 15.0 ? at + 13.0 : at - 5.0;
  std::string svg;
  if (line.across) {
    svg =
        fmt::format("<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"", kLeft, right, at, at);
  } else {
    const bool to_the_left = at + width + 10.0 > right;
    left = to_the_left ? at - 5.0 - width : at + 5.0;
    base = kTop + 12.0;
    svg = fmt::format("<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"", at, kTop,
                      kHeight - kBottom);
  }
  labels.take(left, base, line.label);
  const bool at_its_end = line.across || left < at;
  return svg +
         fmt::format(
             " stroke=\"#c2362b\" stroke-dasharray=\"6 4\"/>\n"
             "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" fill=\"#c2362b\">{}</text>\n",
             at_its_end ? left + width : left, base, at_its_end ? "end" : "start",
             escaped(line.label));
}

}  // namespace

std::vector<double> round_ticks(double least, double most, int count) {
  if (most <= least) {
    // One value: an axis of some width around it.
    const double margin = least == 0.0 ? 1.0 : 0.1 * std::abs(least);
    least -= margin;
    most += margin;
  }
  const double rough = (most - least) / count;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10.0 * power;
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * power >= rough) step = factor * power;
  }
  std::vector<double> ticks;
  const double first = std::floor(least / step + 1e-9);
  const double last = std::ceil(most / step - 1e-9);
  for (double i = first; i <= last; i += 1.0) ticks.push_back(i * step);
  return ticks;
}

std::string ScatterPlot::svg() const {
  const AxisMap x = axis_map(*this, &PlotPoint::x, x_scale, kLeft, kWidth - kRight);
  const AxisMap y = [&] {
    if (guides.empty()) {
      return axis_map(*this, &PlotPoint::y, y_scale, kHeight - kBottom, kTop);
    }
    std::vector<double> span;
    for (const auto& guide : guides) span.push_back(guide.y);
    std::sort(span.begin(), span.end());
    return AxisMap(std::move(span), y_scale, kHeight - kBottom, kTop);
  }();

  const auto words =
      wrapped(subtitle, static_cast<std::size_t>((kWidth - 2.0 * kMargin) / kLetter));
  double lower = kLine * static_cast<double>(words.size() - 1);
  const std::string names = legend(series, lower);
  std::string out = svg::opening(kWidth, kHeight + lower);
  out +=
      fmt::format("<text x=\"{}\" y=\"20\" font-size=\"13\">{}</text>\n", kMargin, escaped(title));
  for (std::size_t i = 0; i < words.size(); ++i) {
    out += fmt::format("<text x=\"{}\" y=\"{}\" fill=\"#555\">{}</text>\n", kMargin,
                       38.0 + kLine * static_cast<double>(i), escaped(words[i]));
  }
  out += names;
  out += fmt::format("<g transform=\"translate(0 {})\">\n", lower);
  for (const double tick : x.ticks()) {
    out += fmt::format(
        "<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\" stroke=\"#ddd\"/>\n"
        "<text x=\"{0:.1f}\" y=\"{3}\" text-anchor=\"middle\">{4}</text>\n",
        x(tick), kTop, kHeight - kBottom, kHeight - kBottom + 15.0, tick_text(tick));
  }
  const auto rung = [&](double at, const std::string& label) {
    out += fmt::format(
        "<line x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\" stroke=\"#ddd\"/>\n"
        "<text x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5}</text>\n",
        kLeft, kWidth - kRight, y(at), kLeft - 6.0, y(at) + 4.0, escaped(label));
  };
  if (guides.empty()) {
    for (const double tick : y.ticks()) rung(tick, tick_text(tick));
  }
  for (const auto& guide : guides) rung(guide.y, guide.label);
  out += fmt::format(
      "<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n"
      "<text x=\"{}\" y=\"{}\">{}</text>\n",
      0.5 * (kLeft + kWidth - kRight), kHeight - 10.0, escaped(x_label), kLeft, kTop - 8.0,
      escaped(y_label));
  for (const auto& one : series) draw(*this, one, x, y, out);
  Labels labels;
  for (const auto& line : lines) out += bound(line, x, y, labels);
  for (const auto& one : series) {
    if (!one.labeled) continue;
    for (const PlotPoint& point : one.points) {
      if (!drawable(*this, point) || point.label.empty()) continue;
      labels.put(x(point.x), y(point.y), one.radius + 3.0, point.label, out);
    }
  }
  if (!note.empty()) {
    out += fmt::format(
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" font-size=\"13\">{}</text>\n",
        0.5 * (kLeft + kWidth - kRight), 0.5 * (kTop + kHeight - kBottom), escaped(note));
  }
  return out + "</g>\n</svg>\n";
}

}  // namespace ridge::view
