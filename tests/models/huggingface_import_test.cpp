// Importing a checkpoint's configuration gives the model that Ridge ships for it.
#include "huggingface_configs.hpp"
#include "identifier.hpp"
#include "json_schema.hpp"
#include "model_text.hpp"
#include "mutation.hpp"
#include "ridge/base/file.hpp"
#include "ridge/models/huggingface.hpp"
#include "source_tree.hpp"

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge::models {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;

ImportResult import(const json& config, std::optional<Precision> serve_in = Precision::fp8) {
  return import_huggingface(JsonDocument("config.json", config),
                            {.name = "imported", .serve_in = serve_in});
}

json types_of_all(const char* type, int layers) {
  return std::vector<std::string>(static_cast<std::size_t>(layers), type);
}

class Checkpoint : public testing::TestWithParam<CheckpointConfig> {};

INSTANTIATE_TEST_SUITE_P(Configs, Checkpoint, testing::ValuesIn(checkpoint_configs()),
                         [](const auto& param) { return test::identifier_of(param.param.model); });

TEST_P(Checkpoint, ImportsToTheSameOperatorsAsTheShippedModel) {
  const ImportResult result = import(GetParam().config);
  EXPECT_EQ(text_of(model_of(result.model_json)), text_of(load_model(GetParam().model)));
}

TEST_P(Checkpoint, ImportsToAValidModelFileThatSaysWhatWasAssumed) {
  static const test::JsonSchema schema("model");
  const ImportResult result = import(GetParam().config);
  const json model = json::parse(result.model_json);
  EXPECT_EQ(schema.violations(model), "");
  EXPECT_EQ(model.at("name"), "imported");
  EXPECT_EQ(model.at("comment").get<std::vector<std::string>>(), result.assumptions);
  EXPECT_TRUE(model.at("sources").contains(""));
  EXPECT_TRUE(model.at("sources").contains("/precision"));
}

TEST_P(Checkpoint, ServedAsItShipsKeepsItsArchitecture) {
  const ModelSpec served = model_of(import(GetParam().config).model_json);
  const ModelSpec shipped = model_of(import(GetParam().config, std::nullopt).model_json);
  EXPECT_EQ(served.total_parameters(), shipped.total_parameters());
  EXPECT_LE(served.weight_bytes(), shipped.weight_bytes());
  EXPECT_EQ(shipped.cache, Precision::bf16);
}

// Whatever is wrong, it is said or it is harmless: never a crash, and never another exception.
TEST_P(Checkpoint, EverySmallMistakeIsRefusedOrTold) {
  int refused = 0;
  for (const auto& [description, document] : test::mutations(GetParam().config)) {
    try {
      (void)import(document);
    } catch (const UserError& e) {
      ++refused;
      EXPECT_THAT(e.what(), testing::StartsWith("config.json: ")) << description;
    }
  }
  EXPECT_GT(refused, 100);
}

TEST(HuggingFaceImport, CoversEveryShippedModel) {
  std::set<std::string> covered;
  for (const auto& checkpoint : checkpoint_configs()) covered.insert(checkpoint.model);
  for (const auto& name : model_names()) EXPECT_TRUE(covered.contains(name)) << name;
}

TEST(HuggingFaceImport, AnnouncesTheLayoutThatLlama4DoesNotGive) {
  const auto assumptions = import(checkpoint_config("llama-4-maverick")).assumptions;
  EXPECT_THAT(assumptions, Contains(HasSubstr("every 4th layer")));
  EXPECT_THAT(assumptions, Contains(HasSubstr("\"moe_layers\" is not given")));
}

TEST(HuggingFaceImport, TakesTheLayoutThatLlama4GivesOverTheAssumedOne) {
  json config = checkpoint_config("llama-4-maverick");
  json moe_layers = json::array();
  json no_rope_layers = json::array();
  for (int i = 0; i < 48; ++i) {
    if (i % 2 == 1) moe_layers.push_back(i);
    no_rope_layers.push_back((i + 1) % 4 == 0 ? 0 : 1);
  }
  config["text_config"]["moe_layers"] = moe_layers;
  config["text_config"]["no_rope_layers"] = no_rope_layers;
  const ImportResult result = import(config);
  EXPECT_EQ(text_of(model_of(result.model_json)), text_of(load_model("llama-4-maverick")));
  EXPECT_THAT(result.assumptions, Not(Contains(HasSubstr("every 4th layer"))));
  EXPECT_THAT(result.assumptions, Not(Contains(HasSubstr("moe_layers"))));
}

TEST(HuggingFaceImport, AnnouncesEveryDefaultItTakes) {
  json config = checkpoint_config("llama-3.1-8b");
  EXPECT_THAT(import(config).assumptions,
              Contains("\"head_dim\" is not given; taken as 128: hidden_size / "
                       "num_attention_heads"));
  config["head_dim"] = 64;
  config.erase("torch_dtype");
  config.erase("mlp_bias");
  const auto assumptions = import(config).assumptions;
  EXPECT_THAT(assumptions, Not(Contains(HasSubstr("head_dim"))));
  EXPECT_THAT(assumptions, Contains(HasSubstr("\"torch_dtype\" is not given")));
  EXPECT_THAT(assumptions, Contains("not given and taken: \"mlp_bias\" as false"));
}

TEST(HuggingFaceImport, ServedAsItShipsAnFp8CheckpointMultipliesInFp8OverABf16Cache) {
  const ModelSpec model =
      model_of(import(checkpoint_config("deepseek-v3"), std::nullopt).model_json);
  EXPECT_EQ(model.precisions.weights, Precision::fp8);
  EXPECT_EQ(model.precisions.compute, Precision::fp8);
  EXPECT_EQ(model.attention_compute, Precision::bf16);
  EXPECT_EQ(model.cache, Precision::bf16);
}

TEST(HuggingFaceImport, ServedAsItShipsMxfp4ExpertsMultiplyInBf16BesideBf16Attention) {
  const ModelSpec model =
      model_of(import(checkpoint_config("gpt-oss-20b"), std::nullopt).model_json);
  EXPECT_EQ(model.precisions.weights, Precision::bf16);
  EXPECT_EQ(model.ffns.front().weights, Precision::fp4);
  EXPECT_EQ(model.ffns.front().compute, Precision::bf16);
}

TEST(HuggingFaceImport, KeepsInt4ExpertsButNotTheSharedOnesThatTheCheckpointLeavesAlone) {
  const json config = checkpoint_config("kimi-k2.5");
  for (const auto& [serve_in, shared] : {std::pair(std::optional(Precision::fp8), Precision::fp8),
                                         std::pair(std::optional<Precision>(), Precision::bf16)}) {
    const ModelSpec model = model_of(import(config, serve_in).model_json);
    const auto moe = std::find_if(model.ffns.begin(), model.ffns.end(),
                                  [](const auto& block) { return kind_name(block) == "moe"; });
    EXPECT_EQ(moe->weights, Precision::int4);
    EXPECT_EQ(std::get<MoeFfn>(moe->kind).shared_weights, OwnFormat(WeightFormat{shared}));
  }
}

// Every operator that multiplies does so in the precision asked for, no weights lie in a wider one,
// and the cache and the tokens on their way to experts have it. What a family serves in a format of
// its own stays: an indexer's scores, the few coefficients that mix residual streams, and the cache
// of blocks whose family says so.
TEST(HuggingFaceImport, ThePrecisionAskedForReachesAllThatItSays) {
  std::vector<std::pair<std::string, json>> configs;
  for (const auto& [name, config] : checkpoint_configs()) configs.emplace_back(name, config);
  for (const auto& item : further_checkpoint_configs().items()) {
    configs.emplace_back(item.key(), item.value());
  }
  for (const auto& [name, config] : configs) {
    for (const Precision asked : {Precision::bf16, Precision::fp8, Precision::fp4}) {
      SCOPED_TRACE(fmt::format("{} in {}", name, name_of(asked)));
      const ModelSpec model = model_of(import(config, asked).model_json);
      EXPECT_EQ(model.attention_compute, asked);
      EXPECT_EQ(model.cache, asked);
      EXPECT_EQ(model.precisions.wire_dispatch, asked);
      for (const LayerSpec layer : model.layer_sequence()) {
        OperatorList list;
        attention_operators(model.attentions[layer.attention], model.precisions, model.hidden,
                            {.sequences = 3, .context = 20000}, {}, MlaCount::absorbed, list);
        ffn_operators(model.ffns[layer.ffn], model.precisions, model.hidden, 5, {}, list);
        const Precision cache = model.attentions[layer.attention].own_cache.value_or(asked);
        for (const Operator& op : list) {
          SCOPED_TRACE(op.name);
          if (op.name == "stream_coefficients" || op.kernel() == Kernel::index_scores) continue;
          if (const auto* gemm = std::get_if<Gemm>(&op.shape)) {
            EXPECT_EQ(gemm->compute, asked);
            EXPECT_LE(bytes_per_value(gemm->weights), bytes_per_value(asked));
          } else if (const auto* grouped = std::get_if<GroupedGemm>(&op.shape)) {
            EXPECT_EQ(grouped->compute, asked);
            EXPECT_LE(bytes_per_value(grouped->weights), bytes_per_value(asked));
          } else if (const auto* attention = std::get_if<DecodeAttention>(&op.shape)) {
            EXPECT_EQ(attention->compute, asked);
            EXPECT_EQ(attention->cache, cache);
          }
        }
      }
    }
  }
}

TEST(HuggingFaceImport, NamesTheModelTypesItUnderstands) {
  const auto types = importable_model_types();
  EXPECT_TRUE(std::is_sorted(types.begin(), types.end()));
  EXPECT_EQ(std::set(types.begin(), types.end()).size(), types.size()) << "a type in two families";
  EXPECT_THAT(types, Contains("deepseek_v3"));
}

std::string error_of(const json& config, const ImportOptions& options = {.name = "imported"}) {
  try {
    (void)import_huggingface(JsonDocument("config.json", config), options);
  } catch (const UserError& e) {
    return e.what();
  }
  return {};
}

// Configurations written by other tools carry keys that say "nothing", and none of them changes a
// figure.
TEST(HuggingFaceImport, ANeutralKeyIsNoReasonToRefuse) {
  const json plain = checkpoint_config("llama-3.1-8b");
  const std::string expected = text_of(model_of(import(plain).model_json));
  const json neutral = {{"qk_fusion", false},
                        {"extra_experts", 0},
                        {"adapter", nullptr},
                        {"prefix_tokens", json::array()},
                        {"sparsity", {{"enabled", false}, {"blocks", 0}}},
                        {"layer_types", types_of_all("full_attention", 32)},
                        {"unsloth_fixed", true},
                        {"_note", "anything"},
                        {"vision_start_token_id", 7},
                        {"time_step_limit", {0, "Infinity"}}};
  for (const auto& item : neutral.items()) {
    json config = plain;
    config[item.key()] = item.value();
    EXPECT_EQ(text_of(model_of(import(config).model_json)), expected) << item.key();
  }
  json config = plain;
  config["extra_experts"] = 0;
  EXPECT_THAT(import(config).assumptions,
              Contains("not understood, but without effect at their values: \"extra_experts\""));
}

TEST(HuggingFaceImport, AKeyThatMattersIsRefusedUnlessItIsIgnoredOnRequest) {
  json config = checkpoint_config("llama-3.1-8b");
  config["extra_experts"] = 4;
  EXPECT_THAT(error_of(config), HasSubstr("--ignore extra_experts"));
  for (const char* key : {"extra_experts", "/extra_experts"}) {
    const ImportResult result = import_huggingface(JsonDocument("config.json", config),
                                                   {.name = "imported", .ignore = {key}});
    EXPECT_THAT(result.assumptions, Contains(HasSubstr("ignored on request: ")));
    EXPECT_EQ(text_of(model_of(result.model_json)),
              text_of(model_of(import(checkpoint_config("llama-3.1-8b")).model_json)));
  }
  EXPECT_EQ(error_of(config, {.name = "imported", .ignore = {"extra_expert"}}),
            "--ignore: there is no key \"extra_expert\" in config.json");
}

TEST(HuggingFaceImport, AnUnknownFamilyIsReadAsOneOfTheSameLayersOnRequest) {
  json config = checkpoint_config("llama-3.1-8b");
  config["model_type"] = "my_llama";
  const ImportResult result =
      import_huggingface(JsonDocument("config.json", config), {.name = "imported", .as = "llama"});
  EXPECT_THAT(result.assumptions, Contains("read as the llama family on request; the configuration "
                                           "says \"my_llama\""));
  EXPECT_THAT(error_of(config, {.name = "imported", .as = "lama"}),
              HasSubstr("did you mean \"llama\"?"));
}

TEST(HuggingFaceImport, LiteralsThatAreNoJsonAreReadWhereTheyMeanNothingAndNamedElsewhere) {
  const std::filesystem::path folder =
      std::filesystem::path(testing::TempDir()) / "not_finite_literals";
  std::filesystem::create_directories(folder);
  json config = checkpoint_config("llama-3.1-8b");
  config["time_step_limit"] = {0.0, "HERE"};
  config["comment_NaN"] = "";
  const auto written = [&](const std::string& key) {
    std::string text = config.dump(1);
    const auto at = text.find("\"HERE\"");
    text.replace(at, 6, "Infinity");
    if (!key.empty()) {
      const auto value = text.find("4096", text.find(key));
      text.replace(value, 4, "NaN");
    }
    write_file(folder / "config.json", text);
    return read_checkpoint_config(folder);
  };
  EXPECT_NO_THROW((void)import_huggingface(written(""), {.name = "imported"}));
  try {
    (void)import_huggingface(written("hidden_size"), {.name = "imported"});
    ADD_FAILURE() << "NaN was read as a size";
  } catch (const UserError& e) {
    EXPECT_THAT(e.what(), HasSubstr("/hidden_size: expected a whole number"));
    EXPECT_THAT(e.what(), HasSubstr("got \"NaN\""));
  }
}

TEST(HuggingFaceImport, AConfigurationGivenForAModelIsImportedOnTheFly) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "my-checkpoint";
  std::filesystem::create_directories(folder);
  write_file(folder / "config.json", checkpoint_config("qwen3-8b").dump());
  for (const auto& path : {folder, folder / "config.json"}) {
    const ModelSpec model = load_model(path.string());
    EXPECT_EQ(model.name, "my-checkpoint");
    EXPECT_EQ(text_of(model), text_of(load_model("qwen3-8b")));
  }
}

