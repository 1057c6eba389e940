// Each key of a JSON object described once. From a struct's table of keys come its reader (with
// file, pointer, what was expected and found), its JSON Schema, its page for people, its way back
// to JSON, and access to a number by JSON pointer.
//
//   struct Price { std::string name; UsdPerSecond rate; std::optional<std::string> source; };
//
//   const KeyTable& keys_of(const Price*) {  // in Price's own namespace, where it is looked up;
//                                            // static rather than in an unnamed one
//     static const KeyTable table = key_table<Price>("price", "What an hour costs.", {
//         key<&Price::name>("name", "Of the list."),
//         key<&Price::rate>("rate_USD_per_hour", "Of one chip.", positive(1e6)),
//         key<&Price::source>("source", "Where it was found."),
//     });
//     return table;
//   }
//
// What a member may be: bool, string, double, any integer, a quantity (its unit ends the key), an
// enum (its names are the last argument), a struct with keys_of(), an optional, a vector or a map
// by name of these, a std::optional<JsonNode> that is read later, or a type of your own with
// json_type_of(const T*, key, arguments...) or key_as(). A key is
// required unless its member is a std::optional or it is marked .optional(); its default is then
// what the struct's own initializer says. Keys that depend on another ("kind") are cases(): of an
// enum member (when) or of a variant (when_holds).
//
//   read_keys(node, price);                  // reports into the node's diagnostics
//   const auto price = read_document<Price>(JsonDocument::read(path));  // throws every mistake
//   const std::string text = json_text(price);
//   JsonPlace rate = find_place(price, "/rate_USD_per_hour");
//   rate.assign(2.5);                        // in the unit of the key; false where out of range
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/base/ordered_json.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace ridge {

class JsonType;
class KeyTable;
using JsonTypePtr = std::shared_ptr<const JsonType>;

// A value inside a struct. Good as long as the struct and the lists in it stay where they are.
class JsonPlace {
 public:
  JsonPlace() = default;
  JsonPlace(const JsonType& type, void* value) : type_(&type), value_(value) {}

  explicit operator bool() const { return type_ != nullptr; }
  [[nodiscard]] bool is_number() const;
  // Writes a number (in units of the key). False, and nothing written, where it does not fit.
  [[nodiscard]] bool assign(double number) const;
  // What assign() takes, in words: "a whole number from 1 to 65536".
  [[nodiscard]] std::string expectation() const;
  void write(OrderedJson& out) const;

 private:
  const JsonType* type_ = nullptr;
  void* value_ = nullptr;
};

// The definitions that a schema's parts share.
class SchemaDefinitions;

// How the values of a C++ type stand in JSON. Values are passed by address, so that a table costs
// little to compile; key() and its like pass none of another type.
class JsonType {
 public:
  virtual ~JsonType() = default;

  // Reads into *out, or reports what was expected. False after a report.
  virtual bool read(const JsonNode& node, void* out) const = 0;
  virtual void write(const void* value, OrderedJson& out) const = 0;
  // As JSON Schema (draft 7).
  virtual void describe(OrderedJson& out, SchemaDefinitions& definitions) const = 0;
  // "a number of gigabytes (1e9) above 0": what read() expects.
  [[nodiscard]] virtual std::string words() const = 0;

  // Where the value stands that these tokens of a pointer lead to from here.
  [[nodiscard]] virtual JsonPlace find(void* value, std::span<const std::string> tokens) const {
    return tokens.empty() ? JsonPlace(*this, value) : JsonPlace();
  }
  [[nodiscard]] virtual bool is_number() const { return false; }
  [[nodiscard]] virtual bool assign(void* /*value*/, double /*number*/) const { return false; }
  // Whether there is nothing to write: an optional without a value.
  [[nodiscard]] virtual bool absent(const void* /*value*/) const { return false; }
  // The table of the objects that stand here, directly or in a list; null where none do.
  [[nodiscard]] virtual const KeyTable* table() const { return nullptr; }
};

// One step from a struct to a part of it.
struct KeyAccess {
  void* (*enter)(void* object, std::size_t index);
  std::size_t index = 0;
};

struct KeyEntry {
  std::string key;
  std::string doc;
  std::vector<KeyAccess> access;  // from the struct to the value
  JsonTypePtr type;
  bool required = true;
  bool fixed = false;  // other values are made from it when it is read: it has no place of its own

  [[nodiscard]] void* in(void* object) const {
    for (const KeyAccess& step : access) object = step.enter(object, step.index);
    return object;
  }
  [[nodiscard]] const void* in(const void* object) const {
    return in(const_cast<void*>(object));  // NOLINT: the steps change nothing
  }
};

// A key of struct C.
template <typename C>
struct Key {
  KeyEntry entry;
  // May be left out: the value is then what C's own initializer says.
  [[nodiscard]] Key optional() && {
    entry.required = false;
    return std::move(*this);
  }
  // Has to be there, though its value may say nothing.
  [[nodiscard]] Key needed() && {
    entry.required = true;
    return std::move(*this);
  }
  // Others are made from it when it is read, so that it cannot be written in place.
  [[nodiscard]] Key fixed() && {
    entry.fixed = true;
    return std::move(*this);
  }
};

// The value of a key that chooses between cases: a word or a truth value.
using KeyTag = std::variant<std::string, bool>;

struct KeyCase {
  KeyTag tag;
  std::string doc;
  std::function<void(void*)> enter;      // makes the struct one of this case
  std::function<bool(const void*)> is;   // whether it is
  std::shared_ptr<const KeyTable> body;  // its keys beside the tag
};

struct KeyCases {
  std::string tag;  // empty: the case is the first of which a key is there
  std::string doc;
  std::vector<KeyCase> cases;
  std::optional<std::size_t> usual;  // where the tag may be left out

  [[nodiscard]] KeyCases usually(std::size_t index) && {
    usual = index;
    return std::move(*this);
  }
};

class KeyTable {
 public:
  using Check = std::function<void(const JsonNode& node, const void* object)>;

  // `name` is that of the schema's definition; empty where it is described in place. `make` makes
  // the struct as its initializers say.
  KeyTable(std::string name, std::string doc, std::vector<KeyEntry> entries,
           std::optional<KeyCases> cases, std::shared_ptr<void> (*make)());

  // The root of a file of its own: it takes "$schema" and "comment".
  [[nodiscard]] KeyTable file(std::string title) &&;
  // Takes a "comment".
  [[nodiscard]] KeyTable commented() &&;
  // What no single key can say: a check, called after all keys of the object were read well, and as
  // much of it as a schema can express (members of the schema's object, as JSON text).
  [[nodiscard]] KeyTable relation(Check check, std::string schema = {}) &&;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::string& doc() const { return doc_; }
  [[nodiscard]] const std::vector<KeyEntry>& entries() const { return entries_; }
  [[nodiscard]] const std::optional<KeyCases>& cases() const { return cases_; }

  // False after a report.
  bool read(const JsonNode& node, void* object) const;
  // Keys that may be left out are, where they stand at their default.
  void write(const void* object, OrderedJson& out) const;
  [[nodiscard]] JsonPlace find(void* object, std::span<const std::string> tokens) const;
  void describe(OrderedJson& out, SchemaDefinitions& definitions) const;

  // The JSON Schema of a file of this kind, as text.
  [[nodiscard]] std::string schema() const;
  // Its keys and those of all objects below, as tables in Markdown.
  [[nodiscard]] std::string page() const;

  // As keys of a struct of which this table's is a part.
  [[nodiscard]] KeyTable under(KeyAccess step) const;

 private:
  struct Alternative;
  bool read_entries(JsonObject& object, void* out) const;
  [[nodiscard]] const KeyCase* case_of(JsonObject& object) const;
  [[nodiscard]] bool any_present(const JsonNode& node) const;
  void write_entries(const void* object, void* usual, OrderedJson& out) const;
  [[nodiscard]] std::vector<Alternative> alternatives() const;
  void describe(const Alternative& alternative, OrderedJson& out,
                SchemaDefinitions& definitions) const;
  void page(std::string& out, std::vector<std::string>& told) const;

  std::string name_;
  std::string doc_;
  std::vector<KeyEntry> entries_;
  std::optional<KeyCases> cases_;
  std::shared_ptr<void> (*make_)();
  std::string title_;  // of a file
  bool commented_ = false;
  Check check_;
  std::string relation_;
};

namespace keys {

// The types that need no template.
[[nodiscard]] JsonTypePtr text();
// One of these names.
[[nodiscard]] JsonTypePtr text(std::vector<std::string> names);
[[nodiscard]] JsonTypePtr flag();
[[nodiscard]] JsonTypePtr real(NumberRange range);
// The same, written with this many significant digits, and as no whole number: 8.0.
[[nodiscard]] JsonTypePtr rounded(int digits, NumberRange range);
// Any Quantity; `key` ends in its unit.
[[nodiscard]] JsonTypePtr quantity(std::string_view key, NumberRange range);

struct WholeStore {
  std::int64_t (*get)(const void*);
  void (*set)(void*, std::int64_t);
};
[[nodiscard]] JsonTypePtr whole(NumberRange range, WholeStore store);
// One word alone, as in "kind": "cost"; `what` is told of another ("a scenario of kind "cost"").
[[nodiscard]] JsonTypePtr constant(std::string word, std::string what);
[[nodiscard]] JsonTypePtr constant(std::int64_t number);
// An enum, or anything else told by a word.
[[nodiscard]] JsonTypePtr word(std::vector<std::string> names, WholeStore index);
// Whatever stands there, which a std::optional<JsonNode> keeps for a later reader: any value, or
// what `words` say of it and `schema`, members of a schema's object as JSON text.
[[nodiscard]] JsonTypePtr node(std::string words = "any value", std::string schema = {});
[[nodiscard]] JsonTypePtr object(const KeyTable& table);
[[nodiscard]] JsonTypePtr object(std::shared_ptr<const KeyTable> table);

struct OptionalStore {
  const void* (*get)(const void*);  // null where there is none
  void* (*make)(void*);
  void (*clear)(void*);
};
[[nodiscard]] JsonTypePtr maybe(JsonTypePtr inner, OptionalStore store);
// An optional whose key may be null.
[[nodiscard]] JsonTypePtr nullable(JsonTypePtr inner, OptionalStore store);

// A list, or an object with names of the user's own.
struct ListStore {
  std::size_t (*size)(const void*);
  void* (*at)(void*, std::size_t);
  void (*clear)(void*, std::size_t expected);
  void* (*append)(void*, const std::string& name);
  const std::string* (*name)(const void*, std::size_t);  // null for a list
};
// `at_least_one`: what an empty list lacks ("at least one chip"); empty where it may be.
[[nodiscard]] JsonTypePtr list(JsonTypePtr element, ListStore store, std::string at_least_one);

// Options of a list.
struct AtLeastOne {
  std::string what;
};
// For a vector whose elements stand in an object by name: &Element::name.
template <typename E>
struct ByName {
  std::string E::*name;
};

template <typename T>
struct IsQuantity : std::false_type {};
template <int S, int B, int F, int U, int J, int T>
struct IsQuantity<Quantity<S, B, F, U, J, T>> : std::true_type {};
template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};
template <typename T>
struct IsMap : std::false_type {};
template <typename T>
struct IsMap<std::map<std::string, T>> : std::true_type {};

template <typename T>
constexpr WholeStore whole_store() {
  return {
      [](const void* value) { return static_cast<std::int64_t>(*static_cast<const T*>(value)); },
      [](void* value, std::int64_t number) { *static_cast<T*>(value) = static_cast<T>(number); }};
}

template <typename E>
JsonTypePtr enum_type(std::span<const Named<E>> names) {
  // By value, so that the order of the names is free.
  std::vector<std::string> words;
  std::vector<E> values;
  for (const auto& named : names) {
    words.emplace_back(named.name);
    values.push_back(named.value);
  }
  struct Type final : JsonType {
    JsonTypePtr word;
    std::vector<E> values;
    bool read(const JsonNode& node, void* out) const override {
      std::int64_t index = 0;
      if (!word->read(node, &index)) return false;
      *static_cast<E*>(out) = values[static_cast<std::size_t>(index)];
      return true;
    }
    void write(const void* value, OrderedJson& out) const override {
      std::int64_t index = 0;
      while (values[static_cast<std::size_t>(index)] != *static_cast<const E*>(value)) ++index;
      word->write(&index, out);
    }
    void describe(OrderedJson& out, SchemaDefinitions& definitions) const override {
      word->describe(out, definitions);
    }
    [[nodiscard]] std::string words() const override { return word->words(); }
  };
  auto type = std::make_shared<Type>();
  type->word = keys::word(std::move(words), whole_store<std::int64_t>());
  type->values = std::move(values);
  return type;
}

template <typename T, typename... Arguments>
JsonTypePtr type_of(std::string_view key, Arguments&&... arguments);

template <typename T>
constexpr OptionalStore optional_store() {
  using O = std::optional<T>;
  return {[](const void* value) -> const void* {
            const auto& o = *static_cast<const O*>(value);
            return o ? &*o : nullptr;
          },
          [](void* value) -> void* { return &static_cast<O*>(value)->emplace(); },
          [](void* value) { static_cast<O*>(value)->reset(); }};
}

template <typename T>
constexpr ListStore vector_store() {
  using V = std::vector<T>;
  return {[](const void* value) { return static_cast<const V*>(value)->size(); },
          [](void* value, std::size_t i) -> void* { return &(*static_cast<V*>(value))[i]; },
          [](void* value, std::size_t expected) {
            static_cast<V*>(value)->clear();
            static_cast<V*>(value)->reserve(expected);
          },
          [](void* value, const std::string&) -> void* {
            return &static_cast<V*>(value)->emplace_back();
          },
          nullptr};
}

template <typename T>
JsonTypePtr vector_type(std::string_view key, auto&&... arguments) {
  return list(type_of<T>(key, arguments...), vector_store<T>(), {});
}
template <typename T>
JsonTypePtr vector_type(std::string_view key, AtLeastOne least, auto&&... arguments) {
  return list(type_of<T>(key, arguments...), vector_store<T>(), std::move(least.what));
}

template <auto Name>
struct NamedBy;
template <typename T, std::string T::*Name>
struct NamedBy<Name> {
  static JsonTypePtr type(std::string at_least_one) {
    ListStore store = vector_store<T>();
    store.append = [](void* value, const std::string& name) -> void* {
      T& element = static_cast<std::vector<T>*>(value)->emplace_back();
      element.*Name = name;
      return &element;
    };
    store.name = [](const void* value, std::size_t i) -> const std::string* {
      return &((*static_cast<const std::vector<T>*>(value))[i].*Name);
    };
    return list(type_of<T>(""), store, std::move(at_least_one));
  }
};

// Of a map, optional values are those that may be null.
template <typename T>
JsonTypePtr map_type(std::string_view key, auto&&... arguments) {
  using M = std::map<std::string, T>;
  JsonTypePtr element;
  if constexpr (IsOptional<T>::value) {
    using Inner = typename T::value_type;
    element = nullable(type_of<Inner>(key, arguments...), optional_store<Inner>());
  } else {
    element = type_of<T>(key, arguments...);
  }
  return list(
      std::move(element),
      {[](const void* value) { return static_cast<const M*>(value)->size(); },
       [](void* value, std::size_t i) -> void* {
         return &std::next(static_cast<M*>(value)->begin(), static_cast<std::ptrdiff_t>(i))->second;
       },
       [](void* value, std::size_t) { static_cast<M*>(value)->clear(); },
       [](void* value, const std::string& name) -> void* {
         return &(*static_cast<M*>(value))[name];
       },
       [](const void* value, std::size_t i) -> const std::string* {
         return &std::next(static_cast<const M*>(value)->begin(), static_cast<std::ptrdiff_t>(i))
                     ->first;
       }},
      {});
}

inline NumberRange range_or(NumberRange usual) {
  return usual;
}
inline NumberRange range_or(NumberRange /*usual*/, NumberRange given) {
  return given;
}

template <typename T, typename... Arguments>
JsonTypePtr type_of(std::string_view key, Arguments&&... arguments) {
  if constexpr (requires { json_type_of(static_cast<const T*>(nullptr), key, arguments...); }) {
    return json_type_of(static_cast<const T*>(nullptr), key, arguments...);
  } else if constexpr (std::is_same_v<T, bool>) {
    return flag();
  } else if constexpr (std::is_same_v<T, std::string>) {
    return text(arguments...);
  } else if constexpr (std::is_same_v<T, double>) {
    return real(range_or({}, arguments...));
  } else if constexpr (std::is_same_v<T, std::optional<JsonNode>>) {
    return node(arguments...);
  } else if constexpr (IsQuantity<T>::value) {
    return quantity(key, range_or(positive(), arguments...));
  } else if constexpr (std::is_integral_v<T>) {
    return whole(range_or({}, arguments...), whole_store<T>());
  } else if constexpr (std::is_enum_v<T>) {
    return enum_type<T>(std::span<const Named<T>>(arguments...));
  } else if constexpr (IsOptional<T>::value) {
    using Inner = typename T::value_type;
    return maybe(type_of<Inner>(key, arguments...), optional_store<Inner>());
  } else if constexpr (IsVector<T>::value) {
    return vector_type<typename T::value_type>(key, arguments...);
  } else if constexpr (IsMap<T>::value) {
    return map_type<typename T::mapped_type>(key, arguments...);
  } else if constexpr (sizeof...(arguments) == 1) {
    return object(arguments...);  // a table of its own
  } else {
    return object(keys_of(static_cast<const T*>(nullptr)));
  }
}

template <typename M>
struct Member;
template <typename C, typename T>
struct Member<T C::*> {
  using Class = C;
  using Value = T;
};

template <auto M>
KeyAccess member_access() {
  using C = typename Member<decltype(M)>::Class;
  return {[](void* object, std::size_t) -> void* { return &(static_cast<C*>(object)->*M); }};
}

template <typename T>
std::shared_ptr<void> make() {
  return std::make_shared<T>();
}

// The keys of a part of a struct, which `step` enters, and those of the struct itself.
[[nodiscard]] std::shared_ptr<const KeyTable> joined(const KeyTable& part, KeyAccess step,
                                                     const KeyTable& own);

}  // namespace keys

