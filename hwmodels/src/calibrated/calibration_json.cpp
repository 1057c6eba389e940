#include "ridge/base/error.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/base/ordered_json.hpp"
#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/hwmodels/calibrated/kernel_facts.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <type_traits>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace ridge::hw::calibrated {

namespace {

// What a fit knows, and no digits beyond.
double rounded(double x, int digits) {
  return std::stod(fmt::format("{:.{}g}", x, digits));
}
constexpr int kAllDigits = 17;
JsonTypePtr error_type() {
  return keys::rounded(3, at_least(0));
}

constexpr double kNegligibleSpread = 1e-6;  // of ln(parameter): rounding of the linear algebra

// ---- What depends on the form of a curve's family -----------------------------------------------

// A key of a curve whose value is spread over the curve, and means what its form says.
class CurvePart final : public JsonType {
 public:
  struct Functions {
    void (*read)(const JsonNode& node, Curve& out);
    OrderedJson (*write)(const Curve& curve);
    bool (*absent)(const Curve& curve) = [](const Curve&) { return false; };
  };
  // `schema`: members of a schema's object, as JSON text.
  CurvePart(std::string words, Functions functions, std::string schema)
      : words_(std::move(words)), functions_(functions), schema_(std::move(schema)) {}

  bool read(const JsonNode& node, void* out) const override {
    functions_.read(node, *static_cast<Curve*>(out));
    return true;  // no relation of a curve's keys asks
  }
  void write(const void* value, OrderedJson& out) const override {
    out = functions_.write(*static_cast<const Curve*>(value));
  }
  void describe(OrderedJson& out, SchemaDefinitions& /*definitions*/) const override {
    out.update(OrderedJson::parse(schema_));
  }
  [[nodiscard]] std::string words() const override { return words_; }
  [[nodiscard]] bool absent(const void* value) const override {
    return functions_.absent(*static_cast<const Curve*>(value));
  }

 private:
  std::string words_;
  Functions functions_;
  std::string schema_;
};

Key<Curve> curve_part(std::string name, std::string doc, std::string words,
                      CurvePart::Functions functions, std::string schema) {
  return key_of_all<Curve>(
      std::move(name), std::move(doc),
      std::make_shared<CurvePart>(std::move(words), functions, std::move(schema)));
}

// Visit a choice's fields; limits are for reading.
struct WriteChoice {
  OrderedJson& out;

  void operator()(std::string_view name, const std::array<double, 3>& heights) const {
    out[std::string(name)] = tile_rows_json(heights);
  }
  void operator()(std::string_view name, const TileSource& tiles) const {
    const char* known = tiles.stated != nullptr ? "stated" : "tried";
    out[std::string(name)] = tiles.padded ? "padded" : known;
  }
  void operator()(std::string_view name, bool value) const { out[std::string(name)] = value; }
  void operator()(std::string_view name, double value, NumberRange /*range*/) const {
    out[std::string(name)] = value;
  }
  template <typename E>
  void operator()(std::string_view name, E value, std::span<const Named<E>> names) const {
    const auto named = std::find_if(names.begin(), names.end(),
                                    [&](const Named<E>& one) { return one.value == value; });
    out[std::string(name)] = named->name;
  }
};

// What a form has of its own, all of it required: what an earlier version fitted may lack some.
class FormObject : public JsonObject {
 public:
  using JsonObject::JsonObject;

  std::optional<JsonNode> required(std::string_view key) {
    auto member = optional(key);
    if (!member && node().is_object()) {
      node().error(fmt::format(
          "missing key \"{}\"; what an earlier version fitted is to be fitted again with `ridge "
          "calibrate`",
          key));
    }
    return member;
  }
  template <typename T, typename... Arguments>
  void required(std::string_view key, T& out, Arguments&&... arguments) {
    if (const auto member = required(key)) member->read(out, std::forward<Arguments>(arguments)...);
  }
};

struct ReadChoice {
  FormObject& in;
  const CurveKey& key;

