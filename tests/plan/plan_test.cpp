#include "ridge/plan/plan.hpp"

#include "ridge/plan/plan_report.hpp"
#include "small_goals.hpp"
#include "temporary_file.hpp"

#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::plan {
namespace {

using testing::HasSubstr;

// The search and the trial of every batch of every structure.
void expect_same(const LocatedGoal& goal, std::size_t at_least) {
  scenario::Library library;
  const Stocktaking stock(goal, library);
  const Candidates all = candidates(stock);
  EXPECT_GE(all.all.size(), at_least);
  const auto answer = [&](bool exhaustive, SearchCounts& counts) {
    PlanOptions options{.threads = 2, .layouts = 4, .exhaustive = exhaustive};
    bool partial = false;
    Bounds bounds(stock, all);
    const auto choices = search(stock, all, bounds, goal.goal.sla_tpot, options, counts, partial);
    EXPECT_FALSE(partial);
    std::vector<std::string> out;
    for (const Choice& c : choices) {
      out.push_back(fmt::format("{}: {}: {} requests, {} s", title_of(c.structure),
                                words_of(c.structure), c.requests, c.verdict.tpot.value()));
    }
    return out;
  };
  SearchCounts by_search;
  SearchCounts by_trial;
  const auto found = answer(false, by_search);
  EXPECT_EQ(found, answer(true, by_trial));
  EXPECT_GE(found.size(), 4U);
  const auto judged = [](const SearchCounts& c) {
    return c.batches_simulated + c.batches_by_cycle;
  };
  EXPECT_EQ(by_trial.judged, all.all.size());
  EXPECT_LT(3 * judged(by_search), judged(by_trial));
}

TEST(Plan, TheSearchAnswersAsTheTrialOfEveryDeployment) {
  expect_same(test::small_goal(test::small_moe(2), {"h800"}, 24, 0.6), 500);
}

TEST(Plan, TheSearchAnswersAsTheTrialOnUnlikePools) {
  LocatedGoal goal = test::small_goal(test::small_moe(1), {"h800", "h20"}, 16, 0.4);
  goal.goal.allowed.micro_batches = {1, 2, 3};
  expect_same(goal, 500);
}

TEST(Plan, TheSearchAnswersAsTheTrialForAShare) {
  LocatedGoal goal = test::small_goal(test::small_moe(2), {"h20"}, 32, 0.8);
  goal.goal.allowed.micro_batches = {1, 3};
  goal.goal.objective = Objective::tokens_per_second;
  expect_same(goal, 500);
}

TEST(Plan, InputsAreWhatTheScenariosResolveTo) {
  const LocatedGoal goal = test::small_goal(test::small_moe(2), {"h800", "h20"}, 24, 0.6);
  scenario::Library library;
  const Stocktaking stock(goal, library);
  const Candidates all = candidates(stock);
  for (std::size_t i = 0; i < all.all.size(); i += 97) {
    const auto& [s, most] = all.all[i];
    SCOPED_TRACE(title_of(s) + ": " + words_of(s));
    const auto quick = decode::Simulation(stock.input_of(s, most)).run();
    const auto resolved =
        decode::Simulation(scenario::resolve(stock.scenario_of(s, most), library).input).run();
    EXPECT_EQ(quick.checksum, resolved.checksum);
    EXPECT_EQ(quick.mean_tpot, resolved.mean_tpot);
  }
}

void expect_written_alike(const LocatedGoal& goal, const PlanOptions& options) {
  const Plan plan = test::plan_of(goal, options);
  ASSERT_FALSE(plan.ranking.empty());
  const ridge::test::TemporaryFile place("place", "");  // several tests write at a time
  const auto folder = std::filesystem::path(place.path()).parent_path() / "scenarios";
  const auto files = write_scenarios(plan, folder.string());
  ASSERT_EQ(files.size(), plan.ranking.size());
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto loaded = scenario::load_simulation(files[i]);
    EXPECT_TRUE(loaded.input.deployment.schedule.has_value());
    const auto report = answer::simulate(loaded);
    const auto& told = plan.ranking[i].report;
    EXPECT_EQ(report.result.checksum, told.result.checksum) << files[i];
    EXPECT_EQ(report.result.mean_tpot, told.result.mean_tpot);
    EXPECT_EQ(report.tokens_per_second_per_gpu(), told.tokens_per_second_per_gpu());
    // And the ranking went by them.
    EXPECT_NEAR(plan.ranking[i].choice.tokens_per_second_per_gpu(),
                report.tokens_per_second_per_gpu(), 0.01 * report.tokens_per_second_per_gpu());
  }
}

