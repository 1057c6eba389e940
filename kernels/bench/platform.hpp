#pragma once

#include "bench/family.hpp"
#include "bench/measurement.hpp"
#include "bench/statistics.hpp"

#include <optional>
#include <string>
#include <vector>

namespace ridge::kernels::bench {

/// What a run needs of the machine it runs on: the real one (main.host.cu), the emulated device,
/// or, in the tests of the harness, one that fails in every way.
struct Platform {
  const std::vector<Family>& families;
  /// Why there is nothing to run on, in a sentence, or nothing.
  std::optional<std::string> (*why_no_device)();
  DeviceFacts (*query_facts)();
  /// Device and versions; the command, the date and the outcome are the run's.
  Header (*describe)();
  /// Times a prepared point, with the clocks while it ran.
  Timing (*measure)(Workload& workload, Extent extent);
  /// Whether the device still answers after an error: an error within a kernel makes every later
  /// call of its process fail.
  bool (*usable)();
};

/// The program: reads the command line, runs, and returns the exit status.
int run(const Platform& platform, const std::vector<std::string>& arguments);

}  // namespace ridge::kernels::bench
