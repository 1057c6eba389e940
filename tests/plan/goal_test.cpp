// What the reader of goals refuses, and what a goal leaves open.
#include "ridge/plan/goal.hpp"

#include "json_schema.hpp"
#include "mutation.hpp"
#include "ridge/base/error.hpp"
#include "ridge/plan/structure.hpp"
#include "small_goals.hpp"
#include "source_tree.hpp"
#include "temporary_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::plan {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::ThrowsMessage;

json shipped(const std::string& name) {
  return json::parse(ridge::test::source_text("scenarios/plan/" + name + ".json"));
}

TEST(Goal, TheSchemaAndTheReaderRefuseTheSameMistakes) {
  const ridge::test::JsonSchema schema("goal");
  int invalid = 0;
  for (const std::string& name : goal_names()) {
    const json goal = shipped(name);
    EXPECT_EQ(schema.violations(goal), "") << name;
    for (const auto& [description, document] : ridge::test::mutations(goal)) {
      // A model or a chip that stands here itself has a schema of its own.
      if (description.find(" becomes {") != std::string::npos &&
          (description.starts_with("/models/") ||
           description.find("/chip ") != std::string::npos)) {
        continue;
      }
      const ridge::test::TemporaryFile file("goal.json", document.dump());
      bool refused = false;
      try {
        (void)read_goal(file.path());
      } catch (const UserError&) {
        refused = true;
      }
      EXPECT_EQ(schema.accepts(document), !refused) << name << ": " << description << "\n"
                                                    << schema.violations(document);
      if (refused) ++invalid;
    }
  }
  EXPECT_GT(invalid, 100);
}

TEST(Goal, WhatIsUnknownIsToldWhereItStands) {
  json goal = shipped("step3-h800");
  goal["chips"][0]["chip"] = "h80";
  const ridge::test::TemporaryFile file("goal.json", goal.dump());
  scenario::Library library;
  EXPECT_THAT([&] { Stocktaking(read_goal(file.path()), library); },
              ThrowsMessage<UserError>(
                  testing::AllOf(HasSubstr("/chips/0/chip"), HasSubstr("did you mean \"h800\"?"))));
}

TEST(Goal, MistakesOfKernelsAndLinksAreToldWhereTheyStand) {
  const auto complaint = [](const json& goal) -> std::string {
    const ridge::test::TemporaryFile file("goal.json", goal.dump());
    scenario::Library library;
    try {
      Stocktaking(read_goal(file.path()), library);
    } catch (const UserError& e) {
      return e.what();
    }
    return {};
  };
  json goal = shipped("step3-h800");
  EXPECT_EQ(complaint(goal), "");
  goal["chips"][0]["kernel_model"] = "calibrated:nobody";
  EXPECT_THAT(complaint(goal), testing::AllOf(HasSubstr("goal.json: /chips/0/kernel_model"),
                                              testing::Not(HasSubstr("/deployment"))));
  goal = shipped("step3-h800");
  goal["assumptions"]["network"] = {
      {"model", "max_min_fair"}, {"overhead_us", 1}, {"efficiency", 1}, {"source", "a test"}};
  EXPECT_THAT(complaint(goal), HasSubstr("goal.json: /assumptions/network/model"));
}

TEST(Goal, UsdAreNotCountedWithoutAPrice) {
  LocatedGoal goal = test::small_goal(test::small_moe(1), {"l20"}, 16, 1);
  goal.goal.objective = Objective::usd_per_million_tokens;
  scenario::Library library;
  EXPECT_THAT([&] { Stocktaking(goal, library); },
              ThrowsMessage<UserError>(HasSubstr("price_USD_per_hour")));
  goal.goal.chips[0].price = UsdPerSecond{1.0 / 3600};
  EXPECT_NO_THROW(Stocktaking(goal, library));
}

TEST(Goal, AChipWithoutACalibrationTakesTheNearestOfItsGeneration) {
  scenario::Library library;
  const Stocktaking stock(test::small_goal(test::small_moe(1), {"h800", "h20"}, 16, 1), library);
  EXPECT_EQ(stock.chips()[0].kernel_model, "calibrated:h800");
  EXPECT_EQ(stock.chips()[1].kernel_model, "calibrated:h200");
  const Stocktaking other(test::small_goal(test::small_moe(1), {"mi300x"}, 16, 1), library);
  EXPECT_EQ(other.chips()[0].kernel_model, "theoretical");
  EXPECT_FALSE(other.calibrated());
}

TEST(Goal, TheObjectiveFollowsWhatIsAsked) {
  LocatedGoal goal = test::small_goal(test::small_moe(1), {"h800"}, 16, 1);
  EXPECT_EQ(objective_of(goal.goal), Objective::tokens_per_second_per_gpu);
  goal.goal.chips.push_back(goal.goal.chips.front());
  EXPECT_EQ(objective_of(goal.goal), Objective::usd_per_million_tokens);
  goal.goal.rate = 1000.0;
  EXPECT_EQ(objective_of(goal.goal), Objective::gpus);
}

}  // namespace
}  // namespace ridge::plan
