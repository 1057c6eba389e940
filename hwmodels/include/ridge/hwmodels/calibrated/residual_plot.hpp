// Residuals as a picture: predicted over measured against the measured time.
#pragma once

#include "ridge/hwmodels/calibrated/fit.hpp"

#include <span>
#include <string>
#include <string_view>

namespace ridge::hw::calibrated {

// An SVG document: one dot per held-out prediction (thinned evenly where there are very many),
// guides at 0 and +-10 %, axes labelled.
[[nodiscard]] std::string residual_plot(std::string_view title,
                                        std::span<const HeldOutPoint> points);

}  // namespace ridge::hw::calibrated
