#include "family.hpp"

#include "ridge/base/catalog.hpp"
#include "ridge/base/file.hpp"
#include "ridge/models/huggingface.hpp"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::models {
namespace {

constexpr const char* kLike = "like";
constexpr const char* kIrrelevant = "irrelevant";

}  // namespace

const KeyTable& keys_of(const ModelExpressions* /*of*/) {
  using E = ModelExpressions;
  static const KeyTable table =
      key_table<E>("model", "Expressions for the fields of a Ridge model.",
                   {
                       key<&E::hidden>("hidden", ""),
                       key<&E::layer_input_vocabulary>("layer_input_vocabulary", ""),
                       key<&E::ngram_parameters>("ngram_parameters", ""),
                       key<&E::residual_streams>("residual_streams", ""),
                       key<&E::tied_embeddings>("tied_embeddings", ""),
                       key<&E::vocabulary>("vocabulary", ""),
                   });
  return table;
}

static const KeyTable& keys_of(const LayersByType* /*of*/) {
  using T = LayersByType;
  static const KeyTable table = key_table<T>(
      "", "",
      {
          key<&T::by_type>("by_type",
                           "Key of a list with one type per layer, or of a string with a letter "
                           "per layer."),
          key<&T::blocks>("blocks", "Type -> block; \"*\" stands for any other type."),
      });
  return table;
}

static const KeyTable& keys_of(const LayersWhere* /*of*/) {
  using W = LayersWhere;
  static const KeyTable table = key_table<W>(
      "where", "All must hold for layer i, counted from 0.",
      {
          key<&W::before>("before", "i is less than this."),
          key<&W::from>("from", "i is at least this."),
          key<&W::up_to>("up_to", "i is at most this."),
          key<&W::every>("every", "i + 1 is a multiple of this, or i less \"offset\"."),
          key<&W::offset>("offset", "Of the first layer that \"every\" means."),
          key<&W::holds>("if", "For all layers, or none."),
          key<&W::listed>("listed", "i is in this list, or string \"3,4,5\"."),
          key<&W::listed_from_1>("listed_from_1", "i + 1 is in this list."),
          key<&W::not_listed>("not_listed", "i is not in this list."),
      });
  return table;
}

static const KeyTable& keys_of(const BlockOfLayers* /*of*/) {
  using B = BlockOfLayers;
  static const KeyTable table = key_table<B>(
      "", "",
      {
          key<&B::block>("block", "Of the layers where all holds."),
          key<&B::where>("where", "All layers where absent."),
          key<&B::rest>("rest", "The block of the other layers.").optional(),
          key<&B::without>("without", "Only where none of these keys is given.").optional(),
          key<&B::assumption>("assumption", "Announced where the rule is used."),
      });
  return table;
}

static const KeyTable& keys_of(const LayerRule* /*of*/) {
  static const KeyTable table =
      key_table<LayerRule>(
          "rule", "Which block each layer uses.", {},
          cases("", "",
                {when_member_holds<&LayerRule::is, LayersByType>("", "By the layers' types:"),
                 when_member_holds<&LayerRule::is, BlockOfLayers>("", "By conditions:")}))
          .relation([](const JsonNode& node, const void* object) {
            const auto* types =
                std::get_if<LayersByType>(&static_cast<const LayerRule*>(object)->is);
            if (types != nullptr && !types->by_type.starts_with('$')) {
              node.child("by_type").expected("a key of the configuration, as \"$key\"");
            }
          });
  return table;
}

static const KeyTable& keys_of(const LayerBlocks* /*of*/) {
  static const KeyTable table =
      key_table<LayerBlocks>("layer", "Names of its blocks.",
                             {
                                 key<&LayerBlocks::attention>("attention", ""),
                                 key<&LayerBlocks::ffn>("ffn", ""),
                             });
  return table;
}

static const KeyTable& keys_of(const LayerRules* /*of*/) {
  using R = LayerRules;
  static const char* const kRules =
      "Alternatives: every one whose keys are all given applies, and they must agree; the last "
      "applies where no other does.";
  const keys::AtLeastOne one{"at least one rule"};
  static const KeyTable table = key_table<R>(
      "layers", "Which blocks the layers use.",
      {
          key<&R::count>("count", "Expression for the number of layers."),
          key<&R::drafts>("drafts",
                          "Expression for the number of multi-token prediction modules, which "
                          "follow the last layer."),
          key<&R::draft>("draft", "Their blocks, where the rules for layers do not say."),
          key<&R::attention>("attention", kRules, one).optional(),
          key<&R::ffn>("ffn", kRules, one).optional(),
      });
  return table;
}

