#include "ridge/hwmodels/calibrated/kernel_facts.hpp"

#include "ridge/base/catalog.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/base/ordered_json.hpp"
#include "ridge/hwmodels/calibrated/calibration.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>
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
  std::vector<std::string> chips;
  std::string source;
  std::optional<SplitPolicy> split;
  std::vector<TileFacts> tiles;
};

struct PromptKernels {
  std::vector<std::string> names;
  std::string source;
};

struct ChosenTokenKernels {
  std::vector<std::string> names;
  std::optional<Format> format;
  double error = 0.0;
  std::string source;
};

struct HeadProducts {
  Precision precision = Precision::bf16;
  std::string source;
};

struct AttentionKernels {
  std::vector<AttentionKernel> kernels;
  std::vector<PromptKernels> for_prompts;
  std::vector<ChosenTokenKernels> over_chosen_tokens;
  std::optional<HeadProducts> head_products;
};

struct TileOfExperts {
  std::optional<double> tokens_per_expert;
  ExpertTile tile;
};

struct TunedTiles {
  std::string chip;
  std::int64_t experts = 0;
  std::int64_t intermediate = 0;
  std::vector<ExpertTiles::From> tiles;
};

struct TilesOfExperts {
  std::vector<std::string> names;
  Format format = Format::any;
  std::string source;
  std::vector<TileOfExperts> rule;
  std::vector<TunedTiles> tuned;
};

struct PaddedTilesOfExperts {
  std::vector<std::string> names;
  Format format = Format::any;
  std::string source;
  double smallest = 1;
  std::vector<double> largest;
  std::vector<double> share;
};

struct ExpertTilesFile {
  std::vector<TilesOfExperts> kernels;
  std::vector<PaddedTilesOfExperts> padded;
};

struct MeasuredLayers {
  std::vector<std::string> kernels;
  std::vector<std::string> chips;
  std::optional<std::int64_t> hidden;
  std::optional<std::int64_t> experts;
  std::optional<std::int64_t> top_k;
  std::optional<std::int64_t> intermediate;
  std::string source;

  [[nodiscard]] bool hold(const MeasuredExperts& asked, std::string_view chip) const {
    const auto is = [](const std::optional<std::int64_t>& stated, double found) {
      return !stated || static_cast<double>(*stated) == found;
    };
    return is(hidden, asked.hidden) && is(experts, asked.experts) && is(top_k, asked.top_k) &&
           is(intermediate, asked.intermediate) &&
           std::find(kernels.begin(), kernels.end(), asked.kernel) != kernels.end() &&
           (chips.empty() || std::find(chips.begin(), chips.end(), chip) != chips.end());
  }
};

struct GroupedLayers {
  MeasuredLayers layers;
  ExpertGroups groups;
};

struct NamedKernels {
  std::vector<std::string> kernels;
  std::string source;
};

