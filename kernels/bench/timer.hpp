#pragma once

#include "bench/family.hpp"
#include "bench/statistics.hpp"

namespace ridge::kernels::bench {

/// Replays `workload` as a CUDA graph, one pass over its input sets (or several, if a pass is
/// short) per replay, and times replays between events. A sample is a replay's time over its
/// launches, so it includes the gap between consecutive graph nodes, as a decoding step's layers
/// pay it. Throws CudaError if a launch fails.
Timing measure(Workload& workload, Extent extent);

}  // namespace ridge::kernels::bench
