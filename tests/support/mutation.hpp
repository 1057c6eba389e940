// Every small mistake that a person could make in a JSON file: a key missing, a key too many, a
// value of another type or out of range.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace ridge::test {

struct Mutation {
  std::string description;  // "/layers/0/repeat becomes -1"
  nlohmann::json document;
};

[[nodiscard]] std::vector<Mutation> mutations(const nlohmann::json& document);

}  // namespace ridge::test
