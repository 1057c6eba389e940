// What the reader of sweep scenarios refuses, and in what words: file, pointer, expected, found.
#include "ridge/sweep/sweep_scenario.hpp"

#include "json_schema.hpp"
#include "mutation.hpp"
#include "ridge/scenario/scenario_files.hpp"
#include "ridge/sweep/sweep.hpp"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::sweep {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

json valid() {
  return json::parse(R"({
    "kind": "sweep",
    "title": "a sweep",
    "base": {"kind": "cost", "model": "step-3", "chip": "h800", "context_tokens": 8192},
    "axes": [{"pointer": "/context_tokens", "values": [8192, 32768]}],
    "columns": ["effective_rank", "total_usd_per_Mtok"],
    "filters": [{"column": "effective_rank", "equals": 16384, "tolerance": 0.01}],
    "pareto": {"minimize": ["total_usd_per_Mtok"], "within": ["/context_tokens"]}
  })");
}

// What a user is told, or the empty string.
std::string complaint(const json& document) {
  try {
    (void)run_sweep(read_sweep(JsonDocument("x.json", document)), {});
    return "";
  } catch (const UserError& e) {
    return e.what();
  }
}

std::string complaint_with(const std::string& pointer, const std::string& value) {
  json document = valid();
  document[json::json_pointer(pointer)] = json::parse(value);
  return complaint(document);
}

TEST(SweepScenario, AcceptsTheDocumentThatTheseTestsBreak) {
  EXPECT_EQ(complaint(valid()), "");
}

TEST(SweepScenario, NamesTheFileThePointerTheExpectedAndTheFound) {
  EXPECT_EQ(complaint_with("/title", "7"), "x.json: /title: expected a string, got 7");
  EXPECT_EQ(complaint_with("/combine", R"("prodct")"),
            "x.json: /combine: expected one of product, zip, got \"prodct\"; did you mean "
            "\"product\"?");
  EXPECT_THAT(complaint_with("/columns/0", R"("efective_rank")"),
              AllOf(HasSubstr("x.json: /columns/0: expected one of total_parameters"),
                    HasSubstr("did you mean \"effective_rank\"?")));
  EXPECT_EQ(complaint_with("/axes/0/values", "[]"),
            "x.json: /axes/0/values: expected at least one value, got an array");
  EXPECT_EQ(complaint_with("/axes/0/values/1", "null"),
            "x.json: /axes/0/values/1: expected a number, a string, true or false, got null");
  EXPECT_THAT(complaint_with("/kind", R"("cost")"),
              HasSubstr("x.json: /kind: expected a scenario of kind \"sweep\", got \"cost\""));
  EXPECT_THAT(complaint_with("/base/kind", R"("cots")"),
              HasSubstr("x.json: /base/kind: expected one of cost"));
}

TEST(SweepScenario, TellsEveryProblemAtOnce) {
  json document = valid();
  document["title"] = 7;
  document["axes"][0]["mistyped"] = 1;
  document["filters"][0].erase("column");
  const std::string told = complaint(document);
  EXPECT_THAT(told, AllOf(HasSubstr("/title: expected a string"),
                          HasSubstr("/axes/0: unknown key \"mistyped\""),
                          HasSubstr("/filters/0: missing key \"column\"")));
}

TEST(SweepScenario, RefusesAPointerThatLeadsNowhereWithTheNearestOne) {
  json document = valid();
  document["axes"][0]["pointer"] = "/model/atention/mfa/query_heads";
  document["pareto"].erase("within");
  EXPECT_EQ(complaint(document),
            "x.json: /axes/0: there is no \"/model/atention/mfa/query_heads\" in the base; did you "
            "mean \"/model/attention/mfa/query_heads\"?");
}

TEST(SweepScenario, RefusesAKeyThatNobodyKnowsWithTheNearestOne) {
  json document = valid();
  document["axes"][0]["pointer"] = "/model/attention/mfa/query_hads";
  document["pareto"].erase("within");
  EXPECT_EQ(complaint(document),
            "x.json: /base/model/attention/mfa: unknown key \"query_hads\"; did you mean "
            "\"query_heads\"?");
}

