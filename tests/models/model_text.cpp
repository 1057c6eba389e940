#include "model_text.hpp"

#include <fmt/format.h>

namespace ridge::models {
namespace {

std::string text_of(const ModelSpec& model, LayerSpec layer) {
  OperatorList list;
  attention_operators(model.attentions[layer.attention], model.precisions, model.hidden,
                      {.sequences = 3, .context = 20000}, {}, MlaCount::absorbed, list);
  routing_operators(model.ffns[layer.ffn], model.precisions, model.hidden, 5, list);
  ffn_operators(model.ffns[layer.ffn], model.precisions, model.hidden, 5, {}, list);
  std::string text;
  for (const Operator& op : list) {
    const Demand d = demand(op);
    text += fmt::format("{}: {} flop in {}, weights {}, cache {} {}, activations {} {}\n", op.name,
                        d.flop.value(), name_of(d.compute), d.weights.value(), d.cache_read.value(),
                        d.cache_written.value(), d.activations_read.value(),
                        d.activations_written.value());
  }
  return text;
}

}  // namespace

std::string text_of(const ModelSpec& model) {
  std::string text;
  int number = 0;
  for (const LayerSpec& layer : model.layer_sequence()) {
    text += fmt::format("layer {}\n{}", number++, text_of(model, layer));
  }
  text += fmt::format("{} drafting modules\n", model.mtp.modules);
  if (model.mtp.modules > 0) text += text_of(model, model.mtp.layer);
  text += fmt::format("{} parameters, {} active, {} bytes; {} bytes of cache at 9000 tokens\n",
                      model.total_parameters(), model.active_parameters(),
                      model.weight_bytes().value(), model.cache_bytes(9000).value());
  const Precisions& p = model.precisions;
  text += fmt::format("activations {}, wire {} and {}\n", name_of(p.activations),
                      name_of(p.wire_dispatch), name_of(p.wire_combine));
  return text;
}

ModelSpec model_of(const std::string& json_text) {
  const JsonDocument document = JsonDocument::parse(json_text, "model.json");
  Diagnostics diagnostics;
  const JsonContext context{.file = document.name(), .diagnostics = &diagnostics};
  ModelSpec model;
  read_model(JsonNode(document.json(), context), model);
  diagnostics.throw_if_errors();
  return model;
}

}  // namespace ridge::models
