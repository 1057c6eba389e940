// What a calibration holds: its curves, their kernels, and how wrong they are.
#pragma once

#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/view/output_format.hpp"

#include <string>

namespace ridge::answer {

// As JSON, the calibration's own file.
[[nodiscard]] std::string calibration_card(const hw::calibrated::Calibration& calibration,
                                           view::OutputFormat format);

}  // namespace ridge::answer
