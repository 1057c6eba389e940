// Questions of kind "plan": what the best deployment for a goal is.
#pragma once

#include "ridge/sweep/evaluator.hpp"

namespace ridge::sweep {

[[nodiscard]] const EvaluatorKind& plan_evaluator();

}  // namespace ridge::sweep
