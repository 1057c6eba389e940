#include "ridge/base/json.hpp"

#include "json_words.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/nearest_name.hpp"
#include "ridge/base/unit.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge {
namespace {

// "[json.exception.parse_error.101] parse error at line 1, column 2: ..." without its prefix.
std::string_view without_prefix(std::string_view what) {
  const auto end = what.find("] ");
  return end == std::string_view::npos ? what : what.substr(end + 2);
}

// Builds the tree from nlohmann's events. Its own builder keeps the last of two equal keys without
// a word, and the one that can be asked about every key takes time quadratic in the members of an
// object.
class TreeBuilder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  TreeBuilder(const std::string& name, std::size_t max_depth)
      : name_(name), max_depth_(max_depth) {}

  [[nodiscard]] nlohmann::json finished() {
    problems_.throw_if_errors();
    return std::move(root_);
  }

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t& /*text*/) override { return put(value); }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t& value) override { return put(std::move(value)); }
  bool start_object(std::size_t /*size*/) override { return open(nlohmann::json::object()); }
  bool start_array(std::size_t /*size*/) override { return open(nlohmann::json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& key) override {
    auto& members = open_.back()->get_ref<nlohmann::json::object_t&>();
    const auto [member, added] = members.try_emplace(key);
    if (!added) {
      problems_.error(name_, "", fmt::format("key \"{}\" is given twice in one object", key));
    }
    member_ = &member->second;
    return true;
  }

  bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                   const nlohmann::json::exception& e) override {
    problems_.error(name_, "", fmt::format("not valid JSON: {}", without_prefix(e.what())));
    problems_.throw_if_errors();
    return false;
  }

 private:
  // Where the next value goes.
  nlohmann::json& place() {
    if (open_.empty()) return root_;
    if (open_.back()->is_array()) {
      auto& elements = open_.back()->get_ref<nlohmann::json::array_t&>();
      return elements.emplace_back();
    }
    return *member_;
  }
  template <typename T>
  bool put(T&& value) {
    place() = std::forward<T>(value);
    return true;
  }
  bool open(nlohmann::json&& empty) {
    if (open_.size() >= max_depth_) {
      throw UserError(fmt::format("{}: nested more than {} levels deep", name_, max_depth_));
    }
    nlohmann::json& opened = place();
    opened = std::move(empty);
    open_.push_back(&opened);
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  const std::string& name_;
  std::size_t max_depth_;
  nlohmann::json root_;
  std::vector<nlohmann::json*>
      open_;  // objects and arrays around the next value; none of them moves
  nlohmann::json* member_ = nullptr;  // of the innermost object, whose key was read last
  Diagnostics problems_;
};

constexpr std::size_t kShownCharacters = 60;

std::string shown(const nlohmann::json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() > kShownCharacters) {
    text.resize(kShownCharacters);
    text += "...";
  }
  return text;
}

// 1048576, not 1.04858e+06.
std::string shown_bound(double x) {
  return x == std::floor(x) && std::abs(x) < 1e15 ? fmt::format("{:.0f}", x)
                                                  : fmt::format("{:g}", x);
}

}  // namespace

std::string number_words(NumberRange range, std::string_view unit, bool whole) {
  std::string words = whole ? "a whole number" : "a number";
  if (!unit.empty()) words += fmt::format(" of {}", unit);
  const bool has_min = range.min > std::numeric_limits<double>::lowest();
  const bool has_max = range.max < std::numeric_limits<double>::max();
  if (has_min && has_max) {
    words += fmt::format("{}{}{}{}", range.open_min ? " above " : " from ", shown_bound(range.min),
                         range.open_min ? " and at most " : " to ", shown_bound(range.max));
  } else if (has_min) {
    words +=
        fmt::format(" {} {}", range.open_min ? "above" : "of at least", shown_bound(range.min));
  } else if (has_max) {
    words += fmt::format(" of at most {}", shown_bound(range.max));
  }
  return words;
}

// That limit goes without saying.
std::string whole_number_words(NumberRange range) {
  if (range.max >= kLargestWhole) range.max = std::numeric_limits<double>::max();
  if (range.min <= -kLargestWhole) range.min = std::numeric_limits<double>::lowest();
  return number_words(range, {}, true);
}

