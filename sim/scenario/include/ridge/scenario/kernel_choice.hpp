// Kernel models as scenarios name them.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/hwmodels/calibrated/family.hpp"
#include "ridge/hwmodels/kernel_model.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ridge::scenario {

// Draws other parameters for every calibrated curve, within what their fits leave open; the same
// seed gives the same draw.
struct CalibrationDraw {
  std::uint64_t seed = 0;
  double release = 1.0;  // what another release of the engine makes of every kernel's time
};

struct KernelChoice {
  // "theoretical", or "calibrated:NAME" with the name or path of a calibration.
  std::string model;
  // Kernels to time operators by where the calibration has several for one, the first first.
  std::vector<std::string> prefer;
  // With "theoretical": what its kernels reach of it.
  std::optional<hw::AssumedKernels> assumed{};
  // Of which other kernels run than any that was measured.
  std::vector<hw::calibrated::Family> others{};
};

}  // namespace ridge::scenario
