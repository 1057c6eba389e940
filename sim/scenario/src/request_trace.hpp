// Recorded request traces in the formats that users have.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/decode/workload.hpp"

#include <vector>

namespace ridge::scenario {

// Reads the trace that a workload object names: "file", and optionally "rate_scale" (arrivals that
// many times as fast), "max_requests". The format is told by the content: Azure's CSV (TIMESTAMP,
// ContextTokens, GeneratedTokens) or Mooncake's JSON lines (timestamp in ms, input_length,
// output_length).
void read_trace(JsonObject& workload, std::vector<decode::TraceRequest>& out);

}  // namespace ridge::scenario
