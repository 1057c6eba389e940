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

TEST(TextTable, FitsALineByContinuingItsLastColumnBelow) {
  TextTable table;
  table.column("a");
  table.column("source", Align::left);
  table.fit(24);
  table.row({"1", "a book of twenty pages and more"});
  table.row({"22", "anunbreakablewordoftwentyfiveletters"});
  EXPECT_EQ(table.text(),
            " a  source\n"
            "--  --------------------\n"
            " 1  a book of twenty\n"
            "    pages and more\n"
            "22  anunbreakablewordoftwentyfiveletters\n");
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
