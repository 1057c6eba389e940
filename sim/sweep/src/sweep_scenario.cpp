#include "ridge/sweep/sweep_scenario.hpp"

#include "ridge/base/keys.hpp"
#include "ridge/base/nearest_name.hpp"
#include "ridge/base/ordered_json.hpp"
#include "ridge/scenario/scenario_files.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::sweep {
namespace {

constexpr std::size_t kMaxAxisLength = 1000000;
// Steps add up to an end point only up to rounding.
constexpr double kEndSlack = 1e-9;

// The file as it is written.
using Combine = SweepScenario::Combine;
using Invalid = SweepScenario::InvalidPoints;

// "values": each a scalar for all pointers, or a list with one value per pointer.
struct AxisEntry {
  std::vector<AxisValue> parts;
  bool is_list = false;
};

struct AxisText {
  std::optional<std::string> pointer;
  std::optional<std::vector<std::string>> pointers;
  std::optional<std::vector<AxisEntry>> values;
  std::optional<double> from;
  std::optional<double> to;
  std::optional<double> step;
  std::optional<double> factor;
};

struct FilterText {
  std::string column;
  std::optional<double> min;
  std::optional<double> max;
  std::optional<double> equals;
  std::optional<double> tolerance;
};

struct ParetoText {
  std::vector<std::string> minimize;
  std::vector<std::string> maximize;
  std::vector<std::string> within;
};

struct SweepText {
  std::string title;
  std::vector<AxisText> axes;
  Combine combine = Combine::product;
  Invalid invalid_points = Invalid::error;
  std::optional<std::vector<std::string>> columns;
  std::vector<FilterText> filters;
  std::optional<ParetoText> pareto;
  std::vector<std::string> references;
};

constexpr std::array<Named<Combine>, 2> kCombine = {
    {{"product", Combine::product}, {"zip", Combine::zip}}};
constexpr std::array<Named<Invalid>, 2> kInvalid = {
    {{"error", Invalid::error}, {"skip", Invalid::skip}}};

// A type with a schema of its own, read elsewhere or by a function.
template <typename T>
class TextType final : public JsonType {
 public:
  using Read = bool (*)(const JsonNode&, T&);
  using Write = void (*)(const T&, OrderedJson&);
  using Describe = void (*)(OrderedJson&, SchemaDefinitions&);
  TextType(std::string words, Read read_it, Write write_it, Describe describe_it)
      : words_(std::move(words)), read_(read_it), write_(write_it), describe_(describe_it) {}

  bool read(const JsonNode& node, void* out) const override {
    return read_(node, *static_cast<T*>(out));
  }
  void write(const void* value, OrderedJson& out) const override {
    write_(*static_cast<const T*>(value), out);
  }
  void describe(OrderedJson& out, SchemaDefinitions& definitions) const override {
    describe_(out, definitions);
  }
  [[nodiscard]] std::string words() const override { return words_; }

