// Answers written as JSON, which scripts read: docs/json.md.
#pragma once

#include "ridge/base/ordered_json.hpp"

#include <functional>
#include <string>

namespace ridge::view {

// Raised where a key of an answer goes or changes its meaning; a new key leaves it as it is.
inline constexpr int kSchemaVersion = 1;
inline constexpr const char* kSchemaVersionKey = "schema_version";

// The version of its schema and what `write` adds. How long the machine took is no part of an
// answer, so that the same question gives the same bytes.
using WriteAnswer = std::function<void(OrderedJson&)>;
[[nodiscard]] OrderedJson versioned_json(const WriteAnswer& write);
[[nodiscard]] std::string versioned_text(const WriteAnswer& write);

}  // namespace ridge::view
