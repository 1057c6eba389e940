// Parameters of imported checkpoints against an independent count: that of the transformers library
// (tests/models/count_parameters.py), and by hand where it lacks the family. Bytes of quantized
// checkpoints against the sizes of their published files.
#include "huggingface_configs.hpp"
#include "identifier.hpp"
#include "model_text.hpp"
#include "ridge/base/file.hpp"
#include "ridge/models/huggingface.hpp"
#include "ridge/models/model_spec.hpp"
#include "source_tree.hpp"

#include <filesystem>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::models {
namespace {

using nlohmann::json;

const json& counts() {
  static const json all =
      json::parse(test::source_text("tests/models/data/parameters.json")).at("counts");
  return all;
}

json config_of(const std::string& name) {
  const json& further = further_checkpoint_configs();
  return further.contains(name) ? further.at(name) : checkpoint_config(name);
}

ModelSpec imported(const json& config) {
  return model_of(import_huggingface(JsonDocument("config.json", config),
                                     {.name = "imported", .serve_in = std::nullopt})
                      .model_json);
}

std::vector<std::string> counted() {
  std::vector<std::string> names;
  for (const auto& item : counts().items()) names.push_back(item.key());
  return names;
}

class Counted : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Checkpoints, Counted, testing::ValuesIn(counted()),
                         [](const auto& param) { return test::identifier_of(param.param); });

TEST_P(Counted, ParametersAreThoseThatTransformersBuilds) {
  const json& count = counts().at(GetParam());
  const ModelSpec model = imported(config_of(GetParam()));
  const auto total = count.at("total").get<double>();
  EXPECT_NEAR(model.total_parameters() / total, 1.0, 1e-3);
  double routed = 0;
  for (std::size_t i = 0; i < model.ffns.size(); ++i) {
    routed += static_cast<double>(model.layers_with_ffn(i)) *
              ffn_parameters(model.ffns[i], model.hidden).routed;
  }
  EXPECT_NEAR(routed, count.at("routed").get<double>(), 1e-3 * total);
}

TEST(ParameterCount, CoversEveryCheckpointOrItIsCountedByHand) {
  const std::set<std::string> by_hand = {
      "kimi-k3",       "minimax-m3",       "deepseek-v4.1-flash",   "step-3.5-flash",
      "step-3",        "pangu-pro-moe",    "longcat-flash",         "ling-1t",
      "mimo-7b",       "deepseek-moe-16b", "ring-flash-linear-2.0", "grok-2",
      "hunyuan-large", "minicpm3-4b",      "llama-4-scout"};
  for (const auto& item : further_checkpoint_configs().items()) {
    EXPECT_TRUE(counts().contains(item.key()) || by_hand.contains(item.key())) << item.key();
  }
  for (const auto& checkpoint : checkpoint_configs()) {
    EXPECT_TRUE(counts().contains(checkpoint.model) || by_hand.contains(checkpoint.model))
        << checkpoint.model;
  }
}

void expect_total(const std::string& name, double by_hand) {
  EXPECT_NEAR(imported(config_of(name)).total_parameters() / by_hand, 1.0, 1e-3) << name;
}