 private:
  std::string words_;
  Read read_;
  Write write_;
  Describe describe_;
};

bool read_value(const JsonNode& node, AxisValue& out) {
  if (node.is_number()) return node.read(out.emplace<double>());
  if (node.is_string()) return node.read(out.emplace<std::string>());
  if (node.json().is_boolean()) return node.read(out.emplace<bool>());
  node.expected("a number, a string, true or false");
  return false;
}

bool read_entry(const JsonNode& node, AxisEntry& out) {
  out.is_list = node.is_array();
  if (!out.is_list) return read_value(node, out.parts.emplace_back());
  bool well = true;
  for (const JsonNode& part : node.elements()) well &= read_value(part, out.parts.emplace_back());
  return well;
}

OrderedJson json_of(const AxisValue& value) {
  return std::visit([](const auto& v) { return OrderedJson(v); }, value);
}

const OrderedJson kScalar = {{"type", {"number", "string", "boolean"}}};

JsonTypePtr json_type_of(const AxisEntry* /*of*/, std::string_view /*key*/) {
  return std::make_shared<TextType<AxisEntry>>(
      "a number, a string, true or false, or a list of these", read_entry,
      [](const AxisEntry& entry, OrderedJson& out) {
        if (!entry.is_list) {
          out = json_of(entry.parts.front());
          return;
        }
        out = OrderedJson::array();
        for (const AxisValue& part : entry.parts) out.push_back(json_of(part));
      },
      [](OrderedJson& out, SchemaDefinitions& /*definitions*/) {
        out["anyOf"] = {kScalar, {{"type", "array"}, {"minItems", 2}, {"items", kScalar}}};
      });
}

using Text = TextType<std::string>;

bool read_text(const JsonNode& node, std::string& out) {
  return node.read(out);
}
void write_text(const std::string& text, OrderedJson& out) {
  out = text;
}

// A place in the question. Whether it leads anywhere is seen once its documents are in place.
JsonTypePtr pointer_type() {
  return std::make_shared<Text>("a JSON pointer into the base", read_text, write_text,
                                [](OrderedJson& out, SchemaDefinitions& /*definitions*/) {
                                  out["type"] = "string";
                                  out["pattern"] = "^/.";
                                });
}

void describe_columns(OrderedJson& out, bool labels) {
  OrderedJson& names = out["enum"];
  for (const EvaluatorKind* kind : evaluator_kinds()) {
    for (const view::FigureSpec& column : kind->columns()) {
      if (!labels && column.kind == view::FigureKind::label) continue;
      // Kinds may have a figure in common.
      if (std::find(names.begin(), names.end(), column.name) == names.end()) {
        names.push_back(column.name);
      }
    }
  }
}

// Which columns there are depends on the question, so they are looked up later.
JsonTypePtr column_type() {
  return std::make_shared<Text>(
      "a column", read_text, write_text,
      [](OrderedJson& out, SchemaDefinitions& /*definitions*/) { describe_columns(out, true); });
}
JsonTypePtr number_column_type() {
  return std::make_shared<Text>(
      "a column of numbers", read_text, write_text,
      [](OrderedJson& out, SchemaDefinitions& /*definitions*/) { describe_columns(out, false); });
}

// The question is read anew for each combination of values, by its own kind.
JsonTypePtr question_type() {
  return std::make_shared<TextType<SweepText>>(
      "a question",
      [](const JsonNode& node, SweepText& /*out*/) {
        if (node.is_object()) return true;
        node.expected("an object: the question that the axes vary");
        return false;
      },
      [](const SweepText& /*text*/, OrderedJson& /*out*/) {},
      [](OrderedJson& out, SchemaDefinitions& definitions) {
        for (const EvaluatorKind* kind : evaluator_kinds()) {
          OrderedJson one = OrderedJson::object();
          keys::object(kind->keys())->describe(one, definitions);
          out["oneOf"].push_back(std::move(one));
        }
      });
}

JsonTypePtr list_of(JsonTypePtr element, std::string at_least_one = {}) {
  return keys::list(std::move(element), keys::vector_store<std::string>(), std::move(at_least_one));
}
// A key whose type is given.
template <auto M>
auto typed_key(std::string name, std::string doc, JsonTypePtr type, bool required = true) {
  using C = typename keys::Member<decltype(M)>::Class;
  return Key<C>{{.key = std::move(name),
                 .doc = std::move(doc),
                 .access = {keys::member_access<M>()},
                 .type = std::move(type),
                 .required = required}};
}
JsonTypePtr maybe_text(JsonTypePtr type) {
  return keys::maybe(std::move(type), keys::optional_store<std::string>());
}
JsonTypePtr maybe_list(JsonTypePtr type) {
  return keys::maybe(std::move(type), keys::optional_store<std::vector<std::string>>());
}

constexpr const char* kAxisRelation = R"({
  "allOf": [
    {"oneOf": [{"required": ["pointer"]}, {"required": ["pointers"]}]},
    {
      "oneOf": [
        {
          "required": ["values"],
          "not": {
            "anyOf": [
              {"required": ["from"]}, {"required": ["to"]}, {"required": ["step"]},
              {"required": ["factor"]}
            ]
          }
        },
        {
          "required": ["from", "to"],
          "not": {"required": ["values"]},
          "oneOf": [{"required": ["step"]}, {"required": ["factor"]}]
        }
      ]
    }
  ]
})";

const KeyTable& keys_of(const AxisText* /*of*/) {
  using A = AxisText;
  static const KeyTable table =
      key_table<A>(
          "axis", "Where the question moves, and through which values.",
          {
              typed_key<&A::pointer>("pointer",
                                     "Into the base, its documents in place: "
                                     "\"/model/attention/mfa/query_heads\".",
                                     maybe_text(pointer_type()), false),
              typed_key<&A::pointers>("pointers", "Places that move together.",
                                      maybe_list(list_of(pointer_type(), "at least one pointer")),
                                      false),
              key<&A::values>(
                  "values", "Each a value for all pointers, or a list with one value per pointer.",
                  keys::AtLeastOne{"at least one value"}),
              key<&A::from>("from", "The first value."),
              key<&A::to>("to", "The last, where a step meets it."),
              key<&A::step>("step", "From one value to the next.", positive()),
              key<&A::factor>("factor", "Of one value over the one before.",
                              NumberRange{.min = 1.0, .open_min = true}),
          })
          .commented()
          .relation({}, kAxisRelation);
  return table;
}

