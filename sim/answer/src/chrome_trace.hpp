// A run as Chrome trace JSON, which Perfetto (ui.perfetto.dev) and chrome://tracing open.
#pragma once

#include "ridge/answer/simulation_report.hpp"

#include <string>

namespace ridge::answer {

// One process per instance; its kernels and collectives as threads; each task a slice that begins
// with its micro-batch's name and is colored by it, each message an asynchronous event of its
// sender, and each micro-batch a flow through the slices it passes. Tokens and bytes are those of
// the mean batch. The stages of the first instance of each pool hold their operators. Counters:
// messages on their way, and where requests arrive, those in decode and waiting. Times are
// microseconds from the start of the measurement. `otherData` repeats the report's key figures.
[[nodiscard]] std::string chrome_trace(const decode::StepGraph& graph,
                                       const decode::SimulationInput& input,
                                       const SimulationReport& report);

}  // namespace ridge::answer
