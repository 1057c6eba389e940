#include "ridge/sweep/sweep_scenario.hpp"

#include "ridge/base/nearest_name.hpp"
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

bool read_value(const JsonNode& node, AxisValue& out) {
  if (node.is_number()) {
    double number = 0;
    if (!node.read(number)) return false;
    out = number;
    return true;
  }
  if (node.is_string()) {
    out = node.json().get<std::string>();
    return true;
  }
  if (node.json().is_boolean()) {
    out = node.json().get<bool>();
    return true;
  }
  node.expected("a number, a string, true or false");
  return false;
}

void read_pointers(JsonObject& object, Axis& axis) {
  const auto one = object.optional("pointer");
  const auto several = object.optional("pointers");
  if (one.has_value() == several.has_value()) {
    object.node().error("expected either \"pointer\" or \"pointers\"");
    return;
  }
  const auto entries = one ? std::vector<JsonNode>{*one} : several->elements();
  if (several && several->is_array() && entries.empty()) several->expected("at least one pointer");
  for (const JsonNode& entry : entries) {
    std::string pointer;
    if (!entry.read(pointer)) continue;
    // The root itself is the whole question.
    if (pointer.empty() || !is_json_pointer(pointer)) {
      entry.expected("a JSON pointer into the base, such as \"/context_tokens\"");
    } else if (pointer == "/kind") {
      entry.error("the kind of the question is the same at every point");
    }
    axis.pointers.push_back(std::move(pointer));
  }
}

// "values": each a scalar for all pointers, or a list with one value per pointer.
void read_list(const JsonNode& list, Axis& axis) {
  const auto entries = list.elements();
  if (list.is_array() && entries.empty()) list.expected("at least one value");
  if (entries.size() > kMaxAxisLength) {
    list.error(fmt::format("expected at most {} values, got {}", kMaxAxisLength, entries.size()));
    return;
  }
  for (const JsonNode& entry : entries) {
    const std::size_t width = axis.pointers.size();
    if (entry.is_array() && width > 1) {
      const auto parts = entry.elements();
      if (parts.size() != width) {
        entry.error(
            fmt::format("expected one value or {}, one per pointer, got {}", width, parts.size()));
        continue;
      }
      for (const JsonNode& part : parts) read_value(part, axis.values.emplace_back());
    } else {
      AxisValue value;
      read_value(entry, value);
      axis.values.insert(axis.values.end(), width, value);
    }
  }
  axis.length = entries.size();
}

// "from", "to" and "step" or "factor"; the end is taken in where a step meets it.
void read_range(JsonObject& object, Axis& axis) {
  double from = 0;
  double to = 0;
  const bool ends = object.required("from", from) & object.required("to", to);
  double step = 0;
  double factor = 0;
  const auto step_node = object.optional("step");
  const auto factor_node = object.optional("factor");
  if (step_node.has_value() == factor_node.has_value()) {
    object.node().error("expected either \"step\" or \"factor\" beside \"from\" and \"to\"");
    return;
  }
  const bool read = step_node
                        ? step_node->read(step, positive())
                        : factor_node->read(factor, NumberRange{.min = 1.0, .open_min = true});
  if (!ends || !read) return;
  if (to < from) {
    object.node().error(fmt::format("expected \"to\" of at least {:g}, got {:g}", from, to));
    return;
  }
  if (factor_node && from <= 0.0) {
    object.node().error(fmt::format("expected \"from\" above 0 beside \"factor\", got {:g}", from));
    return;
  }
  const double steps = step_node ? (to - from) / step : std::log(to / from) / std::log(factor);
  if (!(steps < static_cast<double>(kMaxAxisLength))) {
    object.node().error(fmt::format("expected at most {} values, got more", kMaxAxisLength));
    return;
  }
  axis.length = static_cast<std::size_t>(std::floor(steps + kEndSlack)) + 1;
  double value = from;
  for (std::size_t i = 0; i < axis.length; ++i) {
    if (step_node) value = from + static_cast<double>(i) * step;
    axis.values.insert(axis.values.end(), axis.pointers.size(), value);
    if (factor_node) value *= factor;
  }
}

