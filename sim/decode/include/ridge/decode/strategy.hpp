// Deployment strategies: each compiles a deployment to a step graph. The simulation knows none of
// them. Adding one: one file under src/strategies/, one line in the table of src/strategy.cpp.
#pragma once

#include "ridge/decode/deployment.hpp"
#include "ridge/decode/step_graph.hpp"

#include <string>
#include <vector>

namespace ridge::decode {

[[nodiscard]] std::vector<std::string> strategy_names();

// What makes this deployment impossible for its strategy (counts that do not divide, pools that it
// does not have), in words; empty if nothing does.
[[nodiscard]] std::vector<std::string> deployment_problems(const Deployment& deployment);

// `layers_differ`: give every layer FFN work of its own (expert skew). The deployment must have no
// problems.
[[nodiscard]] StepGraph compile(const Deployment& deployment, bool layers_differ);

}  // namespace ridge::decode
