#include "ridge/base/error.hpp"
#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/hwmodels/calibrated/kernel_facts.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace ridge::hw::calibrated {

namespace {

using Json = nlohmann::ordered_json;

template <typename E>
std::string_view name_in(std::span<const Named<E>> names, E value) {
  for (const auto& n : names) {
    if (n.value == value) return n.name;
  }
  throw InvariantError("an enumerator without a name");
}

// ---- Writing ----------------------------------------------------------------------------------

// What a fit knows, and no digits beyond.
double rounded(double x, int digits) {
  return std::stod(fmt::format("{:.{}g}", x, digits));
}

constexpr double kNegligibleSpread = 1e-6;  // of ln(parameter): rounding of the linear algebra

// Visits a choice's fields; limits are for reading.
struct WriteChoice {
  Json& out;

  void operator()(std::string_view name, const std::array<double, 3>& heights) const {
    Json& rows = out[std::string(name)] = Json::array();
    for (const double height : heights) {
      if (height > 0.0) rows.push_back(height);
    }
  }
  void operator()(std::string_view name, bool value) const { out[std::string(name)] = value; }
  void operator()(std::string_view name, double value, NumberRange /*range*/) const {
    out[std::string(name)] = value;
  }
  template <typename E>
  void operator()(std::string_view name, E value, std::span<const Named<E>> names) const {
    out[std::string(name)] = name_in(names, value);
  }
};

Json choice_json(const FittedForm& fitted) {
  Json json = Json::object();
  std::visit(
      [&](const auto& f) {
        std::decay_t<decltype(f)>::Form::choice_fields(f.choice, WriteChoice{json});
      },
      fitted);
  return json;
}

constexpr double kLeafUnit = 1e-4;  // of ln(time); a hundredth of a percent

// By tree: the feature and threshold that each level asks of, then its leaves, from all answers no
// to all answers yes.
Json residual_json(const Curve& curve) {
  Json trees = Json::array();
  for (const ResidualTree& tree : curve.residual.trees()) {
    Json numbers = Json::array();
    for (std::size_t level = 0; level < ResidualTree::kDepth; ++level) {
      numbers.push_back(tree.feature[level]);
      numbers.push_back(rounded(tree.threshold[level], 5));
    }
    for (const float leaf : tree.leaf) numbers.push_back(std::lround(leaf / kLeafUnit));
    trees.push_back(std::move(numbers));
  }
  Json features = Json::array();
  for (const std::string_view name : feature_names(curve.fitted)) features.push_back(name);
  return {{"features", features}, {"trees", trees}};
}

Json curve_json(const Curve& curve) {
  Json json;
  json["family"] = name_of(curve.key.family);
  if (curve.key.format != Format::any) json["format"] = name_of(curve.key.format);
  if (curve.key.head_dim > 0) json["head_dim"] = curve.key.head_dim;
  json["kernel"] = curve.key.kernel;
  json["choice"] = choice_json(curve.fitted);
  Json& parameters = json["parameters"] = Json::object();
  const auto info = parameters_of(curve.fitted);
  const auto values = values_of(curve.fitted);
  for (std::size_t j = 0; j < values.size(); ++j) {
    parameters[std::string(info[j].name)] = rounded(values[j], 6);
  }
  if (!curve.spread.empty()) {
    Json& spread = json["spread"] = Json::array();
    for (std::size_t i = 0; i < values.size(); ++i) {
      for (std::size_t j = 0; j <= i; ++j) {
        const double entry = curve.spread[i * values.size() + j];
        spread.push_back(std::abs(entry) < kNegligibleSpread ? 0.0 : rounded(entry, 3));
      }
    }
  }
  if (!curve.residual.empty()) json["residual"] = residual_json(curve);
  Json& ranges = json["ranges"] = Json::object();
  for (const Range& range : curve.ranges) {
    ranges[range.name] = {rounded(range.min, 6), rounded(range.max, 6)};
  }
  if (curve.held_out.measurements > 0) {
    const HeldOutError& e = curve.held_out;
    json["held_out_error"] = {{"p50", rounded(e.p50, 3)},
                              {"p90", rounded(e.p90, 3)},
                              {"worst", rounded(e.worst, 3)},
                              {"in_sample_p50", rounded(e.in_sample_p50, 3)},
                              {"measurements", e.measurements},
                              {"groups", e.groups},
                              {"folds", e.folds},
                              {"left_out", e.by_shape ? "shapes" : "batch sizes"},
                              {"draw_sigma", rounded(e.draw_sigma, 3)},
                              {"coverage_90", rounded(e.coverage_90, 3)}};
    for (const RowsError& some : e.by_rows) {
      json["held_out_error"]["by_rows"].push_back({{"from", some.from},
                                                   {"to", some.to},
                                                   {"p50", rounded(some.p50, 3)},
                                                   {"p90", rounded(some.p90, 3)},
                                                   {"measurements", some.measurements}});
    }
    Json worst = Json::array();
    for (const Outlier& outlier : curve.outliers) {
      worst.push_back({{"where", outlier.where},
                       {"measured_us", rounded(outlier.measured_us, 4)},
                       {"predicted_us", rounded(outlier.predicted_us, 4)}});
    }
    json["outliers"] = {{"count", curve.outlier_count}, {"worst", worst}};
  }
  Json sources = Json::array();
  for (const Provenance& source : curve.sources) {
    sources.push_back({{"file", source.file}, {"rows", source.rows}});
  }
  json["measurements"] = sources;
  if (curve.borrowed) {
    json["borrowed"] = {{"from", curve.borrowed->from},
                        {"added_error", rounded(curve.borrowed->added_error, 3)}};
  }
  if (curve.standby) json["standby"] = true;
  return json;
}

// ---- Reading ----------------------------------------------------------------------------------

struct ReadChoice {
  JsonObject& in;

