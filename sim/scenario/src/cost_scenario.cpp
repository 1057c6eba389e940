#include "ridge/scenario/cost_scenario.hpp"

#include "ridge/base/keys.hpp"
#include "ridge/scenario/scenario_files.hpp"

#include <fmt/format.h>

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
                              "Names (ridge list models), paths, which count from this file's "
                              "folder, or the models themselves.",
                              keys::AtLeastOne{"at least one name"}),
              key<&C::chips>("chips",
                             "Names (ridge list chips), paths, which count from this file's "
                             "folder, or the chips themselves.",
                             keys::AtLeastOne{"at least one name"}),
              key<&C::contexts>("context_tokens", "Cached tokens per request; 8K is 8192.",
                                keys::AtLeastOne{"at least one context length in tokens"},
                                between(1, 1e9)),
          })
          .file("cost scenario");
  return table;
}

CostScenario read_cost_scenario(const JsonDocument& document) {
  auto scenario = read_document<CostScenario>(document);
  scenario.file = document.name();
  return scenario;
}

CostScenario load_cost_scenario(const std::string& name_or_path) {
  return read_cost_scenario(JsonDocument::read(scenario_path(name_or_path)));
}

namespace {

template <typename Spec>
std::vector<Spec> found(const CostScenario& scenario, std::string_view key,
                        const std::vector<Reference<Spec>>& references,
                        Spec (*load)(const std::string&), Diagnostics& diagnostics) {
  std::vector<Spec> out;
  for (std::size_t i = 0; i < references.size(); ++i) {
    if (references[i].spec) {
      out.push_back(*references[i].spec);
      continue;
    }
    try {
      out.push_back(load(reference_from(scenario.file, references[i].name)));
    } catch (const UserError& e) {
      diagnostics.error(scenario.file, fmt::format("/{}/{}", key, i), e.what());
    }
  }
  return out;
}

}  // namespace

std::vector<models::ModelSpec> models_of(const CostScenario& scenario, Diagnostics& diagnostics) {
  return found(scenario, "models", scenario.models, models::load_model, diagnostics);
}
std::vector<hw::ChipSpec> chips_of(const CostScenario& scenario, Diagnostics& diagnostics) {
  return found(scenario, "chips", scenario.chips, hw::load_chip, diagnostics);
}

}  // namespace ridge::scenario
