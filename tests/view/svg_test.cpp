#include "ridge/view/svg.hpp"

#include <gtest/gtest.h>

namespace ridge::view::svg {
namespace {

TEST(Svg, EscapesWhatWouldBeATag) {
  EXPECT_EQ(escaped("a < b & c > d"), "a &lt; b &amp; c &gt; d");
  EXPECT_EQ(escaped("µs"), "µs");
}

TEST(Svg, AGridHoldsItsDocumentsTwoToARow) {
  const std::string one = opening(10, 20) + "</svg>\n";
  const std::string three = grid({one, one, one}, 10, 20);
  EXPECT_EQ(three.find("viewBox=\"0 0 20 40\""), three.find("viewBox"));
  for (const char* place : {"x=\"0\" y=\"0\"", "x=\"10\" y=\"0\"", "x=\"0\" y=\"20\""}) {
    EXPECT_NE(three.find(place), std::string::npos) << place;
  }
  EXPECT_EQ(grid({one}, 10, 20).find("viewBox=\"0 0 10 20\""), three.find("viewBox"));
}

}  // namespace
}  // namespace ridge::view::svg
