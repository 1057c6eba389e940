#pragma once

#include "bench/family.hpp"
#include "bench/measurement.hpp"

#include <optional>
#include <string>

namespace ridge::kernels::bench {

/// Why there is nothing to run on, in a sentence, or nothing if device 0 can be used.
std::optional<std::string> why_no_device();

DeviceFacts query_facts();
/// Device and versions of the header; the rest is left empty.
Header describe();

/// Whether device 0 still does what this process asks.
bool usable();

/// Present clocks, through NVML where the driver offers it.
std::optional<Clocks> read_clocks();

}  // namespace ridge::kernels::bench
