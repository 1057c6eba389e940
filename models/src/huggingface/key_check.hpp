// Every key of a configuration is either understood, neutral, or refused by name.
#pragma once

#include "family.hpp"

#include <functional>

namespace ridge::models {

// The value at `path`, its steps separated by '/'; null counts as absent, as it does to the
// library that writes these files.
[[nodiscard]] std::optional<JsonNode> find_path(const JsonNode& object, const std::string& path);

struct KeyReport {
  std::vector<std::string> absent;   // expected keys, each with the value that is taken for it
  std::vector<std::string> neutral;  // not understood, but false, 0, empty or the like
};

// Reports every key of `object` that `known` does not know, unless its value is neutral, and every
// known one that holds something else than is understood: a literal, an expression (`evaluate`
// computes it; null where it cannot), or {"any_of": [..]} of these. `where` says in messages whose
// keys they are.
using Evaluate = std::function<nlohmann::json(const JsonNode&)>;
KeyReport check_keys(const JsonNode& object, const KnownKeys& known, const std::string& where,
                     const Evaluate& evaluate);

}  // namespace ridge::models