// A key of the class of M, read into that member.
template <auto M, typename... Arguments>
[[nodiscard]] auto key(std::string name, std::string doc, Arguments&&... arguments) {
  using C = typename keys::Member<decltype(M)>::Class;
  using T = typename keys::Member<decltype(M)>::Value;
  auto type = keys::type_of<T>(name, arguments...);
  return Key<C>{{.key = std::move(name),
                 .doc = std::move(doc),
                 .access = {keys::member_access<M>()},
                 .type = std::move(type),
                 .required = !keys::IsOptional<T>::value}};
}
// The same, of a type that its value does not tell.
template <auto M>
[[nodiscard]] auto key_as(std::string name, std::string doc, JsonTypePtr type) {
  using Value = typename keys::Member<decltype(M)>::Value;
  return Key<typename keys::Member<decltype(M)>::Class>{
      {.key = std::move(name),
       .doc = std::move(doc),
       .access = {keys::member_access<M>()},
       .type = std::move(type),
       .required = !keys::IsOptional<Value>::value}};
}
// A key of the class of Part, read into the member M of that part.
template <auto Part, auto M, typename... Arguments>
[[nodiscard]] auto key_in(std::string name, std::string doc, Arguments&&... arguments) {
  auto inner = key<M>(std::move(name), std::move(doc), arguments...);
  Key<typename keys::Member<decltype(Part)>::Class> out{std::move(inner.entry)};
  out.entry.access.insert(out.entry.access.begin(), keys::member_access<Part>());
  return out;
}
// A vector whose elements stand in an object under names of their own, kept in element.*Name.
template <auto M, auto Name>
[[nodiscard]] auto named_list(std::string name, std::string doc, std::string at_least_one = {}) {
  using C = typename keys::Member<decltype(M)>::Class;
  return Key<C>{{.key = std::move(name),
                 .doc = std::move(doc),
                 .access = {keys::member_access<M>()},
                 .type = keys::NamedBy<Name>::type(std::move(at_least_one))}};
}
// A key whose value is spread over the whole of C, for a type of your own.
template <typename C>
[[nodiscard]] Key<C> key_of_all(std::string name, std::string doc, JsonTypePtr type) {
  return {{.key = std::move(name), .doc = std::move(doc), .access = {}, .type = std::move(type)}};
}
// A key of an element of a std::array.
template <typename Array, typename... Arguments>
[[nodiscard]] Key<Array> element(std::size_t index, std::string name, std::string doc,
                                 Arguments&&... arguments) {
  auto type = keys::type_of<typename Array::value_type>(name, arguments...);
  return {{.key = std::move(name),
           .doc = std::move(doc),
           .access = {{[](void* object, std::size_t i) -> void* {
                         return &(*static_cast<Array*>(object))[i];
                       },
                       index}},
           .type = std::move(type)}};
}

