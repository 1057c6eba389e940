#include "huggingface_configs.hpp"

#include "ridge/models/model_spec.hpp"
#include "source_tree.hpp"

#include <algorithm>
#include <ostream>
#include <stdexcept>

namespace ridge::models {
namespace {

using nlohmann::json;

json with(json base, const json& changes) {
  base.update(changes);
  return base;
}

// "full", then "sliding" three times, and so on.
json types(int layers, const std::vector<std::string>& cycle) {
  json list = json::array();
  for (int i = 0; i < layers; ++i)
    list.push_back(cycle[static_cast<std::size_t>(i) % cycle.size()]);
  return list;
}

std::string numbers(int first, int last) {
  std::string text = std::to_string(first);
  for (int i = first + 1; i <= last; ++i) text += "," + std::to_string(i);
  return text;
}

std::vector<CheckpointConfig> make() {
  const json fp8 = json::parse(R"({"quant_method": "fp8", "fmt": "e4m3",
      "activation_scheme": "dynamic", "weight_block_size": [128, 128]})");
  const json latent = json::parse(R"({
      "model_type": "deepseek_v3", "hidden_size": 7168, "intermediate_size": 18432,
      "vocab_size": 129280, "num_hidden_layers": 61, "first_k_dense_replace": 3,
      "moe_layer_freq": 1, "num_attention_heads": 128, "num_key_value_heads": 128,
      "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
      "v_head_dim": 128, "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8,
      "moe_intermediate_size": 2048, "num_nextn_predict_layers": 1, "attention_bias": false,
      "hidden_act": "silu", "tie_word_embeddings": false, "torch_dtype": "bfloat16",
      "rope_scaling": {"type": "yarn", "factor": 40}, "n_group": 8, "topk_group": 4,
      "scoring_func": "sigmoid", "rms_norm_eps": 1e-06})");
  const json kimi = with(latent, {{"model_type", "kimi_k2"},
                                  {"vocab_size", 163840},
                                  {"first_k_dense_replace", 1},
                                  {"num_attention_heads", 64},
                                  {"num_key_value_heads", 64},
                                  {"n_routed_experts", 384},
                                  {"num_nextn_predict_layers", 0}});
  const json int4 = json::parse(R"json({
      "quant_method": "compressed-tensors", "format": "pack-quantized", "kv_cache_scheme": null,
      "config_groups": {"group_0": {"targets": ["Linear"], "input_activations": null,
        "weights": {"num_bits": 4, "type": "int", "group_size": 32, "symmetric": true}}},
      "ignore": ["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*",
                 "re:.*mlp\\.(gate|up|gate_up|down)_proj.*"]})json");
  const json dense = json::parse(R"({
      "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
      "vocab_size": 128256, "num_hidden_layers": 32, "num_attention_heads": 32,
      "num_key_value_heads": 8, "attention_bias": false, "mlp_bias": false, "hidden_act": "silu",
      "tie_word_embeddings": false, "torch_dtype": "bfloat16"})");
  const json qwen = json::parse(R"({
      "model_type": "qwen3", "hidden_size": 5120, "intermediate_size": 25600,
      "vocab_size": 151936, "num_hidden_layers": 64, "num_attention_heads": 64,
      "num_key_value_heads": 8, "head_dim": 128, "attention_bias": false, "hidden_act": "silu",
      "use_sliding_window": false, "sliding_window": null, "max_window_layers": 64,
      "tie_word_embeddings": false, "torch_dtype": "bfloat16"})");
  const json qwen_moe = with(qwen, {{"model_type", "qwen3_moe"},
                                    {"hidden_size", 4096},
                                    {"intermediate_size", 12288},
                                    {"num_hidden_layers", 94},
                                    {"num_key_value_heads", 4},
                                    {"num_experts", 128},
                                    {"num_experts_per_tok", 8},
                                    {"moe_intermediate_size", 1536},
                                    {"decoder_sparse_step", 1},
                                    {"mlp_only_layers", json::array()}});

  std::vector<CheckpointConfig> all;
  all.push_back({"deepseek-v3", with(latent, {{"quantization_config", fp8}})});
  all.push_back({"deepseek-v3.2",
                 with(latent, {{"model_type", "deepseek_v32"},
                               {"index_topk", 2048},
                               {"index_n_heads", 64},
                               {"index_head_dim", 128},
                               {"quantization_config", with(fp8, {{"scale_fmt", "ue8m0"}})}})});
  all.push_back({"kimi-k2", with(kimi, {{"quantization_config", fp8}})});
  all.push_back({"kimi-k2.5",
                 {{"model_type", "kimi_k25"},
                  {"dtype", "bfloat16"},
                  {"tie_word_embeddings", false},
                  {"vision_config", {{"vt_hidden_size", 1152}}},
                  {"text_config", with(kimi, {{"quantization_config", int4}, {"top_k", 50}})}}});
  all.push_back({"llama-3.1-8b", dense});
  all.push_back({"llama-3.1-405b", with(dense, {{"hidden_size", 16384},
                                                {"intermediate_size", 53248},
                                                {"num_hidden_layers", 126},
                                                {"num_attention_heads", 128}})});
  all.push_back({"llama-3.1-70b", with(dense, {{"hidden_size", 8192},
                                               {"intermediate_size", 28672},
                                               {"num_hidden_layers", 80},
                                               {"num_attention_heads", 64}})});
  all.push_back({"mixtral-8x7b", json::parse(R"({
      "model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336,
      "vocab_size": 32000, "num_hidden_layers": 32, "num_attention_heads": 32,
      "num_key_value_heads": 8, "num_local_experts": 8, "num_experts_per_tok": 2,
      "sliding_window": null, "hidden_act": "silu", "tie_word_embeddings": false,
      "torch_dtype": "bfloat16"})")});
  all.push_back({"qwen3-32b", qwen});
  all.push_back({"qwen3-8b", with(qwen, {{"hidden_size", 4096},
                                         {"intermediate_size", 12288},
                                         {"num_hidden_layers", 36},
                                         {"num_attention_heads", 32}})});
  all.push_back({"qwen3-235b-a22b", qwen_moe});
  all.push_back({"qwen3-30b-a3b", with(qwen_moe, {{"hidden_size", 2048},
                                                  {"intermediate_size", 6144},
                                                  {"num_hidden_layers", 48},
                                                  {"num_attention_heads", 32},
                                                  {"moe_intermediate_size", 768}})});
  all.push_back({"qwen3-next-80b-a3b", with(qwen_moe, {{"model_type", "qwen3_next"},
                                                       {"hidden_size", 2048},
                                                       {"intermediate_size", 5120},
                                                       {"num_hidden_layers", 48},
                                                       {"num_attention_heads", 16},
                                                       {"num_key_value_heads", 2},
                                                       {"head_dim", 256},
                                                       {"num_experts", 512},
                                                       {"num_experts_per_tok", 10},
                                                       {"moe_intermediate_size", 512},
                                                       {"shared_expert_intermediate_size", 512},
                                                       {"full_attention_interval", 4},
                                                       {"linear_conv_kernel_dim", 4},
                                                       {"linear_key_head_dim", 128},
                                                       {"linear_num_key_heads", 16},
                                                       {"linear_num_value_heads", 32},
                                                       {"linear_value_head_dim", 128}})});
  all.push_back(
      {"gpt-oss-20b", with(json::parse(R"({
      "model_type": "gpt_oss", "hidden_size": 2880, "intermediate_size": 2880,
      "vocab_size": 201088, "num_hidden_layers": 24, "num_attention_heads": 64,
      "num_key_value_heads": 8, "head_dim": 64, "attention_bias": true, "hidden_act": "silu",
      "num_local_experts": 32, "num_experts_per_tok": 4, "experts_per_token": 4,
      "sliding_window": 128, "swiglu_limit": 7.0, "initial_context_length": 4096,
      "tie_word_embeddings": false,
      "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert":
        ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens",
         "lm_head"]}})"),
                           {{"layer_types", types(24, {"sliding_attention", "full_attention"})}})});
  all.push_back({"llama-4-maverick", json::parse(R"({
      "model_type": "llama4", "torch_dtype": "bfloat16", "text_config": {
      "model_type": "llama4_text", "hidden_size": 5120, "intermediate_size": 8192,
      "intermediate_size_mlp": 16384, "vocab_size": 202048, "num_hidden_layers": 48,
      "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128,
      "attention_chunk_size": 8192, "interleave_moe_layer_step": 2, "num_local_experts": 128,
      "num_experts_per_tok": 1, "attention_bias": false, "hidden_act": "silu",
      "torch_dtype": "bfloat16"}})")});
  json softmax_every_eighth = json::array();
  for (int i = 0; i < 80; ++i) softmax_every_eighth.push_back((i + 1) % 8 == 0 ? 1 : 0);
  all.push_back({"minimax-m1", with(json::parse(R"({
      "model_type": "minimax_m1", "hidden_size": 6144, "intermediate_size": 9216,
      "vocab_size": 200064, "num_hidden_layers": 80, "num_attention_heads": 64,
      "num_key_value_heads": 8, "head_dim": 128, "num_local_experts": 32,
      "num_experts_per_tok": 2, "shared_intermediate_size": 0, "shared_moe_mode": "sigmoid",
      "postnorm": true, "hidden_act": "silu", "sliding_window": null,
      "tie_word_embeddings": false})"),
                                    {{"attn_type_list", softmax_every_eighth}})});
  all.push_back({"ernie-4.5-300b-a47b", json::parse(R"({
      "model_type": "ernie_moe", "hidden_size": 8192, "intermediate_size": 28672,
      "vocab_size": 103424, "num_hidden_layers": 54, "num_attention_heads": 64,
      "num_key_value_heads": 8, "moe_num_experts": 64, "moe_num_shared_experts": 0, "moe_k": 8,
      "moe_intermediate_size": 3584, "moe_layer_start_index": 3, "moe_layer_end_index": 53,
      "moe_layer_interval": 1, "hidden_act": "silu", "tie_word_embeddings": true})")});
  all.push_back({"pangu-pro-moe", json::parse(R"({
      "model_type": "PanguProMoE", "hidden_size": 5120, "vocab_size": 153376,
      "num_hidden_layers": 48, "num_attention_heads": 40, "num_key_value_heads": 8,
      "head_dim": 128, "num_experts": 64, "num_experts_per_tok": 8,
      "moe_intermediate_size": 1344, "shared_expert_intermediate_size": 5376,
      "mlp_only_layers": []})")});
  all.push_back({"step-3", json::parse(R"({
      "model_type": "step3_vl", "image_token_len": 169, "text_config": {
      "model_type": "step3_text", "hidden_size": 7168, "intermediate_size": 18432,
      "vocab_size": 128815, "num_hidden_layers": 61, "num_attention_heads": 64,
      "num_attention_groups": 1, "head_dim": 256, "share_q_dim": 2048, "moe_num_experts": 48,
      "moe_top_k": 3, "moe_intermediate_size": 5120, "share_expert_dim": 5120,
      "torch_dtype": "bfloat16"}})")});
  all.back().config["text_config"]["moe_layers_enum"] = numbers(4, 59);
  all.push_back({"step-3.5-flash",
                 with(json::parse(R"({
      "model_type": "step3p5", "hidden_size": 4096, "intermediate_size": 11264,
      "vocab_size": 128896, "num_hidden_layers": 45, "num_nextn_predict_layers": 3,
      "num_attention_heads": 64, "num_attention_groups": 8, "head_dim": 128,
      "att_impl_type": "GQA", "sliding_window": 512, "use_head_wise_attn_gate": true,
      "attention_other_setting": {"attention_type": "sliding_attention", "head_dim": 128,
        "num_attention_groups": 8, "num_attention_heads": 96, "true_head_dim": 128},
      "moe_num_experts": 288, "moe_top_k": 8, "moe_intermediate_size": 1280,
      "share_expert_dim": 1280, "need_fp32_gate": true, "use_moe": true, "sink": false,
      "moe_every_n_layer": 1, "moe_layer_offset": 0, "tie_word_embeddings": false,
      "torch_dtype": "bfloat16"})"),
                      {{"moe_layers_enum", numbers(3, 44)},
                       {"layer_types", types(48, {"full_attention", "sliding_attention",
                                                  "sliding_attention", "sliding_attention"})}})});
  // The rest is data.
  for (const auto& item : further_checkpoint_configs().items()) {
    const auto names = model_names();
    if (std::find(names.begin(), names.end(), item.key()) != names.end()) {
      all.push_back({item.key(), item.value()});
    }
  }
  return all;
}

}  // namespace

const json& further_checkpoint_configs() {
  static const json all = json::parse(test::source_text("tests/models/data/checkpoints.json"));
  return all;
}

void PrintTo(const CheckpointConfig& checkpoint, std::ostream* out) {
  *out << checkpoint.model;
}

const std::vector<CheckpointConfig>& checkpoint_configs() {
  static const std::vector<CheckpointConfig> all = make();
  return all;
}

json checkpoint_config(const std::string& model) {
  for (const CheckpointConfig& entry : checkpoint_configs()) {
    if (entry.model == model) return entry.config;
  }
  throw std::out_of_range("no configuration of " + model);
}

}  // namespace ridge::models
