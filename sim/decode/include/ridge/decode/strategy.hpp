// Deployment strategies: each compiles a deployment to a step graph. The simulation knows none of
// them. Adding one: one file under src/strategies/, one line in the table of src/strategy.cpp.
#pragma once

#include "ridge/decode/deployment.hpp"
#include "ridge/decode/expert_load.hpp"
#include "ridge/decode/step_graph.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace ridge::decode {

[[nodiscard]] std::vector<std::string> strategy_names();

// What makes this deployment impossible for its strategy (counts that do not divide, pools that it
// does not have), in words; empty if nothing does.
[[nodiscard]] std::vector<std::string> deployment_problems(const Deployment& deployment);

// How many layers of a deployment differ in who gets which expert's rows. Where experts are alike,
// so are layers but for the draw of their rows, and a few draws stand for all; where some are
// popular, which ones differs from layer to layer.
[[nodiscard]] std::uint32_t drawn_layers(const Deployment& deployment,
                                         const ExpertPopularity& experts);

// `drawn_layers`: how many layers differ in who gets which expert's rows; the others repeat them.
// The deployment must have no problems.
[[nodiscard]] StepGraph compile(const Deployment& deployment, std::uint32_t drawn_layers);

}  // namespace ridge::decode
