#include "family.hpp"

#include "ridge/base/catalog.hpp"

#include <fmt/format.h>

namespace ridge::models {
namespace {

std::set<std::string> read_names(const JsonNode& node) {
  std::set<std::string> names;
  for (const JsonNode& element : node.elements()) {
    std::string name;
    if (element.read(name)) names.insert(name);
  }
  return names;
}

}  // namespace

void collect_references(const JsonNode& node, std::set<std::string>& out) {
  if (node.is_object()) {
    for (const auto& member : node.members()) collect_references(member.second, out);
  } else if (node.is_array()) {
    for (const JsonNode& element : node.elements()) collect_references(element, out);
  } else if (std::string text; node.is_string() && node.read(text) && text.starts_with('$')) {
    out.insert(text.substr(1));
  }
}

Family::Family(JsonDocument file)
    : document(std::move(file)), context{.file = document.name(), .diagnostics = &problems} {
  const JsonNode root(document.json(), context);
  {
    JsonObject object(root);
    object.ignore("$schema");
    object.ignore("comment");
    std::string title;
    object.required("title", title);
    if (const auto types = object.required("model_types")) {
      for (const auto& name : read_names(*types)) model_types.push_back(name);
    }
    if (const auto wrapping = object.optional("wrappers")) {
      for (const auto& [name, node] : wrapping->members()) {
        JsonObject fields(node);
        Wrapper& wrapper = wrappers[name];
        fields.required("assumption", wrapper.assumption);
        if (const auto ignored = fields.required("irrelevant")) {
          wrapper.irrelevant = read_names(*ignored);
        }
      }
    }
    model = object.required("model");
    attention = object.required("attention");
    ffn = object.required("ffn");
    layers = object.required("layers");
    defaults = object.optional("defaults");
    assumptions = object.optional("assumptions");
    keys.expected = object.optional("expected");
    if (const auto ignored = object.optional("irrelevant")) keys.irrelevant = read_names(*ignored);
  }
  problems.throw_if_errors();
  collect_references(root, keys.read);
}

const std::vector<std::unique_ptr<Family>>& families() {
  static const std::vector<std::unique_ptr<Family>> all = [] {
    const Catalog catalog("a family", "models/data/huggingface/families");
    std::vector<std::unique_ptr<Family>> out;
    for (const auto& name : catalog.names()) {
      out.push_back(std::make_unique<Family>(JsonDocument::read(catalog.resolve(name))));
    }
    return out;
  }();
  return all;
}

const std::set<std::string>& irrelevant_everywhere() {
  static const std::set<std::string> keys = [] {
    const JsonDocument document =
        JsonDocument::read(data_root() / "models/data/huggingface/irrelevant_keys.json");
    Diagnostics problems;
    const JsonContext context{.file = document.name(), .diagnostics = &problems};
    std::set<std::string> out;
    for (const auto& [about, names] : JsonNode(document.json(), context).members()) {
      if (about == "comment") continue;
      out.merge(read_names(names));
    }
    problems.throw_if_errors();
    return out;
  }();
  return keys;
}

}  // namespace ridge::models
