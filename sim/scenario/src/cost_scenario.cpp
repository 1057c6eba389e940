#include "ridge/scenario/cost_scenario.hpp"

#include "ridge/base/keys.hpp"
#include "ridge/scenario/scenario_files.hpp"

namespace ridge::scenario {

const KeyTable& keys_of(const CostScenario* /*of*/) {
  using C = CostScenario;
  static const KeyTable table =
      key_table<C>(
          "", "What ridge cost compares: models on chips at lengths of context.",
          {
              key_of_all<C>("kind", "", keys::constant("cost", "a scenario of kind \"cost\"")),
              key<&C::title>("title", "The question in a line."),
              key<&C::models>("models",
                              "Names (ridge list models) or paths, which count from this file's "
                              "folder.",
                              keys::AtLeastOne{"at least one name"}),
              key<&C::chips>("chips",
                             "Names (ridge list chips) or paths, which count from this file's "
                             "folder.",
                             keys::AtLeastOne{"at least one name"}),
              key<&C::contexts>("context_tokens", "Cached tokens per request; 8K is 8192.",
                                keys::AtLeastOne{"at least one context length in tokens"},
                                between(1, 1e9)),
          })
          .file("cost scenario");
  return table;
}

CostScenario load_cost_scenario(const std::string& name_or_path) {
  const JsonDocument document = JsonDocument::read(scenario_path(name_or_path));
  Diagnostics diagnostics;
  const JsonContext context{.file = document.name(), .diagnostics = &diagnostics};
  CostScenario scenario;
  read_keys(JsonNode(document.json(), context), scenario);
  diagnostics.throw_if_errors();
  for (auto* references : {&scenario.models, &scenario.chips}) {
    for (std::string& reference : *references) {
      reference = reference_from(document.name(), reference);
    }
  }
  return scenario;
}

}  // namespace ridge::scenario