void read_axis(const JsonNode& node, Axis& axis) {
  JsonObject object(node);
  axis.location = node.pointer();
  object.ignore("comment");
  read_pointers(object, axis);
  if (const auto values = object.optional("values")) {
    read_list(*values, axis);
    for (const char* key : {"from", "to", "step", "factor"}) {
      if (const auto extra = object.optional(key)) {
        extra->error("\"values\" already says where this axis goes");
      }
    }
  } else {
    read_range(object, axis);
  }
}

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
        return named_part(p).ends_with("/" + std::string(end));
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
  ScenarioReader(const JsonNode& node, SweepScenario& out) : object_(node), out_(out) {}

  void read() {
    object_.ignore("$schema");
    object_.ignore("comment");
    scenario::require_kind(object_, "sweep");
    object_.required("title", out_.title);
    read_base();
    read_axes();
    object_.optional("combine", out_.combine, std::span<const Named<Combine>>(kCombine));
    object_.optional("invalid_points", out_.invalid_points,
                     std::span<const Named<Invalid>>(kInvalid));
    const auto columns = object_.optional("columns");
    const auto filters = object_.optional("filters");
    const auto pareto = object_.optional("pareto");
    if (out_.kind != nullptr) {
      read_columns(columns);
      if (filters) read_filters(*filters);
      if (pareto) read_pareto(*pareto);
    }
    if (const auto references = object_.optional("references")) {
      for (const JsonNode& element : references->elements()) {
        std::string reference;
        if (element.read(reference)) out_.references.push_back(reference);
      }
    }
    if (out_.kind != nullptr) name_headers(out_);
  }

 private:
  using Combine = SweepScenario::Combine;
  using Invalid = SweepScenario::InvalidPoints;
  static constexpr std::array<Named<Combine>, 2> kCombine = {
      {{"product", Combine::product}, {"zip", Combine::zip}}};
  static constexpr std::array<Named<Invalid>, 2> kInvalid = {
      {{"error", Invalid::error}, {"skip", Invalid::skip}}};

  void read_base() {
    base_ = object_.required("base");
    if (!base_) return;
    if (!base_->is_object()) {
      base_->expected("an object: the question that the axes vary");
      base_.reset();
      return;
    }
    std::vector<std::string> kinds;
    for (const EvaluatorKind* kind : evaluator_kinds()) kinds.emplace_back(kind->name());
    if (!base_->contains_pointer("/kind")) {
      base_->error("missing key \"kind\"");
      return;
    }
    if (const auto index = base_->child("kind").read_choice(kinds)) {
      out_.kind = evaluator_kinds()[*index];
    }
  }

  void read_axes() {
    const auto axes = object_.required("axes");
    if (!axes) return;
    const auto entries = axes->elements();
    if (axes->is_array() && entries.empty()) axes->expected("at least one axis");
    for (const JsonNode& entry : entries) {
      Axis axis;
      read_axis(entry, axis);
      for (const auto& pointer : axis.pointers) {
        if (axis_of(pointer)) {
          entry.error(fmt::format("\"{}\" is moved by another axis already", pointer));
        }
        pointers_.emplace_back(pointer, out_.axes.size());
      }
      out_.axes.push_back(std::move(axis));
    }
  }

  [[nodiscard]] std::optional<std::size_t> axis_of(const std::string& pointer) const {
    for (const auto& [known, axis] : pointers_) {
      if (known == pointer) return axis;
    }
    return std::nullopt;
  }

  // Everything that the base has the keys for, unless the scenario chooses.
  void read_columns(const std::optional<JsonNode>& node) {
    if (!node) {
      for (std::size_t i = 0; i < out_.kind->columns().size(); ++i) {
        if (out_.kind->missing_for(i, *base_).empty()) out_.columns.push_back(i);
      }
      return;
    }
    const auto elements = node->elements();
    if (node->is_array() && elements.empty()) node->expected("at least one column");
    for (const JsonNode& element : elements) (void)read_column(element);
  }

  // The place of a column, chosen here if it was not before: a filter or an objective is worth
  // seeing.
  std::optional<std::size_t> read_column(const JsonNode& node) {
    std::vector<std::string> names;
    for (const ColumnSpec& column : out_.kind->columns()) names.emplace_back(column.name);
    const auto column = node.read_choice(names);
    if (!column) return std::nullopt;
    if (const auto key = out_.kind->missing_for(*column, *base_); !key.empty()) {
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
    if (column && out_.column(*column).is_label) {
      node.error(fmt::format("column \"{}\" holds names, not numbers", out_.column(*column).name));
      return std::nullopt;
    }
    return column;
  }

  void read_filters(const JsonNode& node) {
    for (const JsonNode& entry : node.elements()) {
      JsonObject object(entry);
      Filter filter{.column = 0,
                    .min = -std::numeric_limits<double>::infinity(),
                    .max = std::numeric_limits<double>::infinity()};
      const auto name = object.required("column");
      const bool min = object.optional("min", filter.min);
      const bool max = object.optional("max", filter.max);
      double equals = 0;
      double tolerance = 0;
      const bool exact = object.optional("equals", equals);
      const bool tolerant = object.optional("tolerance", tolerance, between(0, 1));
      if (exact ? min || max : tolerant || !(min || max)) {
        entry.error(
            "expected \"min\" or \"max\" or both, or \"equals\" with or without "
            "\"tolerance\" (relative)");
      }
      if (exact) {
        const double slack = std::abs(equals) * tolerance;
        filter.min = equals - slack;
        filter.max = equals + slack;
      } else if (filter.min > filter.max) {
        entry.error(
            fmt::format("expected \"max\" of at least {:g}, got {:g}", filter.min, filter.max));
      }
      const auto column = name ? read_number_column(*name) : std::nullopt;
      if (!column) continue;
      filter.column = *column;
      out_.filters.push_back(filter);
    }
  }

  void read_objectives(const std::optional<JsonNode>& node, bool maximise) {
    if (!node) return;
    for (const JsonNode& entry : node->elements()) {
      const auto column = read_number_column(entry);
      if (!column) continue;
      const bool twice =
          std::any_of(out_.pareto.objectives.begin(), out_.pareto.objectives.end(),
                      [&](const Objective& known) { return known.column == *column; });
      if (twice) entry.error("is an objective already");
      out_.pareto.objectives.push_back({.column = *column, .maximise = maximise});
    }
  }

  void read_pareto(const JsonNode& node) {
    JsonObject object(node);
    read_objectives(object.optional("minimise"), false);
    read_objectives(object.optional("maximise"), true);
    if (node.is_object() && out_.pareto.objectives.empty() && node.context().diagnostics->ok()) {
      node.error("expected at least one column to \"minimise\" or \"maximise\"");
    }
    const auto within = object.optional("within");
    if (!within) return;
    for (const JsonNode& entry : within->elements()) {
      std::vector<std::string> known;
      for (const auto& [pointer, axis] : pointers_) known.push_back(pointer);
      const auto index = entry.read_choice(known);
      if (index) out_.pareto.within.push_back(pointers_[*index].second);
    }
    auto& axes = out_.pareto.within;
    std::sort(axes.begin(), axes.end());
    axes.erase(std::unique(axes.begin(), axes.end()), axes.end());
  }

  JsonObject object_;
  SweepScenario& out_;
  std::optional<JsonNode> base_;
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
