// Sweeps whose points are plans: each point is the best deployment that `ridge plan` finds for it.
#include "json_schema.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/models/model_spec.hpp"
#include "ridge/plan/plan.hpp"
#include "ridge/sweep/sweep.hpp"
#include "ridge/sweep/sweep_output.hpp"
#include "small_goals.hpp"
#include "temporary_file.hpp"

#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::sweep {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// A model of three layers on up to 16 GPUs with memory for few requests.
json small_goal() {
  return {{"kind", "plan"},
          {"title", "a small goal"},
          {"models", {json::parse(plan::test::small_moe_text(2))}},
          {"chips", {{{"chip", hw::chip_document("h800").json()}}}},
          {"gpus", 16},
          {"context_tokens", 65536},
          {"sla_tpot_ms", 0.6},
          {"assumptions", {{"memory_utilization", 0.12}, {"step_overhead_us", 0}}}};
}

json sweep_of(const json& goal, const json& axes) {
  return {{"kind", "sweep"},
          {"title", "t"},
          {"base", {{"kind", "plan"}, {"goal", goal}}},
          {"axes", axes}};
}

json written(const json& sweep, unsigned threads = 2) {
  std::string text;
  const auto result = run_sweep(read_sweep(JsonDocument("x.json", sweep)), {.threads = threads});
  write_sweep(result, view::OutputFormat::json, {}, [&](std::string_view piece) { text += piece; });
  return json::parse(text);
}

std::string message_of(const json& sweep) {
  try {
    (void)written(sweep);
  } catch (const UserError& e) {
    return e.what();
  }
  return "no error";
}

plan::Plan planned(json goal, const std::vector<std::pair<std::string, json>>& values) {
  for (const auto& [pointer, value] : values) goal[json::json_pointer(pointer)] = value;
  Diagnostics diagnostics;
  const JsonContext context{.file = "x.json", .diagnostics = &diagnostics};
  plan::LocatedGoal located{.file = "x.json", .pointer = {}, .goal = {}};
  read_keys(JsonNode(goal, context), located.goal);
  diagnostics.throw_if_errors();
  scenario::Library library;
  return make_plan(std::move(located), library, {.samples = 0});
}

void expect_row_is(const json& row, const plan::Plan& plan) {
  ASSERT_FALSE(plan.ranking.empty());
  const plan::Ranked& best = plan.ranking.front();
  EXPECT_EQ(row["deployment"], title_of(best.choice.structure));
  EXPECT_EQ(row["split"], words_of(best.choice.structure));
  EXPECT_EQ(row["batch"], best.choice.structure.batch(best.choice.requests));
  EXPECT_EQ(row["tpot_ms"], best.report.result.mean_tpot.value() * 1e3);
  EXPECT_EQ(row["tokens_per_s_per_gpu"], best.report.tokens_per_second_per_gpu());
  EXPECT_EQ(row["usd_per_Mtok"], *best.report.usd_per_million_tokens());
  EXPECT_EQ(row["bound_by"], best.binds);
  EXPECT_EQ(row["reason"], nullptr);
}

TEST(PlanSweep, APointIsTheBestThatPlanFindsForIt) {
  const json goal = small_goal();
  const std::string heads = "/goal/models/0/attention/gqa/kv_heads";
  const std::string bandwidth = "/goal/chips/0/chip/memory_bandwidth_TBps/value";
  const json axes = {{{"pointer", "/goal/gpus"}, {"values", {8, 16}}},
                     {{"pointer", heads}, {"values", {4, 8}}},
                     {{"pointer", bandwidth}, {"values", {3.35, 4.02}}},
                     {{"pointer", "/goal/sla_tpot_ms"}, {"values", {0.6}}}};
  const json rows = written(sweep_of(goal, axes))["rows"];
  ASSERT_EQ(rows.size(), 8U);
  for (const json& row : rows) {
    expect_row_is(row, planned(goal, {{heads.substr(5), row["kv_heads"]},
                                      {bandwidth.substr(5), row["memory_bandwidth_TBps"]},
                                      {"/gpus", row["goal/gpus"]}}));
  }
}

TEST(PlanSweep, AWholeNumberOfTheGoalIsMovedInPlace) {
  const json goal = small_goal();
  const json rows =
      written(sweep_of(goal, {{{"pointer", "/goal/gpus"}, {"values", {2, 16}}}}))["rows"];
  ASSERT_EQ(rows.size(), 2U);
  for (const json& row : rows) expect_row_is(row, planned(goal, {{"/gpus", row["goal/gpus"]}}));
  EXPECT_NE(rows[0]["deployment"], rows[1]["deployment"]);
}

