// A configuration as its family sees it: values by key, with the family's defaults, and with what a
// multimodal configuration says beside its "text_config".
#pragma once

#include "family.hpp"

#include <cstdint>
#include <functional>

namespace ridge::models {

class Config {
 public:
  // Finds the family of `root` ("model_type"); reports and leaves family() null where there is
  // none. Reports every key that is not understood. `assume` takes each default used.
  Config(const JsonNode& root, std::function<void(std::string)> assume);

  [[nodiscard]] const Family* family() const { return family_; }
  [[nodiscard]] const JsonNode& root() const { return root_; }

  // The value at a key or path, null counting as absent.
  [[nodiscard]] std::optional<JsonNode> find(const std::string& path) const;

  // The value of an expression: "$key" stands for the configuration's value, or the family's
  // default; {"product": [..]}, {"quotient": [a, b]} and {"if": .., "then": .., "else": ..}
  // compute; other objects are evaluated member by member; anything else stands for itself. Null
  // where a value is missing, which is reported. `target` is the pointer of the result in the
  // model; origins() then tells where the values below it come from.
  nlohmann::json evaluate(const JsonNode& expression, const std::string& target);
  // An expression that must come to a whole number from 0 to `max`.
  std::optional<std::int64_t> whole(const JsonNode& expression, double max);

  // Pointer in the model -> pointer in the configuration.
  [[nodiscard]] const std::map<std::string, std::string>& origins() const { return origins_; }

 private:
  void check();
  // The value of `key` by the configuration or its default, with its pointer.
  nlohmann::json value_of(const std::string& key, std::string& pointer);

  JsonNode root_;
  JsonNode text_;  // "text_config", or the root itself
  std::function<void(std::string)> assume_;
  const Family* family_ = nullptr;
  const Family::Wrapper* wrapper_ = nullptr;
  std::set<std::string> told_;  // keys whose absence has been reported or assumed about
  std::map<std::string, std::string> origins_;
};

}  // namespace ridge::models
