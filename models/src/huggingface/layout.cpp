#include "layout.hpp"

#include "key_check.hpp"

#include <algorithm>
#include <charconv>
#include <functional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::models {
namespace {

using nlohmann::json;

constexpr double kMaxLayers = 10000;
constexpr double kMaxDrafts = 64;

// One rule applied: a block name for each layer, drafting modules after the last.
struct Applied {
  const LayerRule* rule;
  std::vector<std::string> blocks;
};

class RuleReader {
 public:
  RuleReader(Config& config, std::int64_t layers, std::int64_t drafts)
      : config_(config), layers_(layers), all_(layers + drafts) {}

  // The block names by `rule`, or nothing where the configuration is wrong.
  std::optional<std::vector<std::string>> apply(const LayerRule& rule) {
    if (const auto* types = std::get_if<LayersByType>(&rule.is)) return by_type(*types);
    const auto& one = std::get<BlockOfLayers>(rule.is);
    std::vector<char> chosen(static_cast<std::size_t>(all_), 1);
    if (one.where && !restrict_to(*one.where, chosen)) return std::nullopt;
    std::vector<std::string> blocks;
    for (const char is : chosen) blocks.push_back(is != 0 ? one.block : one.rest);
    return blocks;
  }

 private:
  // Keeps the layers for which all conditions hold. False where the configuration is wrong.
  bool restrict_to(const LayersWhere& where, std::vector<char>& chosen) {
    const auto keep = [&](auto&& wanted) {
      for (std::int64_t i = 0; i < all_; ++i) {
        if (!wanted(i)) chosen[static_cast<std::size_t>(i)] = 0;
      }
    };
    // `wanted` of a layer and a number, where the condition is there.
    const auto compare = [&](const std::optional<JsonNode>& condition, auto&& wanted) {
      if (!condition) return true;
      const auto number = config_.whole(*condition, kMaxLayers);
      if (number) keep([&](std::int64_t i) { return wanted(i, *number); });
      return number.has_value();
    };
    const auto list = [&](const std::optional<JsonNode>& condition, std::int64_t first,
                          bool inside) {
      if (!condition) return true;
      const auto listed = layer_list(*condition, first);
      if (listed) keep([&](std::int64_t i) { return listed->contains(i + first) == inside; });
      return listed.has_value();
    };
    return compare(where.before, std::less<>()) && every(where, keep) &&
           compare(where.from, std::greater_equal<>()) && for_all(where.holds, keep) &&
           list(where.listed, 0, true) && list(where.listed_from_1, 1, true) &&
           list(where.not_listed, 0, false) && compare(where.up_to, std::less_equal<>());
  }

  bool every(const LayersWhere& where, const auto& keep) {
    if (!where.every) return true;
    const auto period = config_.whole(*where.every, kMaxLayers);
    if (!period) return false;
    if (*period == 0) {
      config_.root().error(
          fmt::format("{} is 0, but layers are counted by it", where.every->json().dump()));
      return false;
    }
    const auto offset =
        where.offset ? config_.whole(*where.offset, kMaxLayers) : std::optional(*period - 1);
    if (offset) keep([&](std::int64_t i) { return i % *period == *offset % *period; });
    return offset.has_value();
  }

  bool for_all(const std::optional<JsonNode>& condition, const auto& keep) {
    if (!condition) return true;
    const json value = config_.evaluate(*condition, "");
    if (value.is_null()) return false;
    const bool holds = value.is_boolean() ? value.get<bool>() : value != 0;
    keep([&](std::int64_t) { return holds; });
    return true;
  }

