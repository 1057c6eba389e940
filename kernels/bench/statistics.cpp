#include "bench/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace ridge::kernels::bench {

double quantile(std::vector<double> sample, double fraction) {
  if (sample.empty() || !(fraction >= 0 && fraction <= 1)) {
    throw std::invalid_argument("a quantile needs a sample and a fraction in [0, 1]");
  }
  std::sort(sample.begin(), sample.end());
  const double position = fraction * static_cast<double>(sample.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(position));
  const std::size_t above = std::min(below + 1, sample.size() - 1);
  return sample[below] + (position - static_cast<double>(below)) * (sample[above] - sample[below]);
}

Timing summarize(const std::vector<double>& sample_us) {
  return {.median_us = quantile(sample_us, 0.5),
          .p10_us = quantile(sample_us, 0.1),
          .p90_us = quantile(sample_us, 0.9),
          .samples = static_cast<int>(sample_us.size()),
          .clocks = {}};
}

}  // namespace ridge::kernels::bench
