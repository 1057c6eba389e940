#include "ridge/scenario/kernel_choice.hpp"

#include "ridge/hwmodels/calibrated/calibrated_model.hpp"
#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/scenario/scenario_files.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::scenario {
namespace {

using hw::calibrated::Calibration;

// A sweep asks for the same calibrations at each of its points, and reading one takes as long as
// simulating a small deployment. Shipped ones do not change while a program runs; a user's own file
// may, and is read each time.
std::shared_ptr<const Calibration> read_once(const std::string& name_or_path) {
  const auto load = [&] {
    return std::make_shared<const Calibration>(hw::calibrated::load_calibration(name_or_path));
  };
  const std::vector<std::string> shipped = hw::calibrated::calibration_names();
  if (std::find(shipped.begin(), shipped.end(), name_or_path) == shipped.end()) {
    return load();
  }
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<const Calibration>> read;
  const std::lock_guard lock(mutex);
  auto found = read.find(name_or_path);
  if (found == read.end()) {
    found = read.emplace(name_or_path, load()).first;
  }
  return found->second;
}

}  // namespace

void read_preferred(const JsonNode& node, KernelChoice& out) {
  const std::vector<JsonNode> names = node.elements();
  if (node.is_array() && names.empty()) node.expected("the name of at least one kernel");
  for (const JsonNode& name : names) name.read(out.prefer.emplace_back());
}

std::unique_ptr<hw::KernelModel> choose_kernels(const KernelChoice& choice,
                                                const hw::ChipSpec& chip,
                                                const std::string& scenario_file,
                                                std::optional<CalibrationDraw> draw) {
  constexpr std::string_view kCalibrated = "calibrated:";
  const std::string& which = choice.model;
  if (which == "theoretical") {
    if (choice.prefer.empty()) return hw::theoretical_model(chip);
    throw UserError(
        "prefer_kernels chooses between measured kernels; \"theoretical\" knows of none");
  }
  if (!which.starts_with(kCalibrated)) {
    throw UserError(
        fmt::format("expected \"theoretical\" or \"calibrated:NAME\" with the name or "
                    "path of a calibration, got \"{}\"",
                    which));
  }
  const auto shared = read_once(reference_from(scenario_file, which.substr(kCalibrated.size())));
  if (choice.prefer.empty() && !draw) return hw::calibrated_model(chip, *shared);
  Calibration calibration = *shared;
  if (!choice.prefer.empty()) {
    prefer(calibration, choice.prefer);
    // As provenance tells it.
    calibration.name += fmt::format(" with {}", fmt::join(choice.prefer, ", "));
  }
  if (draw) calibration = hw::calibrated::resampled(calibration, draw->seed);
  return hw::calibrated_model(chip, calibration);
}

}  // namespace ridge::scenario
