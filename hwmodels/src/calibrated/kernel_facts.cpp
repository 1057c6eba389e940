#include "ridge/hwmodels/calibrated/kernel_facts.hpp"

#include "ridge/base/catalog.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/base/ordered_json.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

namespace ridge::hw::calibrated {

struct TileFacts {
  std::int64_t head_dim = 0;
  Format format = Format::any;
  std::array<double, 3> rows{};
  std::optional<double> tokens;
  double resident_blocks = 1.0;
  double matrix_share = 1.0;
};

struct AttentionKernel {
  std::vector<std::string> names;
  std::string source;
  std::optional<SplitPolicy> split;
  std::vector<TileFacts> tiles;
};

struct AttentionKernels {
  std::vector<AttentionKernel> kernels;
};

struct LayerWithoutGate {
  std::vector<std::string> kernels;
  std::int64_t experts = 0;
  std::int64_t top_k = 0;
  std::optional<std::int64_t> intermediate;
  std::string source;
};

struct LayersWithoutGate {
  std::vector<LayerWithoutGate> layers;
};

namespace {

class TileRowsType final : public JsonType {
 public:
  bool read(const JsonNode& node, void* out) const override {
    return read_tile_rows(node, *static_cast<std::array<double, 3>*>(out));
  }
  void write(const void* value, OrderedJson& out) const override {
    out = tile_rows_json(*static_cast<const std::array<double, 3>*>(value));
  }
  void describe(OrderedJson& out, SchemaDefinitions& /*definitions*/) const override {
    out["type"] = "array";
    out["items"] = {{"type", "number"}, {"minimum", 1}};
    out["minItems"] = 1;
    out["maxItems"] = 3;
  }
  [[nodiscard]] std::string words() const override { return "one to three rising numbers"; }
};

constexpr const char* kKernelNames = "As measurements name them.";
const keys::AtLeastOne kOneKernel{"the name of at least one kernel"};

}  // namespace

static const KeyTable& keys_of(const TileFacts* /*of*/) {
  using T = TileFacts;
  static const KeyTable table = key_table<T>(
      "tiles", "What its tiles are for one head size and number format.",
      {
          key<&T::head_dim>("head_dim", "", at_least(1)),
          key<&T::format>("format", "Of the cache.", format_names()),
          key_as<&T::rows>("tile_rows",
                           "Heights offered, rising; a group of query heads takes the first that "
                           "holds it, or several of the last.",
                           std::make_shared<TileRowsType>()),
          key<&T::tokens>("tile_tokens", "Of the cache; tried where absent.", positive(1e6)),
          key<&T::resident_blocks>("resident_blocks",
                                   "That one compute unit holds at a time, by their shared memory.",
                                   between(1, 32))
              .optional(),
          key<&T::matrix_share>("matrix_share",
                                "Of the data sheet's matrix rate, the most that was reported.",
                                positive(1.0))
              .optional(),
      });
  return table;
}

static const KeyTable& keys_of(const AttentionKernel* /*of*/) {
  using K = AttentionKernel;
  static const KeyTable table = key_table<K>(
      "kernel", "A kernel, under all names that it has.",
      {
          key<&K::names>("kernels", kKernelNames, kOneKernel),
          key<&K::source>("source", "Its source code, and who reported what."),
          key<&K::split>(
              "split",
              "How a sequence's cache is divided. balanced: all tiles spread evenly; fill: as many "
              "splits as find room on the compute units; dealt: persistent blocks get equal runs "
              "of "
              "tiles, across the ends of sequences; efficient: the fewest splits that leave at "
              "most "
              "15 % more of the compute units idle than any number would.",
              split_names()),
          key<&K::tiles>("tiles", "", keys::AtLeastOne{"at least one tile"}),
      });
  return table;
}

static const KeyTable& keys_of(const AttentionKernels* /*of*/) {
  static const KeyTable table =
      key_table<AttentionKernels>(
          "",
          "What the sources and authors of attention kernels say of their tiles, so that a "
          "calibration need not fit it.",
          {key<&AttentionKernels::kernels>("kernels", "")})
          .file("facts of public decode attention kernels");
  return table;
}

static const KeyTable& keys_of(const LayerWithoutGate* /*of*/) {
  using L = LayerWithoutGate;
  static const KeyTable table = key_table<L>(
      "layer", "Layers of experts with two matrices an expert.",
      {
          key<&L::kernels>("kernels", kKernelNames, kOneKernel),
          key<&L::experts>("experts", "", at_least(1)),
          key<&L::top_k>("top_k", "", at_least(1)),
          key<&L::intermediate>("intermediate",
                                "Of one expert, before tensor parallelism; any where absent.",
                                at_least(1)),
          key<&L::source>("source", "How that is known."),
      });
  return table;
}

static const KeyTable& keys_of(const LayersWithoutGate* /*of*/) {
  static const KeyTable table =
      key_table<LayersWithoutGate>(
          "",
          "Which layers of experts in public tables have two matrices an expert and not three, "
          "where the tables do not say so.",
          {key<&LayersWithoutGate::layers>("layers", "")})
          .file("measured layers of experts without a gate");
  return table;
}

const KeyTable& attention_kernel_keys() {
  return keys_of(static_cast<const AttentionKernels*>(nullptr));
}
const KeyTable& experts_without_gate_keys() {
  return keys_of(static_cast<const LayersWithoutGate*>(nullptr));
}
void check_attention_kernels(const std::filesystem::path& path) {
  (void)read_document<AttentionKernels>(JsonDocument::read(path));
}
void check_experts_without_gate(const std::filesystem::path& path) {
  (void)read_document<LayersWithoutGate>(JsonDocument::read(path));
}

Facts<DecodeAttentionForm::Choice> stated(const CurveKey& key,
                                          std::vector<DecodeAttentionForm::Choice> guesses) {
  Facts<DecodeAttentionForm::Choice> result;
  static const auto kKnown = read_document<AttentionKernels>(
      JsonDocument::read(data_root() / "hwmodels/data/kernels/decode_attention.json"));
  for (const AttentionKernel& facts : kKnown.kernels) {
    if (std::find(facts.names.begin(), facts.names.end(), key.kernel) == facts.names.end()) {
      continue;
    }
    for (const TileFacts& tiles : facts.tiles) {
      if (tiles.head_dim != key.head_dim || tiles.format != key.format) continue;
      result.matrix_share = tiles.matrix_share;
      for (DecodeAttentionForm::Choice& choice : guesses) {
        choice.tile_rows = tiles.rows;
        choice.resident_blocks = tiles.resident_blocks;
        if (tiles.tokens) choice.tile_tokens = *tiles.tokens;
        if (facts.split) choice.split = *facts.split;
      }
    }
  }
  // What a fact settles leaves copies behind.
  for (const DecodeAttentionForm::Choice& choice : guesses) {
    if (std::find(result.choices.begin(), result.choices.end(), choice) == result.choices.end()) {
      result.choices.push_back(choice);
    }
  }
  return result;
}

bool experts_have_gate(std::string_view kernel, double experts, double top_k, double intermediate) {
  static const auto kWithout = read_document<LayersWithoutGate>(
      JsonDocument::read(data_root() / "hwmodels/data/kernels/experts_without_gate.json"));
  return std::none_of(
      kWithout.layers.begin(), kWithout.layers.end(), [&](const LayerWithoutGate& layer) {
        const auto is = [](std::int64_t stated, double asked) {
          return static_cast<double>(stated) == asked;
        };
        return is(layer.experts, experts) && is(layer.top_k, top_k) &&
               (!layer.intermediate || is(*layer.intermediate, intermediate)) &&
               std::find(layer.kernels.begin(), layer.kernels.end(), kernel) != layer.kernels.end();
      });
}

bool read_tile_rows(const JsonNode& node, std::array<double, 3>& out) {
  const std::vector<JsonNode> heights = node.elements();
  if (heights.empty() || heights.size() > out.size()) {
    node.expected("one to three tile heights");
    return false;
  }
  out.fill(0.0);
  bool well = true;
  double before = 0.5;
  for (std::size_t i = 0; i < heights.size(); ++i) {
    well &= heights[i].read(out[i], at_least(1.0));
    if (out[i] <= before) {
      heights[i].expected("a greater height than the one before");
      well = false;
    }
    before = out[i];
  }
  return well;
}

OrderedJson tile_rows_json(const std::array<double, 3>& rows) {
  auto out = OrderedJson::array();
  for (const double height : rows) {
    if (height > 0.0) out.push_back(height);
  }
  return out;
}

}  // namespace ridge::hw::calibrated
