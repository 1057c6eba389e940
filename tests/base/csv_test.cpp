#include "ridge/base/csv.hpp"

#include "ridge/base/error.hpp"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

std::vector<std::vector<std::string>> rows(std::string_view text) {
  std::vector<std::vector<std::string>> out;
  CsvReader reader(text, "x.csv");
  while (reader.next()) out.emplace_back(reader.cells().begin(), reader.cells().end());
  return out;
}

TEST(CsvReader, CellsStandBetweenCommasWhateverEndsTheLine) {
  EXPECT_THAT(rows("a,b\r\n1,\n\n,2"),
              ElementsAre(ElementsAre("a", "b"), ElementsAre("1", ""), ElementsAre("", "2")));
  EXPECT_THAT(rows(""), ElementsAre());
  EXPECT_THAT(rows("one"), ElementsAre(ElementsAre("one")));
}

TEST(CsvReader, AQuotedCellMayHoldCommasQuotesAndLines) {
  EXPECT_THAT(rows("\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\"\n\"\",c"),
              ElementsAre(ElementsAre("a,b", "say \"hi\"", "two\nlines"), ElementsAre("", "c")));
}

TEST(CsvReader, AByteOrderMarkIsNoPartOfTheFirstCell) {
  EXPECT_THAT(rows("\xEF\xBB\xBF\"a\",b"), ElementsAre(ElementsAre("a", "b")));
}

TEST(CsvReader, CountsLinesAsAnEditorDoes) {
  CsvReader reader("h\n\n\"two\nlines\"\nlast\n", "x.csv");
  std::vector<std::size_t> lines;
  while (reader.next()) lines.push_back(reader.line());
  EXPECT_THAT(lines, ElementsAre(1, 3, 5));
}

TEST(CsvReader, AQuoteThatDoesNotEndIsToldByItsLine) {
  EXPECT_THAT([] { (void)rows("a\n\"b"); },
              ThrowsMessage<UserError>(HasSubstr("x.csv: line 2: a quoted cell does not end")));
  EXPECT_THAT([] { (void)rows("\"a\"b,c"); }, ThrowsMessage<UserError>(HasSubstr("line 1")));
}

}  // namespace
}  // namespace ridge