// A chip that does not exist: its name is that of one that was calibrated, its figures are not.
TEST(PlanSweep, EveryFigureOfAChipActs) {
  json goal = small_goal();
  goal["allowed"] = {{"strategies", {"wide_expert_parallel"}}};
  const auto moved = [&](const std::string& key, double from, double to) {
    const std::string pointer = "/goal/chips/0/chip/" + key;
    const json rows =
        written(sweep_of(goal, {{{"pointer", pointer}, {"values", {from, to}}}}))["rows"];
    EXPECT_EQ(rows.size(), 2U) << key;
    return rows[1]["tokens_per_s_per_gpu"].get<double>() /
           rows[0]["tokens_per_s_per_gpu"].get<double>();
  };
  EXPECT_GT(moved("memory_bandwidth_TBps/value", 3.35, 4.02), 1.01);
  EXPECT_LT(moved("matrix_rate/fp8_TFLOPps/value", 1980, 200), 0.99);
  EXPECT_GT(moved("scale_up_bandwidth_GBps/value", 200, 400), 1.001);
  const json priced = written(sweep_of(
      goal, {{{"pointer", "/goal/chips/0/chip/prices/0/rate_USD_per_hour"}, {"values", {2, 1}}}}));
  EXPECT_DOUBLE_EQ(priced["rows"][0]["usd_per_Mtok"].get<double>(),
                   2.0 * priced["rows"][1]["usd_per_Mtok"].get<double>());
}

TEST(PlanSweep, ADesignThatNothingMeetsStaysWithItsReason) {
  const json sweep = sweep_of(
      small_goal(), json::parse(R"([{"pointer": "/goal/sla_tpot_ms", "values": [0.01, 0.6]},
                                    {"pointer": "/goal/assumptions/memory_utilization",
                                     "values": [0.00001, 0.12]}])"));
  const json answer = written(sweep);
  EXPECT_EQ(test::JsonSchema("sweep-answer").violations(answer), "");
  const json& rows = answer["rows"];
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_THAT(rows[0]["reason"].get<std::string>(), HasSubstr("nothing is possible; "));
  EXPECT_THAT(rows[1]["reason"].get<std::string>(),
              testing::AllOf(HasSubstr("nothing is within 0.01 ms: "), HasSubstr("comes nearest")));
  EXPECT_EQ(rows[1]["tokens_per_s_per_gpu"], nullptr);
  EXPECT_GT(rows[1]["total_parameters"], 1e9) << "what the design is, is known";
  EXPECT_EQ(rows[3]["reason"], nullptr);
}

TEST(PlanSweep, HeadsThatDoNotDivideAreAnInvalidPoint) {
  json sweep = sweep_of(
      small_goal(),
      json::parse(R"([{"pointer": "/goal/models/0/attention/gqa/kv_heads", "values": [7, 8]}])"));
  EXPECT_THAT(message_of(sweep),
              testing::AllOf(HasSubstr("1 of 2 points are invalid"), HasSubstr("kv_heads = 7: ")));
  sweep["invalid_points"] = "skip";
  EXPECT_EQ(written(sweep)["rows"].size(), 1U);
}

TEST(PlanSweep, FiltersHoldWhatTheModelIs) {
  json sweep = sweep_of(
      small_goal(),
      json::parse(R"([{"pointer": "/goal/models/0/attention/gqa/query_heads", "values": [16, 32]},
                      {"pointer": "/goal/models/0/attention/gqa/head_dim", "values": [128, 256]}])"));
  sweep["filters"] = {{{"column", "effective_rank"}, {"equals", 4096}}};
  sweep["columns"] = {"tokens_per_s_per_gpu"};
  const json rows = written(sweep)["rows"];
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0]["head_dim"], 256);
  EXPECT_EQ(rows[1]["query_heads"], 32);
}

TEST(PlanSweep, WhatDisaggregationGainsIsTheBestOfBothSides) {
  const json goal = small_goal();
  const json row = written(
      sweep_of(goal, {{{"pointer", "/goal/context_tokens"}, {"values", {65536}}}}))["rows"][0];
  const auto best = [&](std::vector<std::string> strategies) {
    json only = goal;
    only["allowed"]["strategies"] = std::move(strategies);
    return planned(only, {}).ranking.at(0).report.tokens_per_second_per_gpu();
  };
  const double afd = best({"afd"});
  const double other = best({"wide_expert_parallel", "tensor_parallel"});
  EXPECT_EQ(row["afd_tokens_per_s_per_gpu"], afd);
  EXPECT_EQ(row["other_tokens_per_s_per_gpu"], other);
  EXPECT_EQ(row["afd_gain"], afd / other);
}

