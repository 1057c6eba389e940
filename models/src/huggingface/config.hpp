// A configuration as its family sees it: values by key, with the family's defaults, and with what a
// multimodal configuration says beside its language model.
#pragma once

#include "family.hpp"
#include "ridge/models/huggingface.hpp"

#include <cstdint>
#include <functional>

namespace ridge::models {

class Config {
 public:
  // Finds the family of `root` ("model_type", or the one that the options ask for); reports and
  // leaves family() null where there is none. Reports every key that is not understood. `assume`
  // takes each default used.
  Config(const JsonNode& root, const ImportOptions& options,
         std::function<void(std::string)> assume);

  [[nodiscard]] const ConfigFamily* family() const { return family_; }
  [[nodiscard]] const JsonNode& root() const { return root_; }

  // The value at a key or path, null counting as absent.
  [[nodiscard]] std::optional<JsonNode> find(const std::string& path) const;

  // The value of an expression: "$key" stands for the configuration's value, or the family's
  // default; an object with one of the functions' names computes (the schema lists them); other
  // objects are evaluated member by member; anything else stands for itself. Null where a value is
  // missing, which is reported. `target` is the pointer of the result in the model; origins() then
  // tells where the values below it come from.
  nlohmann::json evaluate(const JsonNode& expression, const std::string& target);
  // An expression that must come to a whole number from 0 to `max`.
  std::optional<std::int64_t> whole(const JsonNode& expression, double max);

  // The layer that "at_layer" means until further notice, and how many there are in front of the
  // drafting modules.
  void set_layer(std::int64_t layer) { layer_ = layer; }

  // Pointer in the model -> pointer in the configuration.
  [[nodiscard]] const std::map<std::string, std::string>& origins() const { return origins_; }

 private:
  void find_language_model(const ImportOptions& options);
  void check();
  // The value of `key` by the configuration or its default, with its pointer.
  nlohmann::json value_of(const std::string& key, std::string& pointer);
  // The value of one function of its arguments.
  nlohmann::json compute(const std::string& function, const JsonNode& arguments,
                         const std::string& target);
  nlohmann::json choose(const JsonNode& expression, const std::string& target);
  nlohmann::json at_layer(const JsonNode& list);
  // Without reports.
  nlohmann::json quietly(const JsonNode& expression);
  void report(const JsonNode& at, const std::string& message) const;

  JsonNode root_;
  JsonNode text_;  // the language model's part, or the root itself
  std::function<void(std::string)> assume_;
  const ConfigFamily* family_ = nullptr;
  bool quiet_ = false;
  std::int64_t layer_ = 0;
  std::set<std::string> told_;  // keys whose absence has been reported or assumed about
  std::map<std::string, std::string> origins_;
};

}  // namespace ridge::models
