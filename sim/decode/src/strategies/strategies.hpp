// What each strategy implements. One file per strategy.
#pragma once

#include "ridge/decode/deployment.hpp"
#include "ridge/decode/step_graph.hpp"

#include <string>
#include <vector>

namespace ridge::decode {

// A layer of a step: the model's own, then the drafting modules'.
struct StepLayer {
  models::LayerSpec blocks;
  std::uint32_t queries = 1;       // tokens per sequence that pass through it
  std::uint32_t expert_layer = 0;  // layers with the same number share FFN work and its rows
};
[[nodiscard]] std::vector<StepLayer> step_layers(const Deployment& deployment,
                                                 std::uint32_t drawn_layers);

// One message per token from attention to FFN: the values, a scale per 128 where they are 8 bits,
// and for each chosen expert its number and weight.
[[nodiscard]] double dispatch_bytes_per_token(const models::ModelSpec& model,
                                              const models::FfnBlock& ffn);
// From FFN to attention: the values.
[[nodiscard]] double combine_bytes_per_token(const models::ModelSpec& model);

using Problems = std::vector<std::string>;

void check_attention_ffn_disaggregation(const Deployment& deployment, Problems& problems);
StepGraph compile_attention_ffn_disaggregation(const Deployment& deployment,
                                               std::uint32_t drawn_layers);

void check_wide_expert_parallel(const Deployment& deployment, Problems& problems);
StepGraph compile_wide_expert_parallel(const Deployment& deployment, std::uint32_t drawn_layers);

void check_tensor_parallel(const Deployment& deployment, Problems& problems);
StepGraph compile_tensor_parallel(const Deployment& deployment, std::uint32_t drawn_layers);

}  // namespace ridge::decode
