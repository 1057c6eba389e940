// Goals of models of few layers, whose whole space of deployments can be tried.
#pragma once

#include "ridge/plan/plan.hpp"

#include <string>

namespace ridge::plan::test {

// 16 experts, of which a token chooses 2.
[[nodiscard]] std::string small_moe_text(std::int64_t moe_layers);
[[nodiscard]] models::ModelSpec small_moe(std::int64_t moe_layers);

// Of this model on chips by name, with calibrated kernels; memory for few requests.
[[nodiscard]] LocatedGoal small_goal(models::ModelSpec model, const std::vector<std::string>& chips,
                                     std::int64_t gpus, double sla_ms);

// With a library of its own.
[[nodiscard]] Plan plan_of(const LocatedGoal& goal, const PlanOptions& options);

}  // namespace ridge::plan::test
