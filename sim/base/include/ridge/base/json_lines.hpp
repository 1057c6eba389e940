// JSON for people to read: files that Ridge writes, schemas.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace ridge {

// With objects opened line by line as long as they do not fit in one line.
[[nodiscard]] std::string json_lines(const nlohmann::ordered_json& value);

}  // namespace ridge