  // [3, 4, 5] or "3,4,5".
  std::optional<std::set<std::int64_t>> layer_list(const JsonNode& argument, std::int64_t first) {
    const json value = config_.evaluate(argument, "");
    if (value.is_null()) return std::nullopt;
    const std::int64_t last = layers_ - 1 + first;
    std::set<std::string> keys;
    collect_references(argument, keys);
    const auto node = keys.empty() ? std::nullopt : config_.find(*keys.begin());
    const auto wrong = [&](const std::string& what) -> std::optional<std::set<std::int64_t>> {
      const JsonNode& at = node ? *node : config_.root();
      at.error(fmt::format("expected a list of layers from {} to {}, got {}", first, last, what));
      return std::nullopt;
    };
    std::set<std::int64_t> out;
    if (value.is_array()) {
      for (const json& item : value) {
        if (!item.is_number_integer()) return wrong(item.dump());
        out.insert(item.get<std::int64_t>());
      }
    } else if (value.is_string()) {
      const auto& text = value.get_ref<const std::string&>();
      for (const char* at = text.data(); at < text.data() + text.size(); ++at) {
        std::int64_t layer = 0;
        const auto [end, failure] = std::from_chars(at, text.data() + text.size(), layer);
        const bool stopped = end == text.data() + text.size() || *end == ',';
        if (failure != std::errc() || !stopped) return wrong(value.dump());
        out.insert(layer);
        at = end;
      }
    } else {
      return wrong(value.is_object() ? "an object" : value.dump());
    }
    if (!out.empty() && (*out.begin() < first || *out.rbegin() > last)) {
      return wrong(std::to_string(*out.begin() < first ? *out.begin() : *out.rbegin()));
    }
    return out;
  }

  std::optional<std::vector<std::string>> by_type(const LayersByType& rule) {
    const std::string key = rule.by_type.substr(1);
    const auto node = config_.find(key);
    if (!node) {
      config_.root().error(fmt::format("missing key \"{}\"", key));
      return std::nullopt;
    }
    std::vector<std::string> known;
    for (const auto& [type, block] : rule.blocks) known.push_back(type);
    std::vector<std::string> blocks;
    std::vector<std::pair<std::string, JsonNode>> entries;  // with where to complain
    if (node->is_string()) {
      // "MEM*E": a letter a layer; some put the layer groups apart with '|'.
      for (const char letter : node->json().get_ref<const std::string&>()) {
        if (letter != '|') entries.emplace_back(std::string(1, letter), *node);
      }
    } else {
      for (const JsonNode& entry : node->elements()) {
        entries.emplace_back(
            entry.is_string() ? entry.json().get<std::string>() : entry.json().dump(), entry);
      }
      if (!node->is_array()) return std::nullopt;
    }
    const auto count = static_cast<std::int64_t>(entries.size());
    if (count != layers_ && count != all_) {
      node->error(all_ == layers_
                      ? fmt::format("expected {} entries, one per layer, got {}", layers_, count)
                      : fmt::format("expected {} entries, one per layer, or {} with the drafting "
                                    "modules, got {}",
                                    layers_, all_, count));
      return std::nullopt;
    }
    bool ok = true;
    for (const auto& [type, entry] : entries) {
      auto named = rule.blocks.find(type);
      if (named == rule.blocks.end()) named = rule.blocks.find("*");
      if (named != rule.blocks.end()) {
        blocks.push_back(named->second);
      } else {
        entry.expected(fmt::format("one of {}", fmt::join(known, ", ")));
        ok = false;
      }
    }
    if (!ok) return std::nullopt;
    // A list that ends with the last layer says nothing of drafting modules: empty names.
    blocks.resize(static_cast<std::size_t>(all_));
    return blocks;
  }

  Config& config_;
  std::int64_t layers_;
  std::int64_t all_;
};

// Rules are alternatives. Every one whose keys are all given applies, and they must agree; where
// none does, the last one applies and says what it assumes.
std::optional<std::vector<std::string>> block_names(
    Config& config, RuleReader& reader, const std::vector<LayerRule>& rules,
    const std::function<void(std::string)>& assume) {
  std::optional<Applied> chosen;
  for (const LayerRule& rule : rules) {
    const std::set<std::string>& keys = rule.references;
    bool given = std::all_of(keys.begin(), keys.end(),
                             [&](const auto& key) { return config.find(key).has_value(); });
    const auto* one = std::get_if<BlockOfLayers>(&rule.is);
    if (one != nullptr) {
      for (const auto& key : one->without) given = given && !config.find(key);
    }
    const bool last = &rule == &rules.back();
    if (last ? chosen.has_value() && (keys.empty() || !given) : !given) continue;
    const auto blocks = reader.apply(rule);
    if (!blocks) return std::nullopt;
    if (!chosen) {
      if (one != nullptr && one->assumption) assume(*one->assumption);
      chosen = Applied{&rule, *blocks};
      continue;
    }
    // A list that ends with the last layer says nothing of the drafting modules.
    const auto differs = std::mismatch(blocks->begin(), blocks->end(), chosen->blocks.begin(),
                                       [](const auto& left, const auto& right) {
                                         return left == right || left.empty() || right.empty();
                                       });
    if (differs.first != blocks->end()) {
      config.root().error(fmt::format(
          "\"{}\" and \"{}\" contradict each other: layer {} is {} by the one and {} by the other",
          fmt::join(chosen->rule->references, "\", \""), fmt::join(keys, "\", \""),
          differs.first - blocks->begin(), *differs.second, *differs.first));
      return std::nullopt;
    }
  }
  return chosen ? std::optional(chosen->blocks) : std::nullopt;
}

}  // namespace

