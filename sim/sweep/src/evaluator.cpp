#include "ridge/sweep/evaluator.hpp"

#include "cost_evaluator.hpp"
#include "plan_evaluator.hpp"
#include "simulation_evaluator.hpp"

#include <algorithm>
#include <array>

namespace ridge::sweep {

double LabelTable::intern(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find(names_.begin(), names_.end(), name);
  const auto number = found - names_.begin();
  if (found == names_.end()) names_.emplace_back(name);
  return static_cast<double>(number);
}

std::vector<std::string> LabelTable::names() const {
  const std::lock_guard lock(mutex_);
  return names_;
}

std::span<const EvaluatorKind* const> evaluator_kinds() {
  static const std::array kKinds = {&cost_evaluator(), &simulation_evaluator(), &plan_evaluator()};
  return kKinds;
}

}  // namespace ridge::sweep
