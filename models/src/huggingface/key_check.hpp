// Every key of a configuration is either understood or refused by name.
#pragma once

#include "family.hpp"

namespace ridge::models {

// The value at `path`, its steps separated by '/'; null counts as absent, as it does to the
// library that writes these files.
[[nodiscard]] std::optional<JsonNode> find_path(const JsonNode& object, const std::string& path);

// Reports every key of `object` that `known` does not know, and every known one that has not the
// one value that is understood. `where` says in messages whose keys they are. Returns the expected
// keys that are absent, each with the value that is taken for it.
std::vector<std::string> check_keys(const JsonNode& object, const KnownKeys& known,
                                    const std::string& where);

}  // namespace ridge::models