struct MeasuredExpertsFile {
  std::vector<MeasuredLayers> without_gate;
  std::vector<MeasuredLayers> folded;
  std::vector<GroupedLayers> grouped;
  std::vector<NamedKernels> tuned;
  std::vector<NamedKernels> behind_an_exchange;
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

// [from so many tokens, rows, columns, depth] after each other.
class TunedTilesType final : public JsonType {
 public:
  bool read(const JsonNode& node, void* out) const override {
    auto& tiles = *static_cast<std::vector<ExpertTiles::From>*>(out);
    const std::vector<JsonNode> entries = node.elements();
    if (entries.empty()) {
      node.expected("at least one tile");
      return false;
    }
    bool well = true;
    for (const JsonNode& entry : entries) {
      const std::vector<JsonNode> numbers = entry.elements();
      if (numbers.size() != 4) {
        entry.expected("[from so many tokens, rows, columns, depth]");
        return false;
      }
      ExpertTiles::From from;
      well &= numbers[0].read(from.tokens, at_least(0));
      well &= numbers[1].read(from.tile.rows, at_least(1));
      well &= numbers[2].read(from.tile.columns, at_least(1));
      well &= numbers[3].read(from.tile.depth, at_least(1));
      const bool rises = tiles.empty() ? from.tokens == 0.0 : from.tokens > tiles.back().tokens;
      if (well && !rises) {
        numbers[0].expected(tiles.empty() ? "0 tokens in the first" : "more tokens than before");
        well = false;
      }
      tiles.push_back(from);
    }
    return well;
  }
  void write(const void* value, OrderedJson& out) const override {
    out = OrderedJson::array();
    for (const auto& [tokens, tile] : *static_cast<const std::vector<ExpertTiles::From>*>(value)) {
      out.push_back({tokens, tile.rows, tile.columns, tile.depth});
    }
  }
  void describe(OrderedJson& out, SchemaDefinitions& /*definitions*/) const override {
    out["type"] = "array";
    out["items"] = {{"type", "array"},
                    {"items", {{"type", "number"}, {"minimum", 0}}},
                    {"minItems", 4},
                    {"maxItems", 4}};
    out["minItems"] = 1;
  }
  [[nodiscard]] std::string words() const override {
    return "a list of [from so many tokens, rows, columns, depth]";
  }
};

constexpr const char* kKernelNames = "As measurements name them.";
const keys::AtLeastOne kOneKernel{"the name of at least one kernel"};
// Of layers of experts.
constexpr const char* kMeasuredOn = "On which they were; any where absent.";
constexpr const char* kAny = "Any where absent.";
constexpr const char* kOfOneExpert = "Of one expert, before tensor parallelism; any where absent.";
constexpr const char* kKnownHow = "How that is known.";

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
  static const KeyTable table =
      key_table<K>(
          "kernel", "A kernel, under all names that it has.",
          {
              key<&K::names>("kernels", kKernelNames, kOneKernel),
              key<&K::chips>("chips", "On which this is so; any where absent.").optional(),
              key<&K::source>("source", "Its source code, and who reported what."),
              key<&K::split>(
                  "split",
                  "How a sequence's cache is divided. balanced: all tiles spread evenly. fill: as "
                  "many splits as find room on the compute units. dealt: persistent blocks get "
                  "equal runs of tiles, across the ends of sequences. efficient: the fewest splits "
                  "that leave at most 15 % more of the compute units idle than any number would. "
                  "narrow: as fill, each split of as many tiles as a fit finds. Tiles are of 8 or "
                  "16 rows for up to 32 query heads of a KV head, and for more where that leaves a "
                  "split at most 1,024 tokens; else of 64. Each reads the cache, but the two of "
                  "128 heads read it once.",
                  split_names()),
              key<&K::tiles>("tiles", "", keys::AtLeastOne{"at least one tile"}),
          })
          .relation([](const JsonNode& node, const void* object) {
            const auto& kernel = *static_cast<const K*>(object);
            if (kernel.split != SplitPolicy::narrow) return;
            for (const TileFacts& tiles : kernel.tiles) {
              if (tiles.rows.back() > 0.0) continue;
              node.child("tiles").expected("three tile_rows, since the split is narrow");
              return;
            }
          });
  return table;
}

static const KeyTable& keys_of(const PromptKernels* /*of*/) {
  using P = PromptKernels;
  static const KeyTable table = key_table<P>(
      "prompt_kernels", "Kernels made for prompts, with which no engine decodes.",
      {
          key<&P::names>("kernels", "As measurements name them; a star stands for any letters.",
                         kOneKernel),
          key<&P::source>("source", kKnownHow),
      });
  return table;
}

static const KeyTable& keys_of(const ChosenTokenKernels* /*of*/) {
  using C = ChosenTokenKernels;
  static const KeyTable table = key_table<C>(
      "over_chosen_tokens", "Kernels of MLA that also attend to the tokens an indexer chose.",
      {
          key<&C::names>("kernels", kKernelNames, kOneKernel),
          key<&C::format>("format", "Of the caches over which they do; any where absent.",
                          format_names()),
          key<&C::error>("error",
                         "Relative, of times over chosen tokens, beside the curve's own: as far as "
                         "whole modules tell.",
                         between(0.0, 1.0)),
          key<&C::source>("source", kKnownHow),
      });
  return table;
}

