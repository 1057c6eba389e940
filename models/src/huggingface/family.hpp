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
  std::optional<JsonNode> expected;   // path -> what is understood, if given
  std::optional<JsonNode> mandatory;  // path -> what is understood
};

struct Family {
  // `document` is the family's own file, with those that it is "like" merged in.
  Family(std::string name, JsonDocument document);

  std::string name;  // of its file
  JsonDocument document;
  JsonContext context;
  Diagnostics problems;
  std::vector<std::string> model_types;
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

// What means nothing for cost in any family: tokens, training, generation, other modalities.
struct IrrelevantKeys {
  std::vector<std::string> patterns;  // of names; '*' stands for any characters
  // Keys that matter, unless they hold (or are a list of nothing but) one of these.
  std::map<std::string, std::vector<nlohmann::json>> neutral;
};
[[nodiscard]] const IrrelevantKeys& irrelevant_everywhere();

// Whether `name` is as `pattern` says, in which '*' stands for any characters.
[[nodiscard]] bool matches(std::string_view pattern, std::string_view name);

// Adds every "$key" that `node` mentions, at any depth.
void collect_references(const JsonNode& node, std::set<std::string>& out);

}  // namespace ridge::models
