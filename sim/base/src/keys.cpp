#include "ridge/base/keys.hpp"

#include "json_words.hpp"
#include "ridge/base/json_lines.hpp"
#include "ridge/base/ordered_json.hpp"
#include "ridge/base/unit.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace ridge {

// Tables with a name are described once, under "definitions".
class SchemaDefinitions {
 public:
  // The name under which a table stands. Tables of one name and other keys get a number.
  std::string add(const KeyTable& table) {
    OrderedJson described;
    table.describe(described, *this);
    for (int number = 1;; ++number) {
      const std::string name =
          number == 1 ? table.name() : fmt::format("{}_{}", table.name(), number);
      if (!all_.contains(name)) all_[name] = described;
      if (all_.at(name) == described) return name;
    }
  }
  [[nodiscard]] const OrderedJson& all() const { return all_; }

 private:
  OrderedJson all_ = OrderedJson::object();
};

namespace {

// The shortest decimal that reads back as this value in base units.
double in_units(double value, double scale) {
  const double ratio = value / scale;
  for (int digits = 15; digits <= 17; ++digits) {
    const double shorter = std::stod(fmt::format("{:.{}g}", ratio, digits));
    if (shorter * scale == value) return shorter;
  }
  return ratio;
}

// 8 rather than 8.0 where it is one.
OrderedJson number(double value) {
  if (value == std::floor(value) && std::abs(value) < kLargestWhole) {
    return static_cast<std::int64_t>(value);
  }
  return value;
}

void describe_range(NumberRange range, OrderedJson& out) {
  if (range.min > std::numeric_limits<double>::lowest()) {
    out[range.open_min ? "exclusiveMinimum" : "minimum"] = number(range.min);
  }
  if (range.max < std::numeric_limits<double>::max()) out["maximum"] = number(range.max);
}

class RealType final : public JsonType {
 public:
  RealType(NumberRange range, std::optional<Unit> unit) : range_(range), unit_(unit) {}

  bool read(const JsonNode& node, void* out) const override {
    if (!unit_) return node.read(*static_cast<double*>(out), range_);
    return node.read(*static_cast<Seconds*>(out), range_);  // any quantity is laid out alike
  }
  void write(const void* value, OrderedJson& out) const override {
    out = number(in_units(*static_cast<const double*>(value), scale()));
  }
  void describe(OrderedJson& out, SchemaDefinitions& /*definitions*/) const override {
    out["type"] = "number";
    describe_range(range_, out);
  }
  [[nodiscard]] std::string words() const override {
    return number_words(range_, unit_ ? unit_->words : "", false);
  }
  [[nodiscard]] bool is_number() const override { return true; }
  [[nodiscard]] bool assign(void* value, double number) const override {
    if (!std::isfinite(number) || !range_.contains(number)) return false;
    *static_cast<double*>(value) = number * scale();
    return true;
  }

 private:
  [[nodiscard]] double scale() const { return unit_ ? unit_->scale : 1.0; }

  NumberRange range_;
  std::optional<Unit> unit_;
};

class RoundedType final : public JsonType {
 public:
  RoundedType(int digits, NumberRange range) : digits_(digits), real_(range, std::nullopt) {}

  bool read(const JsonNode& node, void* out) const override { return real_.read(node, out); }
  void write(const void* value, OrderedJson& out) const override {
    out = std::stod(fmt::format("{:.{}g}", *static_cast<const double*>(value), digits_));
  }
  void describe(OrderedJson& out, SchemaDefinitions& definitions) const override {
    real_.describe(out, definitions);
  }
  [[nodiscard]] std::string words() const override { return real_.words(); }
  [[nodiscard]] bool is_number() const override { return true; }
  [[nodiscard]] bool assign(void* value, double number) const override {
    return real_.assign(value, number);
  }

 private:
  int digits_;
  RealType real_;
};

class WholeType final : public JsonType {
 public:
  WholeType(NumberRange range, keys::WholeStore store) : range_(range), store_(store) {}

