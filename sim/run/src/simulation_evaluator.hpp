// Questions of kind "simulate": what a deployment delivers when it runs.
#pragma once

#include "ridge/run/evaluator.hpp"

namespace ridge::run {

[[nodiscard]] const EvaluatorKind& simulation_evaluator();

}  // namespace ridge::run
