// What a calibration holds: its curves, their kernels, and how wrong they are.
#pragma once

#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/view/output_format.hpp"

#include <string>

namespace ridge::answer {

// As JSON, the calibration's own file.
[[nodiscard]] std::string calibration_card(const hw::calibrated::Calibration& calibration,
                                           view::OutputFormat format);

// A line per curve, its held-out error beside what it was measured on.
[[nodiscard]] std::string calibration_ledger(const hw::calibrated::Calibration& calibration);

}  // namespace ridge::answer
