// Values put at JSON pointers of a scenario, and mistakes in parts.
#include "ridge/scenario/overrides.hpp"

#include "ridge/base/error.hpp"
#include "ridge/scenario/cost_scenario.hpp"
#include "ridge/scenario/scenario_files.hpp"
#include "ridge/scenario/simulation_scenario.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::scenario {
namespace {

using nlohmann::json;
using testing::HasSubstr;

JsonDocument shipped() {
  return JsonDocument::read(scenario_path("step3-2a2f-4k-fp8"));
}

json with(const json& values) {
  Library library;
  return with_values(shipped(), JsonDocument("overrides", values), library).json();
}

std::vector<Mistake> mistakes(const json& values) {
  try {
    (void)with(values);
  } catch (const UserError& e) {
    return e.mistakes();
  }
  return {};
}

TEST(Overrides, ReplaceWhatIsThereAndAddALastKey) {
  const json out = with({{"/deployment/micro_batches", 2}, {"/seed", 7}});
  EXPECT_EQ(out["deployment"]["micro_batches"], 2);
  EXPECT_EQ(out["seed"], 7);
  EXPECT_EQ(out["model"], shipped().json()["model"]);
}

TEST(Overrides, PutADocumentInPlaceOfItsNameWhereAPointerReachesInside) {
  const json out = with({{"/model/vocabulary", 1000}, {"/deployment/pools/ffn/chip/title", "x"}});
  json model = models::model_document(shipped().json()["model"]).json();
  model["vocabulary"] = 1000;
  EXPECT_EQ(out["model"], model);
  EXPECT_EQ(out["deployment"]["pools"]["ffn"]["chip"]["title"], "x");
  EXPECT_TRUE(out["deployment"]["pools"]["attention"]["chip"].is_string());
}

TEST(Overrides, PutAWholeDocumentBeforeWhatChangesWithinIt) {
  const json model = models::model_document(shipped().json()["model"]).json();
  const json out = with({{"/model/vocabulary", 1000}, {"/model", model}});
  EXPECT_EQ(out["model"]["vocabulary"], 1000);
}

TEST(Overrides, ThatLeadNowhereAreToldEachWithTheNearest) {
  const auto told = mistakes({{"/deployment/pool/ffn", 1}, {"/title/x", 1}, {"seed", 1}});
  ASSERT_EQ(told.size(), 3U);
  EXPECT_EQ(told[0].pointer, "/deployment/pool/ffn");
  EXPECT_THAT(told[0].file, HasSubstr("step3-2a2f-4k-fp8.json"));
  EXPECT_THAT(told[0].message, HasSubstr("leads nowhere"));
  EXPECT_THAT(told[1].message, HasSubstr("leads nowhere"));
  EXPECT_THAT(told[2].message, HasSubstr("expected a JSON pointer"));
}

TEST(Overrides, AreAnObject) {
  EXPECT_THAT(mistakes(json::array()).front().message, HasSubstr("expected an object"));
}

TEST(Mistakes, OfAScenarioComeInParts) {
  json document = shipped().json();
  document["deployment"]["micro_batches"] = 0;
  document["model"] = "step-33";
  try {
    Library library;
    (void)resolve(read_scenario(JsonDocument("asked", document)), library);
    FAIL() << "not refused";
  } catch (const UserError& e) {
    ASSERT_EQ(e.mistakes().size(), 2U);
    for (const Mistake& m : e.mistakes()) EXPECT_EQ(m.file, "asked");
    EXPECT_EQ(e.mistakes()[0].pointer, "/deployment/micro_batches");
    EXPECT_THAT(e.mistakes()[1].message, HasSubstr("did you mean \"step-3\""));
  }
}

TEST(CostScenario, HoldsModelsAndChipsThemselves) {
  const json named = {{"kind", "cost"},
                      {"title", "a question"},
                      {"models", {"step-3"}},
                      {"chips", {"h800"}},
                      {"context_tokens", {8192}}};
  json whole = named;
  whole["models"][0] = models::model_document("step-3").json();
  whole["chips"][0] = hw::chip_document("h800").json();
  Diagnostics diagnostics;
  const auto a = read_cost_scenario(JsonDocument("a", named));
  const auto b = read_cost_scenario(JsonDocument("b", whole));
  EXPECT_EQ(models_of(a, diagnostics).front().total_parameters(),
            models_of(b, diagnostics).front().total_parameters());
  EXPECT_EQ(chips_of(a, diagnostics).front().title, chips_of(b, diagnostics).front().title);
  EXPECT_TRUE(diagnostics.ok());
}

TEST(CostScenario, TellsEveryNameThatIsNotKnown) {
  const json wrong = {{"kind", "cost"},
                      {"title", "a question"},
                      {"models", {"step-33"}},
                      {"chips", {"h800", "h80"}},
                      {"context_tokens", {8192}}};
  Diagnostics diagnostics;
  const auto scenario = read_cost_scenario(JsonDocument("asked", wrong));
  EXPECT_TRUE(models_of(scenario, diagnostics).empty());
  EXPECT_EQ(chips_of(scenario, diagnostics).size(), 1U);
  ASSERT_EQ(diagnostics.errors().size(), 2U);
  EXPECT_THAT(diagnostics.errors()[0], HasSubstr("asked: /models/0: expected"));
  EXPECT_THAT(diagnostics.errors()[1], HasSubstr("asked: /chips/1: expected"));
}

}  // namespace
}  // namespace ridge::scenario
