// Text in small letters.
#pragma once

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

namespace ridge {

// Letters outside ASCII stay as they are.
[[nodiscard]] inline char lowercase(char letter) {
  return static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
}

[[nodiscard]] inline std::string lowercase(std::string_view text) {
  std::string out(text);
  for (char& letter : out) letter = lowercase(letter);
  return out;
}

// And hyphens for spaces, as names of models and chips are written.
[[nodiscard]] inline std::string hyphened(std::string_view text) {
  std::string out = lowercase(text);
  std::replace(out.begin(), out.end(), ' ', '-');
  return out;
}

}  // namespace ridge
