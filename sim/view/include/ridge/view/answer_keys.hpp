// What an answer says, described once: the JSON and its schema come from one table of keys.
//
//   static const view::AnswerKeys<Row>& answer_keys(const Row*) {  // in Row's own namespace
//     static const view::AnswerKeys<Row> keys({
//         {"chip", "", &Row::chip},
//         {"tpot_ms", "Mean.", [](const Row& r) { return r.tpot.value() * 1e3; }},
//         view::left_out<Row>("unknown", "Why there is no answer.",
//                             [](const Row& r) { return view::told(r.unknown); }),
//         view::figures_of<Row>(chip_figures(), &Row::figures),
//     });
//     return keys;
//   }
//
// What a key says follows from what its function gives: text, a number, a truth value, an interval;
// a struct with answer_keys(); a list (vector) or an object by name (vector of pairs) of these. A
// std::optional without a value is null, or not there where the key is left_out().
#pragma once

#include "ridge/base/ordered_json.hpp"
#include "ridge/base/statistics.hpp"
#include "ridge/view/answer_json.hpp"
#include "ridge/view/figure.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace ridge::view {

// The schemas of objects with a name, which stand once under "definitions".
class AnswerDefinitions;

// The schema of an answer's object.
class AnswerDescription {
 public:
  virtual ~AnswerDescription() = default;
  // Of its definition; empty where it is described in place.
  [[nodiscard]] virtual std::string_view name() const = 0;
  // What it is said to be where it stands in `out` already stays.
  virtual void describe(OrderedJson& out, AnswerDefinitions& definitions) const = 0;
};

// Objects by names that are not known beforehand, in their order.
template <typename V>
using ByName = std::vector<std::pair<std::string, V>>;

// What only a caller that writes it itself can tell: a number, a name, a truth value or null.
struct AnyCell {};

