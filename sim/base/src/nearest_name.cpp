#include "ridge/base/nearest_name.hpp"

#include "ridge/base/lowercase.hpp"

#include <algorithm>
#include <cctype>
#include <vector>

#include <fmt/format.h>

namespace ridge {
namespace {

std::string folded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      out.push_back(lowercase(c));
    }
  }
  return out;
}

// Optimal string alignment distance.
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

std::size_t common_prefix(const std::string& a, const std::string& b) {
  const std::size_t shorter = std::min(a.size(), b.size());
  std::size_t length = 0;
  while (length < shorter && a[length] == b[length]) ++length;
  return length;
}

}  // namespace

std::optional<std::string> nearest_name(std::string_view name, std::span<const std::string> known) {
  // A name this long is no typing mistake, and the distance is quadratic.
  if (name.size() > 200) return std::nullopt;
  const std::string wanted = folded(name);
  const std::string* best = nullptr;
  std::size_t best_distance = 0;
  std::size_t best_prefix = 0;
  for (const std::string& candidate : known) {
    const std::string offered = folded(candidate);
    const std::size_t d = distance(wanted, offered);
    const std::size_t prefix = common_prefix(wanted, offered);
    if (best == nullptr || d < best_distance || (d == best_distance && prefix > best_prefix)) {
      best = &candidate;
      best_distance = d;
      best_prefix = prefix;
    }
  }
  const std::size_t tolerance = std::max<std::size_t>(2, wanted.size() / 3);
  if (best == nullptr || best_distance > tolerance || best_distance >= wanted.size()) {
    return std::nullopt;
  }
  return *best;
}

std::string did_you_mean(std::string_view name, std::span<const std::string> known) {
  const auto nearest = nearest_name(name, known);
  return nearest ? fmt::format("; did you mean \"{}\"?", *nearest) : std::string();
}

}  // namespace ridge