  void operator()(std::string_view name, std::array<double, 3>& heights) const {
    if (const auto rows = in.required(name)) read_tile_rows(*rows, heights);
  }
  void operator()(std::string_view name, bool& value) const { in.required(name, value); }
  void operator()(std::string_view name, double& value, NumberRange range) const {
    in.required(name, value, range);
  }
  template <typename E>
  void operator()(std::string_view name, E& value, std::span<const Named<E>> names) const {
    in.required(name, value, names);
  }
};

void read_held_out(const JsonNode& node, HeldOutError& out) {
  JsonObject object(node);
  object.required("p50", out.p50, at_least(0));
  object.required("p90", out.p90, at_least(0));
  object.required("worst", out.worst, at_least(0));
  object.required("in_sample_p50", out.in_sample_p50, at_least(0));
  object.required("measurements", out.measurements, at_least(1));
  object.required("groups", out.groups, at_least(1));
  object.required("folds", out.folds, at_least(1));
  constexpr std::array<Named<bool>, 2> kLeftOut = {{{"shapes", true}, {"batch sizes", false}}};
  object.required("left_out", out.by_shape, std::span<const Named<bool>>(kLeftOut));
  object.required("draw_sigma", out.draw_sigma, at_least(0));
  object.required("coverage_90", out.coverage_90, between(0, 1));
  if (const auto member = object.optional("by_rows")) {
    for (const JsonNode& entry : member->elements()) {
      JsonObject rows(entry);
      RowsError& some = out.by_rows.emplace_back();
      rows.required("from", some.from, at_least(0));
      rows.required("to", some.to, at_least(some.from));
      rows.required("p50", some.p50, at_least(0));
      rows.required("p90", some.p90, at_least(0));
      rows.required("measurements", some.measurements, at_least(1));
    }
  }
}

void read_outliers(const JsonNode& node, Curve& curve) {
  JsonObject object(node);
  object.required("count", curve.outlier_count, at_least(0));
  if (const auto worst = object.required("worst")) {
    for (const JsonNode& entry : worst->elements()) {
      JsonObject outlier(entry);
      Outlier& out = curve.outliers.emplace_back();
      outlier.required("where", out.where);
      outlier.required("measured_us", out.measured_us, positive());
      outlier.required("predicted_us", out.predicted_us, positive());
    }
  }
}

void read_spread(const JsonNode& node, std::size_t n, std::vector<double>& out) {
  const std::vector<JsonNode> entries = node.elements();
  if (entries.size() != n * (n + 1) / 2) {
    node.error(fmt::format("expected the {} entries of a lower triangle of {} parameters, got {}",
                           n * (n + 1) / 2, n, entries.size()));
    return;
  }
  out.assign(n * n, 0.0);
  std::size_t at = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) entries[at++].read(out[i * n + j]);
  }
}