TEST(Plan, ScenariosThatItWritesSimulateToTheSameDigits) {
  LocatedGoal goal = test::small_goal({}, {"h800"}, 24, 0.6);
  const ridge::test::TemporaryFile model("small.json", test::small_moe_text(2));
  goal.goal.models = {{.name = model.path(), .spec = {}}};
  expect_written_alike(goal, {.threads = 2, .samples = 4});
}

// A scenario that it writes then holds the model, too.
TEST(Plan, AModelThatStandsInTheGoalIsWrittenIntoItsScenarios) {
  LocatedGoal goal = test::small_goal(test::small_moe(2), {"h800"}, 24, 0.6);
  std::get<models::MoeFfn>(goal.goal.models[0].spec->ffns[1].kind).expert_intermediate = 1792;
  expect_written_alike(goal, {.threads = 2, .samples = 0, .layouts = 2});
}

TEST(Plan, IsTheSameOnAnyNumberOfThreads) {
  const LocatedGoal goal = test::small_goal(test::small_moe(2), {"h800"}, 24, 0.6);
  const auto answer = [&](unsigned threads) {
    Plan plan = test::plan_of(goal, {.threads = threads, .samples = 5});
    return render(plan, view::OutputFormat::json);
  };
  EXPECT_EQ(answer(1), answer(3));
}

TEST(Plan, EachMeetsTheSlaInTheShareOfDrawsThatIsWanted) {
  LocatedGoal goal = test::small_goal(test::small_moe(2), {"h800"}, 24, 0.6);
  const Plan plan = test::plan_of(goal, {.threads = 2, .samples = 20});
  ASSERT_GE(plan.ranking.size(), 2U);
  bool lowered = false;
  for (const Ranked& r : plan.ranking) {
    EXPECT_TRUE(r.enough);
    EXPECT_GE(r.sla_share, goal.goal.confidence);
    EXPECT_LE(r.choice.requests, r.as_fitted);
    EXPECT_LE(r.as_fitted, r.choice.most_requests);
    lowered = lowered || r.choice.requests < r.as_fitted;
    EXPECT_GT(r.time.attention, 0.0);
    EXPECT_GT(r.time.ffn, 0.0);
    EXPECT_GE(r.time.waiting, 0.0) << "kernels take no longer than the step";
  }
  EXPECT_TRUE(lowered);
  EXPECT_GE(plan.ranking.front().beats_next, 0.0);
  EXPECT_FALSE(plan.why.empty());
  // Without draws nothing needs room.
  const Plan fitted = test::plan_of(goal, {.threads = 2, .samples = 0});
  for (const Ranked& r : fitted.ranking) EXPECT_EQ(r.choice.requests, r.as_fitted);
}