// Nothing for an empty text.
[[nodiscard]] inline std::optional<std::string> told(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

namespace answer_keys_detail {

void put(OrderedJson& out, double value);
void put(OrderedJson& out, std::int64_t value);
void put(OrderedJson& out, bool value);
void put(OrderedJson& out, std::string_view value);
void put(OrderedJson& out, const Interval& value);
void put_null(OrderedJson& out);
void put_list(OrderedJson& out);
void put_object(OrderedJson& out);
OrderedJson& appended(OrderedJson& list);
OrderedJson& member(OrderedJson& object, const std::string& key);

void describe_type(OrderedJson& out, const char* type);
void describe_interval(OrderedJson& out);
void describe_cell(OrderedJson& out);
void describe_or_null(OrderedJson& out);
// A list, or an object by name, of what `element` describes.
void describe_list(OrderedJson& out, AnswerDefinitions& definitions,
                   void (*element)(OrderedJson&, AnswerDefinitions&), bool by_name);
void describe_object(OrderedJson& out, const AnswerDescription& object,
                     AnswerDefinitions& definitions);
// An empty object's schema.
void start_object(OrderedJson& out);
// One of its keys.
void describe_key(OrderedJson& object, const std::string& name, const std::string& words,
                  bool required, const std::function<void(OrderedJson&)>& describe);
void describe_figures(OrderedJson& object, const std::vector<const FigureSpec*>& figures,
                      bool required);
void describe_constant(OrderedJson& object, const std::string& name, const std::string& word);

template <typename Answer>
std::vector<const FigureSpec*> specs_of(std::span<const Figure<Answer>> figures) {
  std::vector<const FigureSpec*> specs;
  for (const Figure<Answer>& figure : figures) specs.push_back(&figure.spec);
  return specs;
}

template <typename V>
struct Element {
  static constexpr bool kIsPair = false;
};
template <typename V>
struct Element<std::pair<std::string, V>> {
  static constexpr bool kIsPair = true;
  using Value = V;
};
template <typename V>
struct IsOptional : std::false_type {};
template <typename V>
struct IsOptional<std::optional<V>> : std::true_type {};
template <typename V>
struct IsVector : std::false_type {};
template <typename V>
struct IsVector<std::vector<V>> : std::true_type {};

template <typename V>
void write(const V& value, OrderedJson& out) {
  if constexpr (std::is_same_v<V, bool>) {
    put(out, value);
  } else if constexpr (std::is_integral_v<V>) {
    put(out, static_cast<std::int64_t>(value));
  } else if constexpr (std::is_floating_point_v<V>) {
    put(out, static_cast<double>(value));
  } else if constexpr (std::is_convertible_v<const V&, std::string_view>) {
    put(out, std::string_view(value));
  } else if constexpr (std::is_same_v<V, Interval>) {
    put(out, value);
  } else if constexpr (IsOptional<V>::value) {
    if (value) {
      write(*value, out);
    } else {
      put_null(out);
    }
  } else if constexpr (IsVector<V>::value) {
    if constexpr (Element<typename V::value_type>::kIsPair) {
      put_object(out);
      for (const auto& [name, one] : value) write(one, member(out, name));
    } else {
      put_list(out);
      for (const auto& one : value) write(one, appended(out));
    }
  } else {
    put_object(out);
    answer_keys(&value).write(value, out);
  }
}

template <typename V>
void describe(OrderedJson& out, AnswerDefinitions& definitions) {
  if constexpr (std::is_same_v<V, bool>) {
    describe_type(out, "boolean");
  } else if constexpr (std::is_integral_v<V>) {
    describe_type(out, "integer");
  } else if constexpr (std::is_floating_point_v<V>) {
    describe_type(out, "number");
  } else if constexpr (std::is_convertible_v<const V&, std::string_view>) {
    describe_type(out, "string");
  } else if constexpr (std::is_same_v<V, Interval>) {
    describe_interval(out);
  } else if constexpr (std::is_same_v<V, AnyCell>) {
    describe_cell(out);
  } else if constexpr (IsOptional<V>::value) {
    describe<typename V::value_type>(out, definitions);
    describe_or_null(out);
  } else if constexpr (IsVector<V>::value) {
    using E = Element<typename V::value_type>;
    if constexpr (E::kIsPair) {
      describe_list(out, definitions, &describe<typename E::Value>, true);
    } else {
      describe_list(out, definitions, &describe<typename V::value_type>, false);
    }
  } else {
    describe_object(out, answer_keys(static_cast<const V*>(nullptr)), definitions);
  }
}

}  // namespace answer_keys_detail

// A key of what is made from T, or several.
template <typename T>
struct AnswerKey {
  std::function<void(const T& of, OrderedJson& object)> write;
  std::function<void(OrderedJson& object, AnswerDefinitions& definitions)> describe;

  AnswerKey() = default;
  // `get` of a T: a member, or a function.
  template <typename Get>
  AnswerKey(std::string name, std::string words, Get get) {  // NOLINT: a line of a table
    using Value = std::remove_cvref_t<std::invoke_result_t<Get, const T&>>;
    write = [name, get](const T& of, OrderedJson& object) {
      answer_keys_detail::write<Value>(std::invoke(get, of),
                                       answer_keys_detail::member(object, name));
    };
    describe = [name, words](OrderedJson& object, AnswerDefinitions& definitions) {
      answer_keys_detail::describe_key(object, name, words, true, [&](OrderedJson& out) {
        answer_keys_detail::describe<Value>(out, definitions);
      });
    };
  }
};

// Where `get` gives nothing the key is not there.
template <typename T, typename Get>
[[nodiscard]] AnswerKey<T> left_out(std::string name, std::string words, Get get) {
  using Value = typename std::remove_cvref_t<std::invoke_result_t<Get, const T&>>::value_type;
  AnswerKey<T> key;
  key.write = [name, get](const T& of, OrderedJson& object) {
    if (const auto& value = std::invoke(get, of)) {
      answer_keys_detail::write<Value>(*value, answer_keys_detail::member(object, name));
    }
  };
  key.describe = [name, words](OrderedJson& object, AnswerDefinitions& definitions) {
    answer_keys_detail::describe_key(object, name, words, false, [&](OrderedJson& out) {
      answer_keys_detail::describe<Value>(out, definitions);
    });
  };
  return key;
}

// Always the same word.
template <typename T>
[[nodiscard]] AnswerKey<T> constant(std::string name, std::string word) {
  AnswerKey<T> key;
  key.write = [name, word](const T&, OrderedJson& object) {
    answer_keys_detail::put(answer_keys_detail::member(object, name), std::string_view(word));
  };
  key.describe = [name, word](OrderedJson& object, AnswerDefinitions&) {
    answer_keys_detail::describe_constant(object, name, word);
  };
  return key;
}

// A list of V that the caller writes itself, since it is too long to be held.
template <typename T, typename V>
[[nodiscard]] AnswerKey<T> streamed(std::string name, std::string words) {
  AnswerKey<T> key;
  key.write = [](const T&, OrderedJson&) {};
  key.describe = [name, words](OrderedJson& object, AnswerDefinitions& definitions) {
    answer_keys_detail::describe_key(object, name, words, true, [&](OrderedJson& out) {
      answer_keys_detail::describe<std::vector<V>>(out, definitions);
    });
  };
  return key;
}

// The figures of what `get` gives, each where its pointer leads; none where that is a
// std::optional without a value.
template <typename T, typename Answer, typename Get>
[[nodiscard]] AnswerKey<T> figures_of(std::span<const Figure<Answer>> figures, Get get) {
  using Value = std::remove_cvref_t<std::invoke_result_t<Get, const T&>>;
  constexpr bool kMayLack = answer_keys_detail::IsOptional<Value>::value;
  AnswerKey<T> key;
  key.write = [figures, get](const T& of, OrderedJson& object) {
    const auto& answer = std::invoke(get, of);
    if constexpr (kMayLack) {
      if (answer) put_figures(figure_values(figures, *answer), object);
    } else {
      put_figures(figure_values(figures, answer), object);
    }
  };
  key.describe = [figures](OrderedJson& object, AnswerDefinitions&) {
    answer_keys_detail::describe_figures(object, answer_keys_detail::specs_of(figures), !kMayLack);
  };
  return key;
}
// An object of its own of the figures of what `get` gives, a std::optional; without a value the key
// is not there.
template <typename T, typename Answer, typename Get>
[[nodiscard]] AnswerKey<T> object_of_figures(std::string name, std::string words,
                                             std::span<const Figure<Answer>> figures, Get get) {
  AnswerKey<T> key;
  key.write = [name, figures, get](const T& of, OrderedJson& object) {
    if (const auto& answer = std::invoke(get, of)) {
      put_figures(figure_values(figures, *answer), answer_keys_detail::member(object, name));
    }
  };
  key.describe = [name, words, figures](OrderedJson& object, AnswerDefinitions&) {
    answer_keys_detail::describe_key(object, name, words, false, [&](OrderedJson& out) {
      answer_keys_detail::start_object(out);
      answer_keys_detail::describe_figures(out, answer_keys_detail::specs_of(figures), true);
    });
  };
  return key;
}
// T's own.
template <typename T>
[[nodiscard]] AnswerKey<T> figures_of(std::span<const Figure<T>> figures) {
  return figures_of<T>(figures, std::identity());
}

// The keys of the objects that are made from T, in their order.
template <typename T>
class AnswerKeys final : public AnswerDescription {
 public:
  explicit AnswerKeys(std::vector<AnswerKey<T>> keys, std::string name = {})
      : keys_(std::move(keys)), name_(std::move(name)) {}

  void write(const T& of, OrderedJson& object) const {
    for (const AnswerKey<T>& key : keys_) key.write(of, object);
  }
  [[nodiscard]] std::string_view name() const override { return name_; }
  void describe(OrderedJson& out, AnswerDefinitions& definitions) const override {
    answer_keys_detail::start_object(out);
    for (const AnswerKey<T>& key : keys_) key.describe(out, definitions);
  }

 private:
  std::vector<AnswerKey<T>> keys_;
  std::string name_;
};

// What several answers say in the same words.
inline constexpr const char* kProvenanceWords =
    "What the figures rest on: theory, or a calibration with its held-out error.";
inline constexpr const char* kLinkWords = "What the times of exchanges rest on.";
inline constexpr const char* kNotesWords = "What to know before believing the figures.";
inline constexpr const char* kContextWords = "Cached tokens of a request.";

// The answer as JSON: after the version of its schema.
template <typename T>
[[nodiscard]] std::string answer_json(const T& answer) {
  return versioned_text([&](OrderedJson& out) { answer_keys(&answer).write(answer, out); });
}
// Its schema. `words`: what writes it.
[[nodiscard]] std::string answer_schema(const AnswerDescription& answer, const std::string& title,
                                        const std::string& words);

}  // namespace ridge::view
