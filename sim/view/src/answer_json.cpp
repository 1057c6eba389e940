#include "ridge/view/answer_json.hpp"

#include <nlohmann/json.hpp>

namespace ridge::view {

nlohmann::ordered_json versioned_json(const WriteAnswer& write) {
  nlohmann::ordered_json out{{kSchemaVersionKey, kSchemaVersion}};
  write(out);
  return out;
}

std::string versioned_text(const WriteAnswer& write) {
  return versioned_json(write).dump(2) + "\n";
}

}  // namespace ridge::view
