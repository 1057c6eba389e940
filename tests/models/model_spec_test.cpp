// A whole model: its layers in order, what it stores, and what its reader refuses.
#include "ridge/models/model_spec.hpp"

#include "find_operator.hpp"
#include "model_text.hpp"
#include "ridge/base/keys.hpp"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::models {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

// Two kinds of attention and of FFN, small enough to count in one's head.
json small() {
  return json::parse(R"({
    "name": "small", "title": "Small", "hidden": 10, "vocabulary": 100, "tied_embeddings": false,
    "precision": {"weights": "fp8", "compute": "fp8", "cache": "bf16", "attention_compute": "bf16",
                  "activations": "bf16", "wire_dispatch": "fp8", "wire_combine": "bf16"},
    "attention": {
      "full": {"kind": "gqa", "query_heads": 4, "kv_heads": 2, "head_dim": 5},
      "sliding": {"kind": "gqa", "query_heads": 4, "kv_heads": 2, "head_dim": 5,
                  "window": {"kind": "sliding", "tokens": 8}, "cache_precision": "fp8"}},
    "ffn": {
      "dense": {"kind": "dense", "intermediate": 20},
      "moe": {"kind": "moe", "experts": 4, "top_k": 2, "expert_intermediate": 6,
              "weights_precision": "int4"}},
    "layers": [
      {"repeat": 1, "pattern": [{"attention": "full", "ffn": "dense"}]},
      {"repeat": 2, "pattern": [{"attention": "sliding", "ffn": "moe"},
                                {"attention": "full", "ffn": "moe"}]}],
    "sources": {"": "made up"}})");
}

ModelSpec model(const json& document) {
  return model_of(document.dump());
}

std::string model_refusal(const json& document) {
  try {
    (void)model(document);
  } catch (const UserError& e) {
    return e.what();
  }
  ADD_FAILURE() << "read";
  return {};
}

TEST(ModelSpec, LaysOutItsLayersInOrder) {
  const ModelSpec spec = model(small());
  std::vector<std::string> names;
  for (const LayerSpec& layer : spec.layer_sequence()) {
    names.push_back(spec.attentions[layer.attention].name + "/" + spec.ffns[layer.ffn].name);
  }
  EXPECT_THAT(names,
              ElementsAre("full/dense", "sliding/moe", "full/moe", "sliding/moe", "full/moe"));
  EXPECT_EQ(spec.layers(), 5);
  EXPECT_EQ(spec.layers_with_attention(spec.layer_sequence()[1].attention), 2);
  EXPECT_EQ(spec.layers_with_ffn(spec.layer_sequence()[1].ffn), 4);
}

// Attention 10 x 5 x (2 x 4 + 2 x 2) + 10, dense 3 x 10 x 20 + 10, an expert 3 x 10 x 6.
TEST(ModelSpec, CountsItsParametersByHand) {
  const ModelSpec spec = model(small());
  constexpr double kAttention = 600 + 10;
  constexpr double kDenseFfn = 600 + 10;
  constexpr double kExpert = 180;
  constexpr double kRouterAndNorm = 4 * 10 + 10;
  EXPECT_EQ(spec.total_parameters(),
            2 * 1000 + 10 + 5 * kAttention + kDenseFfn + 4 * (4 * kExpert + kRouterAndNorm));
  EXPECT_EQ(spec.active_parameters(),
            1000 + 10 + 5 * kAttention + kDenseFfn + 4 * (2 * kExpert + kRouterAndNorm));
  json tied = small();
  tied["tied_embeddings"] = true;
  EXPECT_EQ(spec.total_parameters() - model(tied).total_parameters(), 1000);
  EXPECT_EQ(spec.active_parameters(), model(tied).active_parameters());
}

TEST(ModelSpec, StoresEachPartAtItsPrecision) {
  const ModelSpec spec = model(small());
  EXPECT_EQ(spec.weight_bytes().value(),
            2.0 * 2000 + 5 * 610 + 610 + 0.5 * 4 * (720 + 10) + 2.0 * 4 * 40);
}

