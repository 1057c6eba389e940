#include "ridge/base/lowercase.hpp"

#include <gtest/gtest.h>

namespace ridge {
namespace {

TEST(Lowercase, ChangesLettersOfAsciiAlone) {
  EXPECT_EQ(lowercase("H100-SXM5 80GB_x"), "h100-sxm5 80gb_x");
  EXPECT_EQ(lowercase("\xC3\x84"), "\xC3\x84");
  EXPECT_EQ(lowercase(""), "");
}

}  // namespace
}  // namespace ridge
