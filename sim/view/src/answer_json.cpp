#include "ridge/view/answer_json.hpp"

#include "ridge/base/ordered_json.hpp"

#include <nlohmann/json.hpp>

namespace ridge::view {

OrderedJson versioned_json(const WriteAnswer& write) {
  OrderedJson out{{kSchemaVersionKey, kSchemaVersion}};
  write(out);
  return out;
}

std::string versioned_text(const WriteAnswer& write) {
  return versioned_json(write).dump(2) + "\n";
}

}  // namespace ridge::view