static const KeyTable& keys_of(const HeadProducts* /*of*/) {
  using H = HeadProducts;
  static const KeyTable table =
      key_table<H>("products_by_head",
                   "Products with weights for each head or group of heads, as around absorbed MLA.",
                   {
                       key<&H::precision>("precision", "In which engines compute them.",
                                          models::precision_names()),
                       key<&H::source>("source", kKnownHow),
                   });
  return table;
}

static const KeyTable& keys_of(const AttentionKernels* /*of*/) {
  using K = AttentionKernels;
  static const KeyTable table =
      key_table<K>(
          "",
          "What the sources and authors of attention kernels say of their tiles, so that a "
          "calibration need not fit it, and which of them no engine decodes with.",
          {
              key<&K::kernels>("kernels", ""),
              key<&K::for_prompts>("prompt_kernels",
                                   "Made for the many queries of one prompt: parts of sparse and "
                                   "compressed attention measured by them are left aside.")
                  .optional(),
              key<&K::over_chosen_tokens>("over_chosen_tokens",
                                          "Their curves of attention over whole caches answer for "
                                          "the chosen tokens too, as a cache of that length.")
                  .optional(),
              key<&K::head_products>("products_by_head",
                                     "In what engines compute products of one kind, whatever the "
                                     "format of their weights.")
                  .optional(),
          })
          .file("facts of public decode attention kernels");
  return table;
}

static const KeyTable& keys_of(const TileOfExperts* /*of*/) {
  using T = TileOfExperts;
  static const KeyTable table = key_table<T>(
      "rule", "A tile, and up to how many tokens it is taken.",
      {
          key<&T::tokens_per_expert>("tokens_per_expert",
                                     "Handed to the launch, for each expert that the rank holds; "
                                     "absent in the last.",
                                     positive(1e9)),
          key_in<&T::tile, &ExpertTile::rows>("rows", "Of one expert.", at_least(1)),
          key_in<&T::tile, &ExpertTile::columns>("columns", "Of its weights.", at_least(1)),
          key_in<&T::tile, &ExpertTile::depth>("depth", "Values of k in one step.", at_least(1)),
      });
  return table;
}

static const KeyTable& keys_of(const TunedTiles* /*of*/) {
  using T = TunedTiles;
  static const KeyTable table = key_table<T>(
      "tuned", "Tiles that were tuned for one shape on one chip.",
      {
          key<&T::chip>("chip", ""),
          key<&T::experts>("experts", "Held by the rank.", at_least(1)),
          key<&T::intermediate>("intermediate", "Of one expert, on the rank.", at_least(1)),
          key_as<&T::tiles>("tiles", "Rising by tokens, the first from 0.",
                            std::make_shared<TunedTilesType>()),
      });
  return table;
}

static const KeyTable& keys_of(const TilesOfExperts* /*of*/) {
  using T = TilesOfExperts;
  static const KeyTable table =
      key_table<T>(
          "kernel", "A kernel in one number format, under all names that it has.",
          {
              key<&T::names>("kernels", kKernelNames, kOneKernel),
              key<&T::format>("format", "Of the products.", format_names()),
              key<&T::source>("source", "Its source code."),
              key<&T::rule>("rule", "For any shape: the first that holds the tokens is taken.",
                            keys::AtLeastOne{"at least one tile"}),
              key<&T::tuned>("tuned", "In place of the rule."),
          })
          .relation([](const JsonNode& node, const void* object) {
            const auto& rule = static_cast<const T*>(object)->rule;
            double before = 0.0;
            for (std::size_t i = 0; i < rule.size(); ++i) {
              const bool last = i + 1 == rule.size();
              const auto& limit = rule[i].tokens_per_expert;
              if (limit.has_value() == last || (!last && *limit <= before)) {
                node.child("rule").expected(
                    "rising tokens_per_expert in all but the last, which has none");
                return;
              }
              if (limit) before = *limit;
            }
          });
  return table;
}

