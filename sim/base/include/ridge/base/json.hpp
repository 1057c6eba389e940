// Reading JSON with a cursor that knows its file and JSON pointer. A mistake is reported as
//   scenarios/x.json: /deployment/ffn/chip: expected ..., got ...; did you mean ...?
// and reading goes on, so that every problem in a file is reported at once.
#pragma once

#include "ridge/base/error.hpp"
#include "ridge/base/quantity.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace ridge {

struct JsonLimits {
  std::size_t max_bytes = std::size_t{16} << 20U;
  std::size_t max_depth = 64;
};

// How the question begins that a page of Ridge holds.
inline constexpr std::string_view kQuestionInPage =
    "<script type=\"application/json\" id=\"ridge-question\">";

// The JSON in a file: its text, or of a page that Ridge wrote, the question it answers. Throws
// UserError.
[[nodiscard]] std::string json_text_of(const std::filesystem::path& path, JsonLimits limits = {});

// A parsed JSON text and the name it is known by in messages.
class JsonDocument {
 public:
  // Throws UserError: unreadable, too large, not JSON (with line and column), nested too deeply, a
  // key given twice, a number out of range.
  static JsonDocument read(const std::filesystem::path& path, JsonLimits limits = {});
  static JsonDocument parse(std::string_view text, std::string name, JsonLimits limits = {});
  JsonDocument(std::string name, nlohmann::json value);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const nlohmann::json& json() const { return *json_; }
  [[nodiscard]] nlohmann::json& json() { return *json_; }

 private:
  std::string name_;
  std::shared_ptr<nlohmann::json> json_;
};

// The numbers a key accepts. Both ends are inclusive unless `open_min`.
struct NumberRange {
  double min = std::numeric_limits<double>::lowest();
  double max = std::numeric_limits<double>::max();
  bool open_min = false;

  [[nodiscard]] bool contains(double x) const {
    return (open_min ? x > min : x >= min) && x <= max;
  }
};
[[nodiscard]] constexpr NumberRange at_least(double min) {
  return {.min = min};
}
[[nodiscard]] constexpr NumberRange between(double min, double max) {
  return {.min = min, .max = max};
}
[[nodiscard]] constexpr NumberRange positive(double max = std::numeric_limits<double>::max()) {
  return {.min = 0.0, .max = max, .open_min = true};
}

// What every node of one document shares.
struct JsonContext {
  std::string file;
  Diagnostics* diagnostics = nullptr;
  // For a document made from another: its pointers -> those of the file that people know.
  const std::map<std::string, std::string>* origins = nullptr;
};

template <typename E>
struct Named {
  std::string_view name;
  E value;
};

class JsonObject;

// A value somewhere in a document. Cheap to copy. The document must outlive it.
class JsonNode {
 public:
  JsonNode(const nlohmann::json& value, const JsonContext& context, std::string pointer = {})
      : value_(&value), context_(&context), pointer_(std::move(pointer)) {}

  [[nodiscard]] const std::string& pointer() const { return pointer_; }
  [[nodiscard]] const std::string& file() const { return context_->file; }
  [[nodiscard]] const nlohmann::json& json() const { return *value_; }
  [[nodiscard]] const JsonContext& context() const { return *context_; }

  void error(std::string_view message) const;
  void warning(std::string_view message) const;
  // "expected X, got <this value>".
  void expected(std::string_view what, std::string_view hint = {}) const;

  [[nodiscard]] bool is_object() const;
  [[nodiscard]] bool is_array() const;
  [[nodiscard]] bool is_string() const;
  [[nodiscard]] bool is_number() const;

  // Each reads into `out` or reports what was expected and leaves `out` alone.
  bool read(bool& out) const;
  bool read(std::string& out) const;
  bool read(double& out, NumberRange range = {}) const;
  bool read(std::int64_t& out, NumberRange range = {}) const;
  template <typename E>
  bool read(E& out, std::span<const Named<E>> names) const {
    std::vector<std::string> known;
    for (const auto& n : names) known.emplace_back(n.name);
    const std::optional<std::size_t> index = read_choice(known);
    if (index) out = names[*index].value;
    return index.has_value();
  }
  // A quantity; the unit stands at the end of the key (the last token of the pointer).
  template <int S, int B, int F, int U, int J, int T>
  bool read(Quantity<S, B, F, U, J, T>& out, NumberRange range = positive()) const {
    return read_scaled(reinterpret_cast<double&>(out), range);
  }
  // One of `known`, as its index.
  [[nodiscard]] std::optional<std::size_t> read_choice(std::span<const std::string> known) const;

  // The elements of an array; reports and returns none if this is no array.
  [[nodiscard]] std::vector<JsonNode> elements() const;
  // The members of an object whose keys are the user's own (names of blocks, say).
  [[nodiscard]] std::vector<std::pair<std::string, JsonNode>> members() const;
  // An element of an array or member of an object.
  [[nodiscard]] JsonNode child(std::size_t index) const;
  [[nodiscard]] JsonNode child(const std::string& key) const;
  // The value that a JSON pointer, counted from here, leads to; the last one there is, where it
  // leads to none.
  [[nodiscard]] JsonNode at(std::string_view pointer) const;
  // Whether this JSON pointer, counted from here, is well formed and leads to a value.
  [[nodiscard]] bool contains_pointer(const std::string& pointer) const;

 private:
  // Where people look for this value.
  [[nodiscard]] const std::string& told_pointer() const;
  bool read_scaled(double& out, NumberRange range) const;
  bool read_number(double& out, NumberRange range, double scale, std::string_view unit) const;

  const nlohmann::json* value_;
  const JsonContext* context_;
  std::string pointer_;
};

// Reads the members of an object by key; when it goes out of scope, every key that nobody asked for
// is an error, with the nearest known key as a hint.
class JsonObject {
 public:
  explicit JsonObject(const JsonNode& node);
  JsonObject(const JsonObject&) = delete;
  JsonObject& operator=(const JsonObject&) = delete;
  ~JsonObject();  // NOLINT(bugprone-exception-escape)

  [[nodiscard]] const JsonNode& node() const { return node_; }
  // The member, or nothing; optional() does not report a missing one, required() does.
  [[nodiscard]] std::optional<JsonNode> optional(std::string_view key);
  [[nodiscard]] std::optional<JsonNode> required(std::string_view key);

  // Reads a member with JsonNode::read(out, arguments...). False if missing or wrong.
  template <typename T, typename... Arguments>
  bool required(std::string_view key, T& out, Arguments&&... arguments) {
    const auto member = required(key);
    return member && member->read(out, std::forward<Arguments>(arguments)...);
  }
  template <typename T, typename... Arguments>
  bool optional(std::string_view key, T& out, Arguments&&... arguments) {
    const auto member = optional(key);
    return member && member->read(out, std::forward<Arguments>(arguments)...);
  }
  // Accepts a key and does not look at it ("$schema", "comment").
  void ignore(std::string_view key);

 private:
  JsonNode node_;
  bool is_object_;
  std::vector<std::string> known_;
};

// Whether this is a JSON pointer at all (RFC 6901).
[[nodiscard]] bool is_json_pointer(const std::string& text);

// RFC 6901: "~" and "/" inside a key.
[[nodiscard]] std::string escape_pointer_token(std::string_view key);

}  // namespace ridge
