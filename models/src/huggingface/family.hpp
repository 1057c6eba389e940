// A family of checkpoints that spell their configuration alike
// (docs/schema/huggingface_family.schema.json).
#pragma once

#include "ridge/base/json.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace ridge::models {

// What is known of the keys of one JSON object. A key may be a path into nested objects, its steps
// separated by '/'.
struct KnownKeys {
  std::set<std::string> read;         // mapped to something
  std::set<std::string> irrelevant;   // nothing below them changes the cost
  std::optional<JsonNode> expected;   // path -> the one value understood, if given
  std::optional<JsonNode> mandatory;  // path -> the one value understood
};

struct Family {
  explicit Family(JsonDocument file);

  JsonDocument document;
  JsonContext context;
  Diagnostics problems;
  std::vector<std::string> model_types;
  // Configurations that hold one of these model types under "text_config".
  struct Wrapper {
    std::set<std::string> irrelevant;
    std::string assumption;
  };
  std::map<std::string, Wrapper> wrappers;
  KnownKeys keys;
  std::optional<JsonNode> defaults;     // key -> {"value": expression, "why": text}
  std::optional<JsonNode> assumptions;  // pointer into the model -> text
  std::optional<JsonNode> model;        // expressions of hidden, vocabulary, tied_embeddings
  std::optional<JsonNode> attention;    // block name -> template
  std::optional<JsonNode> ffn;
  std::optional<JsonNode> layers;
};

// All shipped families. Throws UserError where a file of theirs is wrong.
[[nodiscard]] const std::vector<std::unique_ptr<Family>>& families();

// Keys that mean nothing for cost in any family: tokens, training, generation.
[[nodiscard]] const std::set<std::string>& irrelevant_everywhere();

// Adds every "$key" that `node` mentions, at any depth.
void collect_references(const JsonNode& node, std::set<std::string>& out);

}  // namespace ridge::models