// Layers by hand, norms and other vectors left out.
TEST(ParameterCount, ByHandWhereNoLibraryKnowsTheFamily) {
  constexpr double kGated = 3;  // matrices of a gated FFN
  // Kimi K3: 69 KDA and 24 MLA layers, 896 experts that work at 3584.
  const double kda = 7168.0 * (5 * 96 * 128 + 96 + 128) + 128.0 * 96 * 128;
  const double mla =
      7168.0 * (1536 + 576) + 1536.0 * 96 * 192 + 512.0 * 96 * 256 + 2 * 7168.0 * 96 * 128;
  const double k3_moe =
      896 * kGated * 3584 * 3072 + kGated * 7168 * 2 * 3072 + 2 * 7168.0 * 3584 + 7168.0 * 896;
  expect_total("kimi-k3",
               2 * 163840.0 * 7168 + 69 * kda + 24 * mla + kGated * 7168 * 33792 + 92 * k3_moe);
  // MiniMax-M3: 60 layers of GQA, 57 of them with 4 index heads and a key of 128; 128 experts.
  const double gqa = 6144.0 * 128 * (64 + 4 + 4 + 64);
  expect_total("minimax-m3", 2 * 200064.0 * 6144 + 60 * gqa + 57 * 6144.0 * 5 * 128 +
                                 3 * kGated * 6144 * 12288 +
                                 57 * (129 * kGated * 6144 * 3072 + 6144.0 * 128));
  // DeepSeek-V4.1-Flash: as V4, with 384 experts of 2304; two n-gram tables 256 wide. Compressors
  // and indexers are a thousandth.
  const double v41_attention =
      5120.0 * (1280 + 512) + 1280.0 * 64 * 512 + 64.0 * 512 * 1024 + 8 * 1024.0 * 5120;
  expect_total("deepseek-v4.1-flash", 2 * 129280.0 * 5120 + 40 * v41_attention +
                                          40 * (385 * kGated * 5120 * 2304 + 5120.0 * 384) +
                                          (384006168.0 + 384016682.0) * 256);
  // Step-3.5-Flash: 12 full layers of 64 heads and 33 sliding ones of 96, each with a gate a head.
  const auto step = [](double heads) { return 4096 * (128 * (2 * heads + 16) + heads); };
  expect_total("step-3.5-flash", 2 * 128896.0 * 4096 + 12 * step(64) + 33 * step(96) +
                                     3 * kGated * 4096 * 11264 +
                                     42 * (289 * kGated * 4096 * 1280 + 4096.0 * 288));
  // Step-3 (arXiv 2507.19427 table 1): MFA of 64 heads of 256 with a query rank of 2048.
  const double mfa = 7168.0 * (2048 + 2 * 256) + 2048.0 * 64 * 256 + 7168.0 * 64 * 256;
  expect_total("step-3", 2 * 128815.0 * 7168 + 61 * mfa + 5 * kGated * 7168 * 18432 +
                             56 * (49 * kGated * 7168 * 5120 + 7168.0 * 48));
  // Pangu Pro MoE (arXiv 2505.21411): 64 experts of 1344 and shared ones of 5376 together.
  expect_total("pangu-pro-moe", 2 * 153376.0 * 5120 + 48 * 5120.0 * 128 * (2 * 40 + 16) +
                                    48 * (kGated * 5120 * (64 * 1344 + 5376) + 5120.0 * 64));
}

TEST(ParameterCount, ByHandOfFurtherFamilies) {
  constexpr double kGated = 3;  // matrices of a gated FFN
  const auto gqa = [](double hidden, double heads, double kv_heads, double dim) {
    return hidden * dim * (2 * heads + 2 * kv_heads);
  };
  // LongCat-Flash: 28 times two MLA layers, two dense FFNs and one MoE; 256 identity experts.
  const double mla =
      6144 * (1536.0 + 576) + 1536.0 * 64 * 192 + 512.0 * 64 * 256 + 64.0 * 128 * 6144;
  expect_total("longcat-flash", 2 * 131072.0 * 6144 + 56 * (mla + kGated * 6144 * 12288) +
                                    28 * (512 * kGated * 6144 * 2048 + 6144.0 * 768));
  // Ling 1T: 4 dense layers of 80.
  expect_total("ling-1t", 2 * 157184.0 * 8192 + 80 * gqa(8192, 64, 8, 128) +
                              4 * kGated * 8192 * 18432 +
                              76 * (257 * kGated * 8192 * 2048 + 8192.0 * 256));
  expect_total("mimo-7b",
               2 * 151680.0 * 4096 + 36 * (gqa(4096, 32, 8, 128) + kGated * 4096 * 11008));
  expect_total("deepseek-moe-16b", 2 * 102400.0 * 2048 + 28 * gqa(2048, 16, 16, 128) +
                                       kGated * 2048 * 10944 +
                                       27 * (66 * kGated * 2048 * 1408 + 2048.0 * 64));
  // Ring-flash-linear: 4 layers of softmax attention, 28 of lightning attention with a gate.
  expect_total("ring-flash-linear-2.0", 2 * 157184.0 * 4096 + 4 * gqa(4096, 32, 4, 128) +
                                            28 * 5 * 4096.0 * 4096 + kGated * 4096 * 9216 +
                                            31 * (257 * kGated * 4096 * 1024 + 4096.0 * 256));
  expect_total("grok-2", 2 * 131072.0 * 8192 + 64 * (gqa(8192, 64, 8, 128) + kGated * 8192 * 32768 +
                                                     8 * kGated * 8192 * 16384));
  // Hunyuan-Large (arXiv 2411.02265 table 1): every other layer has no keys and values of its own.
  expect_total("hunyuan-large", 128512.0 * 6400 + 64 * 2 * 6400.0 * 6400 + 32 * 2 * 6400.0 * 640 +
                                    64 * (17 * kGated * 6400 * 18304 + 6400.0 * 16));
  expect_total("minicpm3-4b",
               73448.0 * 2560 + 62 * (2560 * (768.0 + 288) + 768.0 * 40 * 96 + 256.0 * 40 * 128 +
                                      40.0 * 64 * 2560 + kGated * 2560 * 6400));
  expect_total(
      "llama-4-scout",
      2 * 202048.0 * 5120 + 48 * (gqa(5120, 40, 8, 128) + 17 * kGated * 5120 * 8192 + 5120.0 * 16));
}

