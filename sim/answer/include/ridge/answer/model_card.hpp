// Everything about one architecture, derived quantities included.
#pragma once

#include "ridge/models/model_spec.hpp"
#include "ridge/view/output_format.hpp"

#include <string>

namespace ridge::view {
class AnswerDescription;
}

namespace ridge::answer {

struct ModelCardOptions {
  double context = 8192;  // cached tokens per sequence
  double batch = 1;       // sequences that one launch serves
};

[[nodiscard]] std::string model_card(const models::ModelSpec& model,
                                     const ModelCardOptions& options, view::OutputFormat format);
[[nodiscard]] const view::AnswerDescription& model_answer();

}  // namespace ridge::answer
