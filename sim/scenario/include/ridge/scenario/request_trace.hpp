// Recorded request traces in the formats that users have.
#pragma once

#include "ridge/decode/workload.hpp"

#include <string>
#include <vector>

namespace ridge::scenario {

struct Trace;

struct RequestTrace {
  std::vector<decode::TraceRequest> requests;  // by arrival
  std::vector<std::string> notes;              // what was left out, and why
};

// Reads a trace: CSV of Azure, BurstGPT or Vidur, or Mooncake's JSON lines, told by its columns.
// Throws UserError.
[[nodiscard]] RequestTrace read_trace(const std::string& path, const Trace& how);

}  // namespace ridge::scenario
