#pragma once

#include <vector>

namespace ridge::kernels::bench {

/// The `fraction` quantile (0..1) with linear interpolation between order statistics (type 7 of
/// Hyndman and Fan 1996). Throws std::invalid_argument on an empty sample.
double quantile(std::vector<double> sample, double fraction);

struct Clocks {
  int sm_MHz = 0;
  int memory_MHz = 0;
};

/// Time of one launch, over repeated samples.
struct Timing {
  double median_us = 0;
  double p10_us = 0;
  double p90_us = 0;
  int samples = 0;
  /// Read while the device worked on the samples; 0 where the driver does not tell.
  Clocks clocks;
};

Timing summarize(const std::vector<double>& sample_us);

}  // namespace ridge::kernels::bench