// There are thousands of these numbers in a file: read without a node for each.
void read_tree(const JsonNode& node, std::size_t features, ResidualTree& out) {
  const auto& numbers = node.json();
  const auto refuse = [&](std::string_view what) {
    node.expected(
        fmt::format("{} questions as a feature (0 to {}) and a threshold each, then {} leaves "
                    "in ten-thousandths; {}",
                    ResidualTree::kDepth, features - 1, out.leaf.size(), what));
  };
  if (!numbers.is_array() || numbers.size() != 2 * ResidualTree::kDepth + out.leaf.size()) {
    return refuse("there are more or fewer numbers");
  }
  const bool all = std::all_of(numbers.begin(), numbers.end(),
                               [](const auto& number) { return number.is_number(); });
  if (!all) return refuse("not all are numbers");
  for (std::size_t level = 0; level < ResidualTree::kDepth; ++level) {
    const auto feature = numbers[2 * level].template get<double>();
    if (feature < 0.0 || feature >= static_cast<double>(features)) {
      return refuse("a feature is not one of them");
    }
    out.feature[level] = static_cast<std::uint8_t>(feature);
    out.threshold[level] = numbers[2 * level + 1].template get<float>();
  }
  for (std::size_t i = 0; i < out.leaf.size(); ++i) {
    out.leaf[i] = static_cast<float>(kLeafUnit *
                                     numbers[2 * ResidualTree::kDepth + i].template get<double>());
  }
}

void read_residual(const JsonNode& node, const FittedForm& form, Residual& out) {
  JsonObject object(node);
  const std::span<const std::string_view> known = feature_names(form);
  if (const auto member = object.required("features")) {
    std::vector<std::string> names;
    for (const JsonNode& name : member->elements()) name.read(names.emplace_back());
    if (!std::equal(names.begin(), names.end(), known.begin(), known.end())) {
      member->expected(fmt::format("the features {}", fmt::join(known, ", ")));
    }
  }
  if (const auto trees = object.required("trees")) {
    const auto elements = trees->elements();
    if (elements.size() > Residual::kMaxTrees) {
      trees->error(
          fmt::format("expected at most {} trees, got {}", Residual::kMaxTrees, elements.size()));
      return;
    }
    std::vector<ResidualTree> all;
    for (const JsonNode& tree : elements) read_tree(tree, known.size(), all.emplace_back());
    out = Residual(std::move(all));
  }
}

void read_ranges(const JsonNode& node, const FittedForm& form, std::vector<Range>& out) {
  JsonObject object(node);
  for (const std::string_view name : range_names(form)) {
    const auto member = object.optional(name);
    if (!member) continue;
    const std::vector<JsonNode> ends = member->elements();
    Range& range = out.emplace_back(Range{.name = std::string(name)});
    if (ends.size() != 2) {
      member->expected("[least, greatest]");
      continue;
    }
    ends[0].read(range.min, at_least(0));
    ends[1].read(range.max, at_least(range.min));
  }
  // Each range belongs to its place in the shape: all of them or none.
  if (!out.empty() && out.size() != range_names(form).size()) {
    node.error(fmt::format("expected a range for each of {}, or none",
                           fmt::join(range_names(form), ", ")));
  }
}

