#include "serving.hpp"

#include "key_check.hpp"
#include "ridge/base/catalog.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/lowercase.hpp"
#include "ridge/base/ordered_json.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace ridge::models {
namespace {

using nlohmann::json;

// What models/data/huggingface/quantization.json says.
const json& known() {
  static const ReadOnce kDocument(
      [] { return JsonDocument::read(data_root() / "models/data/huggingface/quantization.json"); });
  return kDocument->json();
}

// "17.self_attn.q_proj" of "model.language_model.layers.17.self_attn.q_proj"; the name itself where
// it is of no layer.
std::string within_layers(const std::string& module) {
  constexpr std::string_view kLayers = "layers.";
  const auto at = module.find(kLayers);
  return at == std::string::npos ? module : module.substr(at + kLayers.size());
}

// The number at a key; of a list, the product.
double group_of(const json& group, const JsonNode& node) {
  if (group.is_number()) return group.get<double>();
  const auto found = find_path(node, group.get<std::string>());
  if (!found) return 0.0;
  const json& value = found->json();
  if (value.is_number()) return std::max(value.get<double>(), 0.0);  // -1: a scale for each row
  double product = value.is_array() && !value.empty() ? 1.0 : 0.0;
  for (const json& one : value) product *= one.is_number() ? std::max(one.get<double>(), 0.0) : 0.0;
  return product;
}

Precision unquantized(const Config& config, const std::function<void(std::string)>& assume) {
  constexpr std::array<Named<Precision>, 3> kTypes = {
      {{"bfloat16", Precision::bf16}, {"float16", Precision::bf16}, {"float32", Precision::fp32}}};
  Precision precision = Precision::bf16;
  const auto old_name = config.find("torch_dtype");
  const auto new_name = config.find("dtype");
  if (old_name && new_name && old_name->json() != new_name->json()) {
    new_name->error(fmt::format("{} contradicts torch_dtype {}", new_name->json().dump(),
                                old_name->json().dump()));
  } else if (old_name || new_name) {
    (old_name ? *old_name : *new_name).read(precision, std::span<const Named<Precision>>(kTypes));
  } else {
    assume("\"torch_dtype\" is not given; the checkpoint is taken to be BF16");
  }
  return precision;
}

// A word in the path of a configuration that says that its weights are quantized.
std::string quantized_by_name(const std::string& file) {
  std::string name = std::filesystem::absolute(file).lexically_normal().string();
  const auto folder = name.rfind('/', name.rfind('/') - 1);
  if (folder != std::string::npos) name = name.substr(folder + 1);
  name = lowercase(name);
  for (const char* word : {"nvfp4", "mxfp4", "fp8", "fp4", "int4", "int8", "awq", "gptq", "w4a16",
                           "w8a8", "bnb", "4bit", "8bit"}) {
    if (name.find(word) != std::string::npos) return word;
  }
  return {};
}

}  // namespace

ModulePattern::ModulePattern(std::string text)
    : text_(std::move(text)), of_layers_(within_layers(text_)) {
  if (!text_.starts_with("re:")) return;
  try {
    expression_.emplace(text_.substr(3));
  } catch (const std::regex_error&) {
    // What is no expression means no module.
  }
}

bool ModulePattern::means(const std::string& module) const {
  if (text_.starts_with("re:")) {
    return expression_ && std::regex_match("model.layers." + module, *expression_);
  }
  if (of_layers_.find('*') != std::string::npos) {
    return matches(of_layers_, module) || matches(of_layers_ + ".*", module) ||
           (of_layers_ == text_ && matches(text_, "model.layers." + module));
  }
  if (of_layers_ != text_) {
    return module.starts_with(of_layers_) &&
           (module.size() == of_layers_.size() || module[of_layers_.size()] == '.');
  }
  const auto at = module.find(text_);
  if (at == std::string::npos) return false;
  const auto end = at + text_.size();
  return (at == 0 || module[at - 1] == '.') && (end == module.size() || module[end] == '.');
}

void PartFormat::write(json& block, const PartFormat& base, const std::string& prefix) const {
  const bool same_scales = scale_group == base.scale_group && scale_bytes == base.scale_bytes;
  if (weights != base.weights || !same_scales) {
    block[prefix + "weights_precision"] = name_of(weights);
    if (scale_group > 0.0) {
      block[prefix + "weights_scales"] = {{"group", scale_group}, {"bytes", scale_bytes}};
    }
  }
}

Serving::Serving(Config& config, const ImportOptions& options,
                 const std::function<void(std::string)>& assume)
    : config_(config), options_(options), assume_(assume) {
  plain_.weights = unquantized(config, assume);
  plain_.compute = plain_.weights;
  const auto quantization = config.find("quantization_config");
  if (quantization && quantization->is_object() && !quantization->json().empty()) {
    quantize(*quantization);
  } else if (quantization) {
    assume(
        fmt::format("\"quantization_config\" says {}, which is no description: the weights are "
                    "taken as they are without",
                    quantization->json().dump()));
  } else if (const auto word = quantized_by_name(config.root().file()); !word.empty()) {
    assume(
        fmt::format("the name says \"{}\", but there is no quantization_config and no "
                    "hf_quant_config.json beside it: the weights are taken to be {}",
                    word, name_of(plain_.weights)));
  }
}

