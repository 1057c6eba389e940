// Comma-separated text, row by row: quoted cells, a byte order mark, either kind of line end.
#pragma once

#include <cstddef>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ridge {

class CsvReader {
 public:
  // `text` must outlive the reader; `name` is that of the file in messages.
  CsvReader(std::string_view text, std::string name);

  // Goes to the next row that is not empty; false at the end. Throws UserError for a quoted cell
  // that does not end, or that goes on behind its quote.
  bool next();

  // Of the row, good until next().
  [[nodiscard]] std::span<const std::string_view> cells() const { return cells_; }
  // Where the row begins, from 1.
  [[nodiscard]] std::size_t line() const { return line_; }
  // The row as it stands in the file, for messages.
  [[nodiscard]] std::string_view row() const { return row_; }

 private:
  std::string_view cell();

  std::string_view rest_;
  std::string name_;
  std::vector<std::string_view> cells_;
  std::deque<std::string> unquoted_;  // cells that hold quotes themselves
  std::string_view row_;
  std::size_t line_ = 0;
  std::size_t next_line_ = 1;
};

}  // namespace ridge
