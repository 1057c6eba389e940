// One decode step of one micro-batch on one replica, compiled to tasks on resources with
// dependencies. Strategies build it; the simulation runs it, once per micro-batch in flight, over
// and over.
#pragma once

#include "ridge/des/sim_time.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::decode {

// What a task does; also what others wait for while it runs.
enum class Stage : std::uint8_t {
  attention,
  ffn,
  network,   // between instances
  scale_up,  // collectives within an instance
  head,      // LM head and sampling
};
inline constexpr std::size_t kStages = 5;
[[nodiscard]] std::string_view name_of(Stage stage);

using ResourceId = std::uint32_t;
using SlotId = std::uint32_t;
using TaskId = std::uint32_t;

// Serves one task at a time: the kernels of an instance, or its scale-up links.
struct ResourceInfo {
  std::uint32_t pool = 0;
  std::uint32_t instance = 0;
  bool compute = true;  // otherwise scale-up links
};

// Tokens of the whole replica, not of one instance.
inline constexpr std::uint32_t kAllInstances = 0xffffffff;

// Work that many tasks share (the same block in every layer), so that its duration is reckoned once
// per step.
struct Slot {
  Stage stage = Stage::attention;
  std::uint32_t pool = 0;
  std::uint32_t instance = 0;
  std::uint32_t block = 0;  // attention or FFN block of the model
  std::uint32_t layer = 0;  // told apart only where layers of one block differ (expert skew)
  // attention: the FFN block whose router runs behind it, and the partial results of the FFN before
  // it that are added up first.
  std::uint32_t next_block = 0;
  std::uint32_t partials = 0;
  std::uint32_t queries = 1;  // tokens per sequence
  // Messages. Payload = bytes_per_token x tokens of `tokens_of` (an instance of the first pool).
  double bytes_per_token = 0.0;
  std::uint32_t tokens_of = kAllInstances;
  std::uint32_t to_pool = 0;  // network: the receiving instance
  std::uint32_t to_instance = 0;
  enum class Pattern : std::uint8_t {
    point_to_point,
    all_gather,
    reduce_scatter,
    all_reduce,
    all_to_all
  };
  Pattern pattern = Pattern::point_to_point;
  // all_to_all between tokens and experts: copies of each token of tokens_of, of how many experts,
  // and whether they come back.
  std::uint32_t copies = 0;
  std::uint32_t experts = 0;
  bool returning = false;
  // GPUs that take part in a collective. attention: those whose partial results are added up within
  // the stage.
  std::uint32_t ranks = 1;

  friend bool operator==(const Slot&, const Slot&) = default;
};

struct Task {
  SlotId slot = 0;
  ResourceId resource = 0;  // meaningless for a network task between instances
  std::uint32_t layer = 0;
  bool on_resource = true;
};

class StepGraph {
 public:
  [[nodiscard]] std::span<const ResourceInfo> resources() const { return resources_; }
  [[nodiscard]] std::span<const Slot> slots() const { return slots_; }
  [[nodiscard]] std::span<const Task> tasks() const { return tasks_; }
  [[nodiscard]] std::span<const TaskId> roots() const { return roots_; }
  [[nodiscard]] std::size_t sinks() const { return sinks_; }
  [[nodiscard]] std::span<const TaskId> successors(TaskId task) const {
    return {successors_.data() + first_successor_[task],
            successors_.data() + first_successor_[task + 1]};
  }
  [[nodiscard]] std::uint32_t dependencies(TaskId task) const { return dependencies_[task]; }

  // The longest path through the step when task i takes durations[slot of i]: no schedule of one
  // micro-batch is shorter.
  [[nodiscard]] des::SimTime longest_path(std::span<const des::SimTime> slot_durations) const;

 private:
  friend class StepGraphBuilder;

  std::vector<ResourceInfo> resources_;
  std::vector<Slot> slots_;
  std::vector<Task> tasks_;  // in topological order
  std::vector<std::uint32_t> dependencies_;
  std::vector<std::uint32_t> first_successor_;
  std::vector<TaskId> successors_;
  std::vector<TaskId> roots_;
  std::size_t sinks_ = 0;
};

class StepGraphBuilder {
 public:
  StepGraphBuilder();
  ~StepGraphBuilder();
  StepGraphBuilder(StepGraphBuilder&&) noexcept;
  StepGraphBuilder& operator=(StepGraphBuilder&&) noexcept;

  ResourceId resource(const ResourceInfo& info);
  // The slot itself if it was added before.
  SlotId slot(const Slot& slot);
  // A task that starts once all of `after` are done.
  TaskId task(SlotId slot, ResourceId resource, std::uint32_t layer, std::span<const TaskId> after);
  TaskId transfer(SlotId slot, std::uint32_t layer, std::span<const TaskId> after);

  // Orders the tasks. Throws InvariantError on a cycle.
  [[nodiscard]] StepGraph compile() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ridge::decode