static const KeyTable& keys_of(const PaddedTilesOfExperts* /*of*/) {
  using T = PaddedTilesOfExperts;
  static const KeyTable table =
      key_table<T>(
          "padded",
          "A kernel in one number format whose tiles are as high as the choices that a launch is "
          "handed for each expert held, whether or not they fall on these experts.",
          {
              key<&T::names>("kernels", kKernelNames, kOneKernel),
              key<&T::format>("format", "Of the products.", format_names()),
              key<&T::source>("source", "Its source code."),
              key<&T::smallest>("smallest", "Rows of the lowest tile.", between(1, 1024)),
              key<&T::largest>("largest",
                               "Rows of the highest tile; several where it is not known.",
                               keys::AtLeastOne{"at least one height"}, between(1, 1024)),
              key<&T::share>(
                  "share",
                  "Of the least power of two that holds an expert's choices; several where "
                  "a tuner chooses.",
                  keys::AtLeastOne{"at least one share"}, positive(16)),
          })
          .relation([](const JsonNode& node, const void* object) {
            const auto& padded = *static_cast<const T*>(object);
            for (const double largest : padded.largest) {
              if (largest >= padded.smallest) continue;
              node.child("largest").error(fmt::format(
                  "expected at least \"smallest\", {:g}, got {:g}", padded.smallest, largest));
            }
          });
  return table;
}

static const KeyTable& keys_of(const ExpertTilesFile* /*of*/) {
  static const KeyTable table =
      key_table<ExpertTilesFile>(
          "",
          "Which tiles kernels for layers of experts take, as their sources say, so that a "
          "calibration need not find them.",
          {key<&ExpertTilesFile::kernels>("expert_tiles", ""),
           key<&ExpertTilesFile::padded>("padded", "").optional()})
          .file("facts of public kernels for layers of experts");
  return table;
}

static const KeyTable& keys_of(const MeasuredLayers* /*of*/) {
  using L = MeasuredLayers;
  static const KeyTable table = key_table<L>(
      "layers", "Some layers of experts, as they were measured.",
      {
          key<&L::kernels>("kernels", kKernelNames, kOneKernel),
          key<&L::chips>("chips", kMeasuredOn).optional(),
          key<&L::hidden>("hidden", kAny, at_least(1)),
          key<&L::experts>("experts", "Of the whole layer; any where absent.", at_least(1)),
          key<&L::top_k>("top_k", kAny, at_least(1)),
          key<&L::intermediate>("intermediate", kOfOneExpert, at_least(1)),
          key<&L::source>("source", kKnownHow),
      });
  return table;
}

static const KeyTable& keys_of(const GroupedLayers* /*of*/) {
  using G = GroupedLayers;
  using L = MeasuredLayers;
  using E = ExpertGroups;
  static const KeyTable table =
      key_table<G>(
          "grouped", "Some layers of experts whose tokens choose in groups.",
          {
              key_in<&G::layers, &L::kernels>("kernels", kKernelNames, kOneKernel),
              key_in<&G::layers, &L::chips>("chips", kMeasuredOn).optional(),
              key_in<&G::layers, &L::hidden>("hidden", kAny, at_least(1)),
              key_in<&G::layers, &L::experts>("experts", "Of the whole layer.", at_least(1)),
              key_in<&G::layers, &L::top_k>("top_k", kAny, at_least(1)),
              key_in<&G::layers, &L::intermediate>("intermediate", kOfOneExpert, at_least(1)),
              key_in<&G::groups, &E::groups>("groups", "Of neighboring experts, all equal.",
                                             at_least(1)),
              key_in<&G::groups, &E::chosen>("chosen", "In which a token's choices lie.",
                                             at_least(1)),
              key_in<&G::layers, &L::source>("source", kKnownHow),
          })
          .relation([](const JsonNode& node, const void* object) {
            const auto& [layers, groups] = *static_cast<const G*>(object);
            if (groups.chosen > groups.groups) {
              node.child("chosen").error(fmt::format("expected at most the {} groups, got {}",
                                                     groups.groups, groups.chosen));
            }
            if (groups.groups > 0 && (!layers.experts || *layers.experts % groups.groups != 0)) {
              node.child("groups").error(
                  fmt::format("expected a number that divides \"experts\", {}, got {}",
                              layers.experts ? std::to_string(*layers.experts) : "which is absent",
                              groups.groups));
            }
          });
  return table;
}

static const KeyTable& keys_of(const NamedKernels* /*of*/) {
  using N = NamedKernels;
  static const KeyTable table =
      key_table<N>("named", "Kernels, whatever the layer.",
                   {
                       key<&N::kernels>("kernels", kKernelNames, kOneKernel),
                       key<&N::source>("source", kKnownHow),
                   });
  return table;
}

