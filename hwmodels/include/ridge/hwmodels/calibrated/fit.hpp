// From a series of measurements to a curve with its error.
#pragma once

#include "ridge/hwmodels/calibrated/curve.hpp"
#include "ridge/hwmodels/calibrated/measurement.hpp"

#include <functional>
#include <string>
#include <vector>

namespace ridge::hw::calibrated {

struct FitOptions {
  std::uint64_t seed = 1;
  int folds = 5;
  // Rows looked at while trying choices, and while fitting. The held-out error is always taken over
  // all rows.
  std::size_t search_rows = 400;
  std::size_t fit_rows = 2000;
  // Rows that the residual learns from, and whether it may.
  std::size_t residual_rows = 20000;
  bool learn_residual = true;
  // Where the parameters are expected before looking, the middle of the form's ranges unless given:
  // a curve of the same form. What the measurements do not determine stays near it.
  const Curve* prior = nullptr;
  // What was measured, by which facts of kernels may differ; any where empty.
  std::string chip{};
};

// Predicted against measured, every row predicted by the fold that had not seen its group.
struct HeldOutPoint {
  double measured_us;
  double predicted_us;
};

struct FitResult {
  Curve curve;
  std::vector<HeldOutPoint> points;
};

// Why this series cannot be calibrated, in words; empty if it can.
[[nodiscard]] std::string refusal(const CurveKey& key, const Series& series);

// Deterministic in the series and options. Throws UserError with refusal().
[[nodiscard]] FitResult fit(const CurveKey& key, const Series& series, const Machine& machine,
                            const MeasurementSet& set, const FitOptions& options = {});

}  // namespace ridge::hw::calibrated
