// A deployment question resolved: its files read, its names found, its kernels chosen.
#pragma once

#include "ridge/base/error.hpp"
#include "ridge/decode/simulation.hpp"
#include "ridge/scenario/kernel_choice.hpp"
#include "ridge/scenario/library.hpp"
#include "ridge/scenario/scenario.hpp"

#include <optional>
#include <string>
#include <vector>

namespace ridge::scenario {

// A scenario and where it stands: its mistakes are told there, and paths count from its folder.
struct LocatedScenario {
  std::string file;
  std::string pointer;  // into the file
  Scenario scenario;
};

struct SimulationScenario {
  std::string name;  // of the file
  std::string title;
  decode::SimulationInput input;
  Sla sla;
  std::vector<std::string> warnings;
};

// The shipped scenario of this name, or the file at this path, as it is written. Throws UserError.
[[nodiscard]] LocatedScenario read_scenario(const std::string& name_or_path);
[[nodiscard]] LocatedScenario read_scenario(const JsonDocument& document);

// What the scenario asks for. Every problem goes to the diagnostics. A deployment that reads well
// and that its strategy cannot run is left for the simulation to refuse: of many deployments, some
// may be impossible.
[[nodiscard]] SimulationScenario resolve(const LocatedScenario& located, Library& library,
                                         Diagnostics& diagnostics,
                                         std::optional<CalibrationDraw> draw = {});
// The same for one that shall run. Throws UserError with all problems.
[[nodiscard]] SimulationScenario resolve(const LocatedScenario& located, Library& library,
                                         std::optional<CalibrationDraw> draw = {});

// A mistake at a place of the scenario.
[[nodiscard]] UserError mistake_in(const LocatedScenario& located, const std::string& pointer,
                                   const std::string& message);
// What only the run of a scenario found (decode::kScenario), told where the scenario stands.
[[nodiscard]] UserError told_where_it_stands(const LocatedScenario& located,
                                             const UserError& error);

// Reads and resolves. Throws UserError.
[[nodiscard]] SimulationScenario load_simulation(const std::string& name_or_path, Library& library);
[[nodiscard]] SimulationScenario load_simulation(const std::string& name_or_path);

}  // namespace ridge::scenario
