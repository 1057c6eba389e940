// Names of models as tables and people write them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ridge::models {

// What a written name may be known by, the most telling first: in small letters with hyphens for
// spaces, then without the organization in front ("org/"), then without one after the other of
// the words at its end that leave the shapes as they are: formats of weights, and what a model was
// trained on for ("-instruct", "-2507").
[[nodiscard]] std::vector<std::string> written_names(std::string_view name);

}  // namespace ridge::models
