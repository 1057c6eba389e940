// How the latencies of requests that arrive are spread.
#pragma once

#include "ridge/answer/simulation_report.hpp"
#include "ridge/view/scatter_plot.hpp"

#include <string>
#include <vector>

namespace ridge::answer {

// A cumulative distribution each, with what the SLA asks for: TPOT token by token and by request,
// queueing, time in the system, as far as there are any. None before a request has finished.
[[nodiscard]] std::vector<view::ScatterPlot> latency_plots(const SimulationReport& report);

// All of them as one SVG document.
[[nodiscard]] std::string latency_picture(const SimulationReport& report);

}  // namespace ridge::answer
