// What a key accepts, in words.
#pragma once

#include "ridge/base/json.hpp"

#include <string>
#include <string_view>

namespace ridge {

// "a number of gigabytes (1e9) above 0".
[[nodiscard]] std::string number_words(NumberRange range, std::string_view unit, bool whole);
// "a whole number from 1 to 64".
[[nodiscard]] std::string whole_number_words(NumberRange range);

// Doubles count exactly up to here, and no count in a model, a chip or a workload comes near.
inline constexpr double kLargestWhole = 9007199254740992.0;

}  // namespace ridge
