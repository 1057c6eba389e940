// Questions of kind "simulate": what a deployment delivers when it runs.
#pragma once

#include "ridge/sweep/evaluator.hpp"

namespace ridge::sweep {

[[nodiscard]] const EvaluatorKind& simulation_evaluator();

}  // namespace ridge::sweep