// Up to 2 ms of an engine that is not named; the same for each deployment, so that none is ahead by
// it.
TEST(Plan, DrawsTakeTheGapBetweenStepsFromItsRangeWhereTheGoalLeavesItOpen) {
  LocatedGoal goal = test::small_goal(test::small_moe(2), {"h800"}, 8, 5.0);
  const auto planned = [&](std::optional<Seconds> stated, std::vector<std::string> fixed) {
    goal.goal.assumptions.step_overhead = stated;
    return test::plan_of(goal,
                         {.threads = 2, .samples = 12, .fixed = std::move(fixed), .layouts = 1});
  };
  const Plan stated = planned(Seconds{}, {});
  const Plan open = planned(std::nullopt, {});
  const Plan fixed = planned(std::nullopt, {"gap between steps"});
  ASSERT_FALSE(open.ranking.empty());
  const auto draws = [](const Plan& plan) { return plan.ranking.front().draws; };
  ASSERT_EQ(draws(open).size(), draws(stated).size());
  ASSERT_EQ(open.ranking.front().choice.requests, stated.ranking.front().choice.requests);
  for (std::size_t d = 0; d < draws(open).size(); ++d) {
    const Seconds longer = draws(open)[d].tpot - draws(stated)[d].tpot;
    EXPECT_GE(longer, Seconds{});
    EXPECT_LT(longer, Seconds{2.0e-3});
    EXPECT_EQ(draws(fixed)[d].tpot, draws(stated)[d].tpot);
  }
  const auto names = [](const Plan& plan) {
    std::vector<std::string> out;
    for (const auto& input : plan.inputs) out.push_back(input.what);
    return out;
  };
  EXPECT_THAT(names(open), testing::ElementsAre("gap between steps", "release of the engine"));
  EXPECT_THAT(names(stated), testing::ElementsAre("release of the engine"));
  EXPECT_THAT(render(open, view::OutputFormat::table),
              HasSubstr("gap between steps (step_overhead_us 0 to 2000)"));
  // Nor is what has no effect passed over.
  EXPECT_TRUE(fixed.warnings.empty());
  EXPECT_THAT(
      planned(Seconds{}, {"gap between steps"}).warnings,
      testing::ElementsAre(HasSubstr("\"gap between steps\" is not drawn here, fixed or not: "
                                     "the goal states it")));
  const Plan popular = planned(std::nullopt, {"popularity of experts"});
  EXPECT_THAT(popular.warnings, testing::ElementsAre(HasSubstr("a plan draws none of it")));
  EXPECT_THAT(render(popular, view::OutputFormat::json),
              HasSubstr("\"popularity of experts\\\" is not drawn"));
  const Plan fitted = test::plan_of(
      goal, {.threads = 2, .samples = 0, .fixed = {"release of the engine"}, .layouts = 1});
  EXPECT_THAT(fitted.warnings, testing::ElementsAre(HasSubstr("no draws are asked for")));
}

TEST(Plan, DrawsTakeWhatTheGoalsOwnRangesSay) {
  LocatedGoal goal = test::small_goal(test::small_moe(2), {"h800"}, 8, 9.0);
  goal.goal.assumptions.step_overhead.reset();
  const PlanOptions options{.threads = 2, .samples = 6, .layouts = 1};
  const Plan shipped = test::plan_of(goal, options);
  goal.goal.ranges = {
      .name = {},
      .spec = scenario::Ranges{.inputs = {{.name = "gap between steps",
                                           .of = scenario::RangedInput::step_overhead_us,
                                           .low = 5000,
                                           .high = 5000,
                                           .source = "a test"}}}};
  const Plan own = test::plan_of(goal, options);
  ASSERT_FALSE(own.ranking.empty());
  ASSERT_EQ(own.ranking.front().choice.requests, shipped.ranking.front().choice.requests);
  for (std::size_t d = 0; d < 6; ++d) {
    const Seconds longer =
        own.ranking.front().draws[d].tpot - shipped.ranking.front().draws[d].tpot;
    EXPECT_GT(longer, Seconds{3.0e-3});
    EXPECT_LT(longer, Seconds{5.0e-3});
  }
  // What it writes draws alike.
  const scenario::Scenario& written = own.ranking.front().scenario.scenario;
  ASSERT_TRUE(written.ranges && written.ranges->spec);
  EXPECT_EQ(written.ranges->spec->inputs[0].high, 5000);
  EXPECT_FALSE(written.network.wire.is_told());
  expect_written_alike(goal, options);
  goal.goal.ranges->spec->inputs[0].name = "ours";
  try {
    (void)test::plan_of(goal, options);
    ADD_FAILURE();
  } catch (const UserError& e) {
    EXPECT_THAT(e.what(), HasSubstr("goal.json: /ranges/inputs/0/name: \"step_overhead_us\" of no "
                                    "engine has a range that ships, \"gap between steps\""));
  }
  // An axis may set an end or an engine after they were read.
  for (const auto& [change, told] :
       std::vector<std::pair<std::function<void(scenario::InputRange&)>, std::string>>{
           {[](auto& range) { range.low = 1e5; }, "/ranges/inputs/0/low: is above"},
           {[](auto& range) { range.engine = "ours"; },
            "/ranges/inputs/0/kernels: expected the engine's kernels"}}) {
    LocatedGoal changed = goal;
    change(changed.goal.ranges->spec->inputs[0]);
    try {
      (void)test::plan_of(changed, options);
      ADD_FAILURE() << told;
    } catch (const UserError& e) {
      EXPECT_THAT(e.what(), HasSubstr(told));
    }
  }
  // A file's path counts from the goal's folder, wherever the scenario is written.
  goal.goal.ranges = {.name = "./nowhere/ours.json", .spec = {}};
  try {
    (void)test::plan_of(goal, options);
    ADD_FAILURE();
  } catch (const UserError& e) {
    EXPECT_THAT(e.what(), HasSubstr("/nowhere/ours.json"));
  }
}

