// A table of text for people: columns line up, numbers to the right.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace ridge::view {

enum class Align { left, right };

class TextTable {
 public:
  // A header may have several lines, separated by '\n' (the unit goes on the second).
  void column(const std::string& header, Align align = Align::right);
  void row(std::vector<std::string> cells);
  // A line across the table before the next row.
  void rule();

  // The last column's text goes on below itself, between words, where a line would be longer.
  void fit(std::size_t line_width);

  // Two spaces between columns, no trailing spaces, a final newline.
  [[nodiscard]] std::string text() const;

 private:
  struct Column {
    std::vector<std::string> header;
    Align align;
  };
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> rules_;  // row indices
  std::size_t line_width_ = static_cast<std::size_t>(-1);
};

// Pieces of at most `limit` characters, cut at spaces; a longer word stays whole.
[[nodiscard]] std::vector<std::string> wrapped(const std::string& text, std::size_t limit);

// One line of RFC 4180 CSV, without the newline.
[[nodiscard]] std::string csv_line(const std::vector<std::string>& cells);

}  // namespace ridge::view
