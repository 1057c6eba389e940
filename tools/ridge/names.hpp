// Models and chips by the names given on the command line.
#pragma once

#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/models/model_spec.hpp"
#include "ridge/scenario/cost_scenario.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace ridge::tools {

// Each name or path in turn. Throws UserError with every problem of every one; where a name is not
// known, the problem begins with `option` ("--chip").
[[nodiscard]] std::vector<models::ModelSpec> load_models(const std::vector<std::string>& names,
                                                         std::string_view option);
[[nodiscard]] std::vector<hw::ChipSpec> load_chips(const std::vector<std::string>& names,
                                                   std::string_view option);

// Those listed after --model or --chip, separated by commas; where nothing is, those of the
// scenario.
[[nodiscard]] std::vector<models::ModelSpec> models_or(const std::string& listed,
                                                       const scenario::CostScenario& scenario);
[[nodiscard]] std::vector<hw::ChipSpec> chips_or(const std::string& listed,
                                                 const scenario::CostScenario& scenario);

}  // namespace ridge::tools
