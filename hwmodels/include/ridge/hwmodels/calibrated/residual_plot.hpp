// Residuals as a picture: predicted over measured against the measured time.
#pragma once

#include "ridge/hwmodels/calibrated/fit.hpp"

#include <span>
#include <string>
#include <string_view>

namespace ridge::hw::calibrated {

// An SVG document: a dot for each held-out prediction, guides at 0, 10, 25 and 50 % either way;
// dots farther off sit on the edge.
[[nodiscard]] std::string residual_plot(std::string_view title,
                                        std::span<const HeldOutPoint> points);

}  // namespace ridge::hw::calibrated
