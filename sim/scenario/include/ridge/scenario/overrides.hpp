// A question's document with other values at places of one's choosing.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/scenario/library.hpp"

#include <string>

namespace ridge::scenario {

// The scenario of this name or at this path, its models, chips and ranges in place of their names
// and its paths absolute, so that it may stand anywhere. Throws UserError for one that cannot be
// resolved.
[[nodiscard]] JsonDocument whole_document(const std::string& name_or_path, Library& library);

// `values` is an object from JSON pointers to what shall stand there. A pointer goes through the
// name of a model, a chip, ranges or a scenario into the document that is meant: this then takes
// the name's place. A last key that the document leaves out is added. Throws UserError for pointers
// that lead nowhere.
[[nodiscard]] JsonDocument with_values(const JsonDocument& document, const JsonDocument& values,
                                       Library& library);

}  // namespace ridge::scenario