static const KeyTable& keys_of(const MeasuredExpertsFile* /*of*/) {
  using F = MeasuredExpertsFile;
  static const KeyTable table =
      key_table<F>(
          "",
          "How layers of experts in public tables were measured, where the tables do not say so.",
          {
              key<&F::without_gate>("without_gate", "Two matrices an expert, and not three."),
              key<&F::folded>(
                  "folded",
                  "With expert parallelism: only the tokens that chose an expert of the busiest "
                  "rank, all of whose choices of other ranks' experts fell to its first expert."),
              key<&F::grouped>(
                  "grouped",
                  "Tokens chose in the best few of some groups of experts, by the two best of "
                  "each: of choices drawn without regard to groups those stay that lie in them, "
                  "and the first experts of the chosen groups take the others' place.")
                  .optional(),
              key<&F::tuned>(
                  "tuned_by_trial",
                  "Kernels that were timed and chosen once for all numbers of tokens of a "
                  "combination of model, parallelism and routing, sometimes poorly."),
              key<&F::behind_an_exchange>(
                  "behind_an_exchange",
                  "Kernels that compute what an exchange brought to a rank, and no launch that is "
                  "handed tokens with their choices of other ranks' experts.")
                  .optional(),
          })
          .file("how layers of experts were measured");
  return table;
}

const KeyTable& attention_kernel_keys() {
  return keys_of(static_cast<const AttentionKernels*>(nullptr));
}
const KeyTable& expert_tiles_keys() {
  return keys_of(static_cast<const ExpertTilesFile*>(nullptr));
}
const KeyTable& measured_experts_keys() {
  return keys_of(static_cast<const MeasuredExpertsFile*>(nullptr));
}
void check_attention_kernels(const std::filesystem::path& path) {
  (void)read_document<AttentionKernels>(JsonDocument::read(path));
}
void check_expert_tiles(const std::filesystem::path& path) {
  (void)read_document<ExpertTilesFile>(JsonDocument::read(path));
}
void check_measured_experts(const std::filesystem::path& path) {
  (void)read_document<MeasuredExpertsFile>(JsonDocument::read(path));
}

namespace {

const AttentionKernels& attention_kernels() {
  static const ReadOnce kKnown([] {
    return read_document<AttentionKernels>(
        JsonDocument::read(data_root() / "hwmodels/data/kernels/decode_attention.json"));
  });
  return *kKnown;
}

}  // namespace

bool made_for_prompts(std::string_view kernel) {
  const auto& all = attention_kernels().for_prompts;
  return std::any_of(all.begin(), all.end(), [&](const PromptKernels& each) {
    return std::any_of(each.names.begin(), each.names.end(),
                       [&](const std::string& name) { return is_named(kernel, name); });
  });
}

std::optional<double> error_over_chosen_tokens(const CurveKey& key) {
  if (key.family != Family::latent_attention) return std::nullopt;
  for (const ChosenTokenKernels& each : attention_kernels().over_chosen_tokens) {
    if (each.format.value_or(key.format) == key.format &&
        std::find(each.names.begin(), each.names.end(), key.kernel) != each.names.end()) {
      return each.error;
    }
  }
  return std::nullopt;
}

std::optional<Precision> precision_of_head_products() {
  const auto& stated = attention_kernels().head_products;
  return stated ? std::optional(stated->precision) : std::nullopt;
}

