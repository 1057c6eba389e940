#include "ridge/base/catalog.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/models/huggingface.hpp"
#include "ridge/models/model_spec.hpp"

#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::models {

static const KeyTable& keys_of(const NamedLayer* /*of*/) {
  static const KeyTable table =
      key_table<NamedLayer>("layer", "One layer, by the names of its blocks.",
                            {
                                key<&NamedLayer::attention>("attention", ""),
                                key<&NamedLayer::ffn>("ffn", ""),
                            });
  return table;
}

static const KeyTable& keys_of(const LayerRun* /*of*/) {
  static const KeyTable table = key_table<LayerRun>(
      "layers", "A pattern of layers, over and over.",
      {
          key<&LayerRun::repeat>("repeat", "", between(1, 10000)),
          key<&LayerRun::named>("pattern", "", keys::AtLeastOne{"at least one layer"}),
      });
  return table;
}

static const KeyTable& keys_of(const MultiTokenPrediction* /*of*/) {
  static const KeyTable table = key_table<MultiTokenPrediction>(
      "multi_token_prediction",
      "Modules that draft further tokens, each one layer and a projection.",
      {
          key<&MultiTokenPrediction::modules>("modules", "", between(1, 64)),
          key<&MultiTokenPrediction::named>("layer", ""),
      });
  return table;
}

static const KeyTable& keys_of(const Claims* /*of*/) {
  static const KeyTable table = key_table<Claims>(
      "claims", "What the publisher says of the model; a test compares it to our count.",
      {
          key<&Claims::total_billion>("total_parameters_billion", "", positive(1e6)),
          key<&Claims::active_billion>("active_parameters_billion", "", positive(1e6)),
          key<&Claims::source>("source", ""),
      });
  return table;
}

namespace {

// Its members lie in the model itself.
const KeyTable& precision_keys() {
  using M = ModelSpec;
  using P = Precisions;
  const auto names = precision_names();
  static const KeyTable table = key_table<M>(
      "precision", "Number formats, unless a block says otherwise.",
      {
          key_in<&M::precisions, &P::weights>("weights", "", names),
          key_in<&M::precisions, &P::compute>("compute",
                                              "The matrix units of projections and FFNs.", names),
          key<&M::cache>("cache", "", names),
          key<&M::attention_compute>("attention_compute", "", names),
          key_in<&M::precisions, &P::activations>("activations", "Between operators.", names),
          key_in<&M::precisions, &P::wire_dispatch>(
              "wire_dispatch", "From attention to FFN over the network.", names),
          key_in<&M::precisions, &P::wire_combine>(
              "wire_combine", "From FFN to attention over the network.", names),
          key_in<&M::precisions, &P::weight_scales>("weights_scales", "Beside the weights.")
              .optional()
              .fixed(),
      });
  return table;
}

}  // namespace

const KeyTable& keys_of(const ModelSpec* /*of*/) {
  using M = ModelSpec;
  static const KeyTable table =
      key_table<M>(
          "",
          "The architecture of a language model, as far as decoding is concerned. Every number "
          "needs a source: see \"sources\".",
          {
              key<&M::name>("name", "As typed on the command line."),
              key<&M::title>("title", "As people write it."),
              key<&M::hidden>("hidden", "Width of the residual stream.", between(1, 1048576)),
              key<&M::vocabulary>("vocabulary", "", between(1, 16777216)),
              key<&M::tied_embeddings>("tied_embeddings",
                                       "Whether the LM head is the embedding table."),
              key<&M::residual_streams>("residual_streams",
                                        "Parallel streams of the residual, mixed before and after "
                                        "each sublayer (hyper-connections).",
                                        between(1, 64))
                  .optional()
                  .fixed(),
              key<&M::ngram_parameters>(
                  "ngram_parameters",
                  "Of embeddings of the last few tokens together, which lie in the host's memory; "
                  "the time to read them is not counted.",
                  between(0, 1e15))
                  .optional(),
              key<&M::layer_input_vocabulary>(
                  "layer_input_vocabulary",
                  "Tokens in the tables of layers with an input of their own; 0 for as many as "
                  "the vocabulary has.",
                  between(0, 16777216))
                  .optional(),
              key<&M::context_limit>("context_limit",
                                     "Tokens of context that it was made for; longer ones are "
                                     "answered with a remark. 0: not known.",
                                     between(0, 1e9))
                  .optional(),
              key_of_all<M>("precision", "", keys::object(precision_keys())),
              named_list<&M::attentions, &AttentionBlock::name>(
                  "attention", "The attention blocks, under names of your own.",
                  "at least one attention block"),
              named_list<&M::ffns, &FfnBlock::name>(
                  "ffn", "The feed-forward blocks, under names of your own.",
                  "at least one FFN block"),
              key<&M::layer_runs>("layers", "Runs of layers in order; each repeats a pattern.",
                                  keys::AtLeastOne{"at least one run of layers"}),
              key<&M::mtp>("multi_token_prediction", "").optional(),
              key<&M::claims>("claims", "").optional(),
              key<&M::sources>(
                  "sources",
                  "JSON pointer -> where the values at and below it come from; the longest pointer "
                  "that fits a value speaks for it, \"\" for all the rest."),
          })
          .file("model");
  return table;
}

