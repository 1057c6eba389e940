// A run as Chrome trace JSON, which Perfetto (ui.perfetto.dev) and chrome://tracing open.
#pragma once

#include "ridge/answer/simulation_report.hpp"

#include <string>

namespace ridge::answer {

// One process per instance; its kernels and collectives as threads; each task a slice, each message
// an asynchronous event of its sender, and each micro-batch a flow through the slices it passes.
// Times are microseconds from the start of the measurement. `otherData` repeats the report's key
// figures.
[[nodiscard]] std::string chrome_trace(const decode::StepGraph& graph,
                                       const decode::Deployment& deployment,
                                       const SimulationReport& report);

}  // namespace ridge::answer
