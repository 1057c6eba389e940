#include "ridge/view/text_table.hpp"

#include "ridge/base/error.hpp"

#include <algorithm>
#include <numeric>
#include <set>

namespace ridge::view {
namespace {

constexpr std::size_t kGap = 2;
// Columns of words are not squeezed below this.
constexpr std::size_t kNarrowestColumn = 12;

void append_cell(std::string& line, const std::string& cell, std::size_t to, Align align) {
  const std::string padding(to - std::min(to, display_width(cell)), ' ');
  line += align == Align::left ? cell + padding : padding + cell;
}

void end_line(std::string& text, std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  text += line;
  text += '\n';
}

std::size_t longest_word(const std::string& text) {
  std::size_t longest = 0;
  for (const auto& word : wrapped(text, 1)) longest = std::max(longest, display_width(word));
  return longest;
}

}  // namespace

// Wide and combining characters do not occur in our tables.
std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  bool escaped = false;  // in the name of a color, which ends with an m
  for (const char c : text) {
    if (c == '\033') escaped = true;
    if (!escaped && (static_cast<unsigned char>(c) & 0xC0U) != 0x80U) ++width;
    if (c == 'm') escaped = false;
  }
  return width;
}

std::vector<std::string> wrapped(const std::string& text, std::size_t limit) {
  std::vector<std::string> lines(1);
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    std::string& line = lines.back();
    if (line.empty()) {
      line = word;
    } else if (display_width(line) + 1 + display_width(word) <= limit) {
      line += ' ' + word;
    } else {
      lines.push_back(word);
    }
    begin = end + 1;
  }
  return lines;
}

void TextTable::column(const std::string& header, Align align) {
  Column column{.header = {}, .align = align};
  std::size_t begin = 0;
  for (std::size_t end = header.find('\n'); end != std::string::npos;
       begin = end + 1, end = header.find('\n', begin)) {
    column.header.push_back(header.substr(begin, end - begin));
  }
  column.header.push_back(header.substr(begin));
  columns_.push_back(std::move(column));
}

void TextTable::column_beside(const std::string& header, Align align) {
  column(header, align);
  columns_.back().beside_last = true;
}

void TextTable::row(std::vector<std::string> cells) {
  RIDGE_INVARIANT(cells.size() == columns_.size(), "a table row has as many cells as columns");
  rows_.push_back(std::move(cells));
}

void TextTable::rule() {
  rules_.push_back(rows_.size());
}

std::size_t TextTable::natural_width(std::size_t column) const {
  std::size_t width = 0;
  for (const auto& line : columns_[column].header) width = std::max(width, display_width(line));
  for (const auto& row : rows_) width = std::max(width, display_width(row[column]));
  return width;
}

std::size_t TextTable::least_width(std::size_t column) const {
  const std::size_t natural = natural_width(column);
  if (columns_[column].align == Align::right) return natural;
  std::size_t width = std::min(natural, kNarrowestColumn);
  for (const auto& line : columns_[column].header) width = std::max(width, display_width(line));
  for (const auto& row : rows_) width = std::max(width, longest_word(row[column]));
  return width;
}

bool TextTable::equal_in_all_rows(std::size_t column) const {
  return rows_.size() > 1 && std::all_of(rows_.begin(), rows_.end(), [&](const auto& row) {
           return row[column] == rows_.front()[column];
         });
}

std::string TextTable::lift_equal(Columns& columns, std::size_t width) const {
  std::string words;
  Columns kept;
  for (const std::size_t c : columns) {
    const bool beside_next = c + 1 < columns_.size() && columns_[c + 1].beside_last;
    if (c == 0 || columns_[c].beside_last || beside_next || !equal_in_all_rows(c)) {
      kept.push_back(c);
      continue;
    }
    std::string header;
    for (const auto& line : columns_[c].header) header += (header.empty() ? "" : " ") + line;
    const std::string& cell = rows_.front()[c];
    if (cell.empty()) continue;
    words += (words.empty() ? "" : "; ") + (header.empty() ? cell : header + " " + cell);
  }
  if (kept.size() == columns.size()) return {};
  columns = std::move(kept);
  return words.empty() ? words : folded("In all rows: " + words, width) + "\n";
}