constexpr const char* kFilterRelation = R"({
  "oneOf": [
    {
      "required": ["equals"],
      "not": {"anyOf": [{"required": ["min"]}, {"required": ["max"]}]}
    },
    {
      "anyOf": [{"required": ["min"]}, {"required": ["max"]}],
      "not": {"anyOf": [{"required": ["equals"]}, {"required": ["tolerance"]}]}
    }
  ]
})";

const KeyTable& keys_of(const FilterText* /*of*/) {
  using F = FilterText;
  static const KeyTable table =
      key_table<F>("filter", "Keeps the rows whose value lies within.",
                   {
                       typed_key<&F::column>("column", "What is looked at.", number_column_type()),
                       key<&F::min>("min", "The least."),
                       key<&F::max>("max", "The most."),
                       key<&F::equals>("equals", "What it is."),
                       key<&F::tolerance>("tolerance", "Relative to \"equals\".", between(0, 1)),
                   })
          .relation({}, kFilterRelation);
  return table;
}

constexpr const char* kParetoRelation = R"({
  "anyOf": [
    {"required": ["minimize"], "properties": {"minimize": {"minItems": 1}}},
    {"required": ["maximize"], "properties": {"maximize": {"minItems": 1}}}
  ]
})";

const KeyTable& keys_of(const ParetoText* /*of*/) {
  using P = ParetoText;
  static const KeyTable table =
      key_table<P>("pareto", "Flags the rows that no other row beats.",
                   {
                       typed_key<&P::minimize>("minimize", "Less is better.",
                                               list_of(number_column_type()), false),
                       typed_key<&P::maximize>("maximize", "More is better.",
                                               list_of(number_column_type()), false),
                       typed_key<&P::within>("within",
                                             "Pointers of axes: rows are compared only with rows "
                                             "that agree on them.",
                                             list_of(pointer_type()), false),
                   })
          .relation({}, kParetoRelation);
  return table;
}

const KeyTable& keys_of(const SweepText* /*of*/) {
  using S = SweepText;
  static const KeyTable table =
      key_table<S>(
          "", "One question asked along axes. docs/sweeps.md tells the whole story.",
          {
              key_of_all<S>("kind", "", keys::constant("sweep", "a scenario of kind \"sweep\"")),
              key<&S::title>("title", "The question in a line."),
              key_of_all<S>(
                  "base",
                  "The question: what a token costs, what a deployment delivers, or what the "
                  "best deployment for a goal is.",
                  question_type()),
              key<&S::axes>("axes", "Along which it is asked.",
                            keys::AtLeastOne{"at least one axis"}),
              key<&S::combine>("combine",
                               "product: every value of one axis with every value of the others. "
                               "zip: the first values of all axes, then the second, ...",
                               std::span(kCombine))
                  .optional(),
              key<&S::invalid_points>(
                  "invalid_points",
                  "What to do with a point that is no architecture (heads that do not divide) or "
                  "that cannot run (a deployment that does not fit in memory): refuse the sweep, "
                  "or "
                  "leave the point out and say how many there were.",
                  std::span(kInvalid))
                  .optional(),
              typed_key<&S::columns>(
                  "columns", "Everything that the base has the keys for, where absent.",
                  maybe_list(list_of(column_type(), "at least one column")), false),
              key<&S::filters>("filters",
                               "A row is kept if it passes all of them. An unknown value passes "
                               "none.")
                  .optional(),
              key<&S::pareto>("pareto", "Flags the rows that no other row beats."),
              key<&S::references>(
                  "references",
                  "What to evaluate beside the sweep, names or paths: models for a base of kind "
                  "cost or plan (in place of the goal's first), scenarios for one of kind "
                  "simulate. "
                  "They go along the axes that do not reach into the model, or the scenario.")
                  .optional(),
          })
          .file("sweep scenario");
  return table;
}

// An axis as it is asked for, made one that can be walked.
class AxisMaker {
 public:
  AxisMaker(const AxisText& text, const JsonNode& node, Axis& axis)
      : text_(text), node_(node), axis_(axis) {}

