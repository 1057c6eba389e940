// A scatter plot as an SVG document.
#pragma once

#include <string>
#include <vector>

namespace ridge::view {

struct PlotPoint {
  double x = 0.0;
  double y = 0.0;
  std::string label;  // shown when the pointer rests on the dot; beside it where the series says so
};

// A thin bar from one place to another: the interval of a point's value.
struct PlotBar {
  double x0 = 0.0;
  double y0 = 0.0;
  double x1 = 0.0;
  double y1 = 0.0;
};

struct PlotSeries {
  enum class Marker { dot, diamond };
  std::string name;  // in the legend; none where empty
  std::string color = "#1f6fb4";
  double opacity = 1.0;
  double radius = 3.0;
  Marker marker = Marker::dot;
  bool connected = false;  // a line from point to point, in their order
  bool labeled = false;    // labels stand beside the points
  std::vector<PlotPoint> points;
  std::vector<PlotBar> bars;
};

// A horizontal line across the plot, in place of a tick.
struct PlotGuide {
  double y = 0.0;
  std::string label;
};

// A bound drawn through the plot, dashed: an SLA.
struct PlotLine {
  bool across = false;  // at a value of y; otherwise upright, at a value of x
  double value = 0.0;
  std::string label;
};

struct ScatterPlot {
  // Of the document, for lines and a legend of one line each.
  static constexpr double kWidth = 720.0;
  static constexpr double kHeight = 480.0;

  enum class Scale { linear, logarithmic };  // a logarithmic axis holds positive values only

  std::string title;
  std::string subtitle;
  std::string x_label;
  std::string y_label;
  Scale x_scale = Scale::linear;
  Scale y_scale = Scale::linear;
  std::vector<PlotSeries> series;  // later ones are drawn above earlier ones
  // Where given, they take the place of the y axis's own ticks, and the axis spans them.
  std::vector<PlotGuide> guides;
  std::vector<PlotLine> lines;
  std::string note;  // in the middle of the plot, where there is nothing else to see

  // Labels never cover each other; one that has no room is left to the pointer. Dots of a series
  // that would land on the same spot are drawn once, so that a million of them make a picture of
  // bounded size. Points that are not finite are left out; dots beyond the guides sit on the edge.
  [[nodiscard]] std::string svg() const;
};

// Round numbers spanning [least, most]: 1, 2 or 5 times a power of ten apart, about `count` of
// them.
[[nodiscard]] std::vector<double> round_ticks(double least, double most, int count);

}  // namespace ridge::view
