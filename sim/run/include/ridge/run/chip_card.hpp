// Everything about one accelerator, derived quantities included.
#pragma once

#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/run/output_format.hpp"

#include <string>

namespace ridge::run {

[[nodiscard]] std::string chip_card(const hw::ChipSpec& chip, OutputFormat format);

}  // namespace ridge::run
