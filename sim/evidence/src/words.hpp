// Words of tables.
#pragma once

#include <cctype>
#include <string>
#include <string_view>

namespace ridge::evidence {

// In small letters.
inline std::string small(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

}  // namespace ridge::evidence