  bool read(const JsonNode& node, void* out) const override {
    std::int64_t number = 0;
    if (!node.read(number, range_)) return false;
    store_.set(out, number);
    return true;
  }
  void write(const void* value, OrderedJson& out) const override { out = store_.get(value); }
  void describe(OrderedJson& out, SchemaDefinitions& /*definitions*/) const override {
    out["type"] = "integer";
    NumberRange told = range_;
    if (told.max >= kLargestWhole) told.max = std::numeric_limits<double>::max();
    if (told.min <= -kLargestWhole) told.min = std::numeric_limits<double>::lowest();
    describe_range(told, out);
  }
  [[nodiscard]] std::string words() const override { return whole_number_words(range_); }
  [[nodiscard]] bool is_number() const override { return true; }
  [[nodiscard]] bool assign(void* value, double number) const override {
    if (!std::isfinite(number) || !range_.contains(number) || number != std::floor(number) ||
        std::abs(number) > kLargestWhole) {
      return false;
    }
    store_.set(value, static_cast<std::int64_t>(number));
    return true;
  }

 private:
  NumberRange range_;
  keys::WholeStore store_;
};

class TextType final : public JsonType {
 public:
  bool read(const JsonNode& node, void* out) const override {
    return node.read(*static_cast<std::string*>(out));
  }
  void write(const void* value, OrderedJson& out) const override {
    out = *static_cast<const std::string*>(value);
  }
  void describe(OrderedJson& out, SchemaDefinitions& /*definitions*/) const override {
    out["type"] = "string";
  }
  [[nodiscard]] std::string words() const override { return "a string"; }
};

class NameType final : public JsonType {
 public:
  explicit NameType(std::vector<std::string> names) : names_(std::move(names)) {}

  bool read(const JsonNode& node, void* out) const override {
    const auto choice = node.read_choice(names_);
    if (choice) *static_cast<std::string*>(out) = names_[*choice];
    return choice.has_value();
  }
  void write(const void* value, OrderedJson& out) const override {
    out = *static_cast<const std::string*>(value);
  }
  void describe(OrderedJson& out, SchemaDefinitions& /*definitions*/) const override {
    out["enum"] = names_;
  }
  [[nodiscard]] std::string words() const override {
    return fmt::format("one of {}", fmt::join(names_, ", "));
  }

 private:
  std::vector<std::string> names_;
};

class FlagType final : public JsonType {
 public:
  bool read(const JsonNode& node, void* out) const override {
    return node.read(*static_cast<bool*>(out));
  }
  void write(const void* value, OrderedJson& out) const override {
    out = *static_cast<const bool*>(value);
  }
  void describe(OrderedJson& out, SchemaDefinitions& /*definitions*/) const override {
    out["type"] = "boolean";
  }
  [[nodiscard]] std::string words() const override { return "true or false"; }
};

class WordType final : public JsonType {
 public:
  WordType(std::vector<std::string> names, keys::WholeStore index)
      : names_(std::move(names)), index_(index) {}

  bool read(const JsonNode& node, void* out) const override {
    const auto choice = node.read_choice(names_);
    if (choice) index_.set(out, static_cast<std::int64_t>(*choice));
    return choice.has_value();
  }
  void write(const void* value, OrderedJson& out) const override {
    out = names_.at(static_cast<std::size_t>(index_.get(value)));
  }
  void describe(OrderedJson& out, SchemaDefinitions& /*definitions*/) const override {
    out["enum"] = names_;
  }
  [[nodiscard]] std::string words() const override {
    return fmt::format("one of {}", fmt::join(names_, ", "));
  }

 private:
  std::vector<std::string> names_;
  keys::WholeStore index_;
};

class ConstantType final : public JsonType {
 public:
  ConstantType(std::string word, std::string what)
      : word_(std::move(word)), what_(std::move(what)) {}

  bool read(const JsonNode& node, void* /*out*/) const override {
    std::string word;
    if (!node.read(word)) return false;
    if (word != word_) node.expected(what_);
    return word == word_;
  }
  void write(const void* /*value*/, OrderedJson& out) const override { out = word_; }
  void describe(OrderedJson& out, SchemaDefinitions& /*definitions*/) const override {
    out["const"] = word_;
  }
  [[nodiscard]] std::string words() const override { return fmt::format("\"{}\"", word_); }

