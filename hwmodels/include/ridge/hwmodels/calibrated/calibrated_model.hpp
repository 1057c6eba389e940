// The kernel model that answers from a calibration.
#pragma once

#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/hwmodels/kernel_model.hpp"

#include <memory>
#include <string>
#include <vector>

namespace ridge::hw {

// Of an answer without any curve, stated and not measured: what it assumes of either roof, and its
// relative standard error.
inline constexpr double kRooflineEfficiency = 0.7;
inline constexpr double kErrorOfRoofline = 0.50;

// Times operators by the calibration's curves. If the calibration was made on another chip of the
// same generation it is transferred first. Throws UserError where neither holds.
//
// An operator without a curve of its own takes the nearest one of its kind of kernel (the next
// larger head size, another number format), never one of another kind; else the roofline at a
// stated efficiency behind a launch. Both widen the error and count as outside the range.
[[nodiscard]] std::unique_ptr<KernelModel> calibrated_model(
    ChipSpec chip, const calibrated::Calibration& calibration);

// One sentence for every operator that the model answered outside its range, none twice: what was
// asked, and the error that stands beside the answer; and its advice.
[[nodiscard]] std::vector<std::string> range_warnings(const KernelModel& model,
                                                      const models::Operator* begin,
                                                      const models::Operator* end);

}  // namespace ridge::hw
