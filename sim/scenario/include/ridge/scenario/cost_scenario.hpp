// A cost question as a JSON file (docs/keys/cost-scenario.md).
#pragma once

#include <string>
#include <vector>

namespace ridge {
class KeyTable;
}

namespace ridge::scenario {

// Names or paths; a path counts from the folder of the file it stands in.
struct CostScenario {
  std::string title;
  std::vector<std::string> models;
  std::vector<std::string> chips;
  std::vector<double> contexts;  // tokens
};

[[nodiscard]] const KeyTable& keys_of(const CostScenario*);

// The shipped scenario of this name, or the file at this path. Throws UserError.
[[nodiscard]] CostScenario load_cost_scenario(const std::string& name_or_path);

// The scenario that `ridge cost` answers when it is asked nothing else; help takes its examples
// from it.
inline constexpr const char* kDefaultCostScenario = "cost-comparison";

}  // namespace ridge::scenario
