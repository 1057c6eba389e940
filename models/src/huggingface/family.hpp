// A family of checkpoints that spell their configuration alike
// (docs/schema/huggingface_family.schema.json).
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/base/keys.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
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

// ---- As its file says ---------------------------------------------------------------------------
// A JsonNode is an expression, which Config computes.

struct ModelExpressions {
  std::optional<JsonNode> hidden;
  std::optional<JsonNode> layer_input_vocabulary;
  std::optional<JsonNode> ngram_parameters;
  std::optional<JsonNode> residual_streams;
  std::optional<JsonNode> tied_embeddings;
  std::optional<JsonNode> vocabulary;
};
[[nodiscard]] const KeyTable& keys_of(const ModelExpressions*);

// The blocks of layers by their type, which a list of the configuration tells.
struct LayersByType {
  std::string by_type;  // "$key"
  std::map<std::string, std::string> blocks;
};

// All conditions must hold for layer i, counted from 0.
struct LayersWhere {
  std::optional<JsonNode> before;
  std::optional<JsonNode> every;
  std::optional<JsonNode> offset;
  std::optional<JsonNode> from;
  std::optional<JsonNode> holds;
  std::optional<JsonNode> listed;
  std::optional<JsonNode> listed_from_1;
  std::optional<JsonNode> not_listed;
  std::optional<JsonNode> up_to;
};

struct BlockOfLayers {
  std::string block;
  std::optional<LayersWhere> where;
  std::string rest;  // the block of the other layers
  std::vector<std::string> without;
  std::optional<std::string> assumption;
};

struct LayerRule {
  std::variant<LayersByType, BlockOfLayers> is;
  std::set<std::string> references;  // keys of the configuration that it mentions
};

struct LayerBlocks {
  std::string attention;
  std::string ffn;
};

struct LayerRules {
  std::optional<JsonNode> count;
  std::optional<JsonNode> drafts;
  std::optional<LayerBlocks> draft;
  std::vector<LayerRule> attention;
  std::vector<LayerRule> ffn;
};

// Of a key that may be absent.
struct FamilyDefault {
  std::optional<JsonNode> value;
  std::string why;
  bool for_null_only = false;
};

// In the file of a family that is "like" another, null takes away what the other says.
struct FamilyFile {
  std::string title;
  std::optional<std::string> like;
  std::vector<std::string> model_types;
  std::optional<ModelExpressions> model;
  std::optional<JsonNode> attention;  // block name -> template
  std::optional<JsonNode> ffn;
  std::optional<LayerRules> layers;
  std::map<std::string, std::optional<FamilyDefault>> defaults;
  std::map<std::string, std::optional<std::string>> assumptions;  // pointer into the model -> text
  std::optional<JsonNode> expected;                               // path -> what is understood
  std::vector<std::string> irrelevant;
};
[[nodiscard]] const KeyTable& keys_of(const FamilyFile*);

// A family: its own file, with those that it is "like" merged in.
struct ConfigFamily {
  ConfigFamily(std::string name, JsonDocument document);

  [[nodiscard]] const FamilyDefault* default_of(const std::string& key) const;

  std::string name;  // of its file
  JsonDocument document;
  JsonContext context;
  Diagnostics problems;
  FamilyFile says;  // complete: what all but "like" are optional for is there
  KnownKeys keys;
};

// All shipped families. Throws UserError where a file of theirs is wrong.
[[nodiscard]] const std::vector<std::unique_ptr<ConfigFamily>>& families();

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
