#include "ridge/sweep/sweep_picture.hpp"

#include "ridge/base/error.hpp"
#include "ridge/sweep/sweep_designs.hpp"

#include <optional>

#include <fmt/format.h>

namespace ridge::sweep {

void check_picture(const SweepScenario& scenario) {
  const auto& objectives = scenario.pareto.objectives;
  if (objectives.size() < 2) {
    throw UserError(fmt::format(
        "{}: /pareto: a picture needs two objectives, one for each direction, and found {}: add "
        "for instance \"pareto\": {{\"minimize\": [\"{}\"], \"maximize\": [...]}}",
        scenario.document.name(), objectives.size(), scenario.column(0).name));
  }
}

std::string sweep_picture(const SweepResult& result, const std::string& color_by) {
  const view::Designs designs =
      designs_of(result, {.objectives_only = true, .and_column = color_by});
  std::optional<std::size_t> column;
  if (!color_by.empty()) column = designs.column_named(color_by, "--color");
  return view::plot_of(designs, column).svg();
}

}  // namespace ridge::sweep