double checkpoint_bytes(const json& config) {
  return imported(config).weight_bytes().value();
}

// Sizes of the published safetensors.
TEST(QuantizedBytes, AreThoseOfThePublishedCheckpoints) {
  // https://huggingface.co/openai/gpt-oss-120b and -20b: MXFP4, a scale for each 32 values.
  EXPECT_NEAR(checkpoint_bytes(config_of("gpt-oss-120b")) / 65248815744.0, 1.0, 1e-3);
  EXPECT_NEAR(checkpoint_bytes(config_of("gpt-oss-20b")) / 13761264768.0, 1.0, 1e-3);
  // Experts in groups of 32 INT4 values with a BF16 scale, the rest in BF16.
  EXPECT_NEAR(checkpoint_bytes(config_of("kimi-k2.5")) / 594.2e9, 1.0, 1e-3);
}

json llama_in(const json& quantization) {
  json config = checkpoint_config("llama-3.1-8b");
  config["quantization_config"] = quantization;
  return config;
}

// Llama 3.1 8B: 6.9793 billion weights in matrices of layers, the rest in BF16.
TEST(QuantizedBytes, FollowTheMethod) {
  const double matrices = 32.0 * (4096.0 * 4096 * 2 + 2 * 4096.0 * 1024 + 3 * 4096.0 * 14336);
  const double whole = checkpoint_bytes(checkpoint_config("llama-3.1-8b"));
  const auto expect = [&](double bytes_per_weight, const json& quantization) {
    EXPECT_NEAR(checkpoint_bytes(llama_in(quantization)),
                whole - matrices * (2.0 - bytes_per_weight), 1e-4 * whole)
        << quantization;
  };
  // Half a byte, and for 128 values a scale of 2 bytes and a zero point of half a byte.
  const double int4 = 0.5 + 2.5 / 128;
  expect(int4, json::parse(R"({"quant_method": "awq", "bits": 4, "group_size": 128,
      "zero_point": true, "version": "gemm", "modules_to_not_convert": null})"));
  expect(int4, json::parse(R"({"quant_method": "gptq", "bits": 4, "group_size": 128,
      "desc_act": false, "sym": true, "true_sequential": true, "damp_percent": 0.1})"));
  expect(int4, json::parse(R"({"quant_method": "auto-round", "bits": 4, "group_size": 128,
      "sym": true, "packing_format": "auto_round:auto_gptq", "iters": 1000})"));
  expect(0.5 + 1.0 / 32, json::parse(R"({"quant_method": "quark", "exclude": ["lm_head"],
      "global_quant_config": {"weight": {"dtype": "fp4", "group_size": 32},
                              "input_tensors": {"dtype": "fp4", "group_size": 32}}})"));
  expect(0.5 + 1.015625 / 64, json::parse(R"({"quant_method": "bitsandbytes",
      "load_in_4bit": true, "bnb_4bit_use_double_quant": true, "llm_int8_threshold": 6.0})"));
  expect(1.0, json::parse(R"({"quant_method": "compressed-tensors", "format": "float-quantized",
      "ignore": ["lm_head"], "config_groups": {"group_0": {"targets": ["Linear"],
      "input_activations": {"num_bits": 8, "type": "float", "dynamic": true},
      "weights": {"num_bits": 8, "type": "float", "strategy": "channel"}}}})"));
  expect(0.5 + 1.0 / 16, json::parse(R"({"quant_method": "modelopt", "quant_algo": "NVFP4",
      "ignore": ["lm_head"]})"));
  expect(1.0 + 4.0 / 16384, json::parse(R"({"quant_method": "fp8",
      "weight_block_size": [128, 128], "activation_scheme": "dynamic"})"));
}

