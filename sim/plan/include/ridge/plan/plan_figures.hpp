// What a plan comes to: figures of its best deployment, or why there is none.
#pragma once

#include "ridge/plan/plan.hpp"
#include "ridge/view/figure.hpp"

#include <span>
#include <string>

namespace ridge::plan {

using PlanFigure = view::Figure<Plan>;

// In the order in which they are shown. Unknown, all but what the goal says itself, where nothing
// meets it; a label that is unknown is empty.
[[nodiscard]] std::span<const PlanFigure> plan_figures();

// Whether a figure compares strategies, and so wants the best of each in the ranking
// (PlanOptions::each_strategy).
[[nodiscard]] bool compares_strategies(const PlanFigure& figure);

// The first of the ranking where it meets the goal; null where nothing does.
[[nodiscard]] const Ranked* best_of(const Plan& plan);

// Why nothing meets the goal: what comes nearest, or what makes it impossible. Empty where
// something does.
[[nodiscard]] std::string why_nothing(const Plan& plan);

}  // namespace ridge::plan