  void run() {
    axis_.location = node_.pointer();
    pointers();
    if (text_.values) {
      list();
      for (const char* key : {"from", "to", "step", "factor"}) {
        if (node_.json().contains(key)) {
          node_.child(key).error("\"values\" already says where this axis goes");
        }
      }
    } else {
      range();
    }
  }

 private:
  void pointers() {
    if (text_.pointer.has_value() == text_.pointers.has_value()) {
      node_.error("expected either \"pointer\" or \"pointers\"");
      return;
    }
    axis_.pointers = text_.pointer ? std::vector<std::string>{*text_.pointer} : *text_.pointers;
    for (std::size_t i = 0; i < axis_.pointers.size(); ++i) {
      const std::string& pointer = axis_.pointers[i];
      const JsonNode entry =
          text_.pointer ? node_.child("pointer") : node_.child("pointers").child(i);
      // The root itself is the whole question.
      if (pointer.empty() || !is_json_pointer(pointer)) {
        entry.expected("a JSON pointer into the base, such as \"/context_tokens\"");
      } else if (pointer == "/kind") {
        entry.error("the kind of the question is the same at every point");
      }
    }
  }

  void list() {
    const JsonNode values = node_.child("values");
    if (text_.values->size() > kMaxAxisLength) {
      values.error(
          fmt::format("expected at most {} values, got {}", kMaxAxisLength, text_.values->size()));
      return;
    }
    const std::size_t width = axis_.pointers.size();
    for (std::size_t i = 0; i < text_.values->size(); ++i) {
      const AxisEntry& entry = (*text_.values)[i];
      if (!entry.is_list) {
        axis_.values.insert(axis_.values.end(), width, entry.parts.front());
      } else if (width <= 1) {
        values.child(i).expected("a number, a string, true or false");
      } else if (entry.parts.size() != width) {
        values.child(i).error(fmt::format("expected one value or {}, one per pointer, got {}",
                                          width, entry.parts.size()));
      } else {
        axis_.values.insert(axis_.values.end(), entry.parts.begin(), entry.parts.end());
      }
    }
    axis_.length = text_.values->size();
  }

  // "from", "to" and "step" or "factor"; the end is taken in where a step meets it.
  void range() {
    for (const auto& [key, given] : {std::pair{"from", text_.from}, std::pair{"to", text_.to}}) {
      if (!given) node_.error(fmt::format("missing key \"{}\"", key));
    }
    if (text_.step.has_value() == text_.factor.has_value()) {
      node_.error("expected either \"step\" or \"factor\" beside \"from\" and \"to\"");
      return;
    }
    if (!text_.from || !text_.to) return;
    const double from = *text_.from;
    const double to = *text_.to;
    if (to < from) {
      node_.error(fmt::format("expected \"to\" of at least {:g}, got {:g}", from, to));
      return;
    }
    if (text_.factor && from <= 0.0) {
      node_.error(fmt::format("expected \"from\" above 0 beside \"factor\", got {:g}", from));
      return;
    }
    const double steps =
        text_.step ? (to - from) / *text_.step : std::log(to / from) / std::log(*text_.factor);
    if (!(steps < static_cast<double>(kMaxAxisLength))) {
      node_.error(fmt::format("expected at most {} values, got more", kMaxAxisLength));
      return;
    }
    axis_.length = static_cast<std::size_t>(std::floor(steps + kEndSlack)) + 1;
    double value = from;
    for (std::size_t i = 0; i < axis_.length; ++i) {
      if (text_.step) value = from + static_cast<double>(i) * *text_.step;
      axis_.values.insert(axis_.values.end(), axis_.pointers.size(), value);
      if (text_.factor) value *= *text_.factor;
    }
  }

  const AxisText& text_;
  JsonNode node_;
  Axis& axis_;
};

