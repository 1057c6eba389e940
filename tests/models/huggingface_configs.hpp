// Configurations as the families of checkpoints write them, cut down to the keys that matter.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace ridge::models {

struct CheckpointConfig {
  std::string model;  // the shipped model of the same checkpoint
  nlohmann::json config;
};
void PrintTo(const CheckpointConfig& checkpoint, std::ostream* out);

[[nodiscard]] const std::vector<CheckpointConfig>& checkpoint_configs();
// Those of tests/models/data/checkpoints.json, some of which no shipped model stands for.
[[nodiscard]] const nlohmann::json& further_checkpoint_configs();
[[nodiscard]] nlohmann::json checkpoint_config(const std::string& model);

}  // namespace ridge::models
