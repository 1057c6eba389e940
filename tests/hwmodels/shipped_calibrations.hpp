// What ships, read once for all cases: with sanitizers that takes seconds.
#pragma once

#include "ridge/hwmodels/calibrated/calibration.hpp"

#include <vector>

namespace ridge::hw::calibrated {

inline const std::vector<Calibration>& shipped_calibrations() {
  static const std::vector<Calibration> all = [] {
    std::vector<Calibration> read;
    for (const std::string& name : calibration_names()) read.push_back(load_calibration(name));
    return read;
  }();
  return all;
}

}  // namespace ridge::hw::calibrated
