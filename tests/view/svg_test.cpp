#include "ridge/view/svg.hpp"

#include <gtest/gtest.h>

namespace ridge::view::svg {
namespace {

TEST(Svg, EscapesWhatWouldBeATag) {
  EXPECT_EQ(escaped("a < b & c > d"), "a &lt; b &amp; c &gt; d");
  EXPECT_EQ(escaped("µs"), "µs");
}

}  // namespace
}  // namespace ridge::view::svg