 private:
  std::string word_;
  std::string what_;
};

class NumberConstantType final : public JsonType {
 public:
  explicit NumberConstantType(std::int64_t number) : number_(number) {}

  bool read(const JsonNode& node, void* /*out*/) const override {
    const bool same = node.json() == number_;
    if (!same) node.expected(words());
    return same;
  }
  void write(const void* /*value*/, OrderedJson& out) const override { out = number_; }
  void describe(OrderedJson& out, SchemaDefinitions& /*definitions*/) const override {
    out["const"] = number_;
  }
  [[nodiscard]] std::string words() const override { return fmt::format("{}", number_); }

 private:
  std::int64_t number_;
};

class NodeType final : public JsonType {
 public:
  NodeType(std::string words, std::string schema)
      : words_(std::move(words)), schema_(std::move(schema)) {}

  bool read(const JsonNode& node, void* out) const override {
    *static_cast<std::optional<JsonNode>*>(out) = node;
    return true;
  }
  void write(const void* value, OrderedJson& out) const override {
    const auto& node = *static_cast<const std::optional<JsonNode>*>(value);
    if (node) out = node->json();
  }
  void describe(OrderedJson& out, SchemaDefinitions& /*definitions*/) const override {
    if (!schema_.empty()) out.update(OrderedJson::parse(schema_));
  }
  [[nodiscard]] std::string words() const override { return words_; }
  [[nodiscard]] bool absent(const void* value) const override {
    return !static_cast<const std::optional<JsonNode>*>(value)->has_value();
  }

 private:
  std::string words_;
  std::string schema_;
};

class ObjectType final : public JsonType {
 public:
  explicit ObjectType(const KeyTable& table) : table_(&table) {}
  explicit ObjectType(std::shared_ptr<const KeyTable> table)
      : owned_(std::move(table)), table_(owned_.get()) {}

  bool read(const JsonNode& node, void* out) const override { return table_->read(node, out); }
  void write(const void* value, OrderedJson& out) const override { table_->write(value, out); }
  void describe(OrderedJson& out, SchemaDefinitions& definitions) const override {
    if (table_->name().empty()) {
      table_->describe(out, definitions);
    } else {
      out["$ref"] = "#/definitions/" + definitions.add(*table_);
    }
  }
  [[nodiscard]] std::string words() const override {
    return table_->name().empty() ? "an object" : fmt::format("an object: {}", table_->name());
  }
  [[nodiscard]] JsonPlace find(void* value, std::span<const std::string> tokens) const override {
    return table_->find(value, tokens);
  }
  [[nodiscard]] const KeyTable* table() const override { return table_; }

 private:
  std::shared_ptr<const KeyTable> owned_;
  const KeyTable* table_;
};

class MaybeType final : public JsonType {
 public:
  MaybeType(JsonTypePtr inner, keys::OptionalStore store)
      : inner_(std::move(inner)), store_(store) {}

  bool read(const JsonNode& node, void* out) const override {
    if (inner_->read(node, store_.make(out))) return true;
    store_.clear(out);
    return false;
  }
  void write(const void* value, OrderedJson& out) const override {
    if (const void* inside = store_.get(value)) inner_->write(inside, out);
  }
  void describe(OrderedJson& out, SchemaDefinitions& definitions) const override {
    inner_->describe(out, definitions);
  }
  [[nodiscard]] std::string words() const override { return inner_->words(); }
  [[nodiscard]] JsonPlace find(void* value, std::span<const std::string> tokens) const override {
    if (tokens.empty()) return {*this, value};
    const void* inside = store_.get(value);
    // It lies in *value, which may be written to.
    return inside != nullptr ? inner_->find(const_cast<void*>(inside), tokens)  // NOLINT
                             : JsonPlace();
  }
  [[nodiscard]] bool is_number() const override { return inner_->is_number(); }
  [[nodiscard]] bool assign(void* value, double number) const override {
    const void* inside = store_.get(value);
    if (inside != nullptr) return inner_->assign(const_cast<void*>(inside), number);  // NOLINT
    if (inner_->assign(store_.make(value), number)) return true;
    store_.clear(value);
    return false;
  }
  [[nodiscard]] bool absent(const void* value) const override {
    return store_.get(value) == nullptr;
  }
  [[nodiscard]] const KeyTable* table() const override { return inner_->table(); }