TEST(PlanSweep, AReferenceIsAnotherModelUnderTheSameGoal) {
  json sweep = sweep_of(small_goal(), json::parse(R"([{"pointer": "/goal/gpus", "values": [8, 16]},
                                    {"pointer": "/goal/models/0/hidden", "values": [4096]}])"));
  sweep["columns"] = {"total_parameters", "reason"};
  sweep["references"] = {"qwen3-8b"};
  const json result = written(sweep);
  ASSERT_EQ(result["references"].size(), 2U);
  EXPECT_NEAR(result["references"][0]["total_parameters"].get<double>(), 8.2e9, 0.1e9);
  json by_name = sweep;
  by_name["base"]["goal"] = "step3-h800";
  EXPECT_THAT(message_of(by_name), HasSubstr("/references: expected the base to hold"));
}

TEST(PlanSweep, AGoalMayBeNamedAndReachedInto) {
  json sweep =
      sweep_of("step3-h800", json::parse(R"([{"pointer": "/goal/models/0/hidden", "values": [7168]},
                                        {"pointer": "/goal/gpus", "values": [8]},
                                        {"pointer": "/goal/allowed",
                                         "values": [true]}])"));
  EXPECT_THAT(message_of(sweep), HasSubstr("/base/goal/allowed"));
}

TEST(PlanSweep, DrawsHoldTheBestToTheConfidence) {
  json sweep = sweep_of(small_goal(), json::parse(R"([{"pointer": "/goal/confidence",
                                                       "values": [0.5, 1]}])"));
  sweep["base"]["samples"] = 20;
  sweep["columns"] = {"batch", "sla_met_share", "tokens_per_s_per_gpu_low"};
  const json rows = written(sweep)["rows"];
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_GE(rows[0]["sla_met_share"], 0.5);
  EXPECT_EQ(rows[1]["sla_met_share"], 1.0);
  EXPECT_GT(rows[0]["batch"], rows[1]["batch"]);
  EXPECT_GT(rows[0]["tokens_per_s_per_gpu_low"], 0.0);
}

TEST(PlanSweep, AnEndOfAGoalsOwnRangeIsMovedInPlace) {
  json goal = small_goal();
  goal["assumptions"].erase("step_overhead_us");
  goal["sla_tpot_ms"] = 20;
  const json own = {{"kind", "ranges"},
                    {"inputs",
                     {{{"name", "gap between steps"},
                       {"of", "step_overhead_us"},
                       {"low", 0},
                       {"high", 1},
                       {"source", "a test"}}}}};
  const test::TemporaryFile file("ours.json", own.dump());
  for (const json& ranges : {own, json(file.path())}) {
    goal["ranges"] = ranges;  // as they stand, or the path of a file
    json sweep = sweep_of(goal, json::parse(R"([{"pointer": "/goal/ranges/inputs/0/high",
                                                 "values": [1, 5000]}])"));
    sweep["base"]["samples"] = 8;
    sweep["columns"] = {"sla_met_share", "tokens_per_s_per_gpu_low"};
    const json rows = written(sweep)["rows"];
    ASSERT_EQ(rows.size(), 2U);
    const auto low = [&](int row) { return rows[row]["tokens_per_s_per_gpu_low"].get<double>(); };
    EXPECT_LT(low(1), 0.9 * low(0));
    sweep["base"]["fixed"] = {"gap between steps"};
    const json fixed = written(sweep)["rows"];
    EXPECT_EQ(fixed[0]["tokens_per_s_per_gpu_low"], fixed[1]["tokens_per_s_per_gpu_low"]);
    sweep["base"]["fixed"] = {"no gap"};
    EXPECT_THAT(message_of(sweep), HasSubstr("nothing that is drawn is named \"no gap\""));
    sweep["base"].erase("fixed");
    // Below the other end: no range.
    sweep["base"]["goal"]["ranges"] = own;
    sweep["base"]["goal"]["ranges"]["inputs"][0]["low"] = 10;
    sweep["base"]["goal"]["ranges"]["inputs"][0]["high"] = 20;
    sweep["axes"][0]["values"] = {5};
    EXPECT_THAT(message_of(sweep), HasSubstr("is above \"high\""));
  }
}

TEST(PlanSweep, TheAnswerIsTheSameForAnyNumberOfThreads) {
  const json sweep = sweep_of(
      small_goal(), json::parse(R"([{"pointer": "/goal/sla_tpot_ms", "values": [0.3, 0.45, 0.6]},
                                    {"pointer": "/goal/context_tokens", "values": [32768, 65536]}])"));
  EXPECT_EQ(written(sweep, 1), written(sweep, 3));
}

TEST(PlanSweep, TheShippedOnesAreValid) {
  static const test::JsonSchema schema("sweep-scenario");
  for (const char* name : {"codesign-mfa", "codesign-mfa-mixed", "codesign-sparsity",
                           "codesign-afd-or-ep", "codesign-chips"}) {
    const SweepScenario scenario = load_sweep(name);
    EXPECT_EQ(schema.violations(scenario.document.json()), "") << name;
    EXPECT_NO_THROW(check_sweep(scenario)) << name;
  }
}

}  // namespace
}  // namespace ridge::sweep
