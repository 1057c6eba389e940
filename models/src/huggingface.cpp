#include "ridge/models/huggingface.hpp"

#include "huggingface/config.hpp"
#include "huggingface/layout.hpp"
#include "huggingface/serving.hpp"
#include "ridge/base/ordered_json.hpp"
#include "ridge/models/model_spec.hpp"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace ridge::models {
namespace {

using nlohmann::json;

// A block with its kind first, as people write it.
OrderedJson ordered_block(const json& block) {
  OrderedJson out;
  out["kind"] = block.value("kind", "");
  for (const auto& item : block.items()) {
    if (item.key() != "kind") out[item.key()] = OrderedJson(item.value());
  }
  return out;
}

// Erases every member of this name, at any depth; tells of each.
void erase_named(json& value, const std::string& name, std::vector<std::string>& erased) {
  if (!value.is_object()) return;
  if (const auto found = value.find(name); found != value.end()) {
    erased.push_back(fmt::format("\"{}\"", name));
    value.erase(found);
  }
  for (auto& member : value) erase_named(member, name, erased);
}

// The configuration without the keys that the user wants to be ignored.
JsonDocument without_ignored(const JsonDocument& document, const std::vector<std::string>& ignore,
                             std::vector<std::string>& assumptions) {
  json kept = document.json();
  for (const std::string& key : ignore) {
    std::vector<std::string> erased;
    if (key.starts_with('/') && is_json_pointer(key)) {
      const json::json_pointer pointer(key);
      if (kept.contains(pointer) && kept[pointer.parent_pointer()].is_object()) {
        kept[pointer.parent_pointer()].erase(pointer.back());
        erased.push_back(key);
      }
    } else {
      erase_named(kept, key, erased);
    }
    if (erased.empty()) {
      throw UserError(fmt::format("--ignore: there is no key \"{}\" in {}", key, document.name()));
    }
    assumptions.push_back(fmt::format("ignored on request: {}", fmt::join(erased, ", ")));
  }
  return {document.name(), std::move(kept)};
}

// The blocks of one kind ("attention" or "ffn") that the layers use. A template that takes values
// layer by layer makes a block for each set of values.
class Blocks {
 public:
  Blocks(Config& config, const JsonNode& templates, std::string pointer)
      : config_(config), templates_(templates), pointer_(std::move(pointer)) {}

  // The name of the block by template `name` at this layer.
  std::string at(const std::string& name, std::int64_t layer) {
    auto& variants = variants_[name];
    const JsonNode block = templates_.child(name);
    if (!variants.empty() && !by_layer(block.json())) return variants.front();
    config_.set_layer(layer);
    json value = config_.evaluate(block, pointer_ + name);
    for (const auto& variant : variants) {
      if (blocks_.at(variant) == value) return variant;
    }
    const std::string own =
        variants.empty() ? name : fmt::format("{}_{}", name, variants.size() + 1);
    if (own != name) (void)config_.evaluate(block, pointer_ + own);  // for its origins
    variants.push_back(own);
    blocks_[own] = std::move(value);
    return own;
  }

  [[nodiscard]] std::map<std::string, json>& all() { return blocks_; }

 private:
  static bool by_layer(const json& value) {
    if (!value.is_structured()) return false;
    if (value.is_object() &&
        (value.contains("at_layer") || value.contains("listed") || value.contains("from_layer"))) {
      return true;
    }
    return std::any_of(value.begin(), value.end(), by_layer);
  }

  Config& config_;
  JsonNode templates_;
  std::string pointer_;
  std::map<std::string, std::vector<std::string>> variants_;
  std::map<std::string, json> blocks_;
};

class Importer {
 public:
  Importer(const JsonDocument& document, const ImportOptions& options)
      : document_(without_ignored(document, options.ignore, assumptions_)),
        options_(options),
        context_{.file = document_.name(), .diagnostics = &problems_},
        assume_([this](std::string text) { assumptions_.push_back(std::move(text)); }),
        config_(JsonNode(document_.json(), context_), options_, assume_) {}

  ImportResult run() {
    if (config_.family() == nullptr) problems_.throw_if_errors();
    const auto layout = lay_out(config_, assume_);
    if (layout) fill(*layout);
    problems_.throw_if_errors();
    RIDGE_INVARIANT(layout.has_value(), "a configuration has no layers and no problem either");
    check();
    model_["comment"] = assumptions_;
    return {.model_json = model_.dump(2) + "\n", .assumptions = assumptions_};
  }

