#include "prefill_share.hpp"

#include "ridge/models/attention.hpp"
#include "ridge/models/ffn.hpp"

#include <map>
#include <utility>

namespace ridge::evidence {
namespace {

// Everything of a layer but the attention itself, for `tokens` tokens on one GPU.
Seconds rows_time(const decode::Deployment& d, const models::LayerSpec& layer, double tokens) {
  const decode::Pool& pool = d.pool(decode::Role::attention);
  const models::ModelSpec& model = d.model;
  models::OperatorList operators;
  models::attention_operators(model.attentions[layer.attention], model.precisions, model.hidden,
                              {.sequences = tokens, .context = 1.0},
                              {.tensor_parallel = d.attention_tensor_parallel},
                              models::MlaCount::absorbed, operators);
  models::routing_operators(model.ffns[layer.ffn], model.precisions, model.hidden, tokens,
                            operators);
  models::ffn_operators(model.ffns[layer.ffn], model.precisions, model.hidden, tokens,
                        {.tensor_parallel = d.ffn_tensor_parallel,
                         .expert_parallel = d.ffn_expert_parallel,
                         .own_tokens = 1.0 / static_cast<double>(d.ffn_expert_parallel)},
                        operators);
  Seconds sum;
  for (const models::Operator& op : operators) {
    if (std::holds_alternative<models::DecodeAttention>(op.shape)) continue;
    sum += pool.kernels->time(op).time;
  }
  if (const std::int64_t ranks = pool.gpus_per_instance; ranks > 1) {
    const Bytes payload =
        tokens * static_cast<double>(model.hidden) * bytes_per_value(model.precisions.activations);
    const models::Collective all_reduce{.ranks = ranks, .payload = payload};
    sum += 2.0 * pool.kernels->time({"all_reduce", models::Part::communication, all_reduce}).time;
  }
  return sum;
}

// Of a prompt to itself: each token looks at half of it on average.
Seconds attention_time(const decode::Deployment& d, const models::LayerSpec& layer, double tokens) {
  const models::AttentionBlock& block = d.model.attentions[layer.attention];
  models::OperatorList operators;
  models::attention_operators(block, d.model.precisions, d.model.hidden,
                              {.sequences = 1.0,
                               .context = 0.5 * tokens,
                               .queries_per_sequence = static_cast<std::int64_t>(tokens)},
                              {.tensor_parallel = d.attention_tensor_parallel},
                              models::MlaCount::absorbed, operators);
  Seconds sum;
  for (const models::Operator& op : operators) {
    if (!std::holds_alternative<models::DecodeAttention>(op.shape)) continue;
    sum += d.pool(decode::Role::attention).kernels->time(op).time;
  }
  return sum;
}

}  // namespace

Seconds prefill_wait(const decode::Deployment& d, const Prefill& prefill) {
  std::map<std::pair<std::size_t, std::size_t>, double> layers;  // alike -> how many
  for (const models::LayerSpec& layer : d.model.layer_sequence()) {
    layers[{layer.attention, layer.ffn}] += 1.0;
  }
  Seconds sum;
  for (const auto& [blocks, count] : layers) {
    const models::LayerSpec layer{.attention = blocks.first, .ffn = blocks.second};
    Seconds longer = attention_time(d, layer, prefill.tokens);
    if (prefill.mixed) {
      longer += rows_time(d, layer, prefill.tokens + prefill.decoding) -
                rows_time(d, layer, prefill.decoding);
    } else {
      longer += rows_time(d, layer, prefill.tokens);
    }
    sum += count * longer;
  }
  return sum;
}

}  // namespace ridge::evidence