  void operator()(std::string_view name, std::array<double, 3>& heights) const {
    if (const auto rows = in.required(name)) read_tile_rows(*rows, heights);
  }
  // Of any chip: state_tiles() finds the calibration's.
  void operator()(std::string_view name, TileSource& tiles) const {
    enum class Known : std::uint8_t { tried, stated, padded };
    static constexpr std::array<Named<Known>, 3> kTiles = {
        {{"stated", Known::stated}, {"padded", Known::padded}, {"tried", Known::tried}}};
    Known known = Known::tried;
    in.required(name, known, std::span<const Named<Known>>(kTiles));
    tiles.padded = known == Known::padded;
    tiles.stated = known == Known::stated ? stated_expert_tiles(key, "") : nullptr;
    if (known == Known::stated && tiles.stated == nullptr) {
      in.required(name)->expected(
          "tried, since hwmodels/data/kernels/expert_tiles.json knows no "
          "tiles of this kernel and format",
          "; what was fitted with such facts is to be fitted again");
    }
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

OrderedJson choice_json(const Curve& curve) {
  OrderedJson json = OrderedJson::object();
  std::visit(
      [&](const auto& f) {
        std::decay_t<decltype(f)>::Form::choice_fields(f.choice, WriteChoice{json});
      },
      curve.fitted);
  return json;
}

// The first of what depends on the form: makes the curve one of its family's.
void read_choice(const JsonNode& node, Curve& out) {
  out.fitted = form_of(out.key.family);
  FormObject choice(node);
  std::visit(
      [&](auto& f) {
        std::decay_t<decltype(f)>::Form::choice_fields(f.choice, ReadChoice{choice, out.key});
      },
      out.fitted);
  const auto* attention = std::get_if<Fitted<DecodeAttentionForm>>(&out.fitted);
  if (attention != nullptr && attention->choice.split == SplitPolicy::narrow &&
      attention->choice.tile_rows.back() <= 0.0) {
    node.child("tile_rows").error("expected three heights, since the split is narrow, got fewer");
  }
  const auto* grouped = std::get_if<Fitted<GroupedGemmForm>>(&out.fitted);
  if (grouped != nullptr && grouped->choice.padded.smallest > grouped->choice.padded.largest) {
    node.child("largest_tile_m")
        .error(fmt::format("expected at least smallest_tile_m, {:g}, got {:g}",
                           grouped->choice.padded.smallest, grouped->choice.padded.largest));
  }
}

OrderedJson parameters_json(const Curve& curve) {
  OrderedJson json = OrderedJson::object();
  const auto info = parameters_of(curve.fitted);
  const auto values = values_of(curve.fitted);
  for (std::size_t j = 0; j < values.size(); ++j) {
    json[std::string(info[j].name)] = rounded(values[j], 6);
  }
  return json;
}

void read_parameters(const JsonNode& node, Curve& out) {
  FormObject parameters(node);
  const auto info = parameters_of(out.fitted);
  const auto values = values_of(out.fitted);
  for (std::size_t j = 0; j < values.size(); ++j) {
    parameters.required(info[j].name, values[j], positive());
  }
}

OrderedJson spread_json(const Curve& curve) {
  OrderedJson json = OrderedJson::array();
  const std::size_t n = values_of(curve.fitted).size();
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      const double entry = curve.spread[i * n + j];
      json.push_back(std::abs(entry) < kNegligibleSpread ? 0.0 : rounded(entry, 3));
    }
  }
  return json;
}

void read_spread(const JsonNode& node, Curve& out) {
  const std::size_t n = values_of(out.fitted).size();
  const std::vector<JsonNode> entries = node.elements();
  if (entries.size() != n * (n + 1) / 2) {
    node.error(fmt::format("expected the {} entries of a lower triangle of {} parameters, got {}",
                           n * (n + 1) / 2, n, entries.size()));
    return;
  }
  out.spread.assign(n * n, 0.0);
  std::size_t at = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) entries[at++].read(out.spread[i * n + j]);
  }
}

