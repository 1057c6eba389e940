#include "ridge/base/svg.hpp"

#include <gtest/gtest.h>

namespace ridge::svg {
namespace {

TEST(Svg, EscapesWhatWouldBeATag) {
  EXPECT_EQ(escaped("a < b & c > d"), "a &lt; b &amp; c &gt; d");
  EXPECT_EQ(escaped("µs"), "µs");
}

}  // namespace
}  // namespace ridge::svg
