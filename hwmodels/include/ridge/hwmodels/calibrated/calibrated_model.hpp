// The kernel model that answers from a calibration.
#pragma once

#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/hwmodels/kernel_model.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::hw {

// Times operators by the calibration's curves. If the calibration was made on another chip of the
// same generation it is transferred first. Throws UserError where neither holds.
//
// An operator without a curve of its own takes the nearest one (the next larger head size, another
// number format), else the roofline behind a launch; both widen the error and count as outside the
// range.
[[nodiscard]] std::unique_ptr<KernelModel> calibrated_model(
    ChipSpec chip, const calibrated::Calibration& calibration);

// A part of attention_parts().
inline constexpr std::string_view kPaddingPart = "query rows that pad the kernel's tile";

// Where the time of an attention launch goes, largest idealisation last: what padding of the
// kernel's tiles costs, then arithmetic below the data sheet's rate, then memory below its
// bandwidth, then everything else above the roofline; the parts add up to the time. Empty for a
// model without a curve to ask.
struct TimePart {
  std::string_view what;
  Seconds time;
};
[[nodiscard]] std::vector<TimePart> attention_parts(const KernelModel& model,
                                                    const models::DecodeAttention& attention);

// One sentence for every operator that the model answered outside its range, none twice: what was
// asked, and the error that stands beside the answer.
[[nodiscard]] std::vector<std::string> range_warnings(const KernelModel& model,
                                                      const models::Operator* begin,
                                                      const models::Operator* end);

}  // namespace ridge::hw