TEST(Plan, AGoalThatNothingMeetsSaysWhatComesNearestAndByHowMuch) {
  const LocatedGoal goal = test::small_goal(test::small_moe(2), {"h800"}, 16, 0.01);
  const Plan plan = test::plan_of(goal, {.threads = 2, .layouts = 3});
  EXPECT_TRUE(plan.ranking.empty());
  ASSERT_EQ(plan.near_misses.size(), 3U);
  // No structure is faster than the first with a batch of one.
  scenario::Library library;
  const Stocktaking stock(goal, library);
  for (const auto& one : candidates(stock).all) {
    EXPECT_GE(Judge(stock, one.structure).verdict(1).tpot, plan.near_misses.front().tpot);
  }
  EXPECT_THAT(render(plan, view::OutputFormat::table), HasSubstr("times the SLA"));
}

TEST(Plan, TheFrontIsTheBestAtEachSpeed) {
  const LocatedGoal goal = test::small_goal(test::small_moe(2), {"h800"}, 16, 0.6);
  const Plan plan = test::plan_of(goal, {.threads = 2, .samples = 0, .layouts = 1, .front = true});
  ASSERT_GE(plan.front.size(), 2U);
  ASSERT_FALSE(plan.ranking.empty());
  double worth = 0.0;
  bool at_the_sla = false;
  for (const FrontPoint& point : plan.front) {
    EXPECT_LE(point.choice.verdict.tpot, point.within);
    const double value =
        value_of(*plan.stock, point.choice.structure, point.choice.tokens_per_second);
    EXPECT_GT(value, worth);
    worth = value;
    if (point.within == goal.goal.sla_tpot) {
      at_the_sla = true;
      EXPECT_EQ(point.choice.structure, plan.ranking.front().choice.structure);
    }
  }
  EXPECT_TRUE(at_the_sla);
  EXPECT_THAT(plan_picture(plan), HasSubstr("tokens/s per user"));
}

// A chip that is cheap, and of which there are too few for both pools.
TEST(Plan, UnlikePoolsAreFoundWhereTheyAreCheaper) {
  LocatedGoal goal = test::small_goal(test::small_moe(2), {"h20", "h800"}, 16, 0.6);
  goal.goal.chips[0].gpus = 8;
  goal.goal.allowed.strategies = {"afd"};
  goal.goal.allowed.micro_batches = {1, 2};
  const auto best_with = [&](double price) {
    goal.goal.chips[0].price = UsdPerSecond{price / 3600.0};
    const Plan plan = test::plan_of(goal, {.threads = 2, .samples = 0});
    const Structure& s = plan.ranking.at(0).choice.structure;
    return s.attention_chip != s.ffn_chip;
  };
  EXPECT_TRUE(best_with(0.2));
  EXPECT_FALSE(best_with(20.0));
}

