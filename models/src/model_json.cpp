#include "ridge/base/catalog.hpp"
#include "ridge/models/huggingface.hpp"
#include "ridge/models/model_spec.hpp"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::models {
namespace {

template <typename Block>
std::optional<std::size_t> index_of(const std::vector<Block>& blocks, const JsonNode& node) {
  std::vector<std::string> names;
  for (const Block& block : blocks) names.push_back(block.name);
  return node.read_choice(names);
}

void read_layer(const JsonNode& node, const ModelSpec& model, LayerSpec& out) {
  JsonObject object(node);
  if (const auto attention = object.required("attention")) {
    if (const auto index = index_of(model.attentions, *attention)) out.attention = *index;
  }
  if (const auto ffn = object.required("ffn")) {
    if (const auto index = index_of(model.ffns, *ffn)) out.ffn = *index;
  }
}

void read_runs(const JsonNode& node, ModelSpec& out) {
  const auto runs = node.elements();
  if (node.is_array() && runs.empty()) node.expected("at least one run of layers");
  // Bindings point into the runs: no reallocation.
  out.layer_runs.reserve(runs.size());
  for (const JsonNode& run_node : runs) {
    JsonObject object(run_node);
    LayerRun& run = out.layer_runs.emplace_back();
    object.required("repeat", run.repeat, between(1, 10000));
    if (const auto pattern = object.required("pattern")) {
      const auto layers = pattern->elements();
      if (pattern->is_array() && layers.empty()) pattern->expected("at least one layer");
      for (const JsonNode& layer : layers) read_layer(layer, out, run.pattern.emplace_back());
    }
  }
}

void read_precisions(const JsonNode& node, ModelSpec& out) {
  JsonObject object(node);
  const auto names = precision_names();
  object.required("weights", out.precisions.weights, names);
  object.required("compute", out.precisions.compute, names);
  object.required("cache", out.cache, names);
  object.required("attention_compute", out.attention_compute, names);
  object.required("activations", out.precisions.activations, names);
  object.required("wire_dispatch", out.precisions.wire_dispatch, names);
  object.required("wire_combine", out.precisions.wire_combine, names);
  read_weight_scales(object, out.precisions.weight_scales);
}

void read_claims(const JsonNode& node, Claims& out) {
  // The numbers pass through a local on their way, so there is no place of theirs to record.
  JsonContext context = node.context();
  context.bindings = nullptr;
  JsonObject object(JsonNode(node.json(), context, node.pointer()));
  double billions = 0;
  if (object.optional("total_parameters_billion", billions, positive(1e6))) {
    out.total_parameters = billions * 1e9;
  }
  if (object.optional("active_parameters_billion", billions, positive(1e6))) {
    out.active_parameters = billions * 1e9;
  }
  object.required("source", out.source);
}

}  // namespace

void read_model(const JsonNode& node, ModelSpec& out) {
  JsonObject object(node);
  object.ignore("$schema");
  object.ignore("comment");
  object.required("name", out.name);
  object.required("title", out.title);
  object.required("hidden", out.hidden, between(1, 1048576));
  object.required("vocabulary", out.vocabulary, between(1, 16777216));
  object.required("tied_embeddings", out.tied_embeddings);
  if (const auto streams = object.optional("residual_streams")) {
    // Every block gets a copy, so a sweep that moves the number has to read the model again.
    JsonContext unbound = streams->context();
    unbound.bindings = nullptr;
    JsonNode(streams->json(), unbound, streams->pointer())
        .read(out.residual_streams, between(1, 64));
  }
  object.optional("ngram_parameters", out.ngram_parameters, between(0, 1e15));
  object.optional("context_limit", out.context_limit, between(1, 1000000000));
  if (const auto precision = object.required("precision")) read_precisions(*precision, out);

  if (const auto blocks = object.required("attention")) {
    const auto members = blocks->members();
    if (blocks->is_object() && members.empty()) blocks->expected("at least one attention block");
    const AttentionBlock defaults{
        .name = {}, .kind = {}, .window = {}, .cache = out.cache, .compute = out.attention_compute};
    out.attentions.reserve(members.size());
    for (const auto& [name, member] : members) {
      AttentionBlock& block = out.attentions.emplace_back();
      block.name = name;
      read_attention(member, defaults, block);
      block.residual_streams = out.residual_streams;
    }
  }
  if (const auto blocks = object.required("ffn")) {
    const auto members = blocks->members();
    if (blocks->is_object() && members.empty()) blocks->expected("at least one FFN block");
    const FfnBlock defaults{.name = {},
                            .kind = {},
                            .weights = out.precisions.weights,
                            .compute = out.precisions.compute,
                            .weight_scales = out.precisions.weight_scales};
    out.ffns.reserve(members.size());
    for (const auto& [name, member] : members) {
      FfnBlock& block = out.ffns.emplace_back();
      block.name = name;
      read_ffn(member, defaults, block);
      block.residual_streams = out.residual_streams;
    }
  }
  if (const auto layers = object.required("layers")) read_runs(*layers, out);
  if (const auto mtp = object.optional("multi_token_prediction")) {
    JsonObject fields(*mtp);
    fields.required("modules", out.mtp.modules, between(1, 64));
    if (const auto layer = fields.required("layer")) read_layer(*layer, out, out.mtp.layer);
  }
  if (const auto claims = object.optional("claims")) read_claims(*claims, out.claims);
  if (const auto sources = object.required("sources")) {
    // Pointer prefix -> where the numbers below it come from.
    for (const auto& [pointer, source] : sources->members()) {
      std::string text;
      source.read(text);
      if (!node.contains_pointer(pointer)) {
        source.error(fmt::format("there is no \"{}\" in this model", pointer));
      }
    }
  }
  if (node.context().diagnostics->ok()) {
    const Problem problem = model_problem(out);
    if (!problem.text.empty()) node.at(problem.pointer).error(problem.text);
  }
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
