// A deployment question as a JSON file (docs/schema/simulate-scenario.schema.json).
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/decode/simulation.hpp"
#include "ridge/scenario/kernel_choice.hpp"

#include <optional>
#include <string>

namespace ridge::scenario {

struct SimulationScenario {
  std::string name;  // of the file
  std::string title;
  decode::SimulationInput input;
  std::optional<Seconds> sla_tpot;
  std::vector<std::string> warnings;
};

// Reads a scenario. Models and chips are names, paths or objects. Problems go to the node's
// diagnostics; a calibration that cannot serve a chip throws UserError.
void read_simulation(const JsonNode& node, SimulationScenario& out,
                     std::optional<CalibrationDraw> draw = {});
// The same, but a deployment that reads well and that its strategy cannot run is left for the
// simulation to refuse: of many deployments, some may be impossible.
void read_possible_simulation(const JsonNode& node, SimulationScenario& out,
                              std::optional<CalibrationDraw> draw = {});

// The shipped scenario of this name, or the file at this path. Throws UserError.
[[nodiscard]] SimulationScenario load_simulation(const std::string& name_or_path,
                                                 std::optional<CalibrationDraw> draw = {});

}  // namespace ridge::scenario
