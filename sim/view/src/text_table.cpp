#include "ridge/view/text_table.hpp"

#include "ridge/base/error.hpp"

#include <algorithm>

namespace ridge::view {
namespace {

// Code points, so that a "µ" counts once. Wide and combining characters do not occur in our tables.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

void append_cell(std::string& line, const std::string& cell, std::size_t to, Align align) {
  const std::string padding(to - std::min(to, width(cell)), ' ');
  line += align == Align::left ? cell + padding : padding + cell;
}

void end_line(std::string& text, std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  text += line;
  text += '\n';
}

}  // namespace

std::vector<std::string> wrapped(const std::string& text, std::size_t limit) {
  std::vector<std::string> lines(1);
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    std::string& line = lines.back();
    if (line.empty()) {
      line = word;
    } else if (width(line) + 1 + width(word) <= limit) {
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

void TextTable::row(std::vector<std::string> cells) {
  RIDGE_INVARIANT(cells.size() == columns_.size(), "a table row has as many cells as columns");
  rows_.push_back(std::move(cells));
}

void TextTable::rule() {
  rules_.push_back(rows_.size());
}

void TextTable::fit(std::size_t line_width) {
  line_width_ = line_width;
}

std::string TextTable::text() const {
  std::vector<std::size_t> widths;
  std::size_t header_lines = 0;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    std::size_t w = 0;
    for (const auto& line : columns_[c].header) w = std::max(w, width(line));
    for (const auto& row : rows_) w = std::max(w, width(row[c]));
    widths.push_back(w);
    header_lines = std::max(header_lines, columns_[c].header.size());
  }
  std::size_t before_last = 0;
  for (std::size_t c = 0; c + 1 < widths.size(); ++c) before_last += widths[c] + 2;
  constexpr std::size_t kNarrowest = 20;
  const std::size_t room = std::max(kNarrowest, line_width_ - std::min(line_width_, before_last));
  if (!widths.empty()) widths.back() = std::min(widths.back(), room);
  std::string rule;
  for (std::size_t c = 0; c < widths.size(); ++c) {
    rule += (c == 0 ? "" : "  ") + std::string(widths[c], '-');
  }

  std::string out;
  for (std::size_t h = 0; h < header_lines; ++h) {
    std::string line;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      if (c > 0) line += "  ";
      const auto& header = columns_[c].header;
      append_cell(line, h < header.size() ? header[h] : "", widths[c], columns_[c].align);
    }
    end_line(out, line);
  }
  end_line(out, rule);
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    if (std::find(rules_.begin(), rules_.end(), r) != rules_.end()) end_line(out, rule);
    const auto last = wrapped(rows_[r].back(), room);
    std::string line;
    for (std::size_t c = 0; c + 1 < columns_.size(); ++c) {
      append_cell(line, rows_[r][c], widths[c], columns_[c].align);
      line += "  ";
    }
    append_cell(line, last.front(), widths.back(), columns_.back().align);
    end_line(out, line);
    for (std::size_t i = 1; i < last.size(); ++i) {
      end_line(out, std::string(before_last, ' ') + last[i]);
    }
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
