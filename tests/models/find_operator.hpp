// What tests of operators share: a precision, and an operator of a layer by its name.
#pragma once

#include "ridge/models/attention.hpp"
#include "ridge/models/operator.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace ridge::models {

inline constexpr Precisions kFp8 = {.weights = Precision::fp8, .compute = Precision::fp8};

// Throws std::out_of_range.
[[nodiscard]] inline const Operator& find(const OperatorList& list, std::string_view name) {
  const auto* found =
      std::find_if(list.begin(), list.end(), [&](const Operator& op) { return op.name == name; });
  if (found == list.end()) throw std::out_of_range("no operator " + std::string(name));
  return *found;
}

}  // namespace ridge::models