static const KeyTable& keys_of(const FamilyDefault* /*of*/) {
  using D = FamilyDefault;
  static const KeyTable table = key_table<D>(
      "default", "What a key that may be absent is taken for.",
      {
          key<&D::value>("value", "Expression."),
          key<&D::why>("why", "Announced where it is used.").optional(),
          key<&D::for_null_only>("for_null_only",
                                 "The key must be there; the default stands for its null.")
              .optional(),
      });
  return table;
}

namespace {

// Block name -> its fields.
JsonTypePtr blocks_type() {
  return keys::node("an object of blocks by name",
                    R"({"type": "object", "minProperties": 1,
                        "additionalProperties": {"type": ["object", "null"]}})");
}

// What only the complete family must say: the file of one that is "like" another need not.
void check_complete(const JsonNode& node, const void* object) {
  const auto& file = *static_cast<const FamilyFile*>(object);
  if (file.like) return;
  const auto need = [&](bool there, const char* key) {
    if (!there) node.error(fmt::format("missing key \"{}\"", key));
  };
  need(file.model.has_value(), "model");
  need(file.attention.has_value(), "attention");
  need(file.ffn.has_value(), "ffn");
  need(file.layers.has_value(), "layers");
}

}  // namespace

const KeyTable& keys_of(const FamilyFile* /*of*/) {
  using F = FamilyFile;
  static const KeyTable table =
      key_table<F>(
          "",
          "How one family of checkpoints spells its config.json, for ridge import. In an "
          "expression, "
          "\"$key\" is the configuration's value (\"$a/b\" is b inside a) or the family's default; "
          "{\"product\": [..]}, {\"sum\": [..]}, {\"difference\": [a, b]} and {\"quotient\": [a, "
          "b]} "
          "compute with whole numbers; {\"if\": condition, \"then\": .., \"else\": ..} chooses, "
          "{\"equal\": [a, b]} compares; {\"first_of\": [..]} is the first that is given; "
          "{\"at_layer\": \"$list\"} is the entry of the layer in question (the value itself where "
          "it "
          "is no list), and makes a block for each set of values; {\"length\": \"$list\"} counts, "
          "{\"total\": \"$list\"} adds up, {\"listed\": \"$list\"} is whether the layer is in it, "
          "{\"from_layer\": n} whether it is the n-th or a later one, counted from 0, {\"not\": "
          "condition} the opposite; anything else stands for itself.",
          {
              key<&F::title>("title", ""),
              key<&F::model_types>("model_types", "The values of \"model_type\".",
                                   keys::AtLeastOne{"at least one model type"}),
              key<&F::like>(
                  kLike,
                  "The family that this one adds to or changes (RFC 7396: null takes away; "
                  "irrelevant keys stay irrelevant)."),
              key<&F::model>("model", ""),
              key_as<&F::attention>("attention", "Block name -> its fields, as expressions.",
                                    blocks_type()),
              key_as<&F::ffn>("ffn", "Block name -> its fields, as expressions.", blocks_type()),
              key<&F::layers>("layers", ""),
              key<&F::defaults>("defaults",
                                "Values of keys that may be absent; each is announced where it is "
                                "used.")
                  .optional(),
              key<&F::assumptions>("assumptions",
                                   "JSON pointer into the model -> what is assumed there, always "
                                   "announced.")
                  .optional(),
              key_as<&F::expected>(
                  "expected",
                  "Key -> the only value that is understood, or {\"any_of\": [..]}; "
                  "null for a key that must not be set.",
                  keys::node("an object", R"({"type": "object"})")),
              key<&F::irrelevant>(kIrrelevant, "Keys that change nothing about the cost.")
                  .optional(),
          })
          .file("family of Hugging Face configurations")
          .relation(check_complete,
                    R"({"anyOf": [{"required": ["like"]},
                                  {"required": ["model", "attention", "ffn", "layers"]}]})");
  return table;
}

