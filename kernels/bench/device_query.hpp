#pragma once

#include "bench/family.hpp"
#include "bench/measurement.hpp"

#include <optional>
#include <string>

namespace ridge::kernels::bench {

/// Why there is nothing to run on, in a sentence, or nothing if device 0 is a Hopper GPU.
std::optional<std::string> why_no_device();

DeviceFacts query_facts();
/// Facts of an H100 SXM5 80 GB, for --explain and --list where there is no GPU.
DeviceFacts assumed_facts();

DeviceDescription describe_device();
std::string driver_version();
std::string cuda_runtime_version();
std::string cublaslt_version();
std::string compiler_version();

/// Present clocks, through NVML where the driver offers it.
std::optional<Clocks> read_clocks();

}  // namespace ridge::kernels::bench
