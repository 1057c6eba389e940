#include "layout.hpp"

#include "key_check.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::models {
namespace {

using nlohmann::json;

constexpr double kMaxLayers = 10000;
constexpr double kMaxDrafts = 64;

// One rule applied: a block name for each layer, drafting modules after the last.
struct Applied {
  JsonNode rule;
  std::vector<std::string> blocks;
};

class RuleReader {
 public:
  RuleReader(Config& config, std::int64_t layers, std::int64_t drafts)
      : config_(config), layers_(layers), all_(layers + drafts) {}

  // The block names by `rule`, or nothing where the configuration is wrong.
  std::optional<std::vector<std::string>> apply(const JsonNode& rule) {
    if (const auto types = find_path(rule, "by_type")) return by_type(rule, *types);
    std::vector<char> chosen(static_cast<std::size_t>(all_), 1);
    if (const auto where = find_path(rule, "where")) {
      offset_ = find_path(*where, "offset");
      for (const auto& [condition, argument] : where->members()) {
        if (condition == "offset") continue;
        if (!restrict_to(condition, argument, chosen)) return std::nullopt;
      }
    }
    const std::string block = rule.json().value("block", "");
    const std::string rest = rule.json().value("rest", "");
    std::vector<std::string> blocks;
    for (const char is : chosen) blocks.push_back(is != 0 ? block : rest);
    return blocks;
  }

 private:
  bool restrict_to(const std::string& condition, const JsonNode& argument,
                   std::vector<char>& chosen) {
    const auto keep = [&](auto&& wanted) {
      for (std::int64_t i = 0; i < all_; ++i) {
        if (!wanted(i)) chosen[static_cast<std::size_t>(i)] = 0;
      }
      return true;
    };
    if (condition == "listed" || condition == "not_listed" || condition == "listed_from_1") {
      const std::int64_t first = condition == "listed_from_1" ? 1 : 0;
      const auto listed = layer_list(argument, first);
      const bool inside = condition != "not_listed";
      return listed && keep([&](std::int64_t i) { return listed->contains(i + first) == inside; });
    }
    if (condition == "if") {
      const json value = config_.evaluate(argument, "");
      if (value.is_null()) return false;
      const bool holds = value.is_boolean() ? value.get<bool>() : value != 0;
      return keep([&](std::int64_t) { return holds; });
    }
    const auto number = config_.whole(argument, kMaxLayers);
    if (!number) return false;
    if (condition == "before") return keep([&](std::int64_t i) { return i < *number; });
    if (condition == "from") return keep([&](std::int64_t i) { return i >= *number; });
    if (condition == "up_to") return keep([&](std::int64_t i) { return i <= *number; });
    if (condition == "every") {
      if (*number == 0) {
        config_.root().error(
            fmt::format("{} is 0, but layers are counted by it", argument.json().dump()));
        return false;
      }
      std::int64_t offset = *number - 1;
      if (offset_) {
        const auto given = config_.whole(*offset_, kMaxLayers);
        if (!given) return false;
        offset = *given;
      }
      return keep([&](std::int64_t i) { return i % *number == offset % *number; });
    }
    argument.error(fmt::format("unknown condition \"{}\"", condition));
    return false;
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

  std::optional<std::vector<std::string>> by_type(const JsonNode& rule, const JsonNode& types) {
    std::string key;
    types.read(key);
    const auto node = config_.find(key.substr(1));
    if (!node) {
      config_.root().error(fmt::format("missing key \"{}\"", key.substr(1)));
      return std::nullopt;
    }
    const json& names = rule.json().at("blocks");
    std::vector<std::string> known;
    for (const auto& item : names.items()) known.push_back(item.key());
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
      const auto named = names.contains(type) ? names.find(type) : names.find("*");
      if (named != names.end()) {
        blocks.push_back(named->get<std::string>());
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
  std::optional<JsonNode> offset_;  // of "every"
};

// Rules are alternatives. Every one whose keys are all given applies, and they must agree; where
// none does, the last one applies and says what it assumes.
std::optional<std::vector<std::string>> block_names(
    Config& config, RuleReader& reader, const JsonNode& rules,
    const std::function<void(std::string)>& assume) {
  std::optional<Applied> chosen;
  const auto alternatives = rules.elements();
  for (std::size_t r = 0; r < alternatives.size(); ++r) {
    const JsonNode& rule = alternatives[r];
    std::set<std::string> keys;
    collect_references(rule, keys);
    bool given = std::all_of(keys.begin(), keys.end(),
                             [&](const auto& key) { return config.find(key).has_value(); });
    if (const auto without = find_path(rule, "without")) {
      for (const auto& key : without->json()) given = given && !config.find(key.get<std::string>());
    }
    const bool last = r + 1 == alternatives.size();
    if (last ? chosen.has_value() && (keys.empty() || !given) : !given) continue;
    const auto blocks = reader.apply(rule);
    if (!blocks) return std::nullopt;
    if (!chosen) {
      if (const auto text = find_path(rule, "assumption")) assume(text->json().get<std::string>());
      chosen = Applied{rule, *blocks};
      continue;
    }
    // A list that ends with the last layer says nothing of the drafting modules.
    const auto differs = std::mismatch(blocks->begin(), blocks->end(), chosen->blocks.begin(),
                                       [](const auto& left, const auto& right) {
                                         return left == right || left.empty() || right.empty();
                                       });
    if (differs.first != blocks->end()) {
      std::set<std::string> others;
      collect_references(chosen->rule, others);
      config.root().error(fmt::format(
          "\"{}\" and \"{}\" contradict each other: layer {} is {} by the one and {} by the other",
          fmt::join(others, "\", \""), fmt::join(keys, "\", \""), differs.first - blocks->begin(),
          *differs.second, *differs.first));
      return std::nullopt;
    }
  }
  return chosen ? std::optional(chosen->blocks) : std::nullopt;
}

}  // namespace

std::optional<Layout> lay_out(Config& config, const std::function<void(std::string)>& assume) {
  const JsonNode& rules = *config.family()->layers;
  const auto count = config.whole(rules.child("count"), kMaxLayers);
  if (!count) return std::nullopt;
  if (*count == 0) {
    config.root().error("expected at least one layer, got 0");
    return std::nullopt;
  }
  Layout layout;
  if (const auto drafts = find_path(rules, "drafts")) {
    std::set<std::string> keys;
    collect_references(*drafts, keys);
    if (std::any_of(keys.begin(), keys.end(),
                    [&](const auto& key) { return config.find(key).has_value(); })) {
      const auto modules = config.whole(*drafts, kMaxDrafts);
      if (!modules) return std::nullopt;
      layout.drafts = *modules;
    } else {
      assume(fmt::format("\"{}\" is not given; no multi-token prediction modules",
                         fmt::join(keys, "\" and \"")));
    }
  }
  RuleReader reader(config, *count, layout.drafts);
  const auto attentions = block_names(config, reader, rules.child("attention"), assume);
  const auto ffns = block_names(config, reader, rules.child("ffn"), assume);
  if (!attentions || !ffns) return std::nullopt;
  std::vector<Layout::Layer> all;
  for (std::size_t i = 0; i < attentions->size(); ++i) {
    all.emplace_back((*attentions)[i], (*ffns)[i]);
  }
  const auto layers = static_cast<std::size_t>(*count);
  if (layout.drafts > 0) {
    layout.draft = all[layers];
    if (const auto draft = find_path(rules, "draft")) {
      layout.draft = {draft->json().at("attention"), draft->json().at("ffn")};
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
