#pragma once

#include "bench/options.hpp"
#include "bench/platform.hpp"

#include <string>

namespace ridge::kernels::bench {

enum ExitStatus { kDone = 0, kFailed = 1, kUsage = 2, kNoDevice = 3, kStopped = 4 };

/// Checks and measures, each task of the plan in a worker process; this process never touches the
/// device. What is measured is in the journal at once and in the output after every task.
ExitStatus supervise(const Platform& platform, const Options& options, const std::string& command);

}  // namespace ridge::kernels::bench
