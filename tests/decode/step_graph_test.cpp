#include "ridge/decode/step_graph.hpp"

#include "accounting.hpp"
#include "ridge/base/error.hpp"
#include "ridge/decode/memory_plan.hpp"
#include "ridge/decode/stage_timer.hpp"
#include "ridge/decode/strategy.hpp"
#include "step_runner.hpp"
#include "synthetic.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

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

// Attention, shared experts and routed experts on GPUs of their own: an attention sends its tokens
// to both, and waits for both.
TEST(StepRunner, RunsAStepOverThreePools) {
  constexpr double kNic = 1e9;
  auto input = test::one_to_one(1, 1, {}, kNic);
  Deployment& d = input.deployment;
  d.schedule = Schedule::fifo;
  d.model = test::moe_model(1);
  std::get<models::MoeFfn>(d.model.ffns[0].kind).shared_intermediate = 256;
  d.pools.push_back(d.pools[1]);
  d.pools[1].name = "routed experts";
  d.pools[2].name = "shared experts";
  d.pools[2].roles = {};
  d.pools[0].kernels = test::named_kernels({{"attention_norm", 1e-6}, {"expert_down", 1.0}});
  d.pools[1].kernels = test::named_kernels({{"expert_down", 5e-6}, {"shared_down", 1.0}});
  d.pools[2].kernels = test::named_kernels({{"shared_down", 3e-6}, {"expert_down", 1.0}});

  StepGraphBuilder builder;
  const auto kernels_of = [&](std::uint32_t pool) { return builder.resource({{pool, 0}, true}); };
  const auto send = [&](std::uint32_t from, std::uint32_t to, double bytes, TaskId after) {
    const WorkId message = builder.work(
        Message{.from = {from, 0}, .to = {to, 0}, .bytes_per_token = bytes, .requests_of = 0});
    return builder.transfer(message, 0, std::array{after});
  };
  const TaskId attention =
      builder.task(builder.work(AttentionWork{.at = {0, 0}}), kernels_of(0), 0, {});
  std::vector<TaskId> answers;
  for (const auto& [pool, piece] :
       {std::pair{1U, FfnPiece::routed}, std::pair{2U, FfnPiece::shared}}) {
    const TaskId sent = send(0, pool, 1000.0, attention);
    const WorkId work = builder.work(FfnWork{.at = {pool, 0}, .piece = piece});
    const TaskId done = builder.task(work, kernels_of(pool), 0, std::array{sent});
    answers.push_back(send(pool, 0, 1000.0, done));
  }
  builder.task(builder.work(HeadWork{.at = {0, 0}}), kernels_of(0), 1, answers);
  const StepGraph graph = builder.compile();

  Engine engine;
  StageTimer timer(d, graph, input.noise.experts, {}, input.seed);
  const MemoryPlan memory = plan_memory(d, input.admission, input.workload);
  Accounting accounting(input, graph, timer, memory);
  StepRunner runner(input, graph, timer, engine, accounting);
  std::optional<SimTime> ended;
  const std::array batches = {GroupBatch{.requests = 1, .cached_tokens = 100}};
  runner.begin_step(0, batches);
  engine.run([&](const Event& event) {
    if (event.kind == EventKind::sender_free) {
      runner.on_sender_free(event.id);
    } else if (event.kind == EventKind::network_wakes) {
      runner.on_network_wakes();
    } else if (runner.on_task_end(event.lane, event.id)) {
      ended = engine.now();
    }
  });

  // 1 us; the messages leave one behind the other, 1 us each. Routed: there at 2, done at 7, back
  // at 8. Shared: there at 3, done at 6, back at 7, when the way back is free for the other.
  ASSERT_TRUE(ended);
  EXPECT_EQ(*ended, SimTime::from_nanoseconds(8000));
  EXPECT_GT(memory.pools[1].weights, Bytes{});
  EXPECT_EQ(memory.pools[2].kv_budget, Bytes{});
}

}  // namespace
}  // namespace ridge::decode
