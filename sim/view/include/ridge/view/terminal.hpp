// The line that an answer for people must fit, and whether it may have colors.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ridge::view {

// Columns of standard output: COLUMNS where it says so, those of the terminal, or 80.
[[nodiscard]] std::size_t output_width();
// Columns of standard error, found likewise.
[[nodiscard]] std::size_t error_width();

// Standard output is a terminal, and the user did not set NO_COLOR (no-color.org).
[[nodiscard]] bool output_has_color();
enum class Color : unsigned char { green, red, yellow };
// `text` in this color where there are colors.
[[nodiscard]] std::string colored(std::string_view text, Color color);

// Lines longer than `width` go on below themselves, cut between words. What stands beside a label
// ("  links    ...") goes on beside it; other lines two further in than they began.
[[nodiscard]] std::string folded(std::string_view text, std::size_t width);

}  // namespace ridge::view