TEST(HuggingFaceImport, AllLayersOfTheGivenKindAreSlidingWhereTheWindowIsGiven) {
  json config = checkpoint_config("llama-3.1-8b");
  config["model_type"] = "mistral";
  config["sliding_window"] = 4096;
  const ModelSpec sliding = model_of(import(config).model_json);
  EXPECT_EQ(sliding.attentions.at(0).window->tokens, 4096);
  config["sliding_window"] = nullptr;
  EXPECT_FALSE(model_of(import(config).model_json).attentions.at(0).window.has_value());
}

// A family that is "like" another is complete with it; the reader has checked that already.
TEST(HuggingFaceImport, EveryOtherLayerReadsTheKeysAndValuesOfTheOneBeforeWhereItIsSo) {
  const auto cache_per_token = [](bool shared) {
    json config = further_checkpoint_configs().at("hunyuan-large");
    config["use_cla"] = shared;
    return model_of(import_huggingface(JsonDocument("config.json", config),
                                       {.name = "imported", .serve_in = std::nullopt})
                        .model_json)
        .cache_bytes_per_token()
        .value();
  };
  // Keys and values of 8 heads of 80 in BF16, in each of 64 layers or of 32.
  EXPECT_EQ(cache_per_token(false), 64.0 * 2 * 8 * 80 * 2);
  EXPECT_EQ(cache_per_token(true), 32.0 * 2 * 8 * 80 * 2);
}

TEST(HuggingFaceImport, TheContextThatACheckpointWasMadeForIsTheModels) {
  const auto limit = [](const std::string& name) {
    return model_of(import(further_checkpoint_configs().at(name)).model_json).context_limit;
  };
  EXPECT_EQ(limit("phi-4-mini"), 131072);
  EXPECT_EQ(limit("dbrx"), 32768);
  EXPECT_EQ(limit("mixtral-8x22b"), 0);  // not said
}

TEST(HuggingFaceFamilies, AreValidBySchema) {
  const test::JsonSchema schema("huggingface_family");
  int files = 0;
  for (const auto& path : test::source_files("models/data/huggingface/families", {".json"})) {
    ++files;
    const json family = json::parse(
        test::source_text(std::filesystem::relative(path, test::source_path(".")).string()));
    EXPECT_EQ(schema.violations(family), "") << path;
  }
  EXPECT_GE(files, 55);
}

}  // namespace
}  // namespace ridge::models
