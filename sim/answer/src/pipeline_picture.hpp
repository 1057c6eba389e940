// A few layers of a run, drawn: who computes, who sends, who waits.
#pragma once

#include "ridge/answer/simulation_report.hpp"

#include <string>

namespace ridge::answer {

// An SVG document of the first replica: for the first instance of each pool a row of kernels, of
// in-node collectives and of messages, through `kPictureLayers` layers in the middle of a step.
// Colors tell micro-batches; a bar tells its stage, layer and length when the pointer rests on it.
// The report must hold a trace.
[[nodiscard]] std::string pipeline_picture(const decode::StepGraph& graph,
                                           const decode::Deployment& deployment,
                                           const SimulationReport& report);
inline constexpr int kPictureLayers = 4;

}  // namespace ridge::answer
