// Numbers for people: a unit with each, and no more digits than they deserve.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ridge {

// Three significant digits and an SI prefix: si(2.56e8, "B") is "256 MB".
[[nodiscard]] std::string si(double value, std::string_view unit);

// `digits` significant digits without an exponent, thousands ungrouped: significant(0.05512, 3) is
// "0.0551", significant(16384, 3) is "16384".
[[nodiscard]] std::string significant(double value, int digits = 3);

// A count of tokens as people type it: 8192 is "8K", 5000 is "5000".
[[nodiscard]] std::string tokens_words(double tokens);

// "8K", "128k", "1M" (binary) or "5000". Throws UserError("--context: expected ...") naming
// `option`.
[[nodiscard]] double parse_tokens(std::string_view text, std::string_view option);

// Splits "a,b,,c" at commas; empty parts are an error naming `option`.
[[nodiscard]] std::vector<std::string> split_list(std::string_view text, std::string_view option);

}  // namespace ridge