template <typename C>
[[nodiscard]] KeyTable key_table(std::string name, std::string doc, std::vector<Key<C>> all,
                                 std::optional<KeyCases> cases = {}) {
  std::vector<KeyEntry> entries;
  for (auto& one : all) entries.push_back(std::move(one.entry));
  return {std::move(name), std::move(doc), std::move(entries), std::move(cases), keys::make<C>};
}

// Where the enum (or bool) member M has this value, C has these keys besides.
template <auto M>
[[nodiscard]] KeyCase when(KeyTag tag, typename keys::Member<decltype(M)>::Value value,
                           std::string doc,
                           std::vector<Key<typename keys::Member<decltype(M)>::Class>> all = {},
                           std::optional<KeyCases> cases = {}) {
  using C = typename keys::Member<decltype(M)>::Class;
  return {std::move(tag), std::move(doc),
          [value](void* object) { static_cast<C*>(object)->*M = value; },
          [value](const void* object) { return static_cast<const C*>(object)->*M == value; },
          std::make_shared<KeyTable>(key_table<C>("", "", std::move(all), std::move(cases)))};
}

// Where the variant holds an A, the keys are A's, and these of C besides. C is the variant itself.
template <typename A, typename C>
[[nodiscard]] KeyCase when_holds(KeyTag tag, std::string doc, std::vector<Key<C>> all = {}) {
  return {
      std::move(tag), std::move(doc),
      [](void* object) { static_cast<C*>(object)->template emplace<A>(); },
      [](const void* object) { return std::holds_alternative<A>(*static_cast<const C*>(object)); },
      keys::joined(keys_of(static_cast<const A*>(nullptr)),
                   {[](void* object, std::size_t) -> void* {
                     return std::get_if<A>(static_cast<C*>(object));
                   }},
                   key_table<C>("", "", std::move(all)))};
}
// The same where the variant is the member M of C.
template <auto M, typename A>
[[nodiscard]] KeyCase when_member_holds(
    KeyTag tag, std::string doc,
    std::vector<Key<typename keys::Member<decltype(M)>::Class>> all = {}) {
  using C = typename keys::Member<decltype(M)>::Class;
  return {std::move(tag), std::move(doc),
          [](void* object) { (static_cast<C*>(object)->*M).template emplace<A>(); },
          [](const void* object) {
            return std::holds_alternative<A>(static_cast<const C*>(object)->*M);
          },
          keys::joined(keys_of(static_cast<const A*>(nullptr)),
                       {[](void* object, std::size_t) -> void* {
                         return std::get_if<A>(&(static_cast<C*>(object)->*M));
                       }},
                       key_table<C>("", "", std::move(all)))};
}

