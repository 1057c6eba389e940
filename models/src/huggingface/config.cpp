#include "config.hpp"

#include "key_check.hpp"
#include "ridge/base/nearest_name.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace ridge::models {
namespace {

using nlohmann::json;

// Keys that the import itself reads, whatever the family.
const std::set<std::string> kGeneral = {"model_type", "torch_dtype", "dtype",
                                        "quantization_config"};
// Where a multimodal configuration keeps its language model.
constexpr std::array<const char*, 4> kLanguageModels = {"text_config", "llm_config",
                                                        "language_config", "thinker_config"};

// "hidden_size" of "$hidden_size"; empty for anything else.
std::string referred(const JsonNode& expression) {
  if (!expression.is_string()) return {};
  const auto& text = expression.json().get_ref<const std::string&>();
  return text.starts_with('$') ? text.substr(1) : std::string();
}

const ConfigFamily* family_of(const std::string& model_type) {
  for (const auto& family : families()) {
    const auto& types = family->says.model_types;
    if (std::find(types.begin(), types.end(), model_type) != types.end()) return family.get();
  }
  return nullptr;
}

const ConfigFamily* family_named(const std::string& name) {
  for (const auto& family : families()) {
    if (family->name == name) return family.get();
  }
  return family_of(name);
}

std::optional<JsonNode> language_model(const JsonNode& node) {
  for (const char* key : kLanguageModels) {
    if (const auto inner = find_path(node, key); inner && inner->is_object()) return inner;
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::string> importable_model_types() {
  std::vector<std::string> names;
  for (const auto& family : families()) {
    names.insert(names.end(), family->says.model_types.begin(), family->says.model_types.end());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Config::Config(const JsonNode& root, const ImportOptions& options,
               std::function<void(std::string)> assume)
    : root_(root), text_(root), assume_(std::move(assume)) {
  if (!root_.is_object()) {
    root_.expected("the object of a config.json");
    return;
  }
  find_language_model(options);
  if (family_ != nullptr) check();
}

void Config::find_language_model(const ImportOptions& options) {
  while (const auto inner = language_model(text_)) text_ = *inner;
  auto type_node = find_path(text_, "model_type");
  if (!type_node) type_node = find_path(root_, "model_type");
  std::string type;
  if (type_node && !type_node->read(type)) return;
  if (!options.as.empty()) {
    family_ = family_named(options.as);
    if (family_ == nullptr) {
      const auto known = importable_model_types();
      throw UserError(fmt::format("--as: expected a family that is understood ({}), got \"{}\"{}",
                                  fmt::join(known, ", "), options.as,
                                  did_you_mean(options.as, known)));
    }
    if (family_ != family_of(type)) {
      assume_(fmt::format("read as the {} family on request; the configuration says {}",
                          family_->name, type.empty() ? "nothing" : '"' + type + '"'));
    }
  } else if (!type_node) {
    root_.error(
        "missing key \"model_type\", which names the family of the checkpoint; --as names one too");
  } else if (family_ = family_of(type); family_ == nullptr) {
    const auto known = importable_model_types();
    type_node->expected(
        fmt::format("a family that is understood ({})", fmt::join(known, ", ")),
        did_you_mean(type, known) + "; one with the same layers can be taken with --as FAMILY");
  }
  if (family_ == nullptr || text_.pointer() == root_.pointer()) return;
  assume_("only the language model is imported; encoders of other modalities are not covered");
}

void Config::check() {
  KnownKeys known = family_->keys;
  known.read.insert(kGeneral.begin(), kGeneral.end());
  const Evaluate evaluate = [this](const JsonNode& expression) { return quietly(expression); };
  std::vector<std::string> neutral;
  if (text_.pointer() != root_.pointer()) {
    KnownKeys outside{
        .read = known.read, .irrelevant = known.irrelevant, .expected = {}, .mandatory = {}};
    outside.irrelevant.insert(kLanguageModels.begin(), kLanguageModels.end());
    if (family_->keys.expected) {
      for (const auto& member : family_->keys.expected->members()) {
        outside.irrelevant.insert(member.first);
      }
    }
    neutral =
        check_keys(root_, outside,
                   fmt::format("a configuration around the {} family", family_->name), evaluate)
            .neutral;
    for (const std::string& key : known.read) {
      if (key == "model_type") continue;
      const auto above = find_path(root_, key);
      const auto below = find_path(text_, key);
      if (above && below && above->json() != below->json()) {
        above->error(fmt::format("{} contradicts the {} at {}", above->json().dump(),
                                 below->json().dump(), below->pointer()));
      }
    }
  }
  const KeyReport report =
      check_keys(text_, known, fmt::format("the {} family", family_->name), evaluate);
  neutral.insert(neutral.end(), report.neutral.begin(), report.neutral.end());
  if (!report.absent.empty()) {
    assume_(fmt::format("not given and taken: {}", fmt::join(report.absent, ", ")));
  }
  if (!neutral.empty()) {
    assume_(fmt::format("not understood, but without effect at their values: {}",
                        fmt::join(neutral, ", ")));
  }
}

std::optional<JsonNode> Config::find(const std::string& path) const {
  if (auto found = find_path(text_, path)) return found;
  return text_.pointer() != root_.pointer() ? find_path(root_, path) : std::nullopt;
}

void Config::report(const JsonNode& at, const std::string& message) const {
  if (!quiet_) at.error(message);
}

json Config::quietly(const JsonNode& expression) {
  quiet_ = true;
  json value = evaluate(expression, "/quiet");
  quiet_ = false;
  return value;
}

json Config::value_of(const std::string& key, std::string& pointer) {
  if (const auto found = find(key)) {
    pointer = found->pointer();
    return found->json();
  }
  const bool first = !quiet_ && told_.insert(key).second;
  const FamilyDefault* fallback = family_->default_of(key);
  if (fallback == nullptr || (fallback->for_null_only && !text_.json().contains(key))) {
    if (first) text_.error(fmt::format("missing key \"{}\"", key));
    return nullptr;
  }
  json value = evaluate(*fallback->value, "");
  if (first && !value.is_null()) {
    assume_(fmt::format("\"{}\" is {}; taken as {}: {}", key,
                        text_.json().contains(key) ? "null" : "not given", value.dump(),
                        fallback->why));
  }
  return value;
}

std::optional<std::int64_t> Config::whole(const JsonNode& expression, double max) {
  // Read where it stands, so that a wrong type is reported there.
  if (const auto found = find(referred(expression)); found && !quiet_) {
    std::int64_t number = 0;
    return found->read(number, between(0, max)) ? std::optional(number) : std::nullopt;
  }
  const json value = evaluate(expression, "");
  if (value.is_number_integer() && value >= 0 && value <= max) return value.get<std::int64_t>();
  if (value.is_null() || quiet_) return std::nullopt;
  std::set<std::string> keys;
  collect_references(expression, keys);
  for (const std::string& key : keys) {
    if (const auto found = find(key); found && found->json() == value) {
      std::int64_t number = 0;
      (void)found->read(number, between(0, max));
      return std::nullopt;
    }
  }
  report(text_, fmt::format("expected a whole number of \"{}\", got {}", fmt::join(keys, "\", \""),
                            value.dump()));
  return std::nullopt;
}

json Config::at_layer(const JsonNode& list) {
  const std::string key = referred(list);
  std::string pointer;
  const json value = value_of(key, pointer);
  if (!value.is_array()) return value;  // one for all layers
  if (value.empty()) return nullptr;
  // A list that ends with the last layer says nothing of the drafting modules, which are like it.
  return value.at(std::min(static_cast<std::size_t>(layer_), value.size() - 1));
}

json Config::choose(const JsonNode& expression, const std::string& target) {
  const JsonNode condition = expression.child("if");
  const json value = evaluate(condition, "");
  if (value.is_null()) return nullptr;
  if (!value.is_boolean() && !value.is_number()) {
    if (const auto found = find(referred(condition)); found && !quiet_) {
      found->expected("true or false");
    }
    return nullptr;
  }
  const bool holds = value.is_boolean() ? value.get<bool>() : value.get<double>() != 0.0;
  return evaluate(expression.child(holds ? "then" : "else"), target);
}

json Config::compute(const std::string& function, const JsonNode& arguments,
                     const std::string& target) {
  constexpr double kMaxFactor = 1e9;  // two of them still multiply exactly
  if (function == "at_layer") return at_layer(arguments);
  if (function == "length") {
    const json list = evaluate(arguments, "");
    if (list.is_string()) return list.get_ref<const std::string&>().size();
    return list.is_array() ? json(list.size()) : json();
  }
  if (function == "first_of") {
    for (const JsonNode& one : arguments.elements()) {
      std::set<std::string> keys;
      collect_references(one, keys);
      const bool given = std::all_of(keys.begin(), keys.end(),
                                     [&](const auto& key) { return find(key).has_value(); });
      if (given) return evaluate(one, target);
    }
    std::vector<std::string> names;
    std::set<std::string> keys;
    collect_references(arguments, keys);
    for (const auto& key : keys) names.push_back('"' + key + '"');
    report(text_, fmt::format("missing key {}", fmt::join(names, " or ")));
    return nullptr;
  }
  if (function == "not") {
    const json value = evaluate(arguments, "");
    return value.is_boolean() ? json(!value.get<bool>()) : json();
  }
  if (function == "listed") {
    const json list = evaluate(arguments, "");
    return list.is_array() ? json(std::find(list.begin(), list.end(), json(layer_)) != list.end())
                           : json();
  }
  if (function == "from_layer") {
    const auto first = whole(arguments, kMaxFactor);
    return first ? json(layer_ >= *first) : json();
  }
  if (function == "total") {
    const json list = evaluate(arguments, "");
    std::int64_t sum = 0;
    for (const json& one : list.is_array() ? list : json::array()) {
      if (!one.is_number_integer()) return nullptr;
      sum += one.get<std::int64_t>();
    }
    return sum;
  }
  if (function == "equal") {
    const json left = evaluate(arguments.child(0), "");
    const json right = evaluate(arguments.child(1), "");
    return left.is_null() ? json() : json(left == right);
  }
  if (!target.empty()) {
    if (const auto first = find(referred(arguments.child(0)))) origins_[target] = first->pointer();
  }
  std::vector<std::int64_t> numbers;
  for (const JsonNode& argument : arguments.elements()) {
    const auto number = whole(argument, kMaxFactor);
    if (!number) return nullptr;
    numbers.push_back(*number);
  }
  std::int64_t result = numbers.front();
  if (function == "quotient") {
    if (numbers[1] != 0 && result % numbers[1] == 0) return result / numbers[1];
    const auto divisor = find(referred(arguments.child(1)));
    report(divisor ? *divisor : text_,
           fmt::format("{} ({}) is not a multiple of {} ({})", referred(arguments.child(0)), result,
                       referred(arguments.child(1)), numbers[1]));
    return nullptr;
  }
  for (std::size_t i = 1; i < numbers.size(); ++i) {
    if (function == "product") result *= numbers[i];
    if (function == "sum") result += numbers[i];
    if (function == "difference") result -= numbers[i];
  }
  return result;
}

json Config::evaluate(const JsonNode& expression, const std::string& target) {
  if (const std::string key = referred(expression); !key.empty()) {
    std::string pointer;
    json value = value_of(key, pointer);
    if (!pointer.empty() && !quiet_) origins_[target] = pointer;
    return value;
  }
  if (!expression.is_object()) return expression.json();
  if (find_path(expression, "if")) return choose(expression, target);
  for (const char* function : {"product", "quotient", "sum", "difference", "at_layer", "length",
                               "first_of", "equal", "not", "listed", "total", "from_layer"}) {
    if (const auto arguments = find_path(expression, function)) {
      return compute(function, *arguments, target);
    }
  }
  json out = json::object();
  for (const auto& [key, member] : expression.members()) {
    json value = evaluate(member, target + "/" + escape_pointer_token(key));
    if (!value.is_null()) out[key] = std::move(value);
  }
  return out;
}

}  // namespace ridge::models