namespace {
std::string_view question_in(std::string_view page, const std::string& name) {
  const std::size_t at = page.find(kQuestionInPage);
  if (at == std::string_view::npos) {
    throw UserError(fmt::format(
        "{}: expected a page that Ridge wrote with --report, got one without a question in it; "
        "name the scenario itself",
        name));
  }
  page.remove_prefix(at + kQuestionInPage.size());
  return page.substr(0, page.find("</script>"));
}
}  // namespace

JsonDocument::JsonDocument(std::string name, nlohmann::json value)
    : name_(std::move(name)), json_(std::make_shared<nlohmann::json>(std::move(value))) {}

JsonDocument JsonDocument::parse(std::string_view text, std::string name, JsonLimits limits) {
  if (text.size() > limits.max_bytes) {
    throw UserError(fmt::format("{}: expected at most {} MiB of JSON, got more", name,
                                limits.max_bytes >> 20U));
  }
  TreeBuilder builder(name, limits.max_depth);
  (void)nlohmann::json::sax_parse(text.begin(), text.end(),
                                  &builder);  // throws what parse_error() throws
  nlohmann::json value = builder.finished();
  return {std::move(name), std::move(value)};
}

std::string json_text_of(const std::filesystem::path& path, JsonLimits limits) {
  const std::string text = read_file(path, limits.max_bytes);
  return path.extension() == ".html" ? std::string(question_in(text, path.string())) : text;
}

JsonDocument JsonDocument::read(const std::filesystem::path& path, JsonLimits limits) {
  return parse(json_text_of(path, limits), path.string(), limits);
}

