#include "releases.hpp"

#include "ridge/base/lowercase.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace ridge::evidence {
namespace {

constexpr std::array<std::string_view, 5> kSuffixes = {"rc", "post", "dev", "a", "b"};

bool is_digit(char c) {
  return std::isdigit(static_cast<unsigned char>(c)) != 0;
}

// The numbers at the beginning, and how long they are.
std::vector<int> leading(std::string_view words, std::size_t& length) {
  std::vector<int> numbers;
  length = 0;
  while (length < words.size() && is_digit(words[length])) {
    int number = 0;
    const char* begin = words.data() + length;
    const auto [end, error] = std::from_chars(begin, words.data() + words.size(), number);
    if (error != std::errc{}) break;
    numbers.push_back(number);
    length += static_cast<std::size_t>(end - begin);
    if (length + 1 < words.size() && words[length] == '.' && is_digit(words[length + 1])) {
      ++length;
    } else {
      break;
    }
  }
  return numbers;
}

// Whether the numbers before this are all of a release's: behind them stand no letters but those of
// candidates and posts.
bool ends_there(std::string_view rest) {
  if (rest.empty() || std::isalpha(static_cast<unsigned char>(rest.front())) == 0) return true;
  return std::any_of(kSuffixes.begin(), kSuffixes.end(),
                     [&](std::string_view suffix) { return rest.starts_with(suffix); });
}

// 0.5 is 0.5.0.
bool less(std::vector<int> a, std::vector<int> b) {
  const std::size_t size = std::max(a.size(), b.size());
  a.resize(size);
  b.resize(size);
  return a < b;
}

}  // namespace

std::optional<std::vector<int>> release_numbers(std::string_view words) {
  std::size_t length = 0;
  std::vector<int> numbers = leading(words, length);
  if (numbers.empty() || length != words.size()) return std::nullopt;
  return numbers;
}

std::optional<std::vector<int>> release_in(std::string_view words, std::string_view engine) {
  const std::string all = lowercase(words);
  const std::string name = lowercase(engine);
  for (std::size_t at = all.find(name); at != std::string::npos; at = all.find(name, at + 1)) {
    std::string_view rest = std::string_view(all).substr(at + name.size());
    rest.remove_prefix(std::min(rest.find_first_not_of(" :=-_/(,"), rest.size()));
    for (const std::string_view word : {"version ", "release ", "v"}) {
      if (rest.starts_with(word)) rest.remove_prefix(word.size());
    }
    std::size_t length = 0;
    std::vector<int> numbers = leading(rest, length);
    // One number alone may be a year, or begin a commit.
    if (numbers.size() > 1 && ends_there(rest.substr(length))) return numbers;
  }
  return std::nullopt;
}

bool holds(const Releases& releases, const std::vector<int>& release) {
  const auto from = release_numbers(releases.from);
  const auto until = release_numbers(releases.until);
  return !(from && less(release, *from)) && !(until && less(*until, release));
}

}  // namespace ridge::evidence
