// What an import does not understand it refuses, with the place, what it expected and what it
// found.
#include "huggingface_configs.hpp"
#include "ridge/models/huggingface.hpp"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge::models {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

// All problems, one per line; fails the test where there are none.
std::string refusal(const json& config) {
  try {
    (void)import_huggingface(JsonDocument("config.json", config), {.name = "imported"});
  } catch (const UserError& e) {
    return e.what();
  }
  ADD_FAILURE() << "imported";
  return {};
}

json changed(const std::string& model, const std::string& pointer, const json& value) {
  json config = checkpoint_config(model);
  config[json::json_pointer(pointer)] = value;
  return config;
}

json without(const std::string& model, const std::string& key) {
  json config = checkpoint_config(model);
  config.erase(key);
  return config;
}

TEST(HuggingFaceRefusal, AnUnknownFamilyNamesTheNearest) {
  const auto message = refusal(changed("deepseek-v3", "/model_type", "deepseek_v3a"));
  EXPECT_THAT(message,
              StartsWith("config.json: /model_type: expected a family that is understood"));
  EXPECT_THAT(message, HasSubstr("got \"deepseek_v3a\"; did you mean \"deepseek_v3\"?"));
  EXPECT_THAT(message, HasSubstr("--as FAMILY"));
}

TEST(HuggingFaceRefusal, AMissingFamilyIsSaid) {
  EXPECT_EQ(
      refusal(without("qwen3-8b", "model_type")),
      "config.json: missing key \"model_type\", which names the family of the checkpoint; --as "
      "names one too");
}

TEST(HuggingFaceRefusal, AnUnknownKeyIsNamedWithTheNearestKnownOne) {
  EXPECT_EQ(refusal(changed("qwen3-8b", "/num_attention_head", 32)),
            "config.json: /num_attention_head: not understood in the qwen3 family, and it might "
            "change the cost; did you mean \"num_attention_heads\"?; where you know that it does "
            "not, leave it out with --ignore num_attention_head");
}

TEST(HuggingFaceRefusal, AnUnknownKeyInsideAnObjectThatIsReadIsNamed) {
  EXPECT_THAT(refusal(changed("step-3.5-flash", "/attention_other_setting/kv_sharing", true)),
              StartsWith("config.json: /attention_other_setting/kv_sharing: not understood"));
}

TEST(HuggingFaceRefusal, AnUnknownKeyBesideTheTextConfigIsNamed) {
  EXPECT_THAT(refusal(changed("kimi-k2.5", "/cross_layer_sharing", 2)),
              StartsWith("config.json: /cross_layer_sharing: not understood"));
}

TEST(HuggingFaceRefusal, AMissingKeyIsNamed) {
  EXPECT_EQ(refusal(without("mixtral-8x7b", "num_experts_per_tok")),
            "config.json: missing key \"num_experts_per_tok\"");
  EXPECT_EQ(refusal(without("minimax-m1", "attn_type_list")),
            "config.json: missing key \"attn_type_list\"");
}

// Null says that there is no query compression; absence says nothing.
TEST(HuggingFaceRefusal, ADefaultForNullIsNoDefaultForAbsence) {
  EXPECT_EQ(refusal(without("deepseek-v3", "q_lora_rank")),
            "config.json: missing key \"q_lora_rank\"");
  const json config = changed("deepseek-v3", "/q_lora_rank", nullptr);
  const auto result = import_huggingface(JsonDocument("config.json", config), {.name = "imported"});
  EXPECT_THAT(result.assumptions, testing::Contains(HasSubstr("\"q_lora_rank\" is null")));
}

TEST(HuggingFaceRefusal, AWrongTypeIsToldWhereItStands) {
  EXPECT_EQ(refusal(changed("kimi-k2.5", "/text_config/hidden_size", "7168")),
            "config.json: /text_config/hidden_size: expected a whole number from 1 to 1048576, got "
            "\"7168\"");
  EXPECT_EQ(refusal(changed("qwen3-8b", "/num_hidden_layers", 36.5)),
            "config.json: /num_hidden_layers: expected a whole number from 0 to 10000, got 36.5");
  EXPECT_EQ(refusal(changed("qwen3-8b", "/tie_word_embeddings", "no")),
            "config.json: /tie_word_embeddings: expected true or false, got \"no\"");
}

TEST(HuggingFaceRefusal, AbsurdNumbersAreRefused) {
  EXPECT_THAT(refusal(changed("qwen3-8b", "/hidden_size", -4096)),
              StartsWith("config.json: /hidden_size: expected a whole number"));
  EXPECT_THAT(refusal(changed("qwen3-8b", "/num_hidden_layers", 1e18)),
              StartsWith("config.json: /num_hidden_layers: expected a whole number"));
  EXPECT_EQ(refusal(changed("qwen3-8b", "/num_hidden_layers", 0)),
            "config.json: expected at least one layer, got 0");
}

