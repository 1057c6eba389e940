#include "ridge/base/format.hpp"

#include "ridge/base/error.hpp"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge {
namespace {

using testing::ElementsAre;

TEST(Si, GivesThreeDigitsAPrefixAndTheUnit) {
  EXPECT_EQ(si(2.56e8, "B"), "256 MB");
  EXPECT_EQ(si(1.98e15, "FLOP/s"), "1.98 PFLOP/s");
  EXPECT_EQ(si(2.72e-4, "s"), "272 us");
  EXPECT_EQ(si(0.0, "s"), "0 s");
  EXPECT_EQ(si(-1500.0, "B"), "-1.50 kB");
}

TEST(Si, RoundsIntoTheNextPrefix) {
  EXPECT_EQ(si(999600.0, "B"), "1.00 MB");
  EXPECT_EQ(si(999400.0, "B"), "999 kB");
}

TEST(Significant, NeverGivesMoreDigitsThanAskedBehindThePoint) {
  EXPECT_EQ(significant(0.05512, 3), "0.0551");
  EXPECT_EQ(significant(16384, 3), "16384");
  EXPECT_EQ(significant(9.996, 3), "10.0");
  EXPECT_EQ(significant(0.0), "0");
}

TEST(ParseTokens, TakesWholeNumbersWithBinarySuffixes) {
  EXPECT_EQ(parse_tokens("8K", "--context"), 8192.0);
  EXPECT_EQ(parse_tokens("128k", "--context"), 131072.0);
  EXPECT_EQ(parse_tokens("1M", "--context"), 1048576.0);
  EXPECT_EQ(parse_tokens("5000", "--context"), 5000.0);
  EXPECT_EQ(parse_tokens("0.5K", "--context"), 512.0);
}

TEST(ParseTokens, RefusesTheRestAndNamesTheOption) {
  for (const char* text :
       {"", "K", "-1", "0", "8KB", "1e4", "nan", "inf", "0.3", "99999M", " 8K"}) {
    try {
      (void)parse_tokens(text, "--context");
      ADD_FAILURE() << "\"" << text << "\" was taken for tokens";
    } catch (const UserError& e) {
      EXPECT_THAT(e.what(), testing::StartsWith("--context: expected a whole number of tokens"));
    }
  }
}

TEST(TokensWords, AreWhatPeopleType) {
  for (const char* text : {"8K", "128K", "1M", "5000", "1"}) {
    EXPECT_EQ(tokens_words(parse_tokens(text, "")), text);
  }
}

TEST(SplitList, SplitsAtCommasAndRefusesEmptyEntries) {
  EXPECT_THAT(split_list("a,b", "--model"), ElementsAre("a", "b"));
  EXPECT_THAT(split_list("a", "--model"), ElementsAre("a"));
  EXPECT_THROW((void)split_list("", "--model"), UserError);
  EXPECT_THROW((void)split_list("a,,b", "--model"), UserError);
  EXPECT_THROW((void)split_list("a,", "--model"), UserError);
}

}  // namespace
}  // namespace ridge