std::vector<JsonNode> Serving::groups(const JsonNode& quantization, const json& method) const {
  if (!method.contains("groups")) return {quantization};
  const auto all = find_path(quantization, method.at("groups").get<std::string>());
  if (!all) {
    quantization.error(fmt::format("missing key {}", method.at("groups").dump()));
    return {};
  }
  std::vector<JsonNode> out;
  for (const auto& group : all->members()) out.push_back(group.second);
  return out;
}

std::optional<PartFormat> Serving::format_of(const JsonNode& group, const json& formats) const {
  for (const json& format : formats) {
    bool holds = true;
    const json conditions = format.value("when", json::object());
    for (const auto& condition : conditions.items()) {
      auto found = find_path(group, condition.key());
      if (!found) found = config_.find(condition.key());
      const json& values = condition.value();
      holds =
          holds && found && std::find(values.begin(), values.end(), found->json()) != values.end();
    }
    if (!holds) continue;
    PartFormat out{.compute = plain_.compute, .quantized = true};
    const auto precision = [&](const char* key, Precision& into) {
      for (const auto& named : precision_names()) {
        if (named.name == format.value(key, "")) into = named.value;
      }
    };
    precision("weights", out.weights);
    precision("compute", out.compute);
    out.scale_group = format.contains("group") ? group_of(format.at("group"), group) : 0.0;
    out.scale_bytes = out.scale_group > 0.0 ? format.value("scale", 0.0) : 0.0;
    return out;
  }
  return std::nullopt;
}

void Serving::quantize(const JsonNode& quantization) {
  const auto name = find_path(quantization, "quant_method");
  if (!name) {
    quantization.error("missing key \"quant_method\"");
    return;
  }
  std::vector<std::string> names;
  for (const auto& method : known().at("methods").items()) names.push_back(method.key());
  const auto index = name->read_choice(names);
  if (!index) return;
  method_ = names[*index];
  const json& method = known().at("methods").at(method_);

  KnownKeys keys;
  keys.read = {"quant_method"};
  if (method.contains("groups")) keys.irrelevant.insert(method.at("groups").get<std::string>());
  for (const auto& key : method.at("kept")) keys.read.insert(key.get<std::string>());
  for (const auto& key : method.at("irrelevant")) keys.irrelevant.insert(key.get<std::string>());
  (void)check_keys(quantization, keys, fmt::format("\"{}\" quantization", method_),
                   [](const JsonNode& literal) { return literal.json(); });

  for (const JsonNode& group : groups(quantization, method)) {
    const auto format = format_of(group, method.at("formats"));
    if (!format) {
      group.error(fmt::format("a \"{}\" format that is not understood: {}", method_,
                              group.json().dump().substr(0, 200)));
      continue;
    }
    Rule rule{.targets = {}, .format = *format};
    if (const auto targets = find_path(group, "targets")) {
      for (const JsonNode& target : targets->elements()) {
        std::string text;
        if (target.read(text) && text != "Linear" && text != "Linear*")
          rule.targets.emplace_back(text);
      }
    }
    rules_.push_back(std::move(rule));
  }
  if (method.contains("experts")) {
    if (const auto format = format_of(quantization, method.at("experts"))) {
      rules_.push_back({.targets = {ModulePattern("experts")}, .format = *format});
    }
  }
  for (const auto& key : method.at("kept")) {
    const auto list = find_path(quantization, key.get<std::string>());
    if (!list) continue;
    for (const JsonNode& module : list->elements()) {
      std::string text;
      if (module.read(text)) kept_.emplace_back(text);
    }
  }
  const auto cache = find_path(quantization, "kv_cache_quant_algo");
  const auto scheme = find_path(quantization, "kv_cache_scheme/num_bits");
  fp8_cache_ = (cache && cache->json() == "FP8") || (scheme && scheme->json() == 8);
}

PartFormat Serving::format_of_module(const json& names,
                                     const std::vector<std::int64_t>& layers) const {
  if (rules_.empty()) return plain_;
  // What most layers say; a checkpoint that keeps a few layers whole is a little larger than this.
  std::size_t plain = 0;
  std::vector<std::size_t> by_rule(rules_.size());
  for (const std::int64_t layer : layers) {
    std::vector<std::string> modules;
    for (const json& name : names) {
      modules.push_back(fmt::format("{}.{}", layer, name.get_ref<const std::string&>()));
    }
    const auto means_any = [&](const ModulePattern& pattern) {
      return std::any_of(modules.begin(), modules.end(),
                         [&](const std::string& module) { return pattern.means(module); });
    };
    if (std::any_of(kept_.begin(), kept_.end(), means_any)) {
      ++plain;
      continue;
    }
    // The last rule that names it, else one for all.
    std::size_t chosen = rules_.size();
    for (std::size_t r = 0; r < rules_.size(); ++r) {
      const auto& targets = rules_[r].targets;
      const bool named = std::any_of(targets.begin(), targets.end(), means_any);
      if (named || (targets.empty() && chosen == rules_.size())) chosen = r;
    }
    if (chosen == rules_.size()) {
      ++plain;
    } else {
      ++by_rule[chosen];
    }
  }
  const auto most = std::max_element(by_rule.begin(), by_rule.end());
  if (most == by_rule.end() || *most <= plain) return plain_;
  return rules_[static_cast<std::size_t>(most - by_rule.begin())].format;
}