Facts<DecodeAttentionForm::Choice> stated(const CurveKey& key, std::string_view chip,
                                          std::vector<DecodeAttentionForm::Choice> guesses) {
  Facts<DecodeAttentionForm::Choice> result;
  for (const AttentionKernel& facts : attention_kernels().kernels) {
    if (std::find(facts.names.begin(), facts.names.end(), key.kernel) == facts.names.end()) {
      continue;
    }
    if (!facts.chips.empty() &&
        std::find(facts.chips.begin(), facts.chips.end(), chip) == facts.chips.end()) {
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

namespace {

// Of each kernel and format, by chip; of all chips without tables, under no name.
using TilesByChip = std::map<std::string, ExpertTiles, std::less<>>;

const ExpertTilesFile& expert_tiles_file() {
  static const ReadOnce kKnown([] {
    return read_document<ExpertTilesFile>(
        JsonDocument::read(data_root() / "hwmodels/data/kernels/expert_tiles.json"));
  });
  return *kKnown;
}

std::map<std::pair<std::string, Format>, TilesByChip> known_expert_tiles() {
  const ExpertTilesFile& file = expert_tiles_file();
  std::map<std::pair<std::string, Format>, TilesByChip> known;
  for (const TilesOfExperts& facts : file.kernels) {
    ExpertTiles plain;
    for (const TileOfExperts& each : facts.rule) {
      plain.rule.push_back({each.tokens_per_expert.value_or(0.0), each.tile});
    }
    TilesByChip by_chip{{"", plain}};
    for (const TunedTiles& tuned : facts.tuned) {
      by_chip.try_emplace(tuned.chip, plain)
          .first->second.tuned.push_back({tuned.experts, tuned.intermediate, tuned.tiles});
    }
    for (auto& [chip, tiles] : by_chip) {
      std::sort(tiles.tuned.begin(), tiles.tuned.end(), [](const auto& a, const auto& b) {
        return std::pair(a.experts, a.intermediate) < std::pair(b.experts, b.intermediate);
      });
    }
    for (const std::string& name : facts.names) known[{name, facts.format}] = by_chip;
  }
  return known;
}

}  // namespace

const ExpertTiles* stated_expert_tiles(const CurveKey& key, std::string_view chip) {
  static const ReadOnce kKnown(known_expert_tiles);
  const auto& known = *kKnown;
  const auto kernel = known.find({key.kernel, key.format});
  if (kernel == known.end()) return nullptr;
  const auto tuned = kernel->second.find(chip);
  return tuned == kernel->second.end() ? &kernel->second.at("") : &tuned->second;
}

std::vector<PaddedTiles> padded_expert_tiles(const CurveKey& key) {
  std::vector<PaddedTiles> all;
  for (const PaddedTilesOfExperts& facts : expert_tiles_file().padded) {
    if (facts.format != key.format ||
        std::find(facts.names.begin(), facts.names.end(), key.kernel) == facts.names.end()) {
      continue;
    }
    for (const double largest : facts.largest) {
      for (const double share : facts.share) {
        all.push_back({.smallest = facts.smallest, .largest = largest, .share = share});
      }
    }
  }
  return all;
}

namespace {

const MeasuredExpertsFile& measured_experts() {
  static const ReadOnce kKnown([] {
    return read_document<MeasuredExpertsFile>(
        JsonDocument::read(data_root() / "hwmodels/data/kernels/measured_experts.json"));
  });
  return *kKnown;
}

bool any_holds(const std::vector<MeasuredLayers>& all, const MeasuredExperts& asked,
               std::string_view chip) {
  return std::any_of(all.begin(), all.end(),
                     [&](const MeasuredLayers& layers) { return layers.hold(asked, chip); });
}

}  // namespace

bool experts_have_gate(const MeasuredExperts& layer, std::string_view chip) {
  return !any_holds(measured_experts().without_gate, layer, chip);
}

bool experts_are_folded(const MeasuredExperts& layer, std::string_view chip) {
  return any_holds(measured_experts().folded, layer, chip);
}

ExpertGroups groups_of_experts(const MeasuredExperts& layer, std::string_view chip) {
  for (const GroupedLayers& each : measured_experts().grouped) {
    if (each.layers.hold(layer, chip)) return each.groups;
  }
  return {};
}

namespace {

bool any_names(const std::vector<NamedKernels>& all, std::string_view kernel) {
  return std::any_of(all.begin(), all.end(), [&](const NamedKernels& named) {
    return std::find(named.kernels.begin(), named.kernels.end(), kernel) != named.kernels.end();
  });
}

}  // namespace

bool tuned_by_trial(std::string_view kernel) {
  return any_names(measured_experts().tuned, kernel);
}

bool behind_an_exchange(std::string_view kernel) {
  return any_names(measured_experts().behind_an_exchange, kernel);
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
