// A model as everything it launches, layer by layer: two models with the same text cost the same.
#pragma once

#include "ridge/models/model_spec.hpp"

#include <string>

namespace ridge::models {

[[nodiscard]] std::string text_of(const ModelSpec& model);

// Reads a model from JSON text. Throws UserError.
[[nodiscard]] ModelSpec model_of(const std::string& json_text);

}  // namespace ridge::models
