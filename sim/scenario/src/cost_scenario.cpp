#include "ridge/scenario/cost_scenario.hpp"

#include "ridge/base/json.hpp"
#include "ridge/scenario/scenario_files.hpp"

namespace ridge::scenario {
namespace {

void read_references(JsonObject& object, std::string_view key, std::vector<std::string>& out) {
  const auto list = object.required(key);
  if (!list) return;
  for (const JsonNode& element : list->elements()) {
    std::string reference;
    if (element.read(reference)) out.push_back(reference_from(element.file(), reference));
  }
  if (out.empty() && list->is_array()) list->expected("at least one name");
}

}  // namespace

CostScenario load_cost_scenario(const std::string& name_or_path) {
  const JsonDocument document = JsonDocument::read(scenario_path(name_or_path));
  Diagnostics diagnostics;
  const JsonContext context{.file = document.name(), .diagnostics = &diagnostics};
  CostScenario scenario;
  {
    JsonObject object(JsonNode(document.json(), context));
    object.ignore("$schema");
    object.ignore("comment");
    require_kind(object, "cost");
    object.required("title", scenario.title);
    read_references(object, "models", scenario.models);
    read_references(object, "chips", scenario.chips);
    if (const auto contexts = object.required("context_tokens")) {
      for (const JsonNode& element : contexts->elements()) {
        element.read(scenario.contexts.emplace_back(), between(1, 1e9));
      }
      if (contexts->is_array() && scenario.contexts.empty()) {
        contexts->expected("at least one context length in tokens");
      }
    }
  }
  diagnostics.throw_if_errors();
  return scenario;
}

}  // namespace ridge::scenario