 private:
  JsonTypePtr inner_;
  keys::OptionalStore store_;
};

class NullableType final : public JsonType {
 public:
  NullableType(JsonTypePtr inner, keys::OptionalStore store)
      : inner_(std::move(inner)), store_(store) {}

  bool read(const JsonNode& node, void* out) const override {
    store_.clear(out);
    if (node.json().is_null() || inner_->read(node, store_.make(out))) return true;
    store_.clear(out);
    return false;
  }
  void write(const void* value, OrderedJson& out) const override {
    const void* inside = store_.get(value);
    if (inside != nullptr) inner_->write(inside, out);
  }
  void describe(OrderedJson& out, SchemaDefinitions& definitions) const override {
    OrderedJson inner = OrderedJson::object();
    inner_->describe(inner, definitions);
    out["anyOf"] = {{{"type", "null"}}, std::move(inner)};
  }
  [[nodiscard]] std::string words() const override {
    return fmt::format("null, or {}", inner_->words());
  }
  [[nodiscard]] const KeyTable* table() const override { return inner_->table(); }

 private:
  JsonTypePtr inner_;
  keys::OptionalStore store_;
};

class ListType final : public JsonType {
 public:
  ListType(JsonTypePtr element, keys::ListStore store, std::string at_least_one)
      : element_(std::move(element)), store_(store), at_least_one_(std::move(at_least_one)) {}

  bool read(const JsonNode& node, void* out) const override {
    std::vector<std::pair<std::string, JsonNode>> members;
    if (store_.name != nullptr) {
      members = node.members();
      if (!node.is_object()) return false;
    } else {
      for (JsonNode& one : node.elements()) members.emplace_back("", std::move(one));
      if (!node.is_array()) return false;
    }
    if (members.empty() && !at_least_one_.empty()) {
      node.expected(at_least_one_);
      return false;
    }
    store_.clear(out, members.size());
    bool well = true;
    for (const auto& [name, member] : members) {
      well &= element_->read(member, store_.append(out, name));
    }
    return well;
  }
  void write(const void* value, OrderedJson& out) const override {
    out = store_.name != nullptr ? OrderedJson::object() : OrderedJson::array();
    void* list = const_cast<void*>(value);  // NOLINT: nothing is written to it
    for (std::size_t i = 0; i < store_.size(value); ++i) {
      OrderedJson one;
      element_->write(store_.at(list, i), one);
      if (store_.name != nullptr) {
        out[*store_.name(value, i)] = std::move(one);
      } else {
        out.push_back(std::move(one));
      }
    }
  }
  void describe(OrderedJson& out, SchemaDefinitions& definitions) const override {
    OrderedJson one = OrderedJson::object();
    element_->describe(one, definitions);
    const bool named = store_.name != nullptr;
    out["type"] = named ? "object" : "array";
    if (!at_least_one_.empty()) out[named ? "minProperties" : "minItems"] = 1;
    out[named ? "additionalProperties" : "items"] = std::move(one);
  }
  [[nodiscard]] std::string words() const override {
    return fmt::format("{} of {}", store_.name != nullptr ? "an object by name" : "a list",
                       element_->words());
  }
  [[nodiscard]] JsonPlace find(void* value, std::span<const std::string> tokens) const override {
    if (tokens.empty()) return {*this, value};
    for (std::size_t i = 0; i < store_.size(value); ++i) {
      const bool here = store_.name != nullptr ? *store_.name(value, i) == tokens.front()
                                               : std::to_string(i) == tokens.front();
      if (here) return element_->find(store_.at(value, i), tokens.subspan(1));
    }
    return {};
  }
  [[nodiscard]] const KeyTable* table() const override { return element_->table(); }