TEST(ModelSpec, KeepsItsCacheByLayerKind) {
  const ModelSpec spec = model(small());
  // 20 values per token: three full layers in BF16, two sliding ones in FP8 up to 8 tokens.
  EXPECT_EQ(spec.cache_bytes(100).value(), 3.0 * 100 * 20 * 2 + 2.0 * 8 * 20);
  EXPECT_EQ(spec.cache_bytes_per_token().value(), 3.0 * 20 * 2 + 2.0 * 20);
}

TEST(ModelSpec, ItsHeadReadsTheVocabularyInBf16) {
  OperatorList list;
  head_operators(model(small()), 7, 4, list);
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(demand(list[1]).flop.value(), 2.0 * 7 * 25 * 10);
  EXPECT_EQ(demand(list[1]).weights.value(), 2.0 * 25 * 10);
}

// Of 3 values in the one dense layer: a table of 100 rows (or 40) and a projection from 10, a norm,
// and in the layer gate, projection and norm.
TEST(ModelSpec, LayersWithAnInputOfTheirOwnReadATableAndAProjection) {
  json own = small();
  own["ffn"]["dense"]["layer_input"] = 3;
  const ModelSpec spec = model(own);
  const double in_layer = 2 * 3 * 10 + 10;
  EXPECT_EQ(spec.layer_inputs(), 3);
  EXPECT_EQ(spec.total_parameters() - model(small()).total_parameters(),
            3 * (100 + 10) + 3 + in_layer);
  EXPECT_EQ(spec.active_parameters() - model(small()).active_parameters(), 3 * 10 + in_layer);
  EXPECT_EQ((spec.weight_bytes() - model(small()).weight_bytes()).value(),
            2.0 * (3 * 110 + 3) + in_layer);
  OperatorList list;
  head_operators(spec, 7, 4, list);
  EXPECT_EQ(demand(find(list, "layer_inputs_projection")).flop.value(), 2.0 * 7 * 3 * 10);
  EXPECT_EQ(demand(find(list, "layer_inputs")).activations_read.value(), 2.0 * 7 * 2 * 3);
  own["layer_input_vocabulary"] = 40;
  EXPECT_EQ(spec.total_parameters() - model(own).total_parameters(), 3 * 60);
}

TEST(ModelSpec, RemarksAContextBeyondWhatItWasMadeForWhereThatIsKnown) {
  ModelSpec model;
  model.name = "short";
  EXPECT_EQ(context_remark(model, 1e9), "");
  model.context_limit = 8192;
  EXPECT_EQ(context_remark(model, 8192), "");
  EXPECT_EQ(context_remark(model, 8193),
            "short: 8193 tokens of context are more than the 8192 that it was made for");
}

TEST(ModelReader, BlocksTakeTheModelsPrecisionsUnlessTheySaySo) {
  const ModelSpec spec = model(small());
  EXPECT_EQ(spec.attentions[0].cache, Precision::bf16);
  EXPECT_EQ(spec.attentions[1].cache, Precision::fp8);
  EXPECT_EQ(spec.ffns[0].weights, Precision::fp8);
  EXPECT_EQ(spec.ffns[1].weights, Precision::int4);
  EXPECT_EQ(spec.ffns[1].compute, Precision::fp8);
}

TEST(ModelReader, ALayerNamesABlockThatExists) {
  json document = small();
  document["layers"][1]["pattern"][0]["ffn"] = "mo";
  EXPECT_EQ(model_refusal(document),
            "model.json: /layers/1/pattern/0/ffn: expected one of dense, moe, got \"mo\"; did you "
            "mean \"moe\"?");
}

TEST(ModelReader, ASourceSpeaksForSomethingThatExists) {
  json document = small();
  document["sources"]["/attention/linear"] = "somewhere";
  EXPECT_EQ(model_refusal(document),
            "model.json: /sources/~1attention~1linear: there is no \"/attention/linear\" in this "
            "model");
}