std::string TextTable::text(std::size_t width) const {
  Columns columns;
  std::size_t all = 0;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    columns.push_back(c);
    all += natural_width(c) + (c > 0 ? kGap : 0);
  }
  if (all <= width) return block(columns, all_rows(), width);

  std::string out = lift_equal(columns, width);
  // Each part holds the first column and as many others as it can.
  std::vector<Columns> parts = {{0}};
  std::size_t used = least_width(0);
  for (std::size_t i = 1; i < columns.size();) {
    Columns together = {columns[i]};
    std::size_t needed = least_width(columns[i]) + kGap;
    for (++i; i < columns.size() && columns_[columns[i]].beside_last; ++i) {
      together.push_back(columns[i]);
      needed += least_width(columns[i]) + kGap;
    }
    if (used + needed > width && parts.back().size() > 1) {
      parts.push_back({0});
      used = least_width(0);
    }
    parts.back().insert(parts.back().end(), together.begin(), together.end());
    used += needed;
  }
  if (parts.size() > 1 && !tells_rows_apart(0)) return numbered().text(width);
  for (std::size_t p = 0; p < parts.size(); ++p) {
    if (p > 0) out += '\n';
    out += block(parts[p], p > 0 ? telling_rows(parts[p]) : all_rows(), width);
  }
  return out;
}

std::vector<std::size_t> TextTable::all_rows() const {
  std::vector<std::size_t> rows(rows_.size());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  return rows;
}

std::vector<std::size_t> TextTable::telling_rows(const Columns& columns) const {
  std::vector<std::size_t> rows = all_rows();
  std::erase_if(rows, [&](std::size_t row) {
    return std::all_of(columns.begin() + 1, columns.end(), [&](std::size_t c) {
      return rows_[row][c].empty() || rows_[row][c] == "-";
    });
  });
  return rows;
}

bool TextTable::tells_rows_apart(std::size_t column) const {
  std::set<std::string_view> seen;
  return std::all_of(rows_.begin(), rows_.end(),
                     [&](const auto& row) { return seen.insert(row[column]).second; });
}

TextTable TextTable::numbered() const {
  TextTable table = *this;
  table.columns_.insert(table.columns_.begin(),
                        Column{.header = {"#"}, .align = Align::right, .beside_last = false});
  for (std::size_t r = 0; r < table.rows_.size(); ++r) {
    table.rows_[r].insert(table.rows_[r].begin(), std::to_string(r + 1));
  }
  return table;
}

std::string TextTable::block(const Columns& columns, const std::vector<std::size_t>& rows,
                             std::size_t width) const {
  std::vector<std::size_t> widths;
  std::size_t header_lines = 0;
  std::size_t all = 0;
  for (const std::size_t c : columns) {
    widths.push_back(natural_width(c));
    header_lines = std::max(header_lines, columns_[c].header.size());
    all += widths.back() + (widths.size() > 1 ? kGap : 0);
  }
  // The widest column of words gives way first.
  while (all > width) {
    std::size_t widest = widths.size();
    for (std::size_t i = 0; i < widths.size(); ++i) {
      if (widths[i] <= least_width(columns[i])) continue;
      if (widest == widths.size() || widths[i] > widths[widest]) widest = i;
    }
    if (widest == widths.size()) break;
    const std::size_t less = std::min(all - width, widths[widest] - least_width(columns[widest]));
    widths[widest] -= less;
    all -= less;
  }

  std::string rule;
  for (std::size_t i = 0; i < widths.size(); ++i) {
    rule += (i == 0 ? "" : "  ") + std::string(widths[i], '-');
  }
  std::string out;
  const auto add_lines = [&](const std::vector<std::vector<std::string>>& cells,
                             std::size_t lines) {
    for (std::size_t l = 0; l < lines; ++l) {
      std::string line;
      for (std::size_t i = 0; i < columns.size(); ++i) {
        if (i > 0) line += "  ";
        append_cell(line, l < cells[i].size() ? cells[i][l] : "", widths[i],
                    columns_[columns[i]].align);
      }
      end_line(out, line);
    }
  };
  std::vector<std::vector<std::string>> cells;
  for (const std::size_t c : columns) cells.push_back(columns_[c].header);
  add_lines(cells, header_lines);
  end_line(out, rule);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t r = rows[i];
    const std::size_t first = i == 0 ? r : rows[i - 1] + 1;  // of those left out here, or this one
    const bool ruled = std::any_of(rules_.begin(), rules_.end(),
                                   [&](std::size_t at) { return first <= at && at <= r; });
    if (ruled) end_line(out, rule);
    std::size_t lines = 1;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const std::string& cell = rows_[r][columns[c]];
      // Whatever fits keeps the spaces it has.
      cells[c] = display_width(cell) <= widths[c] ? std::vector<std::string>{cell}
                                                  : wrapped(cell, widths[c]);
      lines = std::max(lines, cells[c].size());
    }
    add_lines(cells, lines);
  }
  return out;
}

std::string csv_line(const std::vector<std::string>& cells) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) line += ',';
    if (cells[i].find_first_of(",\"\r\n") == std::string::npos) {
      line += cells[i];
      continue;
    }
    line += '"';
    for (const char c : cells[i]) {
      if (c == '"') line += '"';
      line += c;
    }
    line += '"';
  }
  return line;
}

}  // namespace ridge::view