PartFormat Serving::served(PartFormat format) const {
  if (!options_.serve_in) return format;
  const Precision wanted = *options_.serve_in;
  if (bytes_per_value(format.weights) >= bytes_per_value(wanted)) {
    format.weights = wanted;
    format.scale_group = 0;
    format.scale_bytes = 0;
  }
  format.compute = wanted;
  return format;
}

void Serving::describe_attentions(NamedBlocks& blocks, const NamedLayers& layers) {
  struct Held {
    std::optional<PartFormat> quantized;
    json plain = json::array();  // projections
  };
  const json& kinds = known().at("modules").at("attention");
  std::map<std::string, Held> held;
  base_ = served(plain_);
  for (const auto& [name, block] : blocks) {
    const auto names = kinds.find(block.value("kind", ""));
    if (names == kinds.end()) continue;
    Held& of_block = held[name];
    for (const auto& projection : names->items()) {
      const PartFormat format = format_of_module(projection.value(), layers.at(name));
      held_[std::string(name_of(format.weights))].insert("attention");
      if (format.quantized) {
        of_block.quantized = format;
      } else {
        of_block.plain.push_back(projection.key());
      }
    }
    if (of_block.quantized) base_ = served(*of_block.quantized);
  }
  const Precision kept = served(plain_).weights;
  for (auto& [name, of_block] : held) {
    const PartFormat own = of_block.quantized ? served(*of_block.quantized) : base_;
    own.write(blocks.at(name), base_);
    if (!of_block.plain.empty() && kept != own.weights) {
      blocks.at(name)["unquantized"] = {{"projections", of_block.plain},
                                        {"precision", name_of(kept)}};
    }
  }
}

void Serving::describe_ffns(NamedBlocks& blocks, const NamedLayers& layers) {
  const json& parts = known().at("modules").at("ffn");
  for (auto& [name, block] : blocks) {
    const std::string kind = block.value("kind", "");
    if (kind != "dense" && kind != "moe") continue;
    const auto of = [&](const char* part) {
      const PartFormat held = format_of_module(parts.at(part), layers.at(name));
      held_[std::string(name_of(held.weights))].insert(std::string(part) + " FFN");
      return served(held);
    };
    const PartFormat own = of(kind == "dense" ? "dense" : "routed");
    own.write(block, base_);
    wire_ = own.compute;
    if (own.compute != base_.compute) block["compute_precision"] = name_of(own.compute);
    if (kind == "moe" && block.value("shared_intermediate", json(0)) != 0) {
      of("shared").write(block, own, "shared_");
    }
  }
}

OrderedJson Serving::precision() const {
  const Precision cache = options_.serve_in ? *options_.serve_in
                          : fp8_cache_      ? Precision::fp8
                                            : Precision::bf16;
  const Precision compute = options_.serve_in ? *options_.serve_in : Precision::bf16;
  const Precision wire = options_.serve_in ? *options_.serve_in : wire_;
  OrderedJson out{{"weights", name_of(base_.weights)},
                  {"compute", name_of(base_.compute)},
                  {"cache", name_of(cache)},
                  {"attention_compute", name_of(compute)},
                  {"activations", name_of(Precision::bf16)},
                  {"wire_dispatch", name_of(wire)},
                  {"wire_combine", name_of(Precision::bf16)}};
  if (base_.scale_group > 0.0) {
    out["weights_scales"] = {{"group", base_.scale_group}, {"bytes", base_.scale_bytes}};
  }
  return out;
}

std::string Serving::source() const {
  std::vector<std::string> parts;
  for (const auto& [format, names] : held_) {
    parts.push_back(fmt::format("{} in {}", fmt::join(names, ", "), format));
  }
  std::string text = fmt::format("the checkpoint holds {}{}", fmt::join(parts, "; "),
                                 method_.empty() ? "" : fmt::format(" ({})", method_));
  if (!options_.serve_in) {
    return text + (fp8_cache_ ? "; its KV cache in fp8 as it says, attention in bf16 is assumed"
                              : "; KV cache and attention in bf16 are assumed");
  }
  return text + fmt::format(
                    "; served in {} (weights unless narrower, matrix products, KV cache, "
                    "attention, and the wire to the FFN; back in bf16)",
                    name_of(*options_.serve_in));
}

}  // namespace ridge::models
