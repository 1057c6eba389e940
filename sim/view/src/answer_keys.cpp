#include "ridge/view/answer_keys.hpp"

#include "ridge/base/json_lines.hpp"
#include "ridge/base/ordered_json.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace ridge::view {

class AnswerDefinitions {
 public:
  void add(const AnswerDescription& object) {
    const std::string name(object.name());
    if (all_.contains(name)) return;
    OrderedJson& described = all_[name];
    OrderedJson out = OrderedJson::object();
    object.describe(out, *this);
    described = std::move(out);
  }
  [[nodiscard]] const OrderedJson& all() const { return all_; }

 private:
  OrderedJson all_ = OrderedJson::object();
};

namespace answer_keys_detail {
namespace {

// Once, however many figures of its group name it.
void require(OrderedJson& object, const std::string& name) {
  OrderedJson& required = object["required"];
  if (std::find(required.begin(), required.end(), name) == required.end()) {
    required.push_back(name);
  }
}

OrderedJson described(const FigureSpec& spec) {
  OrderedJson out = OrderedJson::object();
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
                     OrderedJson& object) {
  const auto end = std::min(pointer.find('/', 1), pointer.size());
  const std::string token(pointer.substr(1, end - 1));
  const std::string_view rest = pointer.substr(end);
  if (is_index(token)) {
    object["type"] = {"array", "null"};
    object["items"].push_back(described(spec));
    return;
  }
  if (!object.contains("properties")) {
    object = OrderedJson::object();
    start_object(object);
    object["type"] = {"object", "null"};
  }
  if (required) require(object, token);
  OrderedJson& property = object["properties"][token];
  if (rest.empty()) {
    property = described(spec);
  } else {
    describe_figure(spec, rest, !spec.may_be_left_out, property);
  }
}

}  // namespace

void put(OrderedJson& out, double value) {
  out = value;
}
void put(OrderedJson& out, std::int64_t value) {
  out = value;
}
void put(OrderedJson& out, bool value) {
  out = value;
}
void put(OrderedJson& out, std::string_view value) {
  out = value;
}
void put(OrderedJson& out, const Interval& value) {
  out = {value.low, value.high};
}
void put_null(OrderedJson& out) {
  out = nullptr;
}
void put_list(OrderedJson& out) {
  out = OrderedJson::array();
}
void put_object(OrderedJson& out) {
  out = OrderedJson::object();
}
OrderedJson& appended(OrderedJson& list) {
  return list.emplace_back();
}
OrderedJson& member(OrderedJson& object, const std::string& key) {
  return object[key];
}

void describe_type(OrderedJson& out, const char* type) {
  out["type"] = type;
}
void describe_interval(OrderedJson& out) {
  out["type"] = "array";
  out["items"] = {{"type", "number"}};
  out["minItems"] = 2;
  out["maxItems"] = 2;
}
void describe_cell(OrderedJson& out) {
  out["type"] = {"number", "string", "boolean", "null"};
}
void describe_or_null(OrderedJson& out) {
  out["type"] = {out["type"], "null"};
}
void describe_list(OrderedJson& out, AnswerDefinitions& definitions,
                   void (*element)(OrderedJson&, AnswerDefinitions&), bool by_name) {
  OrderedJson one = OrderedJson::object();
  element(one, definitions);
  out["type"] = by_name ? "object" : "array";
  out[by_name ? "additionalProperties" : "items"] = std::move(one);
}
void describe_object(OrderedJson& out, const AnswerDescription& object,
                     AnswerDefinitions& definitions) {
  if (object.name().empty()) {
    object.describe(out, definitions);
  } else {
    definitions.add(object);
    out["$ref"] = "#/definitions/" + std::string(object.name());
  }
}
void start_object(OrderedJson& out) {
  out["type"] = "object";
  out["required"] = OrderedJson::array();
  out["additionalProperties"] = false;
  out["properties"] = OrderedJson::object();
}
void describe_key(OrderedJson& object, const std::string& name, const std::string& words,
                  bool required, const std::function<void(OrderedJson&)>& describe) {
  OrderedJson described = OrderedJson::object();
  if (!words.empty()) described["description"] = words;
  describe(described);
  object["properties"][name] = std::move(described);
  if (required) require(object, name);
}
void describe_figures(OrderedJson& object, const std::vector<const FigureSpec*>& figures,
                      bool required) {
  for (const FigureSpec* spec : figures) {
    if (!spec->pointer.empty()) describe_figure(*spec, spec->pointer, required, object);
  }
}
void describe_constant(OrderedJson& object, const std::string& name, const std::string& word) {
  object["properties"][name]["const"] = word;
  require(object, name);
}

}  // namespace answer_keys_detail

std::string answer_schema(const AnswerDescription& answer, const std::string& title,
                          const std::string& words) {
  OrderedJson out{{"$schema", "http://json-schema.org/draft-07/schema#"},
                  {"title", title},
                  {"description", words}};
  AnswerDefinitions definitions;
  OrderedJson object = OrderedJson::object();
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
