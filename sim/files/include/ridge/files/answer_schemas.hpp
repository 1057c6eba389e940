// What commands write as JSON, as JSON Schema (draft 7): docs/schema/NAME.schema.json.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace ridge::files {

// "cost-answer" and so on, in the order of the commands.
[[nodiscard]] std::vector<std::string> answer_names();
// Nothing for an unknown name.
[[nodiscard]] std::optional<std::string> answer_schema(const std::string& name);

}  // namespace ridge::files