TEST(HuggingFaceRefusal, OtherBehaviorThanTheFamilysIsRefused) {
  EXPECT_EQ(refusal(changed("llama-3.1-8b", "/mlp_bias", true)),
            "config.json: /mlp_bias: expected false in the llama family, got true; any other is "
            "not understood");
  EXPECT_THAT(
      refusal(changed("minimax-m1", "/sliding_window", 4096)),
      StartsWith("config.json: /sliding_window: expected nothing in the minimax_m1 family"));
  EXPECT_THAT(refusal(changed("deepseek-v3", "/moe_layer_freq", 2)),
              StartsWith("config.json: /moe_layer_freq: expected 1"));
}

TEST(HuggingFaceRefusal, KeysThatContradictEachOtherAreBothNamed) {
  EXPECT_THAT(refusal(changed("deepseek-v3", "/num_key_value_heads", 8)),
              HasSubstr("expected 128, the value of \"num_attention_heads\","));
  EXPECT_THAT(refusal(changed("gpt-oss-20b", "/experts_per_token", 8)),
              HasSubstr("expected 4, the value of \"num_experts_per_tok\","));
  EXPECT_EQ(refusal(changed("gpt-oss-20b", "/num_hidden_layers", 23)),
            "config.json: /layer_types: expected 23 entries, one per layer, got 24");
  EXPECT_THAT(refusal(changed("qwen3-8b", "/num_key_value_heads", 7)),
              StartsWith("config.json: /num_key_value_heads: attention \"full\": query_heads (32) "
                         "is not a multiple of kv_heads (7)"));
  EXPECT_EQ(refusal(changed("llama-3.1-8b", "/num_attention_heads", 24)),
            "config.json: /num_attention_heads: hidden_size (4096) is not a multiple of "
            "num_attention_heads (24)");
  EXPECT_THAT(refusal(changed("mixtral-8x7b", "/num_experts_per_tok", 9)),
              StartsWith("config.json: /num_experts_per_tok: ffn \"moe\": top_k (9) is more than "
                         "experts (8)"));
  EXPECT_EQ(refusal(changed("llama-4-maverick", "/text_config/moe_layers", {0, 2})),
            "config.json: \"moe_layers\" and \"interleave_moe_layer_step\" contradict each other: "
            "layer 0 is moe by the one and dense by the other");
  EXPECT_EQ(refusal(changed("kimi-k2.5", "/tie_word_embeddings", true)),
            "config.json: /tie_word_embeddings: true contradicts the false at "
            "/text_config/tie_word_embeddings");
  EXPECT_EQ(refusal(changed("llama-3.1-8b", "/dtype", "float32")),
            "config.json: /dtype: \"float32\" contradicts torch_dtype \"bfloat16\"");
}

TEST(HuggingFaceRefusal, LayersThatDoNotExistAreRefused) {
  EXPECT_EQ(refusal(changed("step-3", "/text_config/moe_layers_enum", "4,5,61")),
            "config.json: /text_config/moe_layers_enum: expected a list of layers from 0 to 60, "
            "got 61");
  EXPECT_THAT(refusal(changed("step-3", "/text_config/moe_layers_enum", "4,5,x")),
              HasSubstr("/moe_layers_enum: expected a list of layers from 0 to 60, got \"4,5,x\""));
  EXPECT_EQ(refusal(changed("gpt-oss-20b", "/layer_types/3", "linear_attention")),
            "config.json: /layer_types/3: expected one of full_attention, sliding_attention, got "
            "\"linear_attention\"");
}

TEST(HuggingFaceRefusal, QuantizationIsUnderstoodOrRefused) {
  EXPECT_THAT(refusal(changed("deepseek-v3", "/quantization_config/quant_method", "hqq")),
              HasSubstr("config.json: /quantization_config/quant_method: expected one of "));
  EXPECT_THAT(refusal(changed("kimi-k2.5",
                              "/text_config/quantization_config/config_groups/group_0/weights/"
                              "num_bits",
                              3)),
              HasSubstr("/config_groups/group_0: a \"compressed-tensors\" format that is not "
                        "understood: "));
  EXPECT_THAT(refusal(changed("deepseek-v3", "/quantization_config/sparsity", 2)),
              HasSubstr("/quantization_config/sparsity: not understood"));
}

TEST(HuggingFaceRefusal, EveryProblemIsToldAtOnce) {
  json config = checkpoint_config("qwen3-8b");
  config["mlp_bias"] = true;
  config["layer_sharing"] = 2;
  config.erase("vocab_size");
  config["head_dim"] = "wide";
  const std::string message = refusal(config);
  EXPECT_THAT(message, HasSubstr("/mlp_bias"));
  EXPECT_THAT(message, HasSubstr("/layer_sharing"));
  EXPECT_THAT(message, HasSubstr("missing key \"vocab_size\""));
}

TEST(HuggingFaceRefusal, SomethingElseThanAConfigurationIsRefused) {
  EXPECT_EQ(refusal(json::array()),
            "config.json: expected the object of a config.json, got an array");
  EXPECT_THAT(refusal(json::object()), HasSubstr("missing key \"model_type\""));
  EXPECT_THAT(refusal({{"model_type", "kimi_k25"}}), HasSubstr("/model_type: expected a family"));
}

}  // namespace
}  // namespace ridge::models