 private:
  void fill(const Layout& layout) {
    const ConfigFamily& family = *config_.family();
    model_["name"] = options_.name;
    model_["title"] =
        fmt::format("{} (imported; its comment tells what was assumed)", options_.name);
    model_["comment"] = OrderedJson::array();
    for (const KeyEntry& entry : keys_of(&*family.says.model).entries()) {
      const auto* expression =
          static_cast<const std::optional<JsonNode>*>(entry.in(&*family.says.model));
      if (*expression)
        model_[entry.key] = OrderedJson(config_.evaluate(**expression, "/" + entry.key));
    }
    for (const char* key :
         {"max_position_embeddings", "max_position_embedding", "max_seq_len", "model_max_length"}) {
      std::int64_t tokens = 0;
      const auto found = config_.find(key);
      if (found && !model_.contains("context_limit") &&
          found->read(tokens, between(1, 1000000000))) {
        model_["context_limit"] = tokens;
      }
    }
    Blocks attentions(config_, *family.says.attention, "/attention/");
    Blocks ffns(config_, *family.says.ffn, "/ffn/");
    const auto named = [&](const Layout::Layer& layer, std::size_t i) {
      const auto at = static_cast<std::int64_t>(i);
      return Layout::Layer{attentions.at(layer.first, at), ffns.at(layer.second, at)};
    };
    Layout made = layout;
    for (std::size_t i = 0; i < layout.layers.size(); ++i) {
      made.layers[i] = named(layout.layers[i], i);
    }
    if (layout.drafts > 0) made.draft = named(layout.draft, layout.layers.size());
    std::map<std::string, std::vector<std::int64_t>> attention_layers;
    std::map<std::string, std::vector<std::int64_t>> ffn_layers;
    for (std::size_t i = 0; i <= made.layers.size(); ++i) {
      if (i == made.layers.size() && layout.drafts == 0) break;
      const auto& [attention, ffn] = i == made.layers.size() ? made.draft : made.layers[i];
      attention_layers[attention].push_back(static_cast<std::int64_t>(i));
      ffn_layers[ffn].push_back(static_cast<std::int64_t>(i));
    }
    Serving serving(config_, options_, assume_);
    serving.describe_attentions(attentions.all(), attention_layers);
    serving.describe_ffns(ffns.all(), ffn_layers);
    precision_source_ = serving.source();
    assume_(precision_source_);
    model_["precision"] = serving.precision();
    for (const auto& [name, block] : attentions.all()) {
      model_["attention"][name] = ordered_block(block);
    }
    for (const auto& [name, block] : ffns.all()) model_["ffn"][name] = ordered_block(block);
    const auto layer = [](const Layout::Layer& blocks) {
      return OrderedJson{{"attention", blocks.first}, {"ffn", blocks.second}};
    };
    for (const Layout::Run& run : made.runs()) {
      OrderedJson pattern = OrderedJson::array();
      for (const auto& blocks : run.pattern) pattern.push_back(layer(blocks));
      model_["layers"].push_back(
          OrderedJson{{"repeat", run.repeat}, {"pattern", std::move(pattern)}});
    }
    if (layout.drafts > 0) {
      model_["multi_token_prediction"] =
          OrderedJson{{"modules", layout.drafts}, {"layer", layer(made.draft)}};
    }
    model_["sources"] = sources();
  }

  OrderedJson sources() {
    OrderedJson out;
    const std::string file = std::filesystem::path(document_.name()).filename().string();
    out[""] = fmt::format("imported from the Hugging Face configuration {}", file);
    out["/precision"] = precision_source_;
    for (const auto& [pointer, text] : config_.family()->says.assumptions) {
      if (!text || !model_.contains(OrderedJson::json_pointer(pointer))) continue;
      out[pointer] = *text;
      assume_(fmt::format("{}: {}", pointer, *text));
    }
    return out;
  }

  // The model's own reader has the last word; what it says is told of the key it came from.
  void check() {
    const JsonDocument made(document_.name(), json(model_));
    const JsonContext context{
        .file = document_.name(), .diagnostics = &problems_, .origins = &config_.origins()};
    ModelSpec model;
    read_model(JsonNode(made.json(), context), model);
    problems_.throw_if_errors();
  }

  std::vector<std::string> assumptions_;
  JsonDocument document_;
  const ImportOptions& options_;
  Diagnostics problems_;
  JsonContext context_;
  std::function<void(std::string)> assume_;
  Config config_;
  std::string precision_source_;
  OrderedJson model_;
};

}  // namespace

ImportResult import_huggingface(const JsonDocument& config, const ImportOptions& options) {
  return Importer(config, options).run();
}

}  // namespace ridge::models
