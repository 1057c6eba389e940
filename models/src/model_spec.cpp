#include "ridge/models/model_spec.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace ridge::models {

std::int64_t ModelSpec::layers() const {
  std::int64_t count = 0;
  for (const LayerRun& run : layer_runs) {
    count += run.repeat * static_cast<std::int64_t>(run.pattern.size());
  }
  return count;
}

namespace {

std::int64_t layers_where(const ModelSpec& model, std::size_t LayerSpec::*block,
                          std::size_t index) {
  std::int64_t count = 0;
  for (const LayerRun& run : model.layer_runs) {
    for (const LayerSpec& layer : run.pattern) {
      if (layer.*block == index) count += run.repeat;
    }
  }
  return count;
}

double embedding_parameters(const ModelSpec& model) {
  return static_cast<double>(model.vocabulary) * static_cast<double>(model.hidden);
}

}  // namespace

std::int64_t ModelSpec::layers_with_attention(std::size_t index) const {
  return layers_where(*this, &LayerSpec::attention, index);
}

std::int64_t ModelSpec::layers_with_ffn(std::size_t index) const {
  return layers_where(*this, &LayerSpec::ffn, index);
}

std::vector<LayerSpec> ModelSpec::layer_sequence() const {
  std::vector<LayerSpec> sequence;
  sequence.reserve(static_cast<std::size_t>(layers()));
  for (const LayerRun& run : layer_runs) {
    for (std::int64_t i = 0; i < run.repeat; ++i) {
      sequence.insert(sequence.end(), run.pattern.begin(), run.pattern.end());
    }
  }
  return sequence;
}

std::int64_t ModelSpec::layer_inputs() const {
  std::int64_t width = 0;
  for (std::size_t i = 0; i < ffns.size(); ++i) width += layers_with_ffn(i) * ffns[i].layer_input;
  return width;
}

double ModelSpec::layer_input_parameters() const {
  std::int64_t norm = 0;
  for (const FfnBlock& block : ffns) norm = std::max(norm, block.layer_input);
  const std::int64_t tokens = layer_input_vocabulary > 0 ? layer_input_vocabulary : vocabulary;
  return static_cast<double>(layer_inputs()) * static_cast<double>(tokens + hidden) +
         static_cast<double>(norm);
}

double ModelSpec::total_parameters() const {
  double total = embedding_parameters(*this) * (tied_embeddings ? 1.0 : 2.0) +
                 static_cast<double>(hidden) + ngram_parameters + layer_input_parameters();
  for (std::size_t i = 0; i < attentions.size(); ++i) {
    total +=
        static_cast<double>(layers_with_attention(i)) * attention_parameters(attentions[i], hidden);
  }
  for (std::size_t i = 0; i < ffns.size(); ++i) {
    total += static_cast<double>(layers_with_ffn(i)) * ffn_parameters(ffns[i], hidden).total;
  }
  return total;
}

double ModelSpec::active_parameters() const {
  double active = embedding_parameters(*this) + static_cast<double>(hidden) +
                  static_cast<double>(layer_inputs() * hidden);
  for (std::size_t i = 0; i < attentions.size(); ++i) {
    active +=
        static_cast<double>(layers_with_attention(i)) * attention_parameters(attentions[i], hidden);
  }
  for (std::size_t i = 0; i < ffns.size(); ++i) {
    active += static_cast<double>(layers_with_ffn(i)) * ffn_parameters(ffns[i], hidden).active;
  }
  return active;
}

Bytes ModelSpec::cache_bytes(double context) const {
  Bytes total;
  for (std::size_t i = 0; i < attentions.size(); ++i) {
    total +=
        static_cast<double>(layers_with_attention(i)) * models::cache_bytes(attentions[i], context);
  }
  return total;
}

Bytes ModelSpec::cache_bytes_per_token() const {
  return cache_bytes(1.0) - cache_bytes(0.0);
}

std::int64_t ModelSpec::effective_rank() const {
  std::int64_t rank = 0;
  for (const AttentionBlock& block : attentions) {
    rank = std::max(rank, models::effective_rank(block));
  }
  return rank;
}

Bytes ModelSpec::weight_bytes() const {
  Bytes total = embedding_parameters(*this) * (tied_embeddings ? 1.0 : 2.0) *
                bytes_per_value(Precision::bf16);
  total += (ngram_parameters + layer_input_parameters()) * bytes_per_value(Precision::bf16);
  for (std::size_t i = 0; i < attentions.size(); ++i) {
    total += static_cast<double>(layers_with_attention(i)) *
             attention_weight_bytes(attentions[i], precisions, hidden);
  }
  for (std::size_t i = 0; i < ffns.size(); ++i) {
    total += static_cast<double>(layers_with_ffn(i)) * ffn_weight_bytes(ffns[i], hidden);
  }
  return total;
}

std::string context_remark(const ModelSpec& model, double context) {
  if (model.context_limit == 0 || context <= static_cast<double>(model.context_limit)) return {};
  return fmt::format("{}: {:.0f} tokens of context are more than the {} that it was made for",
                     model.name, context, model.context_limit);
}

void head_operators(const ModelSpec& model, double tokens, std::int64_t tensor_parallel,
                    OperatorList& out) {
  const double values = tokens * static_cast<double>(model.hidden);
  const Precision activations = model.precisions.activations;
  // Before the first layer, for all: what the tables hold, and the projected embedding added to it.
  if (const std::int64_t inputs = model.layer_inputs(); inputs > 0) {
    const double all = tokens * static_cast<double>(inputs);
    out.add("layer_inputs_projection", Part::attention_linear,
            Gemm{.m = tokens,
                 .n = inputs,
                 .k = model.hidden,
                 .input = activations,
                 .output = activations});
    out.add("layer_inputs", Part::elementwise,
            Elementwise{.values_read = 2.0 * all,
                        .values_written = all,
                        .input = activations,
                        .output = activations});
  }
  out.add("final_norm", Part::elementwise,
          Elementwise{.values_read = values,
                      .values_written = values,
                      .input = activations,
                      .output = activations});
  // Heads stay in BF16 in every published FP8 checkpoint.
  out.add("lm_head", Part::lm_head,
          Gemm{.m = tokens,
               .n = model.vocabulary / tensor_parallel,
               .k = model.hidden,
               .input = activations,
               .output = Precision::fp32});
}

Problem model_problem(const ModelSpec& model) {
  const auto of_block = [](std::string_view part, const std::string& name, const Problem& problem) {
    return Problem{fmt::format("/{}/{}{}", part, escape_pointer_token(name), problem.pointer),
                   fmt::format("{} \"{}\": {}", part, name, problem.text)};
  };
  for (const AttentionBlock& block : model.attentions) {
    if (const Problem problem = attention_problem(block); !problem.text.empty()) {
      return of_block("attention", block.name, problem);
    }
  }
  for (const FfnBlock& block : model.ffns) {
    if (const Problem problem = ffn_problem(block); !problem.text.empty()) {
      return of_block("ffn", block.name, problem);
    }
  }
  return {};
}

}  // namespace ridge::models
