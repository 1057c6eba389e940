// A cost question as a JSON file (docs/keys/cost-scenario.md).
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/scenario/reference.hpp"

#include <string>
#include <vector>

namespace ridge {
class KeyTable;
}

namespace ridge::scenario {

struct CostScenario {
  std::string file;  // where it stands: paths count from its folder
  std::string title;
  std::vector<ModelReference> models;
  std::vector<ChipReference> chips;
  std::vector<double> contexts;  // tokens
};

[[nodiscard]] const KeyTable& keys_of(const CostScenario*);

// Throws UserError with every problem.
[[nodiscard]] CostScenario read_cost_scenario(const JsonDocument& document);
// The shipped scenario of this name, or the file at this path. Throws UserError.
[[nodiscard]] CostScenario load_cost_scenario(const std::string& name_or_path);

// Its models and its chips, as far as they are found; every problem goes to the diagnostics.
[[nodiscard]] std::vector<models::ModelSpec> models_of(const CostScenario& scenario,
                                                       Diagnostics& diagnostics);
[[nodiscard]] std::vector<hw::ChipSpec> chips_of(const CostScenario& scenario,
                                                 Diagnostics& diagnostics);

// The scenario that `ridge cost` answers when it is asked nothing else; help takes its examples
// from it.
inline constexpr const char* kDefaultCostScenario = "cost-comparison";

}  // namespace ridge::scenario
