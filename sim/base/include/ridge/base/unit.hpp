// Units as they stand at the end of a JSON key: memory_bandwidth_TBps, latency_us.
#pragma once

#include <optional>
#include <string_view>

namespace ridge {

struct Unit {
  std::string_view suffix;  // "TBps"
  std::string_view words;   // "terabytes per second"
  double scale;             // base units in one of this unit
};

// The unit at the end of `key` (after its last underscores), if there is one: "price_USD_per_hour"
// ends in "USD_per_hour".
[[nodiscard]] std::optional<Unit> unit_of_key(std::string_view key);

// `key` without its unit: "memory_bandwidth_TBps" -> "memory_bandwidth".
[[nodiscard]] std::string_view stem_of_key(std::string_view key);

}  // namespace ridge
