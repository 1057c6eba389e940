#include "words.hpp"

#include "ridge/base/lowercase.hpp"

#include <algorithm>
#include <cctype>

namespace ridge::evidence {

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  bool within = false;
  for (const char c : text) {
    const bool letter = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (letter && !within) words.emplace_back();
    if (letter) words.back() += lowercase(c);
    within = letter;
  }
  return words;
}

std::size_t length_at(const std::vector<std::string>& words, std::size_t at,
                      std::string_view name) {
  const std::vector<std::string> wanted = words_of(name);
  if (wanted.size() > words.size() - at) return 0;
  const auto here = words.begin() + static_cast<std::ptrdiff_t>(at);
  return std::equal(wanted.begin(), wanted.end(), here) ? wanted.size() : 0;
}

bool mentions(const std::vector<std::string>& words, std::string_view name) {
  for (std::size_t at = 0; at < words.size(); ++at) {
    if (length_at(words, at, name) > 0) return true;
  }
  return false;
}

std::vector<std::size_t> mentioned(const std::vector<const std::vector<std::string>*>& lists,
                                   std::string_view text) {
  const std::vector<std::string> words = words_of(text);
  std::vector<std::size_t> found;
  for (std::size_t at = 0; at < words.size();) {
    std::size_t best = 0;
    std::size_t longest = 0;
    for (std::size_t i = 0; i < lists.size(); ++i) {
      for (const std::string& name : *lists[i]) {
        const std::size_t length = length_at(words, at, name);
        if (length <= longest) continue;
        longest = length;
        best = i;
      }
    }
    if (longest > 0 && std::find(found.begin(), found.end(), best) == found.end()) {
      found.push_back(best);
    }
    at += std::max<std::size_t>(longest, 1);
  }
  return found;
}

bool is_number(std::string_view word) {
  return !word.empty() &&
         std::all_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace ridge::evidence
