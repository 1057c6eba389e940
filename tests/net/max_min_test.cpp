#include "ridge/net/max_min.hpp"

#include "ridge/base/random.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace ridge::net {
namespace {

void add_flow(SharingProblem& problem, const std::vector<SharingProblem::Use>& uses) {
  problem.uses.insert(problem.uses.end(), uses.begin(), uses.end());
  problem.first_use.push_back(static_cast<std::uint32_t>(problem.uses.size()));
}

SharingProblem random_problem(Random& random, std::uint32_t most_weight) {
  SharingProblem problem;
  const std::size_t links = 1 + random.below(12);
  for (std::size_t i = 0; i < links; ++i) {
    // Round numbers make ties between links common.
    problem.capacity.push_back(static_cast<double>(1 + random.below(6)) * 1e9);
  }
  const std::size_t flows = 1 + random.below(25);
  for (std::size_t f = 0; f < flows; ++f) {
    std::vector<SharingProblem::Use> uses;
    for (std::uint32_t link = 0; link < links; ++link) {
      if (random.below(3) == 0) {
        uses.push_back({link, 1 + static_cast<std::uint32_t>(random.below(most_weight))});
      }
    }
    if (uses.empty()) uses.push_back({static_cast<std::uint32_t>(random.below(links)), 1});
    add_flow(problem, uses);
  }
  return problem;
}

std::vector<double> load_of(const SharingProblem& problem, std::span<const double> rates) {
  std::vector<double> load(problem.capacity.size(), 0.0);
  for (std::size_t f = 0; f < problem.flows(); ++f) {
    for (auto u = problem.first_use[f]; u < problem.first_use[f + 1]; ++u) {
      load[problem.uses[u].link] += rates[f] * problem.uses[u].weight;
    }
  }
  return load;
}

// Water filling as in the textbook, over all links and flows in every round.
std::vector<double> brute_force(const SharingProblem& problem) {
  std::vector<double> rates(problem.flows(), 0.0);
  std::vector<bool> rising(problem.flows(), true);
  while (std::count(rising.begin(), rising.end(), true) > 0) {
    const auto load = load_of(problem, rates);
    std::vector<double> slope(load.size(), 0.0);
    for (std::size_t f = 0; f < problem.flows(); ++f) {
      for (auto u = problem.first_use[f]; rising[f] && u < problem.first_use[f + 1]; ++u) {
        slope[problem.uses[u].link] += problem.uses[u].weight;
      }
    }
    double rise = std::numeric_limits<double>::infinity();
    for (std::size_t l = 0; l < load.size(); ++l) {
      if (slope[l] > 0) rise = std::min(rise, (problem.capacity[l] - load[l]) / slope[l]);
    }
    std::vector<bool> full(load.size());
    for (std::size_t l = 0; l < load.size(); ++l) {
      full[l] = slope[l] > 0 && load[l] + slope[l] * rise >= problem.capacity[l] * (1.0 - 1e-12);
    }
    for (std::size_t f = 0; f < problem.flows(); ++f) {
      if (!rising[f]) continue;
      rates[f] += rise;
      for (auto u = problem.first_use[f]; u < problem.first_use[f + 1]; ++u) {
        if (full[problem.uses[u].link]) rising[f] = false;
      }
    }
  }
  return rates;
}

RC_GTEST_PROP(MaxMin, AgreesWithBruteForceWaterFilling, (std::uint64_t seed)) {
  Random random(seed);
  const SharingProblem problem = random_problem(random, 3);
  MaxMin solver;
  const auto rates = solver.solve(problem);
  const auto expected = brute_force(problem);
  for (std::size_t f = 0; f < problem.flows(); ++f) {
    RC_ASSERT(std::abs(rates[f] - expected[f]) <= 1e-9 * expected[f]);
  }
}

RC_GTEST_PROP(MaxMin, NoLinkIsOverloadedAndEveryFlowIsHeldByAFullLinkWhereNoneHasMore,
              (std::uint64_t seed)) {
  Random random(seed);
  const SharingProblem problem = random_problem(random, 3);
  MaxMin solver;
  const auto rates = solver.solve(problem);
  const auto load = load_of(problem, rates);
  std::vector<double> most(load.size(), 0.0);
  for (std::size_t f = 0; f < problem.flows(); ++f) {
    for (auto u = problem.first_use[f]; u < problem.first_use[f + 1]; ++u) {
      most[problem.uses[u].link] = std::max(most[problem.uses[u].link], rates[f]);
    }
  }
  for (std::size_t l = 0; l < load.size(); ++l) {
    RC_ASSERT(load[l] <= problem.capacity[l] * (1.0 + 1e-9));
  }
  for (std::size_t f = 0; f < problem.flows(); ++f) {
    bool held = false;
    for (auto u = problem.first_use[f]; u < problem.first_use[f + 1]; ++u) {
      const auto link = problem.uses[u].link;
      held = held || (load[link] >= problem.capacity[link] * (1.0 - 1e-9) &&
                      rates[f] >= most[link] * (1.0 - 1e-9));
    }
    RC_ASSERT(held);
  }
}

RC_GTEST_PROP(MaxMin, ASolverRemembersNothingOfEarlierProblems, (std::uint64_t seed)) {
  Random random(seed);
  MaxMin used;
  for (int i = 0; i < 5; ++i) used.solve(random_problem(random, 2));
  const SharingProblem problem = random_problem(random, 2);
  MaxMin fresh;
  const auto expected = fresh.solve(problem);
  const auto rates = used.solve(problem);
  RC_ASSERT(std::equal(rates.begin(), rates.end(), expected.begin(), expected.end()));
}

TEST(MaxMin, EqualFlowsShareALinkEquallyToTheLastBit) {
  for (const std::uint32_t flows : {1U, 3U, 7U, 48U}) {
    SharingProblem problem;
    problem.capacity = {50e9};
    for (std::uint32_t f = 0; f < flows; ++f) add_flow(problem, {{0, 1}});
    MaxMin solver;
    for (const double rate : solver.solve(problem)) EXPECT_EQ(rate, 50e9 / flows);
  }
}

TEST(MaxMin, WhatAFlowCannotUseGoesToTheOthers) {
  SharingProblem problem;
  problem.capacity = {10.0, 2.0};
  add_flow(problem, {{0, 1}, {1, 1}});
  add_flow(problem, {{0, 1}});
  MaxMin solver;
  const auto rates = solver.solve(problem);
  EXPECT_DOUBLE_EQ(rates[0], 2.0);
  EXPECT_DOUBLE_EQ(rates[1], 8.0);
}

TEST(MaxMin, AWeightOfThreeIsThreeEqualFlows) {
  SharingProblem weighted;
  weighted.capacity = {8.0};
  add_flow(weighted, {{0, 3}});
  add_flow(weighted, {{0, 1}});
  MaxMin solver;
  const auto rates = solver.solve(weighted);
  EXPECT_DOUBLE_EQ(rates[0], 2.0);
  EXPECT_DOUBLE_EQ(rates[1], 2.0);
}

}  // namespace
}  // namespace ridge::net
