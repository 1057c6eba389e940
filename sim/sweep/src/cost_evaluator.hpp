// Questions of kind "cost": what one decoded token of a model asks for and costs.
#pragma once

#include "ridge/sweep/evaluator.hpp"

namespace ridge::sweep {

[[nodiscard]] const EvaluatorKind& cost_evaluator();

}  // namespace ridge::sweep