// Also where some structures have no use for them: those leave them out of their scenarios.
TEST(Plan, GoesByWhatIsAssumedOfLinks) {
  LocatedGoal goal = test::small_goal(test::small_moe(2), {"h800"}, 16, 0.8);
  goal.goal.allowed.micro_batches = {1, 2};
  const auto afd = [&] {
    const Plan plan = test::plan_of(goal, {.threads = 2, .samples = 0});
    EXPECT_GE(plan.ranking.size(), 3U);
    double best = 0.0;
    for (const Ranked& r : plan.ranking) {
      if (r.choice.structure.split()) best = std::max(best, r.choice.tokens_per_second_per_gpu());
    }
    return best;
  };
  const double ideal = afd();
  goal.goal.assumptions.network.wire = {
      .overhead = Seconds{20e-6}, .efficiency = 0.8, .source = "a test"};
  goal.goal.assumptions.network.copies = decode::Copies::per_node;
  goal.goal.assumptions.scale_up.wire = {
      .overhead = Seconds{5e-6}, .efficiency = 0.8, .source = "a test"};
  EXPECT_LT(afd(), ideal);
}

// Those within a node leave them out of their scenarios.
TEST(Plan, SumsOverNodesGoByTheWaysOfTheirLibrary) {
  LocatedGoal goal = test::small_goal(test::small_moe(2), {"h800"}, 16, 10);
  goal.goal.allowed.strategies = {"tensor_parallel"};
  goal.goal.allowed.micro_batches = {1};
  scenario::Network& network = goal.goal.assumptions.network;
  network.wire = {.overhead = Seconds{20e-6}, .efficiency = 0.8, .source = "a test"};
  const auto over_nodes = [&] {
    const Plan plan = test::plan_of(goal, {.threads = 2, .samples = 0});
    EXPECT_GE(plan.ranking.size(), 2U) << "within a node too";
    double best = 0.0;
    for (const Ranked& r : plan.ranking) {
      if (r.choice.structure.gpus_per_instance == 16) best = r.report.tokens_per_second_per_gpu();
    }
    return best;
  };
  network.all_reduce = {{.overhead = Seconds{1e-6}, .bandwidth = BytesPerSecond{1e12}}};
  const double quick = over_nodes();
  network.all_reduce = {{.overhead = Seconds{50e-6}, .bandwidth = BytesPerSecond{1e12}}};
  const double slow = over_nodes();
  EXPECT_GT(quick, slow);
  EXPECT_GT(slow, 0.0);
}

TEST(Plan, WhatIsImpossibleHasItsReasons) {
  LocatedGoal goal = test::small_goal(test::small_moe(2), {"h800"}, 48, 0.6);
  scenario::Library library;
  const Candidates all = candidates(Stocktaking(goal, library));
  std::size_t impossible = 0;
  for (const Impossible& one : all.impossible) impossible += one.structures;
  EXPECT_EQ(all.all.size() + impossible, all.considered);
  EXPECT_THAT(all.impossible, testing::Contains(testing::Field(
                                  &Impossible::reason, HasSubstr("16 experts of \"moe\""))));
}

TEST(Plan, TheFewestGpusForARateAreReplicasOfWhatDeliversIt) {
  LocatedGoal goal = test::small_goal(test::small_moe(2), {"h800"}, 24, 0.6);
  const Plan free = test::plan_of(goal, {.threads = 2, .samples = 0, .layouts = 1});
  ASSERT_FALSE(free.ranking.empty());
  const double rate = 0.6 * 24.0 * free.ranking.front().choice.tokens_per_second_per_gpu();
  goal.goal.rate = rate;
  const Plan plan = test::plan_of(goal, {.threads = 2, .samples = 0, .layouts = 3});
  ASSERT_FALSE(plan.ranking.empty());
  std::int64_t fewer = 0;
  for (const Ranked& r : plan.ranking) {
    const std::int64_t gpus = r.replicas * r.choice.structure.gpus();
    EXPECT_GE(static_cast<double>(r.replicas) * r.choice.tokens_per_second, rate);
    EXPECT_LT(static_cast<double>(r.replicas - 1) * r.choice.tokens_per_second, rate);
    EXPECT_LE(gpus, 24);
    EXPECT_GE(gpus, fewer);
    fewer = gpus;
  }
}