namespace {

using nlohmann::json;

std::vector<std::string> read_names(const JsonNode& node) {
  std::vector<std::string> names;
  for (const JsonNode& element : node.elements()) {
    std::string name;
    if (element.read(name)) names.push_back(name);
  }
  return names;
}

Catalog family_catalog() {
  return {"a family", "models/data/huggingface/families"};
}

// The family's file over the one that it is like (RFC 7396), whose irrelevant keys stay irrelevant.
json merged(const Catalog& catalog, const std::filesystem::path& path, int depth = 0) {
  constexpr int kDeepest = 8;
  const JsonDocument document = JsonDocument::read(path);
  const json& own = document.json();
  if (!own.is_object() || !own.contains(kLike)) return own;
  if (depth == kDeepest || !own.at(kLike).is_string()) {
    throw UserError(fmt::format("{}: /{}: expected the name of another family, got {}",
                                document.name(), kLike, own.at(kLike).dump()));
  }
  json out = merged(catalog, catalog.resolve(own.at(kLike).get<std::string>()), depth + 1);
  json irrelevant = out.value(kIrrelevant, json::array());
  for (const json& key : own.value(kIrrelevant, json::array())) irrelevant.push_back(key);
  out.merge_patch(own);
  out[kIrrelevant] = std::move(irrelevant);
  out.erase(kLike);
  return out;
}

}  // namespace

bool matches(std::string_view pattern, std::string_view name) {
  const auto star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == name;
  if (!name.starts_with(pattern.substr(0, star))) return false;
  const std::string_view rest = pattern.substr(star + 1);
  for (std::size_t at = star; at <= name.size(); ++at) {
    if (matches(rest, name.substr(at))) return true;
  }
  return false;
}

void collect_references(const JsonNode& node, std::set<std::string>& out) {
  if (node.is_object()) {
    for (const auto& member : node.members()) collect_references(member.second, out);
  } else if (node.is_array()) {
    for (const JsonNode& element : node.elements()) collect_references(element, out);
  } else if (std::string text; node.is_string() && node.read(text) && text.starts_with('$')) {
    out.insert(text.substr(1));
  }
}

ConfigFamily::ConfigFamily(std::string file, JsonDocument merged_document)
    : name(std::move(file)),
      document(std::move(merged_document)),
      context{.file = document.name(), .diagnostics = &problems} {
  const JsonNode root(document.json(), context);
  if (read_keys(root, says) && says.layers && !says.layers->count) {
    root.child("layers").error("missing key \"count\"");
  }
  problems.throw_if_errors();
  for (auto [part, rules] :
       {std::pair{"attention", &says.layers->attention}, std::pair{"ffn", &says.layers->ffn}}) {
    for (std::size_t i = 0; i < rules->size(); ++i) {
      collect_references(root.child("layers").child(part).child(i), (*rules)[i].references);
    }
  }
  collect_references(root, keys.read);
  keys.expected = says.expected;
  keys.irrelevant.insert(says.irrelevant.begin(), says.irrelevant.end());
}

const FamilyDefault* ConfigFamily::default_of(const std::string& key) const {
  const auto found = says.defaults.find(key);
  const bool told = found != says.defaults.end() && found->second && found->second->value;
  return told ? &*found->second : nullptr;
}

const std::vector<std::unique_ptr<ConfigFamily>>& families() {
  static const std::vector<std::unique_ptr<ConfigFamily>> all = [] {
    const Catalog catalog = family_catalog();
    std::vector<std::unique_ptr<ConfigFamily>> out;
    for (const auto& name : catalog.names()) {
      const auto path = catalog.resolve(name);
      out.push_back(
          std::make_unique<ConfigFamily>(name, JsonDocument(path.string(), merged(catalog, path))));
    }
    return out;
  }();
  return all;
}

const KeyTable& family_keys() {
  return keys_of(static_cast<const FamilyFile*>(nullptr));
}

void check_family(const std::filesystem::path& path) {
  const JsonDocument own = JsonDocument::read(path);
  (void)read_document<FamilyFile>(own);
  (void)ConfigFamily(path.stem().string(),
                     JsonDocument(own.name(), merged(family_catalog(), path)));
}

const IrrelevantKeys& irrelevant_everywhere() {
  static const ReadOnce kKeys([] {
    const JsonDocument document =
        JsonDocument::read(data_root() / "models/data/huggingface/irrelevant_keys.json");
    Diagnostics problems;
    const JsonContext context{.file = document.name(), .diagnostics = &problems};
    IrrelevantKeys out;
    JsonObject object(JsonNode(document.json(), context));
    object.ignore("comment");
    if (const auto groups = object.required(kIrrelevant)) {
      for (const auto& group : groups->members()) {
        const auto names = read_names(group.second);
        out.patterns.insert(out.patterns.end(), names.begin(), names.end());
      }
    }
    if (const auto neutral = object.required("neutral")) {
      for (const auto& [key, values] : neutral->members()) {
        for (const JsonNode& value : values.elements()) out.neutral[key].push_back(value.json());
      }
    }
    problems.throw_if_errors();
    return out;
  });
  return *kKeys;
}

}  // namespace ridge::models
