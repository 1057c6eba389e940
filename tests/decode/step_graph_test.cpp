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
  return durations[graph.tasks()[task].slot] + rest;
}

TEST(StepGraph, LongestPathIsTheLongestOfAllPaths) {
  EXPECT_TRUE(rc::check([] {
    StepGraphBuilder builder;
    const ResourceId resource = builder.resource({});
    const int count = *rc::gen::inRange(1, 12);
    std::vector<SimTime> durations;
    for (int i = 0; i < count; ++i) {
      const SlotId slot = builder.slot({.layer = static_cast<std::uint32_t>(i)});
      durations.push_back(SimTime::from_nanoseconds(*rc::gen::inRange(0, 1000)));
      std::vector<TaskId> after;
      for (int j = 0; j < i; ++j) {
        if (*rc::gen::inRange(0, 3) == 0) after.push_back(static_cast<TaskId>(j));
      }
      builder.task(slot, resource, 0, after);
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

TEST(StepGraph, EqualSlotsAreOne) {
  StepGraphBuilder builder;
  const SlotId first = builder.slot({.stage = Stage::ffn, .block = 1});
  EXPECT_EQ(builder.slot({.stage = Stage::ffn, .block = 1}), first);
  EXPECT_NE(builder.slot({.stage = Stage::ffn, .block = 2}), first);
}

TEST(StepGraph, ATaskMustFollowWhatItDependsOn) {
  StepGraphBuilder builder;
  const ResourceId resource = builder.resource({});
  builder.task(builder.slot({}), resource, 0, std::array<TaskId, 1>{1});
  builder.task(builder.slot({}), resource, 0, std::array<TaskId, 1>{0});
  EXPECT_THROW((void)builder.compile(), InvariantError);
}

TEST(StepGraph, OfDisaggregationHasATaskForEachStageOfEachLayer) {
  const auto input = test::two_to_two(6, 1, {});
  const StepGraph graph = compile(input.deployment, false);
  // Per layer: 2 attention, 2 x 2 messages there, 2 gathers, 2 FFN, 2 scatters, 2 x 2 messages
  // back.
  EXPECT_EQ(graph.tasks().size(), 6U * (2 + 4 + 2 + 2 + 2 + 4) + 2);
  EXPECT_EQ(graph.roots().size(), 2U);
  EXPECT_EQ(graph.sinks(), 2U);
}

TEST(StepGraph, LayersShareSlotsUnlessTheyDiffer) {
  const auto input = test::two_to_two(6, 1, {});
  const auto ffn_slots = [](const StepGraph& graph) {
    return std::count_if(graph.slots().begin(), graph.slots().end(),
                         [](const Slot& slot) { return slot.stage == Stage::ffn; });
  };
  EXPECT_EQ(ffn_slots(compile(input.deployment, false)), 2);
  EXPECT_EQ(ffn_slots(compile(input.deployment, true)), 12);
}

}  // namespace
}  // namespace ridge::decode
