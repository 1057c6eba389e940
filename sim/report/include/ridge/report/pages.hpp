// One page for each kind of answer. Each is a whole HTML document.
#pragma once

#include "ridge/answer/cost_report.hpp"
#include "ridge/answer/simulation_report.hpp"
#include "ridge/evidence/kernels.hpp"
#include "ridge/evidence/ledger.hpp"
#include "ridge/evidence/reproduction.hpp"
#include "ridge/hwmodels/calibrated/calibrate.hpp"
#include "ridge/plan/plan.hpp"
#include "ridge/report/question.hpp"
#include "ridge/sweep/sweep.hpp"
#include "ridge/view/designs.hpp"
#include "ridge/view/scatter_plot.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::report {

// A deployment, and another that it is compared with unless `other` is null. `input` is what was
// simulated.
[[nodiscard]] std::string simulation_page(const answer::SimulationReport& report,
                                          const decode::SimulationInput& input,
                                          const answer::SimulationReport* other,
                                          const view::PageQuestion& question, const Asked& asked);

// Designs side by side, of a sweep or a plan: `words` say how many there were and what became of
// them.
[[nodiscard]] std::string designs_page(const view::Designs& designs,
                                       const std::vector<std::string>& words,
                                       const std::vector<std::string>& warnings,
                                       const view::PageQuestion& question, const Asked& asked);
// Of many rows as many as a browser moves at once, all of the front among them. Throws UserError
// where there are fewer than two objectives.
[[nodiscard]] std::string sweep_page(const sweep::SweepResult& result,
                                     const view::PageQuestion& question, const Asked& asked);
[[nodiscard]] std::string plan_page(const plan::Plan& plan, const view::PageQuestion& question,
                                    const Asked& asked);

[[nodiscard]] std::string cost_page(const answer::CostReport& report, const std::string& title,
                                    const view::PageQuestion& question, const Asked& asked);

[[nodiscard]] std::string calibration_page(const hw::calibrated::CalibrateResult& result,
                                           const Asked& asked);
// Predicted over measured against the measured time: a dot for each held-out prediction, guides at
// 0, 10, 25 and 50 % either way; dots farther off sit on the edge.
[[nodiscard]] view::ScatterPlot residual_plot(std::string_view title,
                                              std::span<const hw::calibrated::HeldOutPoint> points);

[[nodiscard]] std::string reproduction_page(const evidence::Reproduction& reproduction,
                                            const Asked& asked);
[[nodiscard]] std::string ledger_page(const evidence::Ledger& ledger, const Asked& asked);
[[nodiscard]] std::string kernels_page(const evidence::KernelLedger& ledger, const Asked& asked);

}  // namespace ridge::report
