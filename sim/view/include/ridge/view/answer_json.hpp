// Answers written as JSON, which scripts read: docs/json.md.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace ridge::view {

// Raised where a key of an answer goes or changes its meaning; a new key leaves it as it is.
inline constexpr int kSchemaVersion = 1;

// The object as an answer: after the version of its schema. How long the machine took is no part of
// an answer, so that the same question gives the same bytes.
[[nodiscard]] std::string answer_text(const nlohmann::ordered_json& answer);

}  // namespace ridge::view
