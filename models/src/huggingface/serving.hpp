// The number formats that an imported model is served in.
#pragma once

#include "config.hpp"
#include "ridge/base/ordered_json.hpp"
#include "ridge/models/attention.hpp"
#include "ridge/models/huggingface.hpp"

#include <map>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace ridge::models {

// Weights of one part of a model as a checkpoint holds them or as they are served.
struct PartFormat {
  Precision weights = Precision::bf16;
  double scale_group = 0;  // weights that share a scale; 0: none worth counting
  double scale_bytes = 0;
  Precision compute = Precision::bf16;
  bool quantized = false;

  // The block's keys that differ from `base`.
  void write(nlohmann::json& block, const PartFormat& base, const std::string& prefix = "") const;
};

// One entry of a list of modules, as engines read such lists: a regular expression after "re:", a
// pattern with *, the module, one that it is in, or a part of its name.
class ModulePattern {
 public:
  explicit ModulePattern(std::string text);
  // Whether it means this module ("3.self_attn.q_proj": the layer and the name within it).
  [[nodiscard]] bool means(const std::string& module) const;

 private:
  std::string text_;
  std::string of_layers_;  // what it says of layers, the text itself where that is nothing
  std::optional<std::regex> expression_;  // compiled once: it is asked of each module of each layer
};

class Serving {
 public:
  // From "torch_dtype" and "quantization_config". Problems are reported.
  Serving(Config& config, const ImportOptions& options,
          const std::function<void(std::string)>& assume);

  // Adds to blocks what their weights are; `layers` tells which layers (counted from 0) are of
  // each. Attention first: what it is held in is the model's format.
  using NamedBlocks = std::map<std::string, nlohmann::json>;
  using NamedLayers = std::map<std::string, std::vector<std::int64_t>>;
  void describe_attentions(NamedBlocks& blocks, const NamedLayers& layers);
  void describe_ffns(NamedBlocks& blocks, const NamedLayers& layers);
  // "/precision" of the model.
  [[nodiscard]] OrderedJson precision() const;
  // What the checkpoint holds and what was decided. Call it last.
  [[nodiscard]] std::string source() const;

 private:
  // One set of targets and their format ("config_groups" has several).
  struct Rule {
    std::vector<ModulePattern> targets;  // empty: every matrix of a layer
    PartFormat format;
  };
  void quantize(const JsonNode& quantization);
  [[nodiscard]] std::vector<JsonNode> groups(const JsonNode& quantization,
                                             const nlohmann::json& method) const;
  [[nodiscard]] std::optional<PartFormat> format_of(const JsonNode& group,
                                                    const nlohmann::json& formats) const;
  // The format of a matrix by its usual names in most of these layers.
  [[nodiscard]] PartFormat format_of_module(const nlohmann::json& names,
                                            const std::vector<std::int64_t>& layers) const;
  [[nodiscard]] PartFormat served(PartFormat format) const;

  Config& config_;
  const ImportOptions& options_;
  const std::function<void(std::string)>& assume_;
  PartFormat plain_;
  PartFormat base_;
  std::vector<Rule> rules_;
  std::vector<ModulePattern> kept_;
  bool fp8_cache_ = false;
  Precision wire_ = Precision::bf16;  // to the experts, as they compute
  std::string method_;
  std::map<std::string, std::set<std::string>> held_;  // format -> parts
};

}  // namespace ridge::models