// By tree: the feature and threshold that each level asks of, then its leaves, from all answers no
// to all answers yes.
OrderedJson residual_json(const Curve& curve) {
  OrderedJson trees = OrderedJson::array();
  for (const ResidualTree& tree : curve.residual.trees()) {
    OrderedJson numbers = OrderedJson::array();
    for (std::size_t level = 0; level < ResidualTree::kDepth; ++level) {
      numbers.push_back(tree.feature[level]);
      numbers.push_back(rounded(tree.threshold[level], 5));
    }
    for (const std::int16_t leaf : tree.leaf) numbers.push_back(leaf);
    trees.push_back(std::move(numbers));
  }
  OrderedJson features = OrderedJson::array();
  for (const std::string_view name : feature_names(curve.fitted)) features.push_back(name);
  return {{"features", features}, {"trees", trees}};
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
    return refuse(
        "there are more or fewer numbers; what an earlier version fitted is to be fitted again");
  }
  const bool all = std::all_of(numbers.begin(), numbers.end(),
                               [](const auto& number) { return number.is_number(); });
  if (!all) return refuse("not all are numbers");
  for (std::size_t level = 0; level < ResidualTree::kDepth; ++level) {
    const auto feature = numbers[2 * level].template get<double>();
    if (feature < 0.0 || feature >= static_cast<double>(features)) {
      return refuse("a feature is not one of them");
    }
    const auto threshold = numbers[2 * level + 1].template get<double>();
    if (std::abs(threshold) > static_cast<double>(std::numeric_limits<float>::max())) {
      return refuse("a threshold is beyond what four bytes hold");
    }
    out.feature[level] = static_cast<std::uint8_t>(feature);
    out.threshold[level] = static_cast<float>(threshold);
  }
  for (std::size_t i = 0; i < out.leaf.size(); ++i) {
    const auto leaf = numbers[2 * ResidualTree::kDepth + i].template get<double>();
    if (std::abs(leaf) > std::numeric_limits<std::int16_t>::max() || leaf != std::trunc(leaf)) {
      return refuse("a leaf is none that two bytes hold");
    }
    out.leaf[i] = static_cast<std::int16_t>(leaf);
  }
}

void read_residual(const JsonNode& node, Curve& out) {
  FormObject object(node);
  const std::span<const std::string_view> known = feature_names(out.fitted);
  if (const auto member = object.required("features")) {
    std::vector<std::string> names;
    for (const JsonNode& name : member->elements()) name.read(names.emplace_back());
    if (!std::equal(names.begin(), names.end(), known.begin(), known.end())) {
      member->expected(fmt::format("the features {}", fmt::join(known, ", ")),
                       "; what an earlier version fitted is to be fitted again");
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
    out.residual = Residual(std::move(all));
  }
}

OrderedJson ranges_json(const Curve& curve) {
  OrderedJson json = OrderedJson::object();
  for (const Range& range : curve.ranges) {
    json[range.name] = {rounded(range.min, 6), rounded(range.max, 6)};
  }
  return json;
}

void read_ranges(const JsonNode& node, Curve& out) {
  JsonObject object(node);
  const auto names = range_names(out.fitted);
  for (const std::string_view name : names) {
    const auto member = object.optional(name);
    if (!member) continue;
    const std::vector<JsonNode> ends = member->elements();
    Range& range = out.ranges.emplace_back(Range{.name = std::string(name)});
    if (ends.size() != 2) {
      member->expected("[least, greatest]");
      continue;
    }
    ends[0].read(range.min, at_least(0));
    ends[1].read(range.max, at_least(range.min));
  }
  // Each range belongs to its place in the shape: all of them or none.
  if (!out.ranges.empty() && out.ranges.size() != names.size()) {
    node.error(fmt::format("expected a range for each of {}, or none", fmt::join(names, ", ")));
  }
}

}  // namespace

// ---- The keys -----------------------------------------------------------------------------------

static const KeyTable& keys_of(const RowsError* /*of*/) {
  using E = RowsError;
  static const KeyTable table =
      key_table<E>("rows_error", "The error of products with so many rows.",
                   {
                       key_as<&E::from>("from", "", keys::rounded(kAllDigits, at_least(0))),
                       key_as<&E::to>("to", "", keys::rounded(kAllDigits, at_least(0))),
                       key_as<&E::p50>("p50", "", error_type()),
                       key_as<&E::p90>("p90", "", error_type()),
                       key<&E::measurements>("measurements", "", at_least(1)),
                   })
          .relation([](const JsonNode& node, const void* object) {
            double to = 0.0;
            node.child("to").read(to, at_least(static_cast<const E*>(object)->from));
          });
  return table;
}

static const KeyTable& keys_of(const HeldOutError* /*of*/) {
  using E = HeldOutError;
  static constexpr std::array<Named<bool>, 2> kLeftOut = {
      {{"shapes", true}, {"batch sizes", false}}};
  static const KeyTable table = key_table<E>(
      "held_out_error", "|predicted / measured - 1| of shapes that the fit had not seen.",
      {
          key_as<&E::p50>("p50", "", error_type()),
          key_as<&E::p90>("p90", "", error_type()),
          key_as<&E::worst>("worst", "", error_type()),
          key_as<&E::in_sample_p50>("in_sample_p50", "", error_type()),
          key<&E::measurements>("measurements", "", at_least(1)),
          key<&E::groups>("groups", "", at_least(1)),
          key<&E::folds>("folds", "", at_least(1)),
          key_as<&E::by_shape>("left_out", "Of each fold.", keys::enum_type<bool>(kLeftOut)),
          key_as<&E::draw_sigma>("draw_sigma",
                                 "Of the logarithm of the common factor that a resample "
                                 "multiplies the curve by.",
                                 error_type()),
          key_as<&E::coverage_90>("coverage_90",
                                  "Share of held-out measurements between the 5th and the 95th "
                                  "percentile of the draws.",
                                  keys::rounded(3, between(0, 1))),
          key_as<&E::poorly_chosen>("poorly_chosen",
                                    "Share of the measurements whose kernels a trial chose poorly; "
                                    "they count in the errors, and the curve is of the others.",
                                    keys::rounded(3, between(0, 1)))
              .optional(),
          key<&E::by_rows>("by_rows", "Of products: the same error by m.").optional(),
      });
  return table;
}

