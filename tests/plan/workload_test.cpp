// Requests that differ, or that arrive; drafts; caches that are split by tokens.
#include "ridge/base/error.hpp"
#include "ridge/plan/plan.hpp"
#include "ridge/plan/plan_report.hpp"
#include "small_goals.hpp"
#include "temporary_file.hpp"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge::plan {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

PlanOptions as_fitted(std::size_t layouts = 3) {
  return {.threads = 2, .samples = 0, .layouts = layouts};
}

// One KV head: GPUs that share a request's heads would all keep the same.
models::ModelSpec small_multi_query() {
  models::ModelSpec model = test::small_moe(2);
  std::get<models::GroupedQueryAttention>(model.attentions.front().kind).kv_heads = 1;
  return model;
}

LocatedGoal goal_with_drafts(double acceptance) {
  LocatedGoal goal = test::small_goal(test::small_moe(2), {"h800"}, 16, 0.8);
  goal.goal.allowed.micro_batches = {1, 2};
  goal.goal.allowed.context_parallel = {1, 2};
  goal.goal.allowed.drafts = {0, 1, 2};
  goal.goal.assumptions.drafting = Drafting{
      .acceptance = acceptance,
      .acceptance_by_position = {},
      .draft_model = scenario::DraftModel{.layers = 1, .attention = "gqa", .ffn = "dense"}};
  return goal;
}

TEST(PlanDrafts, AreTakenWhereTheyAreAcceptedOftenEnough) {
  const auto drafts_at = [](double acceptance) {
    return test::plan_of(goal_with_drafts(acceptance), as_fitted())
        .ranking.at(0)
        .choice.structure.drafts;
  };
  EXPECT_EQ(drafts_at(0.02), 0);
  EXPECT_GT(drafts_at(0.95), 0);
}

TEST(PlanDrafts, ATokenTakesWhatItsStepGives) {
  LocatedGoal goal = goal_with_drafts(0.8);
  scenario::Library library;
  const auto per_token = [&](double percentile, std::int64_t drafts) {
    goal.goal.sla_percentile = percentile;
    return Stocktaking(goal, library).per_token({.drafts = drafts});
  };
  EXPECT_EQ(per_token(95, 0), PerToken{});
  // 1, 2 and 3 tokens a step with chances of 0.2, 0.16 and 0.64: of 2.44 tokens, 1.92 come in
  // threes, 0.32 in twos and 0.2 alone.
  EXPECT_DOUBLE_EQ(per_token(95, 2).mean, 1.0 / 2.44);
  EXPECT_DOUBLE_EQ(per_token(75, 2).at_percentile, 1.0 / 3.0);
  EXPECT_DOUBLE_EQ(per_token(90, 2).at_percentile, 1.0 / 2.0);
  EXPECT_DOUBLE_EQ(per_token(95, 2).at_percentile, 1.0);
}

TEST(PlanDrafts, WhatAPercentileLeavesOutMayBeLate) {
  LocatedGoal goal = goal_with_drafts(0.9);
  goal.goal.allowed.drafts = {1};
  const auto tokens = [&](double percentile) {
    goal.goal.sla_percentile = percentile;
    return test::plan_of(goal, as_fitted()).ranking.at(0).choice.tokens_per_second_per_gpu();
  };
  EXPECT_GT(tokens(75), 1.02 * tokens(95));
}

// The verdict knows the chances; the scenario draws them.
TEST(PlanDrafts, AreWhatTheScenarioSimulates) {
  const Plan plan = test::plan_of(goal_with_drafts(0.9), as_fitted());
  for (const Ranked& r : plan.ranking) {
    EXPECT_NEAR(r.choice.tokens_per_second_per_gpu(), r.report.tokens_per_second_per_gpu(),
                0.01 * r.report.tokens_per_second_per_gpu());
  }
}

TEST(PlanDrafts, SayHowOftenTheyAreAccepted) {
  LocatedGoal goal = goal_with_drafts(0.9);
  scenario::Library library;
  goal.goal.assumptions.drafting.reset();
  EXPECT_THAT([&] { Stocktaking(goal, library); },
              ThrowsMessage<UserError>(HasSubstr("/allowed/drafts: how often")));
  goal = goal_with_drafts(0.9);
  goal.goal.allowed.drafts = {0};
  EXPECT_THAT([&] { Stocktaking(goal, library); },
              ThrowsMessage<UserError>(HasSubstr("/assumptions/drafting: of no effect")));
}

