// What the search leaves out by is never above what the simulator says.
#include "ridge/plan/bounds.hpp"

#include "ridge/plan/judge.hpp"
#include "small_goals.hpp"

#include <gtest/gtest.h>

namespace ridge::plan {
namespace {

// Every `stride`-th structure, at the smallest, a middle and the largest batch.
std::size_t compare(const LocatedGoal& goal, std::size_t stride) {
  scenario::Library library;
  const Stocktaking stock(goal, library);
  const Candidates all = candidates(stock);
  Bounds bounds(stock, all);
  std::size_t compared = 0;
  for (std::size_t i = 0; i < all.all.size(); i += stride) {
    const auto& [s, most] = all.all[i];
    SCOPED_TRACE(title_of(s) + ": " + words_of(s));
    Judge judge(stock, s);
    for (const std::int64_t requests : {std::int64_t{1}, (most + 1) / 2, most}) {
      const Verdict verdict = judge.verdict(requests);
      const Seconds floor = bounds.floor(s, requests);
      EXPECT_LE(floor, verdict.mean_tpot);
      EXPECT_LE(floor, verdict.tpot);  // which is what the search compares it with
      EXPECT_LE(bounds.attention_floor(s, requests), (1.0 + 1e-12) * floor);
      EXPECT_GT(floor, 0.1 * verdict.mean_tpot);  // and says something
      ++compared;
    }
  }
  return compared;
}

TEST(Bounds, AreNeverAboveTheSimulatedStep) {
  EXPECT_GT(compare(test::small_goal(test::small_moe(2), {"h800"}, 32, 10), 11), 300U);
}

TEST(Bounds, AreNeverAboveItOnUnlikePools) {
  EXPECT_GT(compare(test::small_goal(test::small_moe(2), {"h800", "h20"}, 24, 10), 17), 100U);
}

TEST(Bounds, AreNeverAboveItForAShippedModel) {
  LocatedGoal goal = test::small_goal({}, {"h800"}, 56, 50);
  goal.goal.models = {{.name = "step-3", .spec = {}}};
  goal.goal.context = 8192;
  goal.goal.assumptions.memory_utilization = 0.9;
  EXPECT_GT(compare(goal, 487), 15U);
}

// Between nodes, a sum takes what its library takes, and no structure what the links take.
TEST(Bounds, AreNeverAboveItWhereALibrarySumsOverNodes) {
  LocatedGoal goal = test::small_goal(test::small_moe(2), {"h800"}, 32, 10);
  goal.goal.allowed.strategies = {"tensor_parallel"};
  scenario::Network& network = goal.goal.assumptions.network;
  network.wire = {.overhead = Seconds{50e-6}, .efficiency = 0.8, .source = "a test"};
  network.all_reduce = {{.overhead = Seconds{1e-6}, .bandwidth = BytesPerSecond{1e12}}};
  EXPECT_GT(compare(goal, 1), 30U);
}

// A node that experts divide over only with copies of some.
TEST(Bounds, AreNeverAboveItWhereANodeNeedsRedundantExperts) {
  LocatedGoal goal = test::small_goal(test::small_moe(2), {"gb200"}, 72, 10);
  goal.goal.allowed.strategies = {"wide_expert_parallel"};
  EXPECT_GT(compare(goal, 1), 10U);
}

}  // namespace
}  // namespace ridge::plan
