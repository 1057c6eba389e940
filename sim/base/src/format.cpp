#include "ridge/base/format.hpp"

#include "ridge/base/error.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace ridge {

std::string significant(double value, int digits) {
  if (!std::isfinite(value)) return fmt::format("{}", value);
  if (value == 0.0) return "0";
  // Rounding can carry into another digit (9.996 -> 10.0), so the exponent is taken afterwards.
  const std::string scientific = fmt::format("{:.{}e}", value, digits - 1);
  const int exponent = std::stoi(scientific.substr(scientific.find('e') + 1));
  return fmt::format("{:.{}f}", value, std::max(digits - 1 - exponent, 0));
}

std::string si(double value, std::string_view unit) {
  struct Prefix {
    double scale;
    std::string_view name;
  };
  constexpr std::array kPrefixes = {Prefix{1e18, "E"}, Prefix{1e15, "P"}, Prefix{1e12, "T"},
                                    Prefix{1e9, "G"},  Prefix{1e6, "M"},  Prefix{1e3, "k"},
                                    Prefix{1.0, ""},   Prefix{1e-3, "m"}, Prefix{1e-6, "u"},
                                    Prefix{1e-9, "n"}, Prefix{1e-12, "p"}};
  if (value == 0.0) return fmt::format("0 {}", unit);
  for (const Prefix& prefix : kPrefixes) {
    // 999.6 k reads 1.00 M.
    if (std::abs(value) >= prefix.scale * 0.9995) {
      return fmt::format("{} {}{}", significant(value / prefix.scale), prefix.name, unit);
    }
  }
  return fmt::format("{:.2e} {}", value, unit);
}

namespace {
constexpr double kKibi = 1024.0;
constexpr double kMaxTokens = 1e9;
}  // namespace

std::string tokens_words(double tokens) {
  for (const auto& [scale, suffix] : {std::pair{kKibi * kKibi, "M"}, std::pair{kKibi, "K"}}) {
    if (tokens >= scale && std::fmod(tokens, scale) == 0.0) {
      return fmt::format("{:.0f}{}", tokens / scale, suffix);
    }
  }
  return fmt::format("{:.0f}", tokens);
}

double parse_tokens(std::string_view text, std::string_view option) {
  std::string_view digits = text;
  double scale = 1.0;
  if (!digits.empty()) {
    const char last = digits.back();
    if (last == 'K' || last == 'k') scale = kKibi;
    if (last == 'M' || last == 'm') scale = kKibi * kKibi;
    if (scale != 1.0) digits.remove_suffix(1);
  }
  double value = 0.0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value,
                                              std::chars_format::fixed);
  const bool parsed = failure == std::errc() && end == digits.data() + digits.size();
  value *= scale;
  if (!parsed || !(value >= 1.0) || value > kMaxTokens || value != std::floor(value)) {
    throw UserError(fmt::format(
        "{}: expected a whole number of tokens such as 8K (8192), 1M or 5000, got \"{}\"", option,
        text));
  }
  return value;
}

std::vector<std::string> split_list(std::string_view text, std::string_view option) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (;;) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    parts.emplace_back(text.substr(begin, end - begin));
    if (parts.back().empty()) {
      throw UserError(fmt::format(
          "{}: expected a list such as a,b,c, got \"{}\" with an empty entry", option, text));
    }
    if (end == text.size()) return parts;
    begin = end + 1;
  }
}

}  // namespace ridge
