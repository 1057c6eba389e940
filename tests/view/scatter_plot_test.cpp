#include "ridge/view/scatter_plot.hpp"

#include "ridge/view/designs.hpp"

#include <cmath>
#include <cstdio>
#include <limits>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace ridge::view {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

TEST(RoundTicks, AreOneTwoOrFiveTimesAPowerOfTenApart) {
  EXPECT_THAT(round_ticks(0.0, 10.0, 5), ElementsAre(0.0, 2.0, 4.0, 6.0, 8.0, 10.0));
  EXPECT_THAT(round_ticks(3.0, 11.0, 4), ElementsAre(2.0, 4.0, 6.0, 8.0, 10.0, 12.0));
  EXPECT_THAT(round_ticks(-70.0, 80.0, 4), ElementsAre(-100.0, -50.0, 0.0, 50.0, 100.0));
}

TEST(RoundTicks, HoldAnyRange) {
  EXPECT_TRUE(rc::check([] {
    const double magnitude = std::pow(10.0, *rc::gen::inRange(-12, 13));
    const double a = *rc::gen::inRange(-1000, 1000) * magnitude;
    const double b = *rc::gen::inRange(-1000, 1000) * magnitude;
    const auto ticks = round_ticks(std::min(a, b), std::max(a, b), 6);
    const double slack = 1e-6 * magnitude;
    RC_ASSERT(ticks.size() >= 2U);
    RC_ASSERT(ticks.size() <= 14U);
    RC_ASSERT(ticks.front() <= std::min(a, b) + slack);
    RC_ASSERT(ticks.back() >= std::max(a, b) - slack);
  }));
}

TEST(ScatterPlot, DrawsEveryPointWithinItsFrame) {
  ScatterPlot plot{.title = "t", .x_label = "x", .y_label = "y"};
  plot.series.push_back({.points = {{1.0, 10.0}, {2.0, 20.0}, {3.0, 15.0}}});
  const std::string svg = plot.svg();
  EXPECT_EQ(count(svg, "<circle"), 3U);
  // The two ends of the x axis: the left and the right edge of the frame.
  EXPECT_THAT(svg, HasSubstr("cx=\"70.0\""));
  EXPECT_THAT(svg, HasSubstr("cx=\"700.0\""));
}

TEST(ScatterPlot, ALongSubtitleGoesOnBelowItselfAndMovesThePlotDown) {
  ScatterPlot plot{.title = "t", .subtitle = "short"};
  plot.series.push_back({.points = {{1.0, 10.0}, {2.0, 20.0}}});
  EXPECT_THAT(plot.svg(), HasSubstr("translate(0 0)"));
  std::string words;
  for (int i = 0; i < 50; ++i) words += "word ";
  plot.subtitle = words + "last";
  const std::string svg = plot.svg();
  EXPECT_THAT(svg, HasSubstr("translate(0 28)")) << "254 letters in lines of 110";
  EXPECT_THAT(svg, HasSubstr("height=\"508\""));
  EXPECT_THAT(svg, HasSubstr("last</text>"));
}

TEST(ScatterPlot, LeavesOutWhatHasNoPlace) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  ScatterPlot plot{.x_scale = ScatterPlot::Scale::logarithmic};
  plot.series.push_back(
      {.points = {{1.0, 1.0}, {0.0, 1.0}, {-1.0, 1.0}, {kNan, 1.0}, {1.0, kNan}}});
  const std::string svg = plot.svg();
  EXPECT_EQ(count(svg, "<circle"), 1U);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
}

TEST(ScatterPlot, DrawsDotsOnTheSameSpotOnce) {
  ScatterPlot plot;
  PlotSeries series;
  for (int i = 0; i < 100000; ++i) series.points.push_back({1.0 + 1e-9 * i, 2.0});
  series.points.push_back({2.0, 3.0});
  plot.series.push_back(series);
  EXPECT_LT(count(plot.svg(), "<circle"), 1000U);
}

TEST(ScatterPlot, ShowsBeyondItsGuidesAtTheEdge) {
  ScatterPlot plot{.guides = {{-1.0, "low"}, {0.0, "zero"}, {1.0, "high"}}};
  plot.series.push_back({.points = {{1.0, 5.0}, {2.0, 1.0}}});
  const std::string svg = plot.svg();
  EXPECT_THAT(svg, HasSubstr(">high</text>"));
  EXPECT_EQ(count(svg, "cy=\"86.0\""), 2U);
}

// Two labels on one spot stand in different places; of many, those without room are left out.
TEST(ScatterPlot, LabelsNeverCoverEachOther) {
  ScatterPlot plot;
  PlotSeries series{.labeled = true};
  series.points = {{1.0, 1.0, "first name"}, {1.0, 1.0, "other name"}, {2.0, 2.0, ""}};
  plot.series.push_back(series);
  std::string svg = plot.svg();
  const auto place_of = [&](const std::string& name) {
    const auto at = svg.find(">" + name + "</text>");
    const auto tag = svg.rfind("<text", at);
    return svg.substr(tag, at - tag);
  };
  EXPECT_NE(place_of("first name"), place_of("other name"));
  plot.series[0].points.assign(50, {1.0, 1.0, "all alike"});
  svg = plot.svg();
  EXPECT_GE(count(svg, ">all alike</text>"), 1U);
  EXPECT_LE(count(svg, ">all alike</text>"), 4U) << "a place on each side of the dot";
}

