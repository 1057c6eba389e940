#include "family.hpp"

#include "ridge/base/catalog.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::models {
namespace {

using nlohmann::json;

constexpr const char* kLike = "like";
constexpr const char* kIrrelevant = "irrelevant";

std::vector<std::string> read_names(const JsonNode& node) {
  std::vector<std::string> names;
  for (const JsonNode& element : node.elements()) {
    std::string name;
    if (element.read(name)) names.push_back(name);
  }
  return names;
}

// The family's file over the one that it is like (RFC 7396), whose irrelevant keys stay irrelevant.
json merged(const Catalog& catalog, const std::string& name, int depth = 0) {
  constexpr int kDeepest = 8;
  const JsonDocument document = JsonDocument::read(catalog.resolve(name));
  const json& own = document.json();
  if (!own.is_object() || !own.contains(kLike)) return own;
  if (depth == kDeepest || !own.at(kLike).is_string()) {
    throw UserError(fmt::format("{}: /{}: expected the name of another family, got {}",
                                document.name(), kLike, own.at(kLike).dump()));
  }
  json out = merged(catalog, own.at(kLike).get<std::string>(), depth + 1);
  json irrelevant = out.value(kIrrelevant, json::array());
  for (const json& key : own.value(kIrrelevant, json::array())) irrelevant.push_back(key);
  out.merge_patch(own);
  out[kIrrelevant] = std::move(irrelevant);
  out.erase(kLike);
  return out;
}

}  // namespace

bool matches(std::string_view pattern, std::string_view name) {
  const auto star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == name;
  if (!name.starts_with(pattern.substr(0, star))) return false;
  const std::string_view rest = pattern.substr(star + 1);
  for (std::size_t at = star; at <= name.size(); ++at) {
    if (matches(rest, name.substr(at))) return true;
  }
  return false;
}

void collect_references(const JsonNode& node, std::set<std::string>& out) {
  if (node.is_object()) {
    for (const auto& member : node.members()) collect_references(member.second, out);
  } else if (node.is_array()) {
    for (const JsonNode& element : node.elements()) collect_references(element, out);
  } else if (std::string text; node.is_string() && node.read(text) && text.starts_with('$')) {
    out.insert(text.substr(1));
  }
}

Family::Family(std::string file, JsonDocument merged_document)
    : name(std::move(file)),
      document(std::move(merged_document)),
      context{.file = document.name(), .diagnostics = &problems} {
  const JsonNode root(document.json(), context);
  {
    JsonObject object(root);
    object.ignore("$schema");
    object.ignore("comment");
    std::string title;
    object.required("title", title);
    if (const auto types = object.required("model_types")) model_types = read_names(*types);
    model = object.required("model");
    attention = object.required("attention");
    ffn = object.required("ffn");
    layers = object.required("layers");
    defaults = object.optional("defaults");
    assumptions = object.optional("assumptions");
    keys.expected = object.optional("expected");
    if (const auto ignored = object.optional(kIrrelevant)) {
      const auto names = read_names(*ignored);
      keys.irrelevant.insert(names.begin(), names.end());
    }
  }
  problems.throw_if_errors();
  collect_references(root, keys.read);
}

const std::vector<std::unique_ptr<Family>>& families() {
  static const std::vector<std::unique_ptr<Family>> all = [] {
    const Catalog catalog("a family", "models/data/huggingface/families");
    std::vector<std::unique_ptr<Family>> out;
    for (const auto& name : catalog.names()) {
      out.push_back(std::make_unique<Family>(
          name, JsonDocument(catalog.resolve(name).string(), merged(catalog, name))));
    }
    return out;
  }();
  return all;
}

const IrrelevantKeys& irrelevant_everywhere() {
  static const IrrelevantKeys keys = [] {
    const JsonDocument document =
        JsonDocument::read(data_root() / "models/data/huggingface/irrelevant_keys.json");
    Diagnostics problems;
    const JsonContext context{.file = document.name(), .diagnostics = &problems};
    IrrelevantKeys out;
    JsonObject object(JsonNode(document.json(), context));
    object.ignore("comment");
    if (const auto groups = object.required(kIrrelevant)) {
      for (const auto& group : groups->members()) {
        const auto names = read_names(group.second);
        out.patterns.insert(out.patterns.end(), names.begin(), names.end());
      }
    }
    if (const auto neutral = object.required("neutral")) {
      for (const auto& [key, values] : neutral->members()) {
        for (const JsonNode& value : values.elements()) out.neutral[key].push_back(value.json());
      }
    }
    problems.throw_if_errors();
    return out;
  }();
  return keys;
}

}  // namespace ridge::models