 private:
  JsonTypePtr element_;
  keys::ListStore store_;
  std::string at_least_one_;
};

std::string words_of(const KeyTag& tag) {
  if (const auto* flag = std::get_if<bool>(&tag)) return *flag ? "true" : "false";
  return std::get<std::string>(tag);
}

OrderedJson json_of(const KeyTag& tag) {
  return std::visit([](const auto& value) { return OrderedJson(value); }, tag);
}

}  // namespace

namespace keys {

JsonTypePtr text() {
  static const auto type = std::make_shared<TextType>();
  return type;
}
JsonTypePtr text(std::vector<std::string> names) {
  return std::make_shared<NameType>(std::move(names));
}
JsonTypePtr flag() {
  static const auto type = std::make_shared<FlagType>();
  return type;
}
JsonTypePtr real(NumberRange range) {
  return std::make_shared<RealType>(range, std::nullopt);
}
JsonTypePtr rounded(int digits, NumberRange range) {
  return std::make_shared<RoundedType>(digits, range);
}
JsonTypePtr node(std::string words, std::string schema) {
  return std::make_shared<NodeType>(std::move(words), std::move(schema));
}
JsonTypePtr quantity(std::string_view key, NumberRange range) {
  const auto unit = unit_of_key(key);
  RIDGE_INVARIANT(unit.has_value(), fmt::format("the key of a quantity names no unit: {}", key));
  return std::make_shared<RealType>(range, unit);
}
JsonTypePtr whole(NumberRange range, WholeStore store) {
  return std::make_shared<WholeType>(range, store);
}
JsonTypePtr constant(std::string word, std::string what) {
  return std::make_shared<ConstantType>(std::move(word), std::move(what));
}
JsonTypePtr constant(std::int64_t number) {
  return std::make_shared<NumberConstantType>(number);
}
JsonTypePtr word(std::vector<std::string> names, WholeStore index) {
  return std::make_shared<WordType>(std::move(names), index);
}
JsonTypePtr object(const KeyTable& table) {
  return std::make_shared<ObjectType>(table);
}
JsonTypePtr object(std::shared_ptr<const KeyTable> table) {
  return std::make_shared<ObjectType>(std::move(table));
}
JsonTypePtr maybe(JsonTypePtr inner, OptionalStore store) {
  return std::make_shared<MaybeType>(std::move(inner), store);
}
JsonTypePtr nullable(JsonTypePtr inner, OptionalStore store) {
  return std::make_shared<NullableType>(std::move(inner), store);
}
JsonTypePtr list(JsonTypePtr element, ListStore store, std::string at_least_one) {
  return std::make_shared<ListType>(std::move(element), store, std::move(at_least_one));
}

std::shared_ptr<const KeyTable> joined(const KeyTable& part, KeyAccess step, const KeyTable& own) {
  const KeyTable inner = part.under(step);
  std::vector<KeyEntry> entries = inner.entries();
  entries.insert(entries.end(), own.entries().begin(), own.entries().end());
  return std::make_shared<KeyTable>("", "", std::move(entries), inner.cases(), nullptr);
}

}  // namespace keys

bool JsonPlace::is_number() const {
  return type_->is_number();
}
bool JsonPlace::assign(double number) const {
  return type_->assign(value_, number);
}
std::string JsonPlace::expectation() const {
  return type_->words();
}
void JsonPlace::write(OrderedJson& out) const {
  type_->write(value_, out);
}

KeyTable::KeyTable(std::string name, std::string doc, std::vector<KeyEntry> entries,
                   std::optional<KeyCases> cases, std::shared_ptr<void> (*make)())
    : name_(std::move(name)),
      doc_(std::move(doc)),
      entries_(std::move(entries)),
      cases_(std::move(cases)),
      make_(make) {}

KeyTable KeyTable::file(std::string title) && {
  title_ = std::move(title);
  return std::move(*this);
}
KeyTable KeyTable::commented() && {
  commented_ = true;
  return std::move(*this);
}
KeyTable KeyTable::relation(Check check, std::string schema) && {
  check_ = std::move(check);
  relation_ = std::move(schema);
  return std::move(*this);
}

