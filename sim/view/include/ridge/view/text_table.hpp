// A table of text for people: columns line up, numbers to the right, and no line is longer than the
// output is wide.
#pragma once

#include "ridge/view/terminal.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::view {

enum class Align { left, right };

class TextTable {
 public:
  // A header may have several lines, separated by '\n' (the unit goes on the second).
  void column(const std::string& header, Align align = Align::right);
  // A column that stays beside the one before it, whatever else a narrow output parts.
  void column_beside(const std::string& header, Align align = Align::right);
  void row(std::vector<std::string> cells);
  // A line across the table before the next row.
  void rule();

  // Two spaces between columns, no trailing spaces, a final newline. Where that is wider than
  // `width`: columns that are equal in all rows go into lines above the table, then columns of
  // words go on below themselves, and at last the columns are parted into tables below each other,
  // each with the first column, or with the rows' numbers where that does not tell them apart; rows
  // with nothing to tell there ("-" or empty) are left out of those behind the first.
  [[nodiscard]] std::string text(std::size_t width = output_width()) const;

 private:
  struct Column {
    std::vector<std::string> header;
    Align align;
    bool beside_last = false;
  };
  using Columns = std::vector<std::size_t>;

  [[nodiscard]] std::size_t natural_width(std::size_t column) const;
  // Words that may go on below themselves can be this narrow.
  [[nodiscard]] std::size_t least_width(std::size_t column) const;
  [[nodiscard]] bool equal_in_all_rows(std::size_t column) const;
  [[nodiscard]] bool tells_rows_apart(std::size_t column) const;
  // With a first column of the rows' numbers.
  [[nodiscard]] TextTable numbered() const;
  // Puts columns that say the same in every row into a line of words.
  [[nodiscard]] std::string lift_equal(Columns& columns, std::size_t width) const;
  // `rows`: which of them, rising.
  [[nodiscard]] std::string block(const Columns& columns, const std::vector<std::size_t>& rows,
                                  std::size_t width) const;
  [[nodiscard]] std::vector<std::size_t> all_rows() const;
  // Those with something in a column but the first of these.
  [[nodiscard]] std::vector<std::size_t> telling_rows(const Columns& columns) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> rules_;  // row indices
};

// How many columns a text takes: code points, so that a "µ" counts once.
[[nodiscard]] std::size_t display_width(std::string_view text);

// Pieces of at most `limit` characters, cut at spaces; a longer word stays whole.
[[nodiscard]] std::vector<std::string> wrapped(const std::string& text, std::size_t limit);

// One line of RFC 4180 CSV, without the newline.
[[nodiscard]] std::string csv_line(const std::vector<std::string>& cells);

}  // namespace ridge::view