// A design on a line moves up to where the line's words are, and past them.
TEST(ScatterPlot, NamesKeepClearOfTheWordsOfALine) {
  constexpr double kLetterAtLeast = 5.0;
  constexpr double kLineAtLeast = 9.0;
  int drawn = 0;
  for (int step = 0; step <= 40; ++step) {
    ScatterPlot plot;
    PlotSeries series{.labeled = true};
    series.points = {{40.0, 1.0, ""}, {60.0, 2.0, ""}, {50.5, 1.6 + 0.01 * step, "a design"}};
    plot.series.push_back(series);
    plot.lines = {{.across = false, .value = 50.0, .label = "SLA 50 ms"}};
    const std::string svg = plot.svg();
    const auto place_of = [&](const std::string& words) {
      double x = -1.0;
      double y = -1.0;
      const auto end = svg.find(">" + words + "</text>");
      const std::string tag = svg.substr(svg.rfind("<text", end), end);
      std::sscanf(tag.c_str(), "<text x=\"%lf\" y=\"%lf\"", &x, &y);
      return std::pair{x, y};
    };
    const auto [left, words_y] = place_of("SLA 50 ms");
    if (count(svg, ">a design</text>") == 0U) continue;
    ++drawn;
    const auto [middle, name_y] = place_of("a design");
    const double half = 0.5 * 8 * kLetterAtLeast;
    const bool apart = std::abs(name_y - words_y) > kLineAtLeast || middle + half < left ||
                       middle - half > left + 9 * kLetterAtLeast;
    EXPECT_TRUE(apart) << "at step " << step;
  }
  EXPECT_GT(drawn, 35);
}

TEST(ScatterPlot, DrawsABoundThatLiesNearItsPointsAndNoOther) {
  ScatterPlot plot;
  plot.series.push_back({.points = {{40.0, 1.0}, {60.0, 2.0}}});
  plot.lines = {{.across = false, .value = 50.0, .label = "SLA 50 ms"},
                {.across = false, .value = 5000.0, .label = "far away"}};
  const std::string svg = plot.svg();
  EXPECT_THAT(svg, HasSubstr("SLA 50 ms"));
  EXPECT_THAT(svg, Not(HasSubstr("far away")));
}

TEST(ScatterPlot, ItsAxesHoldTheIntervals) {
  ScatterPlot plot;
  plot.series.push_back({.points = {{1.0, 10.0}, {2.0, 20.0}}, .bars = {{1.0, -70.0, 1.0, 90.0}}});
  const std::string svg = plot.svg();
  EXPECT_THAT(svg, HasSubstr(">-100</text>"));
  EXPECT_THAT(svg, HasSubstr(">100</text>"));
}

Designs two_designs() {
  return {.columns = {{.name = "ms", .words = "time"}, {.name = "usd", .words = "cost"}},
          .rows = {{.front = true}, {}},
          .values = {1.0, 2.0, 3.0, 4.0}};
}

TEST(Designs, SayThatTheirFrontIsEmpty) {
  Designs designs = two_designs();
  EXPECT_THAT(plot_of(designs).svg(), Not(HasSubstr("front is empty")));
  designs.rows[0].front = false;
  EXPECT_THAT(plot_of(designs).svg(), HasSubstr("front is empty"));
  designs.rows.clear();
  EXPECT_THAT(plot_of(designs).svg(), HasSubstr("no design is left"));
}

TEST(Designs, AreColoredByAnyColumn) {
  const std::string svg = plot_of(two_designs(), 1).svg();
  EXPECT_THAT(svg, HasSubstr(">usd 2.000</text>"));
  EXPECT_THAT(svg, HasSubstr(">usd 4.000</text>"));
}

TEST(ScatterPlot, IsADrawingWithoutAnyPoint) {
  EXPECT_THAT(ScatterPlot{}.svg(), HasSubstr("</svg>"));
}

TEST(ScatterPlot, EscapesItsTexts) {
  ScatterPlot plot{.title = "a < b", .x_label = "c & d"};
  plot.series.push_back({.name = "e > f", .labeled = true, .points = {{1.0, 1.0, "<g>"}}});
  const std::string svg = plot.svg();
  EXPECT_THAT(svg, HasSubstr("a &lt; b"));
  EXPECT_THAT(svg, HasSubstr("c &amp; d"));
  EXPECT_THAT(svg, HasSubstr("e &gt; f"));
  EXPECT_THAT(svg, Not(HasSubstr("<g>\n<")));
  EXPECT_THAT(svg, HasSubstr("&lt;g&gt;"));
}

}  // namespace
}  // namespace ridge::view
