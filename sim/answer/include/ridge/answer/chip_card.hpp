// Everything about one accelerator, derived quantities included.
#pragma once

#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/view/output_format.hpp"

#include <string>

namespace ridge::view {
class AnswerDescription;
}

namespace ridge::answer {

[[nodiscard]] std::string chip_card(const hw::ChipSpec& chip, view::OutputFormat format);
[[nodiscard]] const view::AnswerDescription& chip_answer();

}  // namespace ridge::answer
