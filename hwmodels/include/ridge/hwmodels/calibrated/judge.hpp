// A calibration beside measurements that it was not made from: how far off, kernel by kernel.
#pragma once

#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/hwmodels/calibrated/measurement.hpp"
#include "ridge/hwmodels/calibrated/transfer_errors.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ridge::hw::calibrated {

struct Judgment {
  CurveKey key;           // of the measurements
  bool answered = false;  // otherwise there is no curve, and only `measurements` is known
  // The kernel whose curve answers, which may have no name; "several".
  std::string answered_by;
  std::int64_t measurements = 0;
  std::int64_t outside = 0;  // of them, outside the ranges of what answered
  // Of |predicted / measured - 1|, and the median of predicted / measured - 1.
  double p50 = 0;
  double p90 = 0;
  double worst = 0;
  double bias = 0;
  // Share of the measurements within 1.645 of the curve's stated standard errors, and of what is
  // stated beside them where another kernel answers than was measured (transfer_errors.hpp).
  double coverage_90 = 0;
  // What the curve's own error would need beside it, as a transfer adds (transfer_error()), for
  // nine of ten of those inside the ranges to be; nothing where none is inside.
  std::optional<double> needed_error;
};

// One for each series of `set`, in its order. Where the calibration has a curve of the very kernel
// that was measured it answers, else whichever would answer a user.
[[nodiscard]] std::vector<Judgment> judge(const MeasurementSet& set,
                                          const Calibration& calibration);

// What curves of a calibration need beside their own errors, over all measurements inside their
// ranges: by family, those of the very kernels that were measured; or by family and format, those
// of other kernels. None for what nothing answers for.
[[nodiscard]] std::vector<NeededError> needed_errors(const MeasurementSet& set,
                                                     const Calibration& calibration,
                                                     bool by_another_kernel);

}  // namespace ridge::hw::calibrated
