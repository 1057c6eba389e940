#pragma once

#include "bench/family.hpp"
#include "bench/statistics.hpp"

#include <map>
#include <string>

namespace ridge::kernels::bench {

/// What was measured so far in a run, for the lines that later points are reported in: shares of
/// the machine's ceilings, and ratios to other kernels on the same shape.
class Comparison {
 public:
  explicit Comparison(const DeviceFacts& device) : device_(device) {}

  void note(std::string_view family, const Point& point, const Timing& timing);
  /// "  51 us  2.65 TB/s  170 TFLOP/s  85% of read bandwidth  ..."
  std::string line(std::string_view family, const Point& point, const Timing& timing) const;

  /// The best rate at which device memory was read: of buffers that the L2 cannot hold.
  double read_TBps() const { return read_TBps_; }

 private:
  DeviceFacts device_;
  double read_TBps_ = 0;
  std::map<std::string, double> matrix_TFLOPs_;                     ///< By number format.
  std::map<std::string, std::map<std::string, double>> others_us_;  ///< By shape and kernel.
};

}  // namespace ridge::kernels::bench