namespace {

template <typename Block>
void find(const std::vector<Block>& blocks, const JsonNode& node, std::size_t& out) {
  std::vector<std::string> names;
  for (const Block& block : blocks) names.push_back(block.name);
  if (const auto index = node.read_choice(names)) out = *index;
}

void find_blocks(const ModelSpec& model, const JsonNode& layer, LayerSpec& out) {
  find(model.attentions, layer.child("attention"), out.attention);
  find(model.ffns, layer.child("ffn"), out.ffn);
}

// What follows from the file: blocks have the model's formats where they say none, and layers their
// blocks.
void resolve(const JsonNode& node, ModelSpec& model) {
  for (AttentionBlock& block : model.attentions) {
    block.cache = block.own_cache.value_or(model.cache);
    block.compute = block.own_compute.value_or(model.attention_compute);
    block.residual_streams = model.residual_streams;
  }
  for (FfnBlock& block : model.ffns) {
    const WeightFormat weights = block.own_weights.value_or(model.precisions.weight_format());
    block.weights = weights.precision;
    block.weight_scales = weights.scales;
    block.compute = block.own_compute.value_or(model.precisions.compute);
    block.residual_streams = model.residual_streams;
  }
  for (std::size_t r = 0; r < model.layer_runs.size(); ++r) {
    LayerRun& run = model.layer_runs[r];
    run.pattern.resize(run.named.size());
    const JsonNode pattern = node.child("layers").child(r).child("pattern");
    for (std::size_t i = 0; i < run.pattern.size(); ++i) {
      find_blocks(model, pattern.child(i), run.pattern[i]);
    }
  }
  if (model.mtp.modules > 0) {
    find_blocks(model, node.child("multi_token_prediction").child("layer"), model.mtp.layer);
  }
}

}  // namespace

void read_model(const JsonNode& node, ModelSpec& out) {
  if (!read_keys(node, out)) return;
  resolve(node, out);
  for (const auto& [pointer, source] : out.sources) {
    if (!node.contains_pointer(pointer)) {
      node.child("sources").child(pointer).error(
          fmt::format("there is no \"{}\" in this model", pointer));
    }
  }
  if (!node.context().diagnostics->ok()) return;
  const Problem problem = model_problem(out);
  if (!problem.text.empty()) node.at(problem.pointer).error(problem.text);
}

namespace {
const Catalog& catalog() {
  static const Catalog models("the name of a model", "models/data", "models");
  return models;
}

ModelSpec checked(const JsonDocument& document) {
  Diagnostics diagnostics;
  const JsonContext context{.file = document.name(), .diagnostics = &diagnostics};
  ModelSpec model;
  read_model(JsonNode(document.json(), context), model);
  diagnostics.throw_if_errors();
  return model;
}

// The document of a model, made from a checkpoint's configuration where that is what is there.
JsonDocument document_of(const std::string& name_or_path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const bool folder = fs::is_directory(name_or_path, ignored);
  const fs::path path = folder ? fs::path(name_or_path) : catalog().resolve(name_or_path);
  JsonDocument document = read_checkpoint_config(path);
  const auto& json = document.json();
  if (!json.is_object() || json.contains("attention") || !json.contains("model_type")) {
    return document;
  }
  const fs::path absolute = fs::absolute(path).lexically_normal();
  const bool says_nothing = !folder && absolute.stem() == "config";
  const fs::path named = folder || says_nothing
                             ? (folder ? absolute / "" : absolute).parent_path().filename()
                             : absolute.stem();
  return JsonDocument::parse(import_huggingface(document, {.name = named.string()}).model_json,
                             document.name());
}

}  // namespace

ModelSpec load_model(const std::string& name_or_path) {
  return checked(document_of(name_or_path));
}

JsonDocument model_document(const std::string& name_or_path) {
  JsonDocument document = document_of(name_or_path);
  (void)checked(document);
  return document;
}

std::vector<std::string> model_names() {
  return catalog().names();
}

}  // namespace ridge::models
