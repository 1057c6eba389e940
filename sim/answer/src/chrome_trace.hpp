// A run as Chrome trace JSON, which Perfetto (ui.perfetto.dev) and chrome://tracing open.
#pragma once

#include "ridge/answer/simulation_report.hpp"

#include <string>

namespace ridge::answer {

// One process per instance; its kernels and collectives as threads; each task a slice that begins
// with its micro-batch's name and is colored by it, each message an asynchronous event of its
// sender, and each micro-batch a flow through the slices it passes. Tokens and bytes are those of
// the mean batch, but the bytes of a message its own. The stages of the first instance of each pool
// hold their operators. Counters of an instance: messages on their way, bytes per second that leave
// by its NICs, collectives that keep its links; of the whole deployment: requests in decode, KV set
// aside and filled, and where requests arrive, those waiting. Times are microseconds from the start
// of the measurement. `otherData` repeats the report's key figures.
[[nodiscard]] std::string chrome_trace(const decode::StepGraph& graph,
                                       const decode::SimulationInput& input,
                                       const SimulationReport& report);

}  // namespace ridge::answer