TEST(SweepScenario, RefusesAnAxisValueThatTheQuestionWouldRefuse) {
  EXPECT_EQ(complaint_with("/axes/0/values/0", "0.5"),
            "x.json: /axes/0: /context_tokens: expected a number from 1 to 1000000000, got 0.5");
  json document = valid();
  document["axes"][0] = {{"pointer", "/model/attention/mfa/query_heads"}, {"values", {64, 0.5}}};
  document["pareto"].erase("within");
  EXPECT_EQ(complaint(document),
            "x.json: /axes/0: /model/attention/mfa/query_heads: expected a whole number from 1 to "
            "65536, got 0.5");
}

TEST(SweepScenario, RefusesAnUnknownModelOrChipWithTheNearestName) {
  EXPECT_THAT(complaint_with("/base/model", R"("step3")"),
              AllOf(HasSubstr("x.json: /base/model: expected the name of a model ("),
                    HasSubstr("got \"step3\"; did you mean \"step-3\"?")));
  json document = valid();
  document["axes"][0] = {{"pointer", "/chip"}, {"values", {"h800", "h80"}}};
  document["pareto"].erase("within");
  EXPECT_THAT(complaint(document),
              AllOf(HasSubstr("x.json: /base/chip: expected the name of an accelerator ("),
                    HasSubstr("got \"h80\"")));
  document = valid();
  document["references"] = {"qwen3-235b"};
  EXPECT_THAT(complaint(document), HasSubstr("got \"qwen3-235b\"; did you mean"));
}

TEST(SweepScenario, RefusesRangesThatGoNowhereOrTooFar) {
  const auto range = [](const char* axis) {
    json document = valid();
    document["axes"][0] = json::parse(axis);
    return complaint(document);
  };
  EXPECT_THAT(range(R"({"pointer": "/context_tokens", "from": 10, "to": 5, "step": 1})"),
              HasSubstr("/axes/0: expected \"to\" of at least 10, got 5"));
  EXPECT_THAT(range(R"({"pointer": "/context_tokens", "from": 1, "to": 5, "step": 0})"),
              HasSubstr("/axes/0/step: expected a number above 0, got 0"));
  EXPECT_THAT(range(R"({"pointer": "/context_tokens", "from": 1, "to": 5, "factor": 1})"),
              HasSubstr("/axes/0/factor: expected a number above 1, got 1"));
  EXPECT_THAT(range(R"({"pointer": "/context_tokens", "from": 0, "to": 5, "factor": 2})"),
              HasSubstr("/axes/0: expected \"from\" above 0 beside \"factor\", got 0"));
  EXPECT_THAT(range(R"({"pointer": "/context_tokens", "from": 1, "to": 5})"),
              HasSubstr("/axes/0: expected either \"step\" or \"factor\""));
  EXPECT_THAT(range(R"({"pointer": "/context_tokens", "from": 1, "to": 1e9, "step": 1e-3})"),
              HasSubstr("/axes/0: expected at most 1000000 values, got more"));
}

TEST(SweepScenario, RefusesMorePointsThanAnybodyCanWaitFor) {
  json document = valid();
  for (const char* key : {"query_heads", "head_dim"}) {
    document["axes"].push_back({{"pointer", std::string("/model/attention/mfa/") + key},
                                {"from", 1},
                                {"to", 60000},
                                {"step", 1}});
  }
  EXPECT_EQ(complaint(document), "x.json: /axes: expected at most 1e+09 points, got 7.2e+09");
}

TEST(SweepScenario, RefusesOnePointerInTwoAxes) {
  json document = valid();
  document["axes"].push_back(document["axes"][0]);
  EXPECT_THAT(complaint(document),
              HasSubstr("/axes/1: \"/context_tokens\" is moved by another axis already"));
}

TEST(SweepScenario, RefusesZippedAxesOfDifferentLengths) {
  json document = valid();
  document["combine"] = "zip";
  document["axes"].push_back({{"pointer", "/chip"}, {"values", {"h800", "h20", "a800"}}});
  EXPECT_THAT(complaint(document),
              HasSubstr("/axes/1: zipped axes are of one length; expected 2 values, got 3"));
}

TEST(SweepScenario, RefusesAColumnThatTheBaseCannotAnswer) {
  json document = valid();
  document["columns"] = {"afd_usd_per_Mtok"};
  EXPECT_THAT(complaint(document),
              HasSubstr("/columns/0: column \"afd_usd_per_Mtok\" needs \"afd_chips\" in the base"));
}

