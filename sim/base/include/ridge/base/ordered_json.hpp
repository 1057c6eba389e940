// JSON whose keys stay in the order in which they were put: what Ridge writes. What it reads is
// nlohmann::json, in which they have none.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace ridge {

using OrderedJson = nlohmann::ordered_json;

}  // namespace ridge