// The shortest end of each pointer that no other pointer and no column shares and that is no mere
// index: "requests_per_gpu", "attention/instances". The "value" of a fact goes by the fact's name.
void name_headers(SweepScenario& scenario) {
  const auto named_part = [](std::string_view pointer) {
    constexpr std::string_view kValue = "/value";
    if (pointer.ends_with(kValue)) pointer.remove_suffix(kValue.size());
    return pointer;
  };
  const auto uses = [&](std::string_view end) {
    std::int64_t count = 0;
    for (const std::size_t column : scenario.columns) {
      if (scenario.kind->columns()[column].name == end) ++count;
    }
    for (const Axis& axis : scenario.axes) {
      count += std::count_if(axis.pointers.begin(), axis.pointers.end(), [&](const std::string& p) {
        return named_part(p).ends_with(fmt::format("/{}", end));
      });
    }
    return count;
  };
  const auto is_index = [](std::string_view end) {
    const auto key = end.substr(0, end.find('/'));
    return std::all_of(key.begin(), key.end(),
                       [](unsigned char c) { return std::isdigit(c) != 0; });
  };
  for (Axis& axis : scenario.axes) {
    for (const auto& pointer : axis.pointers) {
      const auto name = named_part(pointer);
      std::size_t slash = name.find_last_of('/');
      while (slash != 0 && slash != std::string_view::npos &&
             (uses(name.substr(slash + 1)) > 1 || is_index(name.substr(slash + 1)))) {
        slash = name.find_last_of('/', slash - 1);
      }
      const auto end = name.substr(slash + 1);
      axis.headers.emplace_back(uses(end) == 1 ? end : std::string_view(pointer));
    }
  }
}

class ScenarioReader {
 public:
  ScenarioReader(const JsonNode& node, SweepScenario& out) : node_(node), out_(out) {}

  void read() {
    if (!read_keys(node_, text_)) return;
    out_.title = text_.title;
    out_.combine = text_.combine;
    out_.invalid_points = text_.invalid_points;
    out_.references = text_.references;
    read_kind();
    read_axes();
    if (out_.kind == nullptr) return;
    read_columns();
    read_filters();
    if (text_.pareto) read_pareto();
    name_headers(out_);
  }

 private:
  void read_kind() {
    const JsonNode base = node_.child("base");
    std::vector<std::string> kinds;
    for (const EvaluatorKind* kind : evaluator_kinds()) kinds.emplace_back(kind->name());
    if (!base.contains_pointer("/kind")) {
      base.error("missing key \"kind\"");
      return;
    }
    if (const auto index = base.child("kind").read_choice(kinds)) {
      out_.kind = evaluator_kinds()[*index];
    }
  }

  void read_axes() {
    const JsonNode axes = node_.child("axes");
    for (std::size_t i = 0; i < text_.axes.size(); ++i) {
      const JsonNode entry = axes.child(i);
      Axis axis;
      AxisMaker(text_.axes[i], entry, axis).run();
      for (const auto& pointer : axis.pointers) {
        const auto known = std::find_if(pointers_.begin(), pointers_.end(),
                                        [&](const auto& p) { return p.first == pointer; });
        if (known != pointers_.end()) {
          entry.error(fmt::format("\"{}\" is moved by another axis already", pointer));
        }
        pointers_.emplace_back(pointer, out_.axes.size());
      }
      out_.axes.push_back(std::move(axis));
    }
  }

  // Everything that the base has the keys for, unless the scenario chooses.
  void read_columns() {
    if (!text_.columns) {
      for (std::size_t i = 0; i < out_.kind->columns().size(); ++i) {
        if (out_.kind->missing_for(i, node_.child("base")).empty()) out_.columns.push_back(i);
      }
      return;
    }
    for (const JsonNode& element : node_.child("columns").elements()) (void)read_column(element);
  }

  // The place of a column, chosen here if it was not before: a filter or an objective is worth
  // seeing.
  std::optional<std::size_t> read_column(const JsonNode& node) {
    std::vector<std::string> names;
    for (const view::FigureSpec& column : out_.kind->columns()) names.emplace_back(column.name);
    const auto column = node.read_choice(names);
    if (!column) return std::nullopt;
    if (const auto key = out_.kind->missing_for(*column, node_.child("base")); !key.empty()) {
      node.error(fmt::format("column \"{}\" needs \"{}\" in the base", names[*column], key));
      return std::nullopt;
    }
    const auto found = std::find(out_.columns.begin(), out_.columns.end(), *column);
    if (found != out_.columns.end()) {
      return static_cast<std::size_t>(found - out_.columns.begin());
    }
    out_.columns.push_back(*column);
    return out_.columns.size() - 1;
  }

  std::optional<std::size_t> read_number_column(const JsonNode& node) {
    const auto column = read_column(node);
    if (column && out_.column(*column).kind == view::FigureKind::label) {
      node.error(fmt::format("column \"{}\" holds names, not numbers", out_.column(*column).name));
      return std::nullopt;
    }
    return column;
  }

