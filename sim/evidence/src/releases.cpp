#include "releases.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace ridge::evidence {
namespace {

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
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) ==
           std::tolower(static_cast<unsigned char>(b));
  };
  const auto* at = std::search(words.begin(), words.end(), engine.begin(), engine.end(), same);
  if (at == words.end()) return std::nullopt;
  std::string_view rest =
      words.substr(static_cast<std::size_t>(at - words.begin()) + engine.size());
  rest.remove_prefix(std::min(rest.find_first_not_of(" :=-_v/"), rest.size()));
  std::size_t length = 0;
  std::vector<int> numbers = leading(rest, length);
  if (numbers.empty()) return std::nullopt;
  return numbers;
}

bool holds(const Releases& releases, const std::vector<int>& release) {
  const auto from = release_numbers(releases.from);
  const auto until = release_numbers(releases.until);
  return !(from && less(release, *from)) && !(until && less(*until, release));
}

}  // namespace ridge::evidence
