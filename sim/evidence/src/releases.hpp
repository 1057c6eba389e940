// Releases of engines, as lines of tables name them.
#pragma once

#include "ridge/evidence/serving.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::evidence {

// "0.5.8": its numbers; nothing for other words.
[[nodiscard]] std::optional<std::vector<int>> release_numbers(std::string_view words);

// What stands behind the engine's name, in letters of any case: of "SGLang v0.5.8.post1",
// "sglang:0.5.8" and "lmsysorg/sglang (version 0.5.8rc2)" 0.5.8. Nothing where no numbers with a
// point between them do, as of commits and dates.
[[nodiscard]] std::optional<std::vector<int>> release_in(std::string_view words,
                                                         std::string_view engine);

[[nodiscard]] bool holds(const Releases& releases, const std::vector<int>& release);

}  // namespace ridge::evidence
