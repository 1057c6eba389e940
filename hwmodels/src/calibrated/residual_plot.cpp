#include "ridge/hwmodels/calibrated/residual_plot.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace ridge::hw::calibrated {

namespace {

constexpr double kWidth = 640.0;
constexpr double kHeight = 320.0;
constexpr double kLeft = 60.0;
constexpr double kRight = 16.0;
constexpr double kTop = 34.0;
constexpr double kBottom = 42.0;
constexpr double kMaxResidual = 0.6;  // of the vertical axis; dots beyond sit on the edge
constexpr std::size_t kMaxDots = 4000;

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace

std::string residual_plot(std::string_view title, std::span<const HeldOutPoint> points) {
  double least = 1e300;
  double most = 0.0;
  for (const HeldOutPoint& point : points) {
    least = std::min(least, point.measured_us);
    most = std::max(most, point.measured_us);
  }
  if (points.empty()) least = most = 1.0;
  const double first = std::floor(std::log10(least));
  const double last = std::max(first + 1.0, std::ceil(std::log10(most)));
  const auto x = [&](double us) {
    return kLeft + (std::log10(us) - first) / (last - first) * (kWidth - kLeft - kRight);
  };
  const auto y = [&](double residual) {
    const double clipped = std::clamp(residual, -kMaxResidual, kMaxResidual);
    return kTop +
           (1.0 - (clipped + kMaxResidual) / (2.0 * kMaxResidual)) * (kHeight - kTop - kBottom);
  };

  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"sans-serif\" "
      "font-size=\"11\">\n<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n"
      "<text x=\"{2}\" y=\"20\" font-size=\"13\">{3}</text>\n",
      kWidth, kHeight, kLeft, escaped(title));
  for (const double guide : {-0.5, -0.1, 0.0, 0.1, 0.5}) {
    svg += fmt::format(
        "<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"/>\n"
        "<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:+.0f} %</text>\n",
        kLeft, kWidth - kRight, y(guide), y(guide), guide == 0.0 ? "#444" : "#ccc", kLeft - 6.0,
        y(guide) + 4.0, 100.0 * guide);
  }
  for (double decade = first; decade <= last; decade += 1.0) {
    const double at = x(std::pow(10.0, decade));
    svg += fmt::format(
        "<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\" stroke=\"#eee\"/>\n"
        "<text x=\"{0:.1f}\" y=\"{3}\" text-anchor=\"middle\">{4:g}</text>\n",
        at, kTop, kHeight - kBottom, kHeight - kBottom + 16.0, std::pow(10.0, decade));
  }
  svg += fmt::format(
      "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">measured latency in us; dots: held-out "
      "prediction over measurement, less 1</text>\n<g fill=\"#1f6fb4\" fill-opacity=\"0.35\">\n",
      0.5 * (kLeft + kWidth - kRight), kHeight - 8.0);
  const std::size_t step = points.size() / kMaxDots + 1;
  for (std::size_t i = 0; i < points.size(); i += step) {
    svg +=
        fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"1.6\"/>\n", x(points[i].measured_us),
                    y(points[i].predicted_us / points[i].measured_us - 1.0));
  }
  svg += "</g>\n</svg>\n";
  return svg;
}

}  // namespace ridge::hw::calibrated