TEST(QuantizedBytes, CountExemptProjectionsAsTheyAre) {
  const json all = json::parse(R"({"quant_method": "modelopt", "quant_algo": "FP8"})");
  const double quantized = checkpoint_bytes(llama_in(all));
  for (const char* pattern : {"re:.*o_proj", "*o_proj*", "o_proj",
                              "model.layers.*.self_attn.o_proj", "self_attn.o_proj"}) {
    json exempt = all;
    exempt["exclude_modules"] = {pattern};
    EXPECT_DOUBLE_EQ(checkpoint_bytes(llama_in(exempt)) - quantized, 32.0 * 4096 * 4096) << pattern;
  }
  json whole = all;
  whole["exclude_modules"] = {"model.layers.*.self_attn"};
  // With its norms.
  EXPECT_DOUBLE_EQ(checkpoint_bytes(llama_in(whole)) - quantized,
                   32.0 * 4096 * (2 * 4096 + 2 * 1024 + 1));
}

// NVIDIA's DeepSeek FP4 checkpoints: experts, dense FFNs and output projections quantized.
TEST(QuantizedBytes, AreReadFromTheFileBesideTheConfiguration) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "modelopt";
  std::filesystem::create_directories(folder);
  json config = checkpoint_config("deepseek-v3");
  config.erase("quantization_config");
  write_file(folder / "config.json", config.dump());
  json exempt = json::array({"lm_head"});
  for (int i = 0; i < 61; ++i) {
    for (const char* name : {"kv_a_proj_with_mqa", "kv_b_proj", "q_a_proj", "q_b_proj"}) {
      exempt.push_back("model.layers." + std::to_string(i) + ".self_attn." + name);
    }
  }
  write_file(folder / "hf_quant_config.json", json{{"producer", {{"name", "modelopt"}}},
                                                   {"quantization",
                                                    {{"quant_algo", "NVFP4"},
                                                     {"kv_cache_quant_algo", "FP8"},
                                                     {"group_size", 16},
                                                     {"exclude_modules", exempt}}}}
                                                  .dump());
  const auto result = import_huggingface(read_checkpoint_config(folder),
                                         {.name = "imported", .serve_in = std::nullopt});
  const ModelSpec model = model_of(result.model_json);
  const double experts = 58 * 257 * 3.0 * 7168 * 2048 + 3 * 3.0 * 7168 * 18432;
  const double outputs = 61 * 128.0 * 128 * 7168;
  const double rest = model.total_parameters() - experts - outputs;
  EXPECT_NEAR(model.weight_bytes().value() / (0.5625 * (experts + outputs) + 2 * rest), 1.0, 1e-4);
  EXPECT_NEAR(model.weight_bytes().value(), 386e9, 0.5e9);
  EXPECT_EQ(model.cache, Precision::fp8);
}

TEST(QuantizedBytes, ANameThatSaysQuantizedWithoutADescriptionIsRemarked) {
  const auto remarks = [](const std::string& file) {
    return import_huggingface(JsonDocument(file, checkpoint_config("llama-3.1-8b")),
                              {.name = "imported", .serve_in = std::nullopt})
        .assumptions;
  };
  using testing::Contains;
  using testing::HasSubstr;
  EXPECT_THAT(remarks("/models/Llama-FP8/config.json"),
              Contains(HasSubstr("the name says \"fp8\", but there is no quantization_config")));
  EXPECT_THAT(remarks("/models/Llama/config.json"), Not(Contains(HasSubstr("the name says"))));
}

}  // namespace
}  // namespace ridge::models