std::string escape_pointer_token(std::string_view key) {
  std::string out;
  for (const char c : key) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

void JsonNode::error(std::string_view message) const {
  context_->diagnostics->error(context_->file, told_pointer(), message);
}
void JsonNode::warning(std::string_view message) const {
  context_->diagnostics->warning(context_->file, told_pointer(), message);
}
const std::string& JsonNode::told_pointer() const {
  if (context_->origins == nullptr) return pointer_;
  const auto origin = context_->origins->find(pointer_);
  return origin == context_->origins->end() ? pointer_ : origin->second;
}
void JsonNode::expected(std::string_view what, std::string_view hint) const {
  error(fmt::format("expected {}, got {}{}", what, shown(*value_), hint));
}

bool JsonNode::is_object() const {
  return value_->is_object();
}
bool JsonNode::is_array() const {
  return value_->is_array();
}
bool JsonNode::is_string() const {
  return value_->is_string();
}
bool JsonNode::is_number() const {
  return value_->is_number();
}

bool JsonNode::read(bool& out) const {
  if (!value_->is_boolean()) {
    expected("true or false");
    return false;
  }
  out = value_->get<bool>();
  return true;
}

bool JsonNode::read(std::string& out) const {
  if (!value_->is_string()) {
    expected("a string");
    return false;
  }
  out = value_->get<std::string>();
  return true;
}

bool JsonNode::read_number(double& out, NumberRange range, double scale,
                           std::string_view unit) const {
  if (!value_->is_number() || !range.contains(value_->get<double>())) {
    expected(number_words(range, unit, false));
    return false;
  }
  out = value_->get<double>() * scale;
  return true;
}

bool JsonNode::read(double& out, NumberRange range) const {
  return read_number(out, range, 1.0, {});
}

bool JsonNode::read_scaled(double& out, NumberRange range) const {
  const auto slash = pointer_.find_last_of('/');
  auto unit = unit_of_key(std::string_view(pointer_).substr(slash + 1));
  if (!unit) {
    // {"memory_bandwidth_TBps": {"value": 3.35, "source": "..."}}: the unit stands one key up.
    const auto parent = std::string_view(pointer_).substr(0, slash);
    unit = unit_of_key(parent.substr(parent.find_last_of('/') + 1));
  }
  RIDGE_INVARIANT(unit.has_value(), "a quantity is read from a key that names no unit");
  return read_number(out, range, unit->scale, unit->words);
}

bool JsonNode::read(std::int64_t& out, NumberRange range) const {
  range.min = std::max(range.min, -kLargestWhole);
  range.max = std::min(range.max, kLargestWhole);
  const bool whole = value_->is_number() && std::isfinite(value_->get<double>()) &&
                     value_->get<double>() == std::floor(value_->get<double>());
  if (!whole || !range.contains(value_->get<double>())) {
    expected(whole_number_words(range));
    return false;
  }
  out = static_cast<std::int64_t>(value_->get<double>());
  return true;
}

std::optional<std::size_t> JsonNode::read_choice(std::span<const std::string> known) const {
  if (value_->is_string()) {
    const auto& name = value_->get_ref<const std::string&>();
    const auto found = std::find(known.begin(), known.end(), name);
    if (found != known.end()) return static_cast<std::size_t>(found - known.begin());
    expected(fmt::format("one of {}", fmt::join(known, ", ")), did_you_mean(name, known));
  } else {
    expected(fmt::format("one of {}", fmt::join(known, ", ")));
  }
  return std::nullopt;
}

std::vector<JsonNode> JsonNode::elements() const {
  std::vector<JsonNode> out;
  if (!value_->is_array()) {
    expected("an array");
    return out;
  }
  for (std::size_t i = 0; i < value_->size(); ++i) out.push_back(child(i));
  return out;
}

std::vector<std::pair<std::string, JsonNode>> JsonNode::members() const {
  std::vector<std::pair<std::string, JsonNode>> out;
  if (!value_->is_object()) {
    expected("an object");
    return out;
  }
  for (const auto& item : value_->items()) out.emplace_back(item.key(), child(item.key()));
  return out;
}

JsonNode JsonNode::child(std::size_t index) const {
  return {value_->at(index), *context_, fmt::format("{}/{}", pointer_, index)};
}

JsonNode JsonNode::child(const std::string& key) const {
  return {value_->at(key), *context_, fmt::format("{}/{}", pointer_, escape_pointer_token(key))};
}

JsonNode JsonNode::at(std::string_view pointer) const {
  JsonNode node = *this;
  nlohmann::json::json_pointer rest{std::string(pointer)};
  std::vector<std::string> tokens;
  for (; !rest.empty(); rest.pop_back()) tokens.push_back(rest.back());
  for (auto token = tokens.rbegin(); token != tokens.rend(); ++token) {
    if (!node.is_object() || !node.json().contains(*token)) break;
    node = node.child(*token);
  }
  return node;
}

bool is_json_pointer(const std::string& text) {
  try {
    const nlohmann::json::json_pointer parsed(text);
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

bool JsonNode::contains_pointer(const std::string& pointer) const {
  try {
    return value_->contains(nlohmann::json::json_pointer(pointer));
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

JsonObject::JsonObject(const JsonNode& node) : node_(node), is_object_(node.is_object()) {
  if (!is_object_) node_.expected("an object");
}

std::optional<JsonNode> JsonObject::optional(std::string_view key) {
  known_.emplace_back(key);
  if (!is_object_ || !node_.json().contains(known_.back())) return std::nullopt;
  return node_.child(known_.back());
}

std::optional<JsonNode> JsonObject::required(std::string_view key) {
  auto member = optional(key);
  if (!member && is_object_) {
    const auto unit = unit_of_key(key);
    node_.error(unit ? fmt::format("missing key \"{}\" (in {})", key, unit->words)
                     : fmt::format("missing key \"{}\"", key));
  }
  return member;
}

void JsonObject::ignore(std::string_view key) {
  known_.emplace_back(key);
}

// Throws nothing but the want of memory, after which nothing is left to tell.
JsonObject::~JsonObject() {  // NOLINT(bugprone-exception-escape)
  if (!is_object_) return;
  for (const auto& item : node_.json().items()) {
    const std::string& key = item.key();
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    const auto same_stem = std::find_if(
        known_.begin(), known_.end(),
        [&](const std::string& known) { return stem_of_key(known) == stem_of_key(key); });
    const std::string hint = same_stem != known_.end()
                                 ? fmt::format("; the unit is part of the key: \"{}\"", *same_stem)
                                 : did_you_mean(key, known_);
    node_.error(fmt::format("unknown key \"{}\"{}", key, hint));
  }
}

}  // namespace ridge
