#include "ridge/view/answer_json.hpp"

#include <nlohmann/json.hpp>

namespace ridge::view {

std::string answer_text(const nlohmann::ordered_json& answer) {
  nlohmann::ordered_json out{{"schema_version", kSchemaVersion}};
  out.update(answer);
  return out.dump(2) + "\n";
}

}  // namespace ridge::view