KeyTable KeyTable::under(KeyAccess step) const {
  KeyTable out = *this;
  for (KeyEntry& entry : out.entries_) entry.access.insert(entry.access.begin(), step);
  if (out.check_) {
    out.check_ = [check = check_, step](const JsonNode& node, const void* object) {
      check(node, step.enter(const_cast<void*>(object), step.index));  // NOLINT: only looks
    };
  }
  if (!out.cases_) return out;
  for (KeyCase& one : out.cases_->cases) {
    one.enter = [enter = one.enter, step](void* object) { enter(step.enter(object, step.index)); };
    one.is = [is = one.is, step](const void* object) {
      return is(step.enter(const_cast<void*>(object), step.index));  // NOLINT: only looks
    };
    one.body = std::make_shared<KeyTable>(one.body->under(step));
  }
  return out;
}

bool KeyTable::any_present(const JsonNode& node) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const KeyEntry& entry) { return node.json().contains(entry.key); });
}

// Null after a report. Without its case the other keys mean nothing, so they are not called
// unknown.
const KeyCase* KeyTable::case_of(JsonObject& object) const {
  const JsonNode& node = object.node();
  const auto ignore_all = [&] {
    for (const auto& member : node.members()) object.ignore(member.first);
  };
  if (cases_->tag.empty()) {
    for (const KeyCase& one : cases_->cases) {
      if (one.body->any_present(node)) return &one;
    }
    std::vector<std::string> choices;
    for (const KeyCase& one : cases_->cases) {
      std::vector<std::string> quoted;
      for (const KeyEntry& entry : one.body->entries_) {
        if (entry.required) quoted.push_back(fmt::format("\"{}\"", entry.key));
      }
      choices.push_back(fmt::format("{}", fmt::join(quoted, " and ")));
    }
    node.error(fmt::format("expected either {}", fmt::join(choices, ", or ")));
    ignore_all();
    return nullptr;
  }
  const auto tag = cases_->usual ? object.optional(cases_->tag) : object.required(cases_->tag);
  if (!tag && cases_->usual) return &cases_->cases[*cases_->usual];
  std::optional<std::size_t> found;
  if (tag && std::holds_alternative<bool>(cases_->cases.front().tag)) {
    bool flag = false;
    if (tag->read(flag)) {
      found = std::get<bool>(cases_->cases.front().tag) == flag ? 0 : 1;
    }
  } else if (tag) {
    std::vector<std::string> names;
    for (const KeyCase& one : cases_->cases) names.push_back(words_of(one.tag));
    found = tag->read_choice(names);
  }
  if (found) return &cases_->cases[*found];
  ignore_all();
  return nullptr;
}

bool KeyTable::read_entries(JsonObject& object, void* out) const {
  bool well = true;
  const KeyCase* chosen = nullptr;
  if (cases_) {
    chosen = case_of(object);
    if (chosen == nullptr) return false;
    chosen->enter(out);
  }
  for (const KeyEntry& entry : entries_) {
    const auto member = entry.required ? object.required(entry.key) : object.optional(entry.key);
    if (member) {
      well &= entry.type->read(*member, entry.in(out));
    } else {
      well &= !entry.required;
    }
  }
  if (chosen != nullptr) well &= chosen->body->read_entries(object, out);
  if (well && check_) check_(object.node(), out);
  return well;
}

bool KeyTable::read(const JsonNode& node, void* out) const {
  JsonObject object(node);
  if (!node.is_object()) return false;
  if (!title_.empty()) object.ignore("$schema");
  if (!title_.empty() || commented_) object.ignore("comment");
  return read_entries(object, out);
}

void read_document(const JsonDocument& document, const KeyTable& table, void* out) {
  Diagnostics diagnostics;
  const JsonContext context{.file = document.name(), .diagnostics = &diagnostics};
  table.read(JsonNode(document.json(), context), out);
  diagnostics.throw_if_errors();
}

