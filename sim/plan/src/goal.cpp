#include "ridge/plan/goal.hpp"

#include "ridge/base/catalog.hpp"
#include "ridge/base/keys.hpp"

namespace ridge::plan {
namespace {

const Catalog& catalog() {
  static const Catalog goals("the name of a goal", "scenarios/plan", "scenarios/plan");
  return goals;
}

}  // namespace

Assumptions::Assumptions() {
  network.transport.source = "theory: the wire's bandwidth and no software";
  scale_up.transport.source = network.transport.source;
}

const std::vector<std::string>& goal_names() {
  return catalog().names();
}

LocatedGoal read_goal(const std::string& name_or_path) {
  const JsonDocument document = JsonDocument::read(catalog().resolve(name_or_path));
  Diagnostics diagnostics;
  const JsonContext context{.file = document.name(), .diagnostics = &diagnostics};
  LocatedGoal located{.file = document.name(), .pointer = {}, .goal = {}};
  read_keys(JsonNode(document.json(), context), located.goal);
  diagnostics.throw_if_errors();
  return located;
}

Objective objective_of(const Goal& goal) {
  if (goal.objective) return *goal.objective;
  if (goal.rate) return Objective::gpus;
  return goal.chips.size() > 1 ? Objective::usd_per_million_tokens
                               : Objective::tokens_per_second_per_gpu;
}

}  // namespace ridge::plan