TEST(ModelReader, ScalesOfABlockStandBesideThePrecisionOfItsWeights) {
  json document = small();
  const json scales = {{"group", 128}, {"bytes", 4}};
  document["attention"]["full"]["weights_scales"] = scales;
  document["ffn"]["moe"]["shared_weights_scales"] = scales;
  const std::string message = model_refusal(document);
  EXPECT_THAT(message, HasSubstr("/attention/full/weights_scales: these are scales of weights in "
                                 "\"weights_precision\", which is missing"));
  EXPECT_THAT(message, HasSubstr("/ffn/moe/shared_weights_scales: these are scales of weights in "
                                 "\"shared_weights_precision\", which is missing"));
  document = small();
  document["ffn"]["moe"]["weights_scales"] = scales;
  EXPECT_DOUBLE_EQ(model(document).ffns[1].weight_scales.bytes_per_weight(), 4.0 / 128);
}

// What was read is all that the file says.
TEST(ModelReader, AModelIsWrittenAsItWasRead) {
  EXPECT_EQ(json::parse(json_text(model(small()))), small());
  for (const std::string& name : model_names()) {
    const json document = model_document(name).json();
    json written = json::parse(json_text(load_model(name)));
    for (const char* aside : {"$schema", "comment"}) {
      if (document.contains(aside)) written[aside] = document[aside];
    }
    // Keys at their defaults are left out.
    EXPECT_EQ(json::parse(json_text(model(written))), json::parse(json_text(load_model(name))));
    for (const auto& [key, value] : written.items()) EXPECT_TRUE(document.contains(key)) << key;
  }
}

TEST(ModelReader, ValuesThatContradictEachOtherAreToldByBlock) {
  json heads = small();
  heads["attention"]["full"]["kv_heads"] = 3;
  EXPECT_EQ(model_refusal(heads),
            "model.json: /attention/full/kv_heads: attention \"full\": query_heads (4) is not a "
            "multiple of kv_heads (3)");
  json experts = small();
  experts["ffn"]["moe"]["top_k"] = 5;
  EXPECT_EQ(model_refusal(experts),
            "model.json: /ffn/moe/top_k: ffn \"moe\": top_k (5) is more than experts (4)");
}

TEST(ModelReader, TheNamesOfGroupedQueryAttentionMeanWhatTheySay) {
  json document = small();
  document["attention"]["full"]["kind"] = "mha";
  EXPECT_THAT(model_refusal(document), HasSubstr("as many KV heads as query heads, got 2 and 4"));
  document["attention"]["full"]["kind"] = "mqa";
  EXPECT_THAT(model_refusal(document), HasSubstr("one KV head, got kv_heads 2"));
  document["attention"]["full"]["kv_heads"] = 1;
  EXPECT_NO_THROW((void)model(document));
}

TEST(ModelReader, AnUnknownKindIsOneProblemAndNotOnePerKey) {
  json document = small();
  document["attention"]["full"]["kind"] = "mfla";
  document["ffn"]["moe"]["kind"] = "sparse";
  EXPECT_EQ(model_refusal(document),
            "model.json: /attention/full/kind: expected one of gqa, mqa, mha, mfa, mla, "
            "linear_state, compressed, mamba2, none, got \"mfla\"; did you mean \"mfa\"?\n"
            "model.json: /ffn/moe/kind: expected one of dense, moe, none, got \"sparse\"");
}

TEST(ModelReader, ARecurrentStateHasNoWindowAndNoCache) {
  json document = small();
  document["attention"]["full"] = json::parse(R"({
      "kind": "linear_state", "key_heads": 2, "value_heads": 2, "key_dim": 5, "value_dim": 5,
      "flop_per_state_value": 7, "state_precision": "fp32",
      "window": {"kind": "sliding", "tokens": 8}, "cache_precision": "fp8"})");
  const std::string message = model_refusal(document);
  EXPECT_THAT(message, HasSubstr("unknown key \"window\""));
  EXPECT_THAT(message, HasSubstr("unknown key \"cache_precision\""));
}

TEST(ModelReader, EveryProblemIsToldAtOnce) {
  json document = small();
  document["hidden"] = -1;
  document["vocabulary"] = "many";
  document.erase("title");
  document["color"] = "red";
  EXPECT_EQ(model_refusal(document),
            "model.json: missing key \"title\"\n"
            "model.json: /hidden: expected a whole number from 1 to 1048576, got -1\n"
            "model.json: /vocabulary: expected a whole number from 1 to 16777216, got \"many\"\n"
            "model.json: unknown key \"color\"");
}

}  // namespace
}  // namespace ridge::models
