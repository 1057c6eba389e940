// Every figure of a simulated deployment, once: the JSON of `ridge simulate`, its comparisons, the
// columns of sweeps and the quantities of ledgers are these.
#pragma once

#include "ridge/answer/simulation_report.hpp"
#include "ridge/view/figure.hpp"

#include <span>
#include <string_view>

namespace ridge::answer {

using SimulationFigure = view::Figure<SimulationReport>;

// In the order of the JSON.
[[nodiscard]] std::span<const SimulationFigure> simulation_figures();
// Whether a run has it by itself, without others that draw calibrations and seeds again.
[[nodiscard]] bool of_one_run(const SimulationFigure& figure);
[[nodiscard]] const SimulationFigure& simulation_figure(std::string_view name);

}  // namespace ridge::answer