static const KeyTable& keys_of(const Outlier* /*of*/) {
  using O = Outlier;
  static const KeyTable table =
      key_table<O>("outlier", "A measurement far from the curve.",
                   {
                       key<&O::where>("where", "File and line."),
                       key_as<&O::measured_us>("measured_us", "", keys::rounded(4, positive())),
                       key_as<&O::predicted_us>("predicted_us", "", keys::rounded(4, positive())),
                   });
  return table;
}

static const KeyTable& keys_of(const Provenance* /*of*/) {
  static const KeyTable table =
      key_table<Provenance>("provenance", "Measurements that the curve was fitted to.",
                            {
                                key<&Provenance::file>("file", ""),
                                key<&Provenance::rows>("rows", "", at_least(1)),
                            });
  return table;
}

static const KeyTable& keys_of(const Borrowed* /*of*/) {
  static const KeyTable table = key_table<Borrowed>(
      "borrowed", "Where else a curve was fitted.",
      {
          key<&Borrowed::from>("from", "A chip, or in words."),
          key_as<&Borrowed::added_error>("added_error", "Relative, beside the held-out error.",
                                         error_type()),
      });
  return table;
}

static const KeyTable& keys_of(const Machine* /*of*/) {
  using M = Machine;
  static const KeyTable table = key_table<M>(
      "machine", "What the forms know of the chip, from its data sheet.",
      {
          key_as<&M::compute_units>("compute_units", "", keys::rounded(kAllDigits, positive(1e6))),
          key_as<&M::memory_TBps>("memory_bandwidth_TBps", "", keys::rounded(6, positive(1e6))),
          key_as<&M::bf16_TFLOPps>("bf16_TFLOPps", "", keys::rounded(6, positive(1e9))),
          key_as<&M::fp8_TFLOPps>("fp8_TFLOPps", "", keys::rounded(6, positive(1e9))),
          key_as<&M::fp4_TFLOPps>("fp4_TFLOPps", "", keys::rounded(6, positive(1e9))),
      });
  return table;
}

// Measurements more than a factor from the curve: the list, and how many there are. Told of every
// curve whose error was measured, of those without outliers too.
static KeyTable outlier_keys() {
  return key_table<Curve>("outliers",
                          "Measurements more than a factor of 1.65 from the curve; the worst by "
                          "name.",
                          {
                              key<&Curve::outlier_count>("count", "", at_least(0)),
                              key<&Curve::outliers>("worst", ""),
                          });
}

namespace {

class OutliersType final : public JsonType {
 public:
  bool read(const JsonNode& node, void* out) const override { return table_.read(node, out); }
  void write(const void* value, OrderedJson& out) const override { table_.write(value, out); }
  void describe(OrderedJson& out, SchemaDefinitions& definitions) const override {
    table_.describe(out, definitions);
  }
  [[nodiscard]] std::string words() const override { return "an object: outliers"; }
  [[nodiscard]] const KeyTable* table() const override { return &table_; }
  [[nodiscard]] bool absent(const void* value) const override {
    return static_cast<const Curve*>(value)->held_out.measurements == 0;
  }

 private:
  KeyTable table_ = outlier_keys();
};

}  // namespace

