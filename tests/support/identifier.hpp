// Names that GoogleTest accepts for the instances of a parameterised test.
#pragma once

#include <algorithm>
#include <cctype>
#include <string>

namespace ridge::test {

// "step-3.5" -> "step_3_5".
[[nodiscard]] inline std::string identifier_of(std::string name) {
  std::replace_if(
      name.begin(), name.end(),
      [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
}

}  // namespace ridge::test
