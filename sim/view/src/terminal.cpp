#include "ridge/view/terminal.hpp"

#include "ridge/view/text_table.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace ridge::view {
namespace {

constexpr std::size_t kUsual = 80;
constexpr std::size_t kNarrowestTerminal = 40;

std::size_t width_of(int descriptor) {
  std::size_t width = 0;
  if (const char* columns = std::getenv("COLUMNS"); columns != nullptr) {
    std::from_chars(columns, columns + std::strlen(columns), width);
  }
  if (width == 0) {
    winsize size{};
    if (::ioctl(descriptor, TIOCGWINSZ, &size) == 0) width = size.ws_col;
  }
  return width == 0 ? kUsual : std::max(width, kNarrowestTerminal);
}

// Where the text beside a label begins: after two spaces or more that follow a word.
std::size_t hanging_indent(std::string_view line) {
  constexpr std::size_t kWidestLabel = 30;
  const std::size_t first = std::min(line.find_first_not_of(' '), line.size());
  if (first == kWidestLabel) return first;  // below a label that was wider
  const std::size_t gap = line.find("  ", first);
  if (gap != std::string_view::npos) {
    const std::size_t beside = line.find_first_not_of(' ', gap);
    if (beside != std::string_view::npos && beside <= kWidestLabel) return beside;
  }
  return first + 2;
}

}  // namespace

std::size_t output_width() {
  return width_of(STDOUT_FILENO);
}
std::size_t error_width() {
  return width_of(STDERR_FILENO);
}

bool output_has_color() {
  const char* refused = std::getenv("NO_COLOR");
  return (refused == nullptr || *refused == '\0') && ::isatty(STDOUT_FILENO) == 1;
}

std::string colored(std::string_view text, Color color) {
  if (!output_has_color()) return std::string(text);
  constexpr std::array kCodes = {32, 31, 33};
  return fmt::format("\033[{}m{}\033[0m", kCodes[static_cast<std::size_t>(color)], text);
}

std::string folded(std::string_view text, std::size_t width) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (display_width(line) <= width) {
      out += line;
      out += '\n';
      continue;
    }
    const std::size_t indent = hanging_indent(line);
    const std::size_t first = std::min(line.find_first_not_of(' '), line.size());
    // The label and the spaces after it stay as they are.
    const std::size_t kept = indent > first + 2 ? indent : first;
    const auto lines = wrapped(std::string(line.substr(kept)), width - std::min(width, indent));
    for (std::size_t i = 0; i < lines.size(); ++i) {
      out += i == 0 ? std::string(line.substr(0, kept)) : std::string(indent, ' ');
      out += lines[i];
      out += '\n';
    }
  }
  return out;
}

}  // namespace ridge::view