// Draws ask for room, but a batch so small that the goal's GPUs no longer deliver the rate is none.
TEST(Plan, NoRoomForDrawsIsMadeAtTheRatesCost) {
  LocatedGoal goal = test::small_goal(test::small_moe(2), {"h800"}, 24, 0.6);
  goal.goal.allowed.strategies = {"afd"};
  const Plan free = test::plan_of(goal, {.threads = 2, .samples = 0, .layouts = 1});
  ASSERT_FALSE(free.ranking.empty());
  const Ranked& best = free.ranking.front();
  goal.goal.rate = 0.999 * static_cast<double>(best.replicas) * best.choice.tokens_per_second;
  const Plan plan = test::plan_of(goal, {.threads = 2, .samples = 20, .layouts = 3});
  ASSERT_FALSE(plan.ranking.empty());
  for (const Ranked& r : plan.ranking) {
    EXPECT_GE(static_cast<double>(r.replicas) * r.choice.tokens_per_second, *goal.goal.rate);
  }
  EXPECT_FALSE(plan.ranking.front().enough);
  EXPECT_THAT(render(plan, view::OutputFormat::table), HasSubstr("and delivers the rate"));
}

TEST(Plan, SaysWhatItsFiguresRestOn) {
  const LocatedGoal goal = test::small_goal(test::small_moe(2), {"h800"}, 16, 0.6);
  const Plan plan = test::plan_of(goal, {.threads = 2, .samples = 0});
  const std::string table = render(plan, view::OutputFormat::table);
  EXPECT_THAT(table, HasSubstr("held-out error"));
  EXPECT_THAT(table, HasSubstr("no drafts"));
  const auto told = nlohmann::json::parse(render(plan, view::OutputFormat::json));
  EXPECT_THAT(told.at("kernel_times").at("h800").get<std::string>(), HasSubstr("held-out error"));
  for (const auto& row : told.at("ranking")) {
    EXPECT_FALSE(row.at("links").get<std::string>().empty());
    EXPECT_TRUE(row.at("warnings").is_array());
  }
}

// Where memory and the SLA have room, more requests are left out for what they are worth.
TEST(Plan, ABatchIsBoundByTheSlaOnlyWhereOneMoreWouldMissIt) {
  const LocatedGoal goal = test::small_goal(test::small_moe(2), {"h800"}, 24, 0.6);
  const Plan plan = test::plan_of(goal, {.threads = 2, .samples = 0});
  for (const Ranked& r : plan.ranking) {
    if (r.choice.requests == r.choice.most_requests) continue;
    Judge judge(*plan.stock, r.choice.structure);
    EXPECT_EQ(r.binds.starts_with("SLA"),
              judge.verdict(r.choice.requests + 1).tpot > goal.goal.sla_tpot)
        << r.binds;
  }
}

TEST(Plan, ASplitOfAttentionThatIsNotAllowedIsNotTried) {
  LocatedGoal goal = test::small_goal(test::small_moe(2), {"h800"}, 16, 0.6);
  goal.goal.allowed.attention_tensor_parallel = {1, 4};
  scenario::Library library;
  std::size_t tensor_parallel = 0;
  for (const auto& one : candidates(Stocktaking(goal, library)).all) {
    const std::int64_t split = one.structure.attention_tensor_parallel;
    EXPECT_TRUE(split == 1 || split == 4) << title_of(one.structure);
    tensor_parallel += one.structure.strategy == "tensor_parallel" ? 1 : 0;
  }
  EXPECT_GT(tensor_parallel, 0U);
}

}  // namespace
}  // namespace ridge::plan
