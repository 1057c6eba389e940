// A model, a chip or ranges in a question: a name, a path from the question's folder, or the thing
// itself.
#pragma once

#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/models/model_spec.hpp"
#include "ridge/scenario/ranges.hpp"

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
using RangesReference = Reference<Ranges>;

// What a question's own ranges are.
inline constexpr std::string_view kRangesWords =
    "What intervals draw of inputs that nothing tells, where that is known better than the ranges "
    "that ship tell: a path from this file's folder, or the ranges themselves "
    "(docs/keys/ranges.md).";

// How references stand in JSON.
[[nodiscard]] std::shared_ptr<const JsonType> json_type_of(const Reference<models::ModelSpec>*,
                                                           std::string_view key);
[[nodiscard]] std::shared_ptr<const JsonType> json_type_of(const Reference<hw::ChipSpec>*,
                                                           std::string_view key);
[[nodiscard]] std::shared_ptr<const JsonType> json_type_of(const Reference<Ranges>*,
                                                           std::string_view key);

}  // namespace ridge::scenario
