// A sweep that takes a moment: long enough to be stopped in the middle.
#pragma once

#include <cstddef>

namespace ridge::test {

// Forty deployments, some milliseconds each: first come, first served, since a fixed order takes
// long to find.
inline constexpr const char* kSmallSweep = R"({
  "kind": "sweep", "title": "t", "base": {"kind": "simulate", "scenario": "step3-2a2f-4k-fp8"},
  "axes": [
    {"pointer": "/scenario/workload/requests_per_gpu", "from": 12, "to": 120, "step": 12},
    {"pointer": "/scenario/deployment/micro_batches", "values": [1, 2, 3, 4]},
    {"pointer": "/scenario/deployment/schedule", "values": ["fifo"]},
    {"pointer": "/scenario/measurement/steps", "values": [4]}],
  "pareto": {"minimize": ["tpot_ms"], "maximize": ["tokens_per_s_per_gpu"]}})";
inline constexpr std::size_t kSmallSweepPoints = 40;

}  // namespace ridge::test