void read_curve(const JsonNode& node, Curve& out) {
  JsonObject object(node);
  object.required("family", out.key.family, family_names());
  object.optional("format", out.key.format, format_names());
  object.optional("head_dim", out.key.head_dim, at_least(1));
  object.required("kernel", out.key.kernel);
  out.fitted = form_of(out.key.family);
  if (const auto member = object.required("choice")) {
    JsonObject choice(*member);
    std::visit(
        [&](auto& f) {
          std::decay_t<decltype(f)>::Form::choice_fields(f.choice, ReadChoice{choice});
        },
        out.fitted);
  }
  if (const auto member = object.required("parameters")) {
    JsonObject parameters(*member);
    const auto info = parameters_of(out.fitted);
    const auto values = values_of(out.fitted);
    for (std::size_t j = 0; j < values.size(); ++j) {
      parameters.required(info[j].name, values[j], positive());
    }
  }
  if (const auto member = object.optional("spread")) {
    read_spread(*member, values_of(out.fitted).size(), out.spread);
  }
  if (const auto member = object.optional("residual")) {
    read_residual(*member, out.fitted, out.residual);
  }
  object.optional("standby", out.standby);
  if (const auto member = object.required("ranges")) read_ranges(*member, out.fitted, out.ranges);
  if (const auto member = object.optional("held_out_error")) read_held_out(*member, out.held_out);
  if (const auto member = object.optional("outliers")) read_outliers(*member, out);
  if (const auto member = object.required("measurements")) {
    for (const JsonNode& entry : member->elements()) {
      JsonObject source(entry);
      Provenance& provenance = out.sources.emplace_back();
      source.required("file", provenance.file);
      source.required("rows", provenance.rows, at_least(1));
    }
  }
  if (const auto member = object.optional("borrowed")) {
    JsonObject borrowed(*member);
    out.borrowed.emplace();
    borrowed.required("from", out.borrowed->from);
    borrowed.required("added_error", out.borrowed->added_error, at_least(0));
  }
}

}  // namespace

std::string to_json(const Calibration& calibration) {
  // One line per curve's member: a reader sees the parameters, and a diff shows what moved.
  const auto text = [](const Json& json) { return json.dump(); };
  std::string out = "{\n";
  out += "  \"$schema\": \"../../../docs/schema/calibration.schema.json\",\n";
  out += fmt::format("  \"name\": {},\n", text(calibration.name));
  out += fmt::format("  \"chip\": {},\n", text(calibration.chip));
  const Json machine = {{"compute_units", calibration.machine.compute_units},
                        {"memory_bandwidth_TBps", rounded(calibration.machine.memory_TBps, 6)},
                        {"bf16_TFLOPps", rounded(calibration.machine.bf16_TFLOPps, 6)},
                        {"fp8_TFLOPps", rounded(calibration.machine.fp8_TFLOPps, 6)},
                        {"fp4_TFLOPps", rounded(calibration.machine.fp4_TFLOPps, 6)}};
  out += fmt::format("  \"machine\": {},\n", text(machine));
  out += fmt::format("  \"source\": {},\n", text(calibration.source));
  if (!calibration.preferred.empty()) {
    out += fmt::format("  \"preferred\": {},\n", text(Json(calibration.preferred)));
  }
  out += "  \"curves\": [";
  const char* separator = "\n";
  for (const Curve& curve : calibration.curves) {
    out += separator;
    separator = ",\n";
    out += "    {\n";
    const Json json = curve_json(curve);
    const char* comma = "";
    for (const auto& [key, value] : json.items()) {
      out += fmt::format("{}      \"{}\": {}", comma, key, text(value));
      comma = ",\n";
    }
    out += "\n    }";
  }
  out += "\n  ]\n}\n";
  return out;
}

void read_calibration(const JsonNode& node, Calibration& out) {
  JsonObject object(node);
  object.ignore("$schema");
  object.ignore("comment");
  object.required("name", out.name);
  object.required("chip", out.chip);
  if (const auto member = object.required("machine")) {
    JsonObject machine(*member);
    machine.required("compute_units", out.machine.compute_units, positive(1e6));
    machine.required("memory_bandwidth_TBps", out.machine.memory_TBps, positive(1e6));
    machine.required("bf16_TFLOPps", out.machine.bf16_TFLOPps, positive(1e9));
    machine.required("fp8_TFLOPps", out.machine.fp8_TFLOPps, positive(1e9));
    machine.required("fp4_TFLOPps", out.machine.fp4_TFLOPps, positive(1e9));
  }
  object.required("source", out.source);
  if (const auto preferred = object.optional("preferred")) {
    for (const JsonNode& name : preferred->elements()) name.read(out.preferred.emplace_back());
  }
  if (const auto curves = object.required("curves")) {
    for (const JsonNode& entry : curves->elements()) read_curve(entry, out.curves.emplace_back());
  }
}

}  // namespace ridge::hw::calibrated