void KeyTable::write_entries(const void* object, void* usual, OrderedJson& out) const {
  const KeyCase* chosen = nullptr;
  if (cases_) {
    for (const KeyCase& one : cases_->cases) {
      if (chosen == nullptr && one.is(object)) chosen = &one;
    }
    RIDGE_INVARIANT(chosen != nullptr, "a struct is none of its cases");
    const bool usual_case = cases_->usual && &cases_->cases[*cases_->usual] == chosen;
    if (!cases_->tag.empty() && !usual_case) out[cases_->tag] = json_of(chosen->tag);
    chosen->enter(usual);
  }
  for (const KeyEntry& entry : entries_) {
    const void* value = entry.in(object);
    if (entry.type->absent(value)) continue;
    OrderedJson written;
    entry.type->write(value, written);
    if (!entry.required) {
      const void* default_value = entry.in(static_cast<const void*>(usual));
      OrderedJson as_usual;
      if (!entry.type->absent(default_value)) entry.type->write(default_value, as_usual);
      if (!entry.type->absent(default_value) && as_usual == written) continue;
    }
    out[entry.key] = std::move(written);
  }
  if (chosen != nullptr) chosen->body->write_entries(object, usual, out);
}

void KeyTable::write(const void* object, OrderedJson& out) const {
  out = OrderedJson::object();
  const auto usual = make_();
  write_entries(object, usual.get(), out);
}

JsonPlace KeyTable::find(void* object, std::span<const std::string> tokens) const {
  if (tokens.empty()) return {};
  for (const KeyEntry& entry : entries_) {
    if (entry.key != tokens.front()) continue;
    return entry.fixed ? JsonPlace() : entry.type->find(entry.in(object), tokens.subspan(1));
  }
  if (!cases_) return {};
  for (const KeyCase& one : cases_->cases) {
    if (one.is(object)) return one.body->find(object, tokens);
  }
  return {};
}

namespace {

// What a key says where it is left out; null where it then says nothing.
OrderedJson default_of(const KeyEntry& entry, const void* value) {
  OrderedJson out;
  if (entry.required || entry.type->table() != nullptr || entry.type->absent(value)) return out;
  entry.type->write(value, out);
  return out.is_structured() && out.empty() ? OrderedJson() : out;
}

}  // namespace

// One of the sets of keys that an object may have.
struct KeyTable::Alternative {
  struct Tag {
    const KeyCases* cases;
    const KeyCase* chosen;
  };
  std::vector<Tag> tags;
  std::vector<const KeyEntry*> entries;
};

std::vector<KeyTable::Alternative> KeyTable::alternatives() const {
  Alternative own;
  for (const KeyEntry& entry : entries_) own.entries.push_back(&entry);
  if (!cases_) return {own};
  std::vector<Alternative> out;
  for (const KeyCase& one : cases_->cases) {
    for (Alternative below : one.body->alternatives()) {
      below.tags.insert(below.tags.begin(), {&*cases_, &one});
      below.entries.insert(below.entries.begin(), own.entries.begin(), own.entries.end());
      out.push_back(std::move(below));
    }
  }
  return out;
}

void KeyTable::describe(const Alternative& alternative, OrderedJson& out,
                        SchemaDefinitions& definitions) const {
  out["type"] = "object";
  OrderedJson required = OrderedJson::array();
  OrderedJson properties = OrderedJson::object();
  if (!title_.empty()) properties["$schema"] = OrderedJson::object();
  if (!title_.empty() || commented_) {
    properties["comment"] = {{"description", "Whatever a reader should know."}};
  }
  const auto usual = make_();
  for (const auto& [cases, chosen] : alternative.tags) {
    chosen->enter(usual.get());
    if (cases->tag.empty()) continue;
    const bool needed = !cases->usual || &cases->cases[*cases->usual] != chosen;
    if (needed) required.push_back(cases->tag);
    OrderedJson& property = properties[cases->tag];
    if (!cases->doc.empty()) property["description"] = cases->doc;
    property["const"] = json_of(chosen->tag);
  }
  for (const KeyEntry* entry : alternative.entries) {
    if (entry->required) required.push_back(entry->key);
    OrderedJson property = OrderedJson::object();
    if (!entry->doc.empty()) property["description"] = entry->doc;
    entry->type->describe(property, definitions);
    const void* value = entry->in(static_cast<const void*>(usual.get()));
    if (const OrderedJson usually = default_of(*entry, value); !usually.is_null()) {
      property["default"] = usually;
    }
    properties[entry->key] = std::move(property);
  }
  if (!required.empty()) out["required"] = std::move(required);
  out["additionalProperties"] = false;
  out["properties"] = std::move(properties);
}