std::optional<Layout> lay_out(Config& config, const std::function<void(std::string)>& assume) {
  const LayerRules& rules = *config.family()->says.layers;
  const auto count = config.whole(*rules.count, kMaxLayers);
  if (!count) return std::nullopt;
  if (*count == 0) {
    config.root().error("expected at least one layer, got 0");
    return std::nullopt;
  }
  Layout layout;
  if (rules.drafts) {
    std::set<std::string> keys;
    collect_references(*rules.drafts, keys);
    if (std::any_of(keys.begin(), keys.end(),
                    [&](const auto& key) { return config.find(key).has_value(); })) {
      const auto modules = config.whole(*rules.drafts, kMaxDrafts);
      if (!modules) return std::nullopt;
      layout.drafts = *modules;
    } else {
      assume(fmt::format("\"{}\" is not given; no multi-token prediction modules",
                         fmt::join(keys, "\" and \"")));
    }
  }
  RuleReader reader(config, *count, layout.drafts);
  const auto attentions = block_names(config, reader, rules.attention, assume);
  const auto ffns = block_names(config, reader, rules.ffn, assume);
  if (!attentions || !ffns) return std::nullopt;
  std::vector<Layout::Layer> all;
  for (std::size_t i = 0; i < attentions->size(); ++i) {
    all.emplace_back((*attentions)[i], (*ffns)[i]);
  }
  const auto layers = static_cast<std::size_t>(*count);
  if (layout.drafts > 0) {
    layout.draft = all[layers];
    if (rules.draft) {
      layout.draft = {rules.draft->attention, rules.draft->ffn};
      std::fill(all.begin() + *count, all.end(), layout.draft);
    }
    const bool alike = std::all_of(all.begin() + *count, all.end(),
                                   [&](const auto& layer) { return layer == layout.draft; });
    if (!alike || layout.draft.first.empty() || layout.draft.second.empty()) {
      config.root().error(
          "the multi-token prediction modules are not all of one known kind, which is not "
          "understood");
      return std::nullopt;
    }
  }
  all.resize(layers);
  layout.layers = std::move(all);
  return layout;
}

std::vector<Layout::Run> Layout::runs() const {
  constexpr std::size_t kLongestPattern = 64;
  std::vector<Run> out;
  bool joinable = false;  // the last run holds layers that repeat nothing
  for (std::size_t i = 0; i < layers.size();) {
    // The pattern from here that covers most layers by repeating; of equals, the shortest.
    std::size_t best_length = 1;
    std::size_t best_repeat = 1;
    for (std::size_t length = 1; length <= kLongestPattern && i + 2 * length <= layers.size();
         ++length) {
      std::size_t same = 0;
      while (i + length + same < layers.size() && layers[i + same] == layers[i + length + same]) {
        ++same;
      }
      const std::size_t repeat = 1 + same / length;
      if (repeat > 1 && repeat * length > best_repeat * best_length) {
        best_length = length;
        best_repeat = repeat;
      }
    }
    const auto begin = layers.begin() + static_cast<std::ptrdiff_t>(i);
    if (best_repeat == 1 && joinable) {
      out.back().pattern.push_back(*begin);
    } else {
      out.push_back({.repeat = static_cast<std::int64_t>(best_repeat),
                     .pattern = {begin, begin + static_cast<std::ptrdiff_t>(best_length)}});
      joinable = best_repeat == 1;
    }
    i += best_repeat * best_length;
  }
  return out;
}

}  // namespace ridge::models