// Which keys there are depends on the value of `tag`; an empty tag: on which keys are there.
[[nodiscard]] inline KeyCases cases(std::string tag, std::string doc, std::vector<KeyCase> all) {
  return {std::move(tag), std::move(doc), std::move(all), {}};
}

// "/a/b~1c" as {"a", "b/c"}.
[[nodiscard]] std::vector<std::string> pointer_tokens(std::string_view pointer);

template <typename T>
bool read_keys(const JsonNode& node, T& out) {
  return keys_of(static_cast<const T*>(nullptr)).read(node, &out);
}
void read_document(const JsonDocument& document, const KeyTable& table, void* out);
// What a whole document says. Throws UserError with every mistake in it.
template <typename T>
[[nodiscard]] T read_document(const JsonDocument& document) {
  T out;
  read_document(document, keys_of(static_cast<const T*>(nullptr)), &out);
  return out;
}
template <typename T>
void write_keys(const T& value, OrderedJson& out) {
  keys_of(static_cast<const T*>(nullptr)).write(&value, out);
}
[[nodiscard]] std::string json_text(const KeyTable& table, const void* value);
template <typename T>
[[nodiscard]] std::string json_text(const T& value) {
  return json_text(keys_of(static_cast<const T*>(nullptr)), &value);
}
template <typename T>
[[nodiscard]] JsonPlace find_place(T& value, std::string_view pointer) {
  return keys_of(static_cast<const T*>(nullptr)).find(&value, pointer_tokens(pointer));
}

}  // namespace ridge