void KeyTable::describe(OrderedJson& out, SchemaDefinitions& definitions) const {
  if (!out.contains("description") && !doc_.empty()) out["description"] = doc_;
  const auto all = alternatives();
  if (all.size() == 1 && all.front().tags.empty()) {
    describe(all.front(), out, definitions);
  } else {
    OrderedJson choices = OrderedJson::array();
    for (const Alternative& one : all) {
      OrderedJson choice = OrderedJson::object();
      const std::string& words = one.tags.back().chosen->doc;
      if (!words.empty()) choice["description"] = words;
      describe(one, choice, definitions);
      choices.push_back(std::move(choice));
    }
    out["oneOf"] = std::move(choices);
  }
  if (relation_.empty()) return;
  const OrderedJson relation = OrderedJson::parse(relation_);
  for (const auto& item : relation.items()) out[item.key()] = item.value();
}

std::string KeyTable::schema() const {
  OrderedJson out = OrderedJson::object();
  out["$schema"] = "http://json-schema.org/draft-07/schema#";
  out["title"] = "Ridge " + title_;
  SchemaDefinitions definitions;
  describe(out, definitions);
  if (!definitions.all().empty()) out["definitions"] = definitions.all();
  return json_lines(out);
}

std::string json_text(const KeyTable& table, const void* value) {
  OrderedJson out;
  table.write(value, out);
  return json_lines(out);
}

namespace {

// A bar would end the cell of a table.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

void KeyTable::page(std::string& out, std::vector<std::string>& told) const {
  std::vector<std::pair<std::string, const KeyTable*>> below;
  for (const Alternative& one : alternatives()) {
    const auto usual = make_();
    std::vector<std::string> where;
    for (const auto& [cases, chosen] : one.tags) {
      chosen->enter(usual.get());
      if (!cases->tag.empty()) {
        where.push_back(fmt::format("`\"{}\": {}`", cases->tag, json_of(chosen->tag).dump()));
      }
      if (chosen == one.tags.back().chosen && !chosen->doc.empty()) where.push_back(chosen->doc);
    }
    if (!where.empty()) out += fmt::format("{}\n\n", fmt::join(where, ": "));
    out += "| key | what it says | expected | default |\n| --- | --- | --- | --- |\n";
    for (const KeyEntry* entry : one.entries) {
      std::string usual_words = entry->required ? "(required)" : "";
      const void* value = entry->in(static_cast<const void*>(usual.get()));
      if (const OrderedJson usually = default_of(*entry, value); !usually.is_null()) {
        usual_words = fmt::format("`{}`", usually.dump());
      }
      out += fmt::format("| `{}` | {} | {} | {} |\n", entry->key, cell(entry->doc),
                         cell(entry->type->words()), cell(usual_words));
      if (const KeyTable* table = entry->type->table()) {
        std::string name = table->name().empty() ? entry->key : table->name();
        if (std::find(told.begin(), told.end(), name) == told.end()) {
          told.push_back(name);
          below.emplace_back(std::move(name), table);
        }
      }
    }
    out += '\n';
  }
  for (const auto& [name, table] : below) {
    out += fmt::format("## {}\n\n{}\n\n", name, table->doc());
    table->page(out, told);
  }
}

std::string KeyTable::page() const {
  std::string out = fmt::format("# {}\n\n{}\n\n", title_, doc_);
  std::vector<std::string> told;
  page(out, told);
  out.pop_back();
  return out;
}

std::vector<std::string> pointer_tokens(std::string_view pointer) {
  std::vector<std::string> out;
  if (!pointer.empty() && pointer.front() != '/') return {std::string(pointer)};
  for (std::size_t i = 0; i < pointer.size(); ++i) {
    if (pointer[i] == '/') {
      out.emplace_back();
    } else if (pointer[i] == '~' && i + 1 < pointer.size()) {
      out.back() += pointer[++i] == '0' ? '~' : '/';
    } else {
      out.back() += pointer[i];
    }
  }
  return out;
}

}  // namespace ridge