  void read_filters() {
    for (std::size_t i = 0; i < text_.filters.size(); ++i) {
      const FilterText& text = text_.filters[i];
      const JsonNode entry = node_.child("filters").child(i);
      Filter filter{.column = 0,
                    .min = text.min.value_or(-std::numeric_limits<double>::infinity()),
                    .max = text.max.value_or(std::numeric_limits<double>::infinity())};
      const bool bounded = text.min || text.max;
      if (text.equals ? bounded : text.tolerance || !bounded) {
        entry.error(
            "expected \"min\" or \"max\" or both, or \"equals\" with or without "
            "\"tolerance\" (relative)");
      }
      if (text.equals) {
        const double slack = std::abs(*text.equals) * text.tolerance.value_or(0.0);
        filter.min = *text.equals - slack;
        filter.max = *text.equals + slack;
      } else if (filter.min > filter.max) {
        entry.error(
            fmt::format("expected \"max\" of at least {:g}, got {:g}", filter.min, filter.max));
      }
      const auto column = read_number_column(entry.child("column"));
      if (!column) continue;
      filter.column = *column;
      out_.filters.push_back(filter);
    }
  }

  void read_objectives(const char* key, bool maximize) {
    const JsonNode node = node_.child("pareto");
    if (!node.json().contains(key)) return;
    for (const JsonNode& entry : node.child(key).elements()) {
      const auto column = read_number_column(entry);
      if (!column) continue;
      const bool twice =
          std::any_of(out_.pareto.objectives.begin(), out_.pareto.objectives.end(),
                      [&](const Objective& known) { return known.column == *column; });
      if (twice) entry.error("is an objective already");
      out_.pareto.objectives.push_back({.column = *column, .maximize = maximize});
    }
  }

  void read_pareto() {
    const JsonNode node = node_.child("pareto");
    read_objectives("minimize", false);
    read_objectives("maximize", true);
    if (out_.pareto.objectives.empty() && node.context().diagnostics->ok()) {
      node.error("expected at least one column to \"minimize\" or \"maximize\"");
    }
    if (!node.json().contains("within")) return;
    for (const JsonNode& entry : node.child("within").elements()) {
      std::vector<std::string> known;
      for (const auto& [pointer, axis] : pointers_) known.push_back(pointer);
      const auto index = entry.read_choice(known);
      if (index) out_.pareto.within.push_back(pointers_[*index].second);
    }
    auto& axes = out_.pareto.within;
    std::sort(axes.begin(), axes.end());
    axes.erase(std::unique(axes.begin(), axes.end()), axes.end());
  }

  JsonNode node_;
  SweepScenario& out_;
  SweepText text_;
  std::vector<std::pair<std::string, std::size_t>> pointers_;  // with their axes
};

// What only the axes together can break.
void check_lengths(const SweepScenario& scenario, Diagnostics& diagnostics) {
  const std::string& file = scenario.document.name();
  if (scenario.combine == SweepScenario::Combine::zip) {
    for (const Axis& axis : scenario.axes) {
      if (axis.length != scenario.axes.front().length) {
        diagnostics.error(file, axis.location,
                          fmt::format("zipped axes are of one length; expected {} values, got {}",
                                      scenario.axes.front().length, axis.length));
      }
    }
    return;
  }
  double points = 1.0;
  for (const Axis& axis : scenario.axes) points *= static_cast<double>(axis.length);
  if (points > kMaxSweepPoints) {
    diagnostics.error(
        file, "/axes",
        fmt::format("expected at most {:g} points, got {:g}", kMaxSweepPoints, points));
  }
}

}  // namespace

std::string text_of(const AxisValue& value) {
  if (const auto* number = std::get_if<double>(&value)) return fmt::format("{}", *number);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  return std::get<std::string>(value);
}

const KeyTable& sweep_keys() {
  return keys_of(static_cast<const SweepText*>(nullptr));
}

SweepScenario read_sweep(const JsonDocument& document) {
  Diagnostics diagnostics;
  const JsonContext context{.file = document.name(), .diagnostics = &diagnostics};
  SweepScenario scenario{.title = {}, .document = document};
  ScenarioReader(JsonNode(document.json(), context), scenario).read();
  if (diagnostics.ok()) check_lengths(scenario, diagnostics);
  diagnostics.throw_if_errors();
  return scenario;
}

SweepScenario load_sweep(const std::string& name_or_path) {
  return read_sweep(JsonDocument::read(scenario::scenario_path(name_or_path)));
}

}  // namespace ridge::sweep
