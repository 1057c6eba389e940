// JSON for people to read: files that Ridge writes, schemas.
#pragma once

#include "ridge/base/ordered_json.hpp"

#include <string>

namespace ridge {

// With objects opened line by line as long as they do not fit in one line.
[[nodiscard]] std::string json_lines(const OrderedJson& value);

}  // namespace ridge
