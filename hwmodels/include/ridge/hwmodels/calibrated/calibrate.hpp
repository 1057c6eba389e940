// The whole of a calibration: every series of a measurement set fitted, on all cores.
#pragma once

#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/hwmodels/calibrated/fit.hpp"

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace ridge::hw::calibrated {

struct CalibrateOptions {
  std::string name;
  std::string source{};                  // of the measurements, in words
  std::vector<std::string> preferred{};  // kernels to use first
  // A calibration of this chip or, transferred, of another of its generation: where the fits
  // expect their parameters, and what fills the slots without measurements.
  const Calibration* base = nullptr;
  int threads = 0;  // 0: as many as the machine has
  FitOptions fit{};
  std::function<void()> progress{};  // after each curve, from any thread
};

struct CalibrateResult {
  Calibration calibration;
  std::vector<std::pair<CurveKey, std::vector<HeldOutPoint>>> held_out;  // the residuals, for plots
  std::vector<std::string> refused;  // series that could not be fitted, and why
  std::vector<std::string> notes;    // what a user should know of the curves before using them
};

// Throws UserError where the measurements name another device than this chip.
void check_device(const MeasurementSet& set, const ChipSpec& chip);

// The calibration of this name or at this path as a base for one of `chip`: transferred, where it
// is of another chip. Throws UserError.
[[nodiscard]] Calibration base_for(const std::string& name_or_path, const ChipSpec& chip);

// The same result on any number of threads. Throws UserError where nothing could be fitted, with
// all reasons.
[[nodiscard]] CalibrateResult calibrate(const MeasurementSet& set, const ChipSpec& chip,
                                        const CalibrateOptions& options);

}  // namespace ridge::hw::calibrated
