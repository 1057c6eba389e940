#include "ridge/view/text_table.hpp"

#include "ridge/base/error.hpp"

#include <gtest/gtest.h>

namespace ridge::view {
namespace {

TEST(TextTable, LinesUpNumbersToTheRightAndWordsToTheLeft) {
  TextTable table;
  table.column("chip", Align::left);
  table.column("time\nus");
  table.row({"a", "1.5"});
  table.row({"longer", "12.5"});
  EXPECT_EQ(table.text(),
            "chip    time\n"
            "          us\n"
            "------  ----\n"
            "a        1.5\n"
            "longer  12.5\n");
}

TEST(TextTable, CountsCharactersAndNotBytes) {
  TextTable table;
  table.column("time (µs)", Align::left);
  table.column("n");
  table.row({"x", "1"});
  EXPECT_EQ(table.text(),
            "time (µs)  n\n"
            "---------  -\n"
            "x          1\n");
}

TEST(TextTable, ColumnsOfWordsGoOnBelowThemselves) {
  TextTable table;
  table.column("a");
  table.column("source", Align::left);
  table.row({"1", "a book of twenty pages and more"});
  table.row({"22", "short"});
  EXPECT_EQ(table.text(24),
            " a  source\n"
            "--  --------------------\n"
            " 1  a book of twenty\n"
            "    pages and more\n"
            "22  short\n");
}

TEST(TextTable, AWordThatIsTooLongStaysWhole) {
  TextTable table;
  table.column("a", Align::left);
  table.row({"anunbreakablewordoffortyfiveletters"});
  EXPECT_EQ(table.text(20),
            "a\n-----------------------------------\nanunbreakablewordoffortyfiveletters\n");
}

TEST(TextTable, ColumnsEqualInAllRowsGoAboveWhereTheLineIsTooShort) {
  TextTable table;
  table.column("name", Align::left);
  table.column("gpus");
  table.column("tokens\nper s");
  table.row({"first", "16", "1200"});
  table.row({"second", "16", "1300"});
  EXPECT_EQ(table.text(16),
            "In all rows:\n  gpus 16\n\n"
            "name    tokens\n         per s\n------  ------\nfirst     1200\nsecond    1300\n");
  EXPECT_EQ(table.text(80).find("In all rows"), std::string::npos);
}

TEST(TextTable, WhatIsStillTooWideIsPartedWithTheFirstColumnRepeated) {
  TextTable table;
  table.column("name", Align::left);
  table.column("aaaaaa");
  table.column_beside("bbbbbb");
  table.column("cccccc");
  table.row({"x", "1", "2", "3"});
  EXPECT_EQ(table.text(20),
            "name  aaaaaa  bbbbbb\n----  ------  ------\nx          1       2\n\n"
            "name  cccccc\n----  ------\nx          3\n");
}

TEST(TextTable, PartsOfRowsThatBeginAlikeCarryTheRowsNumbers) {
  TextTable table;
  table.column("gpus");
  table.column("requests");
  table.column("tokens");
  table.row({"16", "96", "1200"});
  table.row({"16", "192", "2100"});
  table.row({"24", "192", "1900"});
  EXPECT_EQ(table.text(17),
            "#  gpus  requests\n"
            "-  ----  --------\n"
            "1    16        96\n"
            "2    16       192\n"
            "3    24       192\n"
            "\n"
            "#  tokens\n"
            "-  ------\n"
            "1    1200\n"
            "2    2100\n"
            "3    1900\n");
}

TEST(TextTable, PartsBehindTheFirstLeaveOutRowsThatTellNothingThere) {
  TextTable table;
  table.column("name", Align::left);
  table.column("aaaaaaaaaa");
  table.column("bbbbbbbbbb");
  table.row({"x", "1", "-"});
  table.row({"y", "-", "2"});
  table.rule();
  table.row({"z", "3", ""});
  table.row({"w", "4", "5"});
  EXPECT_EQ(
      table.text(20),
      "name  aaaaaaaaaa\n----  ----------\nx              1\ny              -\n"
      "----  ----------\nz              3\nw              4\n\n"
      "name  bbbbbbbbbb\n----  ----------\ny              2\n----  ----------\nw              5\n");
}

TEST(Folded, GoesOnBesideTheLabel) {
  EXPECT_EQ(folded("  links   one two three four\nshort\n", 18),
            "  links   one two\n          three\n          four\nshort\n");
}

TEST(Folded, OtherLinesGoOnTwoFurtherIn) {
  EXPECT_EQ(folded("one two three four", 10), "one two\n  three\n  four\n");
}

TEST(TextTable, HasNoTrailingSpaces) {
  TextTable table;
  table.column("a", Align::left);
  table.column("note", Align::left);
  table.row({"x", ""});
  EXPECT_EQ(table.text(),
            "a  note\n"
            "-  ----\n"
            "x\n");
}

TEST(TextTable, RulesStandBeforeTheNextRow) {
  TextTable table;
  table.column("a");
  table.row({"1"});
  table.rule();
  table.row({"2"});
  EXPECT_EQ(table.text(), "a\n-\n1\n-\n2\n");
}

TEST(TextTable, ARowHasAsManyCellsAsColumns) {
  TextTable table;
  table.column("a");
  EXPECT_THROW(table.row({"1", "2"}), InvariantError);
}

TEST(CsvLine, QuotesWhatNeedsIt) {
  EXPECT_EQ(csv_line({"a", "b,c", "say \"hi\"", "two\nlines", ""}),
            "a,\"b,c\",\"say \"\"hi\"\"\",\"two\nlines\",");
}

}  // namespace
}  // namespace ridge::view
