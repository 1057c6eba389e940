#include "ridge/view/answer_keys.hpp"

#include "ridge/base/json_lines.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace ridge::view {

class AnswerDefinitions {
 public:
  void add(const AnswerDescription& object) {
    const std::string name(object.name());
    if (all_.contains(name)) return;
    AnswerJson& described = all_[name];
    AnswerJson out = AnswerJson::object();
    object.describe(out, *this);
    described = std::move(out);
  }
  [[nodiscard]] const AnswerJson& all() const { return all_; }

 private:
  AnswerJson all_ = AnswerJson::object();
};

namespace answer_keys_detail {
namespace {

// Once, however many figures of its group name it.
void require(AnswerJson& object, const std::string& name) {
  AnswerJson& required = object["required"];
  if (std::find(required.begin(), required.end(), name) == required.end()) {
    required.push_back(name);
  }
}

AnswerJson described(const FigureSpec& spec) {
  AnswerJson out = AnswerJson::object();
  if (!spec.words.empty()) out["description"] = spec.words;
  switch (spec.kind) {
    case FigureKind::label:
      describe_type(out, "string");
      break;
    case FigureKind::truth:
      describe_type(out, "boolean");
      break;
    case FigureKind::count:
      describe_type(out, "integer");
      break;
    case FigureKind::number:
      describe_type(out, "number");
      break;
  }
  describe_or_null(out);
  return out;
}

bool is_index(std::string_view token) {
  return token == "0" || token == "1";
}

// Puts a figure where its pointer leads in the schema of an object. A group of figures is null
// where it has none (kNoGroup).
void describe_figure(const FigureSpec& spec, std::string_view pointer, bool required,
                     AnswerJson& object) {
  const auto end = std::min(pointer.find('/', 1), pointer.size());
  const std::string token(pointer.substr(1, end - 1));
  const std::string_view rest = pointer.substr(end);
  if (is_index(token)) {
    object["type"] = {"array", "null"};
    object["items"].push_back(described(spec));
    return;
  }
  if (!object.contains("properties")) {
    object = AnswerJson::object();
    start_object(object);
    object["type"] = {"object", "null"};
  }
  if (required) require(object, token);
  AnswerJson& property = object["properties"][token];
  if (rest.empty()) {
    property = described(spec);
  } else {
    describe_figure(spec, rest, !spec.may_be_left_out, property);
  }
}

}  // namespace

void put(AnswerJson& out, double value) {
  out = value;
}
void put(AnswerJson& out, std::int64_t value) {
  out = value;
}
void put(AnswerJson& out, bool value) {
  out = value;
}
void put(AnswerJson& out, std::string_view value) {
  out = value;
}
void put(AnswerJson& out, const Interval& value) {
  out = {value.low, value.high};
}
void put_null(AnswerJson& out) {
  out = nullptr;
}
void put_list(AnswerJson& out) {
  out = AnswerJson::array();
}
void put_object(AnswerJson& out) {
  out = AnswerJson::object();
}
AnswerJson& appended(AnswerJson& list) {
  return list.emplace_back();
}
AnswerJson& member(AnswerJson& object, const std::string& key) {
  return object[key];
}

void describe_type(AnswerJson& out, const char* type) {
  out["type"] = type;
}
void describe_interval(AnswerJson& out) {
  out["type"] = "array";
  out["items"] = {{"type", "number"}};
  out["minItems"] = 2;
  out["maxItems"] = 2;
}
void describe_cell(AnswerJson& out) {
  out["type"] = {"number", "string", "boolean", "null"};
}
void describe_or_null(AnswerJson& out) {
  out["type"] = {out["type"], "null"};
}
void describe_list(AnswerJson& out, AnswerDefinitions& definitions,
                   void (*element)(AnswerJson&, AnswerDefinitions&), bool by_name) {
  AnswerJson one = AnswerJson::object();
  element(one, definitions);
  out["type"] = by_name ? "object" : "array";
  out[by_name ? "additionalProperties" : "items"] = std::move(one);
}
void describe_object(AnswerJson& out, const AnswerDescription& object,
                     AnswerDefinitions& definitions) {
  if (object.name().empty()) {
    object.describe(out, definitions);
  } else {
    definitions.add(object);
    out["$ref"] = "#/definitions/" + std::string(object.name());
  }
}
void start_object(AnswerJson& out) {
  out["type"] = "object";
  out["required"] = AnswerJson::array();
  out["additionalProperties"] = false;
  out["properties"] = AnswerJson::object();
}
void describe_key(AnswerJson& object, const std::string& name, const std::string& words,
                  bool required, const std::function<void(AnswerJson&)>& describe) {
  AnswerJson described = AnswerJson::object();
  if (!words.empty()) described["description"] = words;
  describe(described);
  object["properties"][name] = std::move(described);
  if (required) require(object, name);
}
void describe_figures(AnswerJson& object, const std::vector<const FigureSpec*>& figures,
                      bool required) {
  for (const FigureSpec* spec : figures) {
    if (!spec->pointer.empty()) describe_figure(*spec, spec->pointer, required, object);
  }
}
void describe_constant(AnswerJson& object, const std::string& name, const std::string& word) {
  object["properties"][name]["const"] = word;
  require(object, name);
}

}  // namespace answer_keys_detail

std::string answer_schema(const AnswerDescription& answer, const std::string& title,
                          const std::string& words) {
  AnswerJson out{{"$schema", "http://json-schema.org/draft-07/schema#"},
                 {"title", title},
                 {"description", words}};
  AnswerDefinitions definitions;
  AnswerJson object = AnswerJson::object();
  answer.describe(object, definitions);
  out["type"] = object["type"];
  out["required"] = {kSchemaVersionKey};
  for (const auto& key : object["required"]) out["required"].push_back(key);
  out["additionalProperties"] = object["additionalProperties"];
  out["properties"][kSchemaVersionKey]["const"] = kSchemaVersion;
  out["properties"].update(object["properties"]);
  if (!definitions.all().empty()) out["definitions"] = definitions.all();
  return json_lines(out);
}

}  // namespace ridge::view
