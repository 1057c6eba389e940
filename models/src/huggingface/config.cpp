#include "config.hpp"

#include "key_check.hpp"
#include "ridge/base/nearest_name.hpp"
#include "ridge/models/huggingface.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace ridge::models {
namespace {

using nlohmann::json;

// Keys that the import itself reads, whatever the family.
const std::set<std::string> kGeneral = {"model_type", "text_config", "torch_dtype", "dtype",
                                        "quantization_config"};

// "hidden_size" of "$hidden_size"; empty for anything else.
std::string referred(const JsonNode& expression) {
  if (!expression.is_string()) return {};
  const auto& text = expression.json().get_ref<const std::string&>();
  return text.starts_with('$') ? text.substr(1) : std::string();
}

const Family* family_of(const std::string& model_type) {
  for (const auto& family : families()) {
    const auto& types = family->model_types;
    if (std::find(types.begin(), types.end(), model_type) != types.end() ||
        family->wrappers.contains(model_type)) {
      return family.get();
    }
  }
  return nullptr;
}

}  // namespace

std::vector<std::string> importable_model_types() {
  std::vector<std::string> names;
  for (const auto& family : families()) {
    names.insert(names.end(), family->model_types.begin(), family->model_types.end());
    for (const auto& wrapper : family->wrappers) names.push_back(wrapper.first);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Config::Config(const JsonNode& root, std::function<void(std::string)> assume)
    : root_(root), text_(root), assume_(std::move(assume)) {
  if (!root_.is_object()) {
    root_.expected("the object of a config.json");
    return;
  }
  const auto type_node = find_path(root_, "model_type");
  if (!type_node) {
    root_.error("missing key \"model_type\", which names the family of the checkpoint");
    return;
  }
  std::string type;
  if (!type_node->read(type)) return;
  family_ = family_of(type);
  if (family_ == nullptr) {
    const auto known = importable_model_types();
    type_node->expected(fmt::format("a family that is understood ({})", fmt::join(known, ", ")),
                        did_you_mean(type, known));
    return;
  }
  const auto wrapper = family_->wrappers.find(type);
  if (wrapper != family_->wrappers.end()) {
    wrapper_ = &wrapper->second;
    const auto text = find_path(root_, "text_config");
    if (!text || !text->is_object()) {
      root_.error("missing key \"text_config\", which holds the language model");
      family_ = nullptr;
      return;
    }
    text_ = *text;
    assume_(wrapper_->assumption);
  }
  check();
}

void Config::check() {
  KnownKeys known = family_->keys;
  known.read.insert(kGeneral.begin(), kGeneral.end());
  if (wrapper_ == nullptr) known.read.erase("text_config");
  const std::string& type = family_->model_types.front();
  if (wrapper_ != nullptr) {
    if (const auto inner = find_path(text_, "model_type")) {
      std::string name;
      if (inner->read(name) && family_of(name) != family_) {
        inner->expected(fmt::format("one of {}", fmt::join(family_->model_types, ", ")));
      }
    }
    KnownKeys outside;
    outside.read = known.read;
    outside.irrelevant = known.irrelevant;
    outside.irrelevant.insert(wrapper_->irrelevant.begin(), wrapper_->irrelevant.end());
    check_keys(root_, outside, fmt::format("a configuration around the {} family", type));
    for (const std::string& key : known.read) {
      if (key == "model_type" || key == "text_config") continue;
      const auto above = find_path(root_, key);
      const auto below = find_path(text_, key);
      if (above && below && above->json() != below->json()) {
        above->error(fmt::format("{} contradicts the {} at {}", above->json().dump(),
                                 below->json().dump(), below->pointer()));
      }
    }
  }
  const auto absent = check_keys(text_, known, fmt::format("the {} family", type));
  if (!absent.empty()) {
    assume_(fmt::format("not given and taken: {}", fmt::join(absent, ", ")));
  }
}

std::optional<JsonNode> Config::find(const std::string& path) const {
  if (auto found = find_path(text_, path)) return found;
  return wrapper_ != nullptr ? find_path(root_, path) : std::nullopt;
}

json Config::value_of(const std::string& key, std::string& pointer) {
  if (const auto found = find(key)) {
    pointer = found->pointer();
    return found->json();
  }
  const bool first = told_.insert(key).second;
  if (!family_->defaults || !family_->defaults->json().contains(key) ||
      (family_->defaults->child(key).json().value("for_null_only", false) &&
       !text_.json().contains(key))) {
    if (first) text_.error(fmt::format("missing key \"{}\"", key));
    return nullptr;
  }
  const JsonNode fallback = family_->defaults->child(key);
  json value = evaluate(fallback.child("value"), "");
  if (first && !value.is_null()) {
    assume_(fmt::format("\"{}\" is {}; taken as {}: {}", key,
                        text_.json().contains(key) ? "null" : "not given", value.dump(),
                        fallback.json().value("why", "")));
  }
  return value;
}

std::optional<std::int64_t> Config::whole(const JsonNode& expression, double max) {
  // Read where it stands, so that a wrong type is reported there.
  if (const auto found = find(referred(expression))) {
    std::int64_t number = 0;
    return found->read(number, between(0, max)) ? std::optional(number) : std::nullopt;
  }
  const json value = evaluate(expression, "");
  if (value.is_number_integer()) return value.get<std::int64_t>();
  return std::nullopt;
}

json Config::evaluate(const JsonNode& expression, const std::string& target) {
  if (const std::string key = referred(expression); !key.empty()) {
    std::string pointer;
    json value = value_of(key, pointer);
    if (!pointer.empty()) origins_[target] = pointer;
    return value;
  }
  if (!expression.is_object()) return expression.json();

  constexpr double kMaxFactor = 1e9;  // two of them still multiply exactly
  if (const auto factors = find_path(expression, "product")) {
    if (const auto first = find(referred(factors->child(0)))) origins_[target] = first->pointer();
    std::int64_t product = 1;
    for (const JsonNode& factor : factors->elements()) {
      const auto number = whole(factor, kMaxFactor);
      if (!number) return nullptr;
      product *= *number;
    }
    return product;
  }
  if (const auto parts = find_path(expression, "quotient")) {
    if (const auto first = find(referred(parts->child(0)))) origins_[target] = first->pointer();
    const auto dividend = whole(parts->child(0), kMaxFactor);
    const auto divisor = whole(parts->child(1), kMaxFactor);
    if (!dividend || !divisor) return nullptr;
    if (*divisor == 0 || *dividend % *divisor != 0) {
      text_.error(fmt::format("{} ({}) is not a multiple of {} ({})", referred(parts->child(0)),
                              *dividend, referred(parts->child(1)), *divisor));
      return nullptr;
    }
    return *dividend / *divisor;
  }
  if (const auto condition = find_path(expression, "if")) {
    std::string pointer;
    const json value = value_of(referred(*condition), pointer);
    if (value.is_null()) return nullptr;
    if (!value.is_boolean()) {
      find(referred(*condition))->expected("true or false");
      return nullptr;
    }
    return evaluate(expression.child(value.get<bool>() ? "then" : "else"), target);
  }
  json out = json::object();
  for (const auto& [key, member] : expression.members()) {
    json value = evaluate(member, target + "/" + escape_pointer_token(key));
    if (!value.is_null()) out[key] = std::move(value);
  }
  return out;
}

}  // namespace ridge::models
