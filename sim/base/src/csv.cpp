#include "ridge/base/csv.hpp"

#include "ridge/base/error.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace ridge {

CsvReader::CsvReader(std::string_view text, std::string name)
    : rest_(text), name_(std::move(name)) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (rest_.starts_with(kByteOrderMark)) rest_.remove_prefix(kByteOrderMark.size());
}

// Takes one cell off rest_, up to the comma or line end behind it.
std::string_view CsvReader::cell() {
  if (!rest_.starts_with('"')) {
    const std::string_view out = rest_.substr(0, rest_.find_first_of(",\r\n"));
    rest_.remove_prefix(out.size());
    return out;
  }
  std::size_t end = 1;
  bool quotes_inside = false;
  for (;; ++end) {
    end = rest_.find('"', end);
    if (end == std::string_view::npos) {
      throw UserError(fmt::format("{}: line {}: a quoted cell does not end", name_, line_));
    }
    if (end + 1 == rest_.size() || rest_[end + 1] != '"') break;
    quotes_inside = true;
    ++end;
  }
  std::string_view out = rest_.substr(1, end - 1);
  rest_.remove_prefix(end + 1);
  if (!rest_.empty() && rest_.find_first_of(",\r\n") != 0) {
    throw UserError(fmt::format(
        "{}: line {}: expected a comma or the end of the line behind \"{}\"", name_, line_, out));
  }
  next_line_ += static_cast<std::size_t>(std::count(out.begin(), out.end(), '\n'));
  if (!quotes_inside) return out;
  std::string& text = unquoted_.emplace_back();
  for (std::size_t i = 0; i < out.size(); ++i) {
    text += out[i];
    if (out[i] == '"') ++i;
  }
  return text;
}

bool CsvReader::next() {
  cells_.clear();
  unquoted_.clear();
  while (!rest_.empty()) {
    line_ = next_line_;
    const std::string_view begin = rest_;
    for (;;) {
      cells_.push_back(cell());
      if (!rest_.starts_with(',')) break;
      rest_.remove_prefix(1);
    }
    row_ = begin.substr(0, begin.size() - rest_.size());
    if (rest_.starts_with('\r')) rest_.remove_prefix(1);
    if (rest_.starts_with('\n')) rest_.remove_prefix(1);
    ++next_line_;
    if (!row_.empty()) return true;
    cells_.clear();
  }
  return false;
}

}  // namespace ridge