// Bounds and search, with both.
TEST(PlanDrafts, TheSearchAnswersAsTheTrialOfEveryDeployment) {
  LocatedGoal goal = goal_with_drafts(0.7);
  goal.goal.models = {{.name = {}, .spec = small_multi_query()}};
  goal.goal.assumptions.memory_utilization = 0.1;
  scenario::Library library;
  const Stocktaking stock(goal, library);
  const Candidates all = candidates(stock);
  EXPECT_GE(all.all.size(), 500U);
  const auto answer = [&](bool exhaustive) {
    const PlanOptions options{.threads = 2, .layouts = 4, .exhaustive = exhaustive};
    SearchCounts counts;
    bool partial = false;
    Bounds bounds(stock, all);
    std::vector<std::string> out;
    for (const Choice& c :
         search(stock, all, bounds, goal.goal.sla_tpot, options, counts, partial)) {
      out.push_back(title_of(c.structure) + words_of(c.structure) + std::to_string(c.requests) +
                    " " + std::to_string(c.tokens_per_second));
    }
    return out;
  };
  EXPECT_EQ(answer(false), answer(true));
  Bounds bounds(stock, all);
  std::size_t both = 0;
  for (std::size_t i = 0; i < all.all.size(); i += 7) {
    const auto& [s, most] = all.all[i];
    Judge judge(stock, s);
    const Verdict verdict = judge.verdict(most);
    const Seconds floor = bounds.floor(s, most);
    EXPECT_LE(stock.per_token(s).mean * floor, verdict.mean_tpot);
    EXPECT_LE(stock.tpot_floor(s, floor), verdict.tpot);
    both += s.drafts > 0 && s.context_parallel > 1 ? 1 : 0;
  }
  EXPECT_GT(both, 10U);
}

TEST(PlanContext, IsSplitWhereCopiesOfItFillTheMemory) {
  LocatedGoal goal = test::small_goal(small_multi_query(), {"h800"}, 16, 4);
  goal.goal.allowed.strategies = {"tensor_parallel"};
  goal.goal.allowed.micro_batches = {1};
  goal.goal.context = 4e6;
  const Plan free = test::plan_of(goal, as_fitted());
  goal.goal.allowed.context_parallel = {1};
  const Plan whole = test::plan_of(goal, as_fitted());
  const Choice& split = free.ranking.at(0).choice;
  EXPECT_GT(split.structure.context_parallel, 1);
  EXPECT_THAT(words_of(split.structure), HasSubstr("DCP"));
  EXPECT_GT(
      split.tokens_per_second_per_gpu(),
      1.05 * (whole.ranking.empty() ? 0.0 : whole.ranking[0].choice.tokens_per_second_per_gpu()));
}

// ---- workloads ----------------------------------------------------------------------------------

LocatedGoal goal_of(Workload workload, const std::string& model) {
  LocatedGoal goal = test::small_goal({}, {"h800"}, 32, 0.8);
  goal.goal.models = {{.name = model, .spec = {}}};
  goal.goal.allowed.micro_batches = {1};
  goal.goal.context.reset();
  goal.goal.workload = std::move(workload);
  return goal;
}
const scenario::Lengths kContexts =
    scenario::LognormalLength{.median = 40000, .sigma = 0.8, .min = 1000, .max = 200000};
const scenario::Lengths kOutputs = scenario::UniformLength{.min = 20, .max = 60};

class PlanWorkload : public testing::Test {
 protected:
  ridge::test::TemporaryFile model_{"small.json", test::small_moe_text(2)};
};

// And it writes what it simulated.
void expect_written_alike(const Plan& plan) {
  const ridge::test::TemporaryFile place("place", "");  // several tests write at a time
  const auto folder = std::filesystem::path(place.path()).parent_path() / "scenarios";
  const auto files = write_scenarios(plan, folder.string());
  ASSERT_EQ(files.size(), plan.ranking.size());
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto report = answer::simulate(scenario::load_simulation(files[i]));
    EXPECT_EQ(report.result.checksum, plan.ranking[i].report.result.checksum) << files[i];
    EXPECT_EQ(report.result.mean_tpot, plan.ranking[i].report.result.mean_tpot);
  }
}

