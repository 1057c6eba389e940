#include "ridge/run/kernel_choice.hpp"

#include "ridge/hwmodels/calibrated/calibrated_model.hpp"
#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/run/scenario_files.hpp"

#include <fmt/format.h>

namespace ridge::run {

std::unique_ptr<hw::KernelModel> choose_kernels(const std::string& which, const hw::ChipSpec& chip,
                                                const std::string& scenario_file,
                                                std::optional<CalibrationDraw> draw) {
  constexpr std::string_view kCalibrated = "calibrated:";
  if (which == "theoretical") return hw::theoretical_model(chip);
  if (!which.starts_with(kCalibrated)) {
    throw UserError(
        fmt::format("expected \"theoretical\" or \"calibrated:NAME\" with the name or "
                    "path of a calibration, got \"{}\"",
                    which));
  }
  auto calibration = hw::calibrated::load_calibration(
      reference_from(scenario_file, which.substr(kCalibrated.size())));
  if (draw) calibration = hw::calibrated::resampled(calibration, draw->seed);
  return hw::calibrated_model(chip, calibration);
}

}  // namespace ridge::run