TEST(SweepScenario, RefusesAFilterOrAnObjectiveOnNames) {
  json document = valid();
  document["filters"][0]["column"] = "attention_bound";
  EXPECT_THAT(complaint(document),
              HasSubstr("/filters/0/column: column \"attention_bound\" holds names, not numbers"));
  document = valid();
  document["pareto"]["minimize"] = {"attention_bound"};
  EXPECT_THAT(complaint(document), HasSubstr("/pareto/minimize/0: column \"attention_bound\""));
}

TEST(SweepScenario, RefusesInvalidPointsWithTheFirstOfThemUnlessTheyAreToBeSkipped) {
  json document = valid();
  document["base"]["model"] = "qwen3-235b-a22b";
  document["axes"].push_back({{"pointer", "/model/attention/gqa/kv_heads"}, {"values", {4, 5, 6}}});
  document["filters"] = json::array();
  const std::string told = complaint(document);
  EXPECT_THAT(told, AllOf(HasSubstr("x.json: 4 of 6 points are invalid"),
                          HasSubstr("/context_tokens = 8192, /model/attention/gqa/kv_heads = 5"),
                          HasSubstr("query_heads (64) is not a multiple of kv_heads (5)")));
  document["invalid_points"] = "skip";
  const auto result = run_sweep(read_sweep(JsonDocument("x.json", document)), {});
  EXPECT_EQ(result.invalid(), 4U);
  EXPECT_EQ(result.kept(), 2U);
}

TEST(SweepScenario, KeepsThePromiseOfAModelThatCallsItselfMultiHead) {
  json document = valid();
  json model = json::parse(R"({"name": "m", "title": "m", "hidden": 64, "vocabulary": 64,
    "tied_embeddings": false, "precision": {"weights": "bf16", "compute": "bf16", "cache": "bf16",
    "attention_compute": "bf16", "activations": "bf16", "wire_dispatch": "bf16",
    "wire_combine": "bf16"},
    "attention": {"a": {"kind": "mha", "query_heads": 8, "kv_heads": 8, "head_dim": 8}},
    "ffn": {"f": {"kind": "dense", "intermediate": 64}},
    "layers": [{"repeat": 1, "pattern": [{"attention": "a", "ffn": "f"}]}], "sources": {}})");
  document["base"]["model"] = model;
  document["filters"] = json::array();
  document["axes"].push_back({{"pointer", "/model/attention/a/query_heads"}, {"values", {8, 16}}});
  EXPECT_THAT(complaint(document), HasSubstr("kind \"mha\" has as many KV heads as query heads"));
  document["axes"][1] = {
      {"pointers", {"/model/attention/a/query_heads", "/model/attention/a/kv_heads"}},
      {"values", {8, 16}}};
  EXPECT_EQ(complaint(document), "");
}

TEST(SweepScenario, EveryMistakeThatTheSchemaSeesTheReaderSeesToo) {
  static const test::JsonSchema schema("sweep-scenario");
  ASSERT_EQ(schema.violations(valid()), "");
  int invalid = 0;
  for (const auto& [description, document] : test::mutations(valid())) {
    if (schema.accepts(document)) continue;
    ++invalid;
    EXPECT_NE(complaint(document), "") << description;
  }
  EXPECT_GT(invalid, 100);
}

class ShippedSweep : public testing::TestWithParam<std::string> {};

std::vector<std::string> shipped_sweeps() {
  std::vector<std::string> names;
  for (const auto& name : scenario::scenario_names()) {
    if (name.starts_with("sweep-")) names.push_back(name);
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(Catalog, ShippedSweep, testing::ValuesIn(shipped_sweeps()),
                         [](const auto& shipped) {
                           std::string name = shipped.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(ShippedSweep, IsValid) {
  static const test::JsonSchema schema("sweep-scenario");
  const SweepScenario scenario = load_sweep(GetParam());
  EXPECT_EQ(schema.violations(scenario.document.json()), "");
  EXPECT_NO_THROW(check_sweep(scenario));
}

TEST(ShippedSweeps, OfHeadsHoldTheRankAndCompareAtEveryContext) {
  for (const char* name : {"sweep-mfa-heads", "sweep-mla-heads"}) {
    const SweepResult result = run_sweep(load_sweep(name), {});
    EXPECT_GT(result.kept(), 30U) << name;
    EXPECT_LT(result.kept(), result.points()) << name;
    ASSERT_EQ(result.references().size(), 2U) << name;
    for (const SweepResult& reference : result.references()) EXPECT_EQ(reference.kept(), 3U);
  }
}

}  // namespace
}  // namespace ridge::sweep