TEST_F(PlanWorkload, ContextsThatDifferLeaveRoomForTheLongOnes) {
  const Plan plan =
      test::plan_of(goal_of(RenewedRequests{kContexts, kOutputs}, model_.path()), as_fitted(2));
  ASSERT_FALSE(plan.ranking.empty());
  bool fewer = false;
  for (const Ranked& r : plan.ranking) {
    EXPECT_TRUE(r.enough);
    EXPECT_LE(r.report.result.tpot.quantile(0.95), 0.8e-3);
    fewer = fewer || r.choice.requests < r.as_fitted;
  }
  EXPECT_TRUE(fewer) << "a batch of the average context is late with those that differ";
  expect_written_alike(plan);
}

LocatedGoal arriving(double requests_per_second, const std::string& model) {
  return goal_of(
      scenario::Poisson{
          .requests_per_second = requests_per_second, .context = kContexts, .output = kOutputs},
      model);
}

TEST_F(PlanWorkload, MoreRequestsASecondTakeMoreReplicas) {
  const auto gpus_at = [&](double rate) {
    const Plan plan = test::plan_of(arriving(rate, model_.path()), as_fitted(2));
    if (plan.ranking.empty()) return std::int64_t{0};
    const Ranked& best = plan.ranking.front();
    EXPECT_TRUE(best.enough);
    EXPECT_FALSE(best.report.overloaded());
    expect_written_alike(plan);
    return best.replicas * best.choice.structure.gpus();
  };
  const std::int64_t few = gpus_at(300);
  EXPECT_GT(few, 0);
  EXPECT_GT(gpus_at(2500), few);
}

TEST_F(PlanWorkload, RequestsThatMayNotWaitTakeMoreReplicas) {
  LocatedGoal goal = arriving(300, model_.path());
  const auto first_within = [&](double seconds) {
    goal.goal.sla_queueing = Seconds{seconds};
    return test::plan_of(goal, as_fitted(1)).ranking.at(0);
  };
  const Ranked waits = first_within(1.0);
  const Ranked begins_at_once = first_within(1e-6);
  EXPECT_TRUE(waits.enough);
  EXPECT_TRUE(begins_at_once.enough);
  EXPECT_LE(begins_at_once.report.result.queueing.quantile(0.95), 1e-6);
  EXPECT_GT(begins_at_once.replicas, waits.replicas);
  EXPECT_EQ(begins_at_once.binds, "one less: SLA: queueing");
}

TEST_F(PlanWorkload, ATraceIsServedAsItWasRecorded) {
  std::string lines = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
  for (int i = 0; i < 200; ++i) {
    lines += "2025-07-01 12:00:0" + std::to_string(i / 100) + "." + std::to_string(100 + i % 100) +
             "," + std::to_string(30000 + 100 * i) + ",30\n";
  }
  const ridge::test::TemporaryFile trace("requests.csv", lines);
  const LocatedGoal goal = goal_of(scenario::Trace{.file = trace.path()}, model_.path());
  scenario::Library library;
  // Of contexts from 30000 to 49900, and half of 30 tokens.
  EXPECT_NEAR(Stocktaking(goal, library).context(), 39965, 1);
  const Plan plan = test::plan_of(goal, as_fitted(1));
  ASSERT_FALSE(plan.ranking.empty());
  EXPECT_TRUE(plan.ranking.front().enough);
  EXPECT_THAT(render(plan, view::OutputFormat::table), HasSubstr("requests.csv"));
  expect_written_alike(plan);
}

TEST_F(PlanWorkload, WhatCannotBeIsToldWhereItStands) {
  scenario::Library library;
  LocatedGoal goal = goal_of(RenewedRequests{kContexts, kOutputs}, model_.path());
  goal.goal.sla_queueing = Seconds{0.1};
  EXPECT_THAT([&] { Stocktaking(goal, library); },
              ThrowsMessage<UserError>(HasSubstr("/sla_queueing_ms: nobody waits")));
  goal = goal_of(scenario::Trace{.file = "no-such-trace.csv"}, model_.path());
  EXPECT_THAT([&] { Stocktaking(goal, library); },
              ThrowsMessage<UserError>(
                  testing::AllOf(HasSubstr("/workload/file"), HasSubstr("no-such-trace.csv"))));
  goal =
      goal_of(scenario::Poisson{.requests_per_second = 1, .context = kContexts, .output = kOutputs},
              model_.path());
  goal.goal.rate = 100;
  EXPECT_THAT([&] { Stocktaking(goal, library); },
              ThrowsMessage<UserError>(HasSubstr("/tokens_per_s: of no effect")));
}

}  // namespace
}  // namespace ridge::plan
