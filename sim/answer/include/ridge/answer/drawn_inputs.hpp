// The inputs that an interval draws, as answers tell them.
#pragma once

#include "ridge/scenario/input_draws.hpp"
#include "ridge/view/answer_keys.hpp"

namespace ridge::scenario {

[[nodiscard]] const view::AnswerKeys<DrawnInput>& answer_keys(const DrawnInput*);

}  // namespace ridge::scenario
