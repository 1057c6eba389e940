// Kernel models as scenarios name them.
#pragma once

#include "ridge/hwmodels/kernel_model.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace ridge::run {

// Draws other parameters for every calibrated curve, within what their fits leave open; the same
// seed gives the same draw.
struct CalibrationDraw {
  std::uint64_t seed = 0;
};

// "theoretical", or "calibrated:NAME" with the name or path of a calibration (a relative path
// counts from the folder of `scenario_file`). Throws UserError.
[[nodiscard]] std::unique_ptr<hw::KernelModel> choose_kernels(
    const std::string& which, const hw::ChipSpec& chip, const std::string& scenario_file,
    std::optional<CalibrationDraw> draw = {});

}  // namespace ridge::run
