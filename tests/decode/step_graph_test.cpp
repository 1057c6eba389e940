#include "ridge/decode/step_graph.hpp"

#include "ridge/base/error.hpp"
#include "ridge/decode/strategy.hpp"
#include "synthetic.hpp"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace ridge::decode {
namespace {

using des::SimTime;

// Follows every path from `task` on.
SimTime longest_from(const StepGraph& graph, TaskId task, std::span<const SimTime> durations) {
  SimTime rest;
  for (const TaskId next : graph.successors(task)) {
    rest = std::max(rest, longest_from(graph, next, durations));
  }
  return durations[graph.tasks()[task].work] + rest;
}

TEST(StepGraph, LongestPathIsTheLongestOfAllPaths) {
  EXPECT_TRUE(rc::check([] {
    StepGraphBuilder builder;
    const ResourceId resource = builder.resource({});
    const int count = *rc::gen::inRange(1, 12);
    std::vector<SimTime> durations;
    for (int i = 0; i < count; ++i) {
      const WorkId work = builder.work(FfnWork{.layer = static_cast<std::uint32_t>(i)});
      durations.push_back(SimTime::from_nanoseconds(*rc::gen::inRange(0, 1000)));
      std::vector<TaskId> after;
      for (int j = 0; j < i; ++j) {
        if (*rc::gen::inRange(0, 3) == 0) after.push_back(static_cast<TaskId>(j));
      }
      builder.task(work, resource, 0, after);
    }
    const StepGraph graph = builder.compile();
    SimTime longest;
    for (const TaskId root : graph.roots()) {
      longest = std::max(longest, longest_from(graph, root, durations));
    }
    RC_ASSERT(graph.longest_path(durations) == longest);
    // Every dependency is somebody's successor, and tasks without any are roots.
    std::size_t edges = 0;
    std::size_t sinks = 0;
    for (TaskId id = 0; id < graph.tasks().size(); ++id) {
      edges += graph.successors(id).size();
      sinks += graph.successors(id).empty() ? 1 : 0;
      const bool root = std::count(graph.roots().begin(), graph.roots().end(), id) == 1;
      RC_ASSERT(root == (graph.dependencies(id) == 0));
    }
    std::size_t dependencies = 0;
    for (TaskId id = 0; id < graph.tasks().size(); ++id) dependencies += graph.dependencies(id);
    RC_ASSERT(edges == dependencies);
    RC_ASSERT(sinks == graph.sinks());
  }));
}

TEST(StepGraph, EqualWorkIsOne) {
  StepGraphBuilder builder;
  const WorkId first = builder.work(FfnWork{.block = 1});
  EXPECT_EQ(builder.work(FfnWork{.block = 1}), first);
  EXPECT_NE(builder.work(FfnWork{.block = 2}), first);
  EXPECT_NE(builder.work(AttentionWork{.block = 1}), first);
}

TEST(StepGraph, ATaskMustFollowWhatItDependsOn) {
  StepGraphBuilder builder;
  const ResourceId resource = builder.resource({});
  builder.task(builder.work(FfnWork{}), resource, 0, std::array<TaskId, 1>{1});
  builder.task(builder.work(FfnWork{}), resource, 0, std::array<TaskId, 1>{0});
  EXPECT_THROW((void)builder.compile(), InvariantError);
}

TEST(StepGraph, OfDisaggregationHasATaskForEachStageOfEachLayer) {
  const auto input = test::two_to_two(6, 1, {});
  const StepGraph graph = compile(input.deployment, 1);
  // Per layer: 2 attention, 2 x 2 messages there, 2 gathers, 2 FFN, 2 scatters, 2 x 2 messages
  // back.
  EXPECT_EQ(graph.tasks().size(), 6U * (2 + 4 + 2 + 2 + 2 + 4) + 2);
  EXPECT_EQ(graph.roots().size(), 2U);
  EXPECT_EQ(graph.sinks(), 2U);
}

TEST(StepGraph, LayersShareWorkUnlessTheyDiffer) {
  const auto input = test::two_to_two(6, 1, {});
  const auto ffn_works = [](const StepGraph& graph) {
    return std::count_if(graph.works().begin(), graph.works().end(),
                         [](const Work& work) { return stage_of(work) == Stage::ffn; });
  };
  EXPECT_EQ(ffn_works(compile(input.deployment, 1)), 2);
  EXPECT_EQ(ffn_works(compile(input.deployment, 100)), 12);
}

}  // namespace
}  // namespace ridge::decode
