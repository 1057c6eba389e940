// A model or a chip in a scenario: a name, a path from the scenario's folder, or the thing itself.
#pragma once

#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/models/model_spec.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace ridge {
class JsonType;
}

namespace ridge::scenario {

template <typename Spec>
struct Reference {
  std::string name;          // or path; empty where the thing itself stands here
  std::optional<Spec> spec;  // the thing itself
  bool operator==(const Reference&) const = default;
};
using ModelReference = Reference<models::ModelSpec>;
using ChipReference = Reference<hw::ChipSpec>;

// How references stand in JSON.
[[nodiscard]] std::shared_ptr<const JsonType> json_type_of(const Reference<models::ModelSpec>*,
                                                           std::string_view key);
[[nodiscard]] std::shared_ptr<const JsonType> json_type_of(const Reference<hw::ChipSpec>*,
                                                           std::string_view key);

}  // namespace ridge::scenario