static const KeyTable& keys_of(const Curve* /*of*/) {
  static const KeyTable table = key_table<Curve>(
      "curve", "One kernel's times, as its family's form and these parameters say.",
      {
          key_in<&Curve::key, &CurveKey::family>("family", "The operator.", family_names()),
          key_in<&Curve::key, &CurveKey::format>(
              "format", "Number format of the product or of the cache.", format_names())
              .optional(),
          key_in<&Curve::key, &CurveKey::head_dim>("head_dim", "Of attention, else 0.", at_least(0))
              .optional(),
          key_in<&Curve::key, &CurveKey::kernel>("kernel", "As its measurements name it."),
          curve_part("choice",
                     "Whole-number facts of the kernel, stated by its source or found by trying.",
                     "the facts of the family's form", {read_choice, choice_json},
                     R"({"type": "object", "additionalProperties":
                         {"type": ["number", "string", "boolean", "array"]}})"),
          curve_part("parameters", "The form's parameters by name, units at the end.",
                     "the parameters of the family's form", {read_parameters, parameters_json},
                     R"({"type": "object", "additionalProperties":
                         {"type": "number", "exclusiveMinimum": 0}})"),
          curve_part(
              "spread",
              "Lower Cholesky factor, row by row, of the covariance of the parameters' logarithms.",
              "a list of numbers",
              {read_spread, spread_json, [](const Curve& curve) { return curve.spread.empty(); }},
              R"({"type": "array", "items": {"type": "number"}})")
              .optional(),
          curve_part("residual",
                     "What the form leaves of the measurements, learned: ln(time) gains the sum of "
                     "symmetric trees. Of each tree six questions, as a feature and the threshold "
                     "above which the answer is yes, then 64 leaves in ten-thousandths, from all "
                     "answers no to all answers yes.",
                     "an object: features, trees",
                     {read_residual, residual_json,
                      [](const Curve& curve) { return curve.residual.empty(); }},
                     R"({"type": "object", "required": ["features", "trees"],
                         "additionalProperties": false, "properties": {
                           "features": {"type": "array", "items": {"type": "string"}},
                           "trees": {"type": "array", "maxItems": 160, "items": {"type": "array",
                             "items": {"type": "number"}, "minItems": 76, "maxItems": 76}}}})")
              .optional(),
          curve_part("ranges", "Least and greatest value measured, by quantity of the shape.",
                     "[least, greatest] of each quantity of the form, or of none",
                     {read_ranges, ranges_json},
                     R"({"type": "object", "additionalProperties": {"type": "array",
                         "items": {"type": "number", "minimum": 0},
                         "minItems": 2, "maxItems": 2}})"),
          key<&Curve::held_out>("held_out_error", "").optional(),
          key_of_all<Curve>("outliers", "", std::make_shared<OutliersType>()).optional(),
          key<&Curve::sources>("measurements", ""),
          key<&Curve::borrowed>("borrowed", "Present where the curve was not fitted on this chip."),
          key<&Curve::standby>("standby",
                               "Of the calibration that this one was based on: used where this one "
                               "has none of its own.")
              .optional(),
      });
  return table;
}

const KeyTable& keys_of(const Calibration* /*of*/) {
  using C = Calibration;
  static const KeyTable table =
      key_table<C>("",
                   "Kernel models fitted to measurements of one chip. Written by `ridge "
                   "calibrate`; meanings in docs/calibration.md.",
                   {
                       key<&C::name>("name", ""),
                       key<&C::chip>("chip", "The chip measured, or transferred to."),
                       key<&C::machine>("machine", ""),
                       key<&C::source>("source", "Where the measurements come from."),
                       key<&C::preferred>("preferred",
                                          "Kernels that are used whatever others take, where they "
                                          "were measured; the first most.")
                           .optional(),
                       key<&C::curves>("curves",
                                       "Of several curves for one operator, number format and "
                                       "head size, the fastest at the asked shape is used."),
                   })
          .file("calibration");
  return table;
}

std::string to_json(const Calibration& calibration) {
  // One line per curve's member: a reader sees the parameters, and a diff shows what moved.
  OrderedJson all;
  write_keys(calibration, all);
  std::string out = "{\n  \"$schema\": \"../../../docs/schema/calibration.schema.json\",\n";
  const OrderedJson curves = std::move(all["curves"]);
  all.erase("curves");
  for (const auto& [key, value] : all.items()) {
    out += fmt::format("  \"{}\": {},\n", key, value.dump());
  }
  out += "  \"curves\": [";
  const char* separator = "\n";
  for (const OrderedJson& curve : curves) {
    out += separator;
    separator = ",\n";
    out += "    {\n";
    const char* comma = "";
    for (const auto& [key, value] : curve.items()) {
      out += fmt::format("{}      \"{}\": {}", comma, key, value.dump());
      comma = ",\n";
    }
    out += "\n    }";
  }
  out += "\n  ]\n}\n";
  return out;
}

}  // namespace ridge::hw::calibrated
