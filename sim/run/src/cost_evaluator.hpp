// Questions of kind "cost": what one decoded token of a model asks for and costs.
#pragma once

#include "ridge/run/evaluator.hpp"

namespace ridge::run {

[[nodiscard]] const EvaluatorKind& cost_evaluator();

}  // namespace ridge::run
