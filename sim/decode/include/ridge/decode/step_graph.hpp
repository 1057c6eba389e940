// One decode step of one micro-batch on one replica, compiled to tasks on resources with
// dependencies. Strategies build it; the simulation runs it, once per micro-batch in flight, over
// and over.
#pragma once

#include "ridge/des/sim_time.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
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
using WorkId = std::uint32_t;
using TaskId = std::uint32_t;

// An instance of a pool.
struct Place {
  std::uint32_t pool = 0;
  std::uint32_t instance = 0;
  friend bool operator==(const Place&, const Place&) = default;
};

// Serves one task at a time: the kernels of an instance, or its scale-up links (one direction of
// them, where that is all a collective loads).
struct ResourceInfo {
  Place at;
  bool compute = true;  // otherwise links
};

// Tokens of the whole replica, not of one instance.
inline constexpr std::uint32_t kAllInstances = 0xffffffff;

// Of the tokens of a MoE layer, those that have business with one FFN instance: one of their
// experts is there, or their shared part is computed there.
struct RoutedShare {
  std::uint32_t ffn_instance = 0;
  std::uint32_t layer = 0;  // as of FfnWork
  std::uint32_t top_k = 1;
  double elsewhere = 1.0;  // share of the tokens whose shared part is computed elsewhere
  friend bool operator==(const RoutedShare&, const RoutedShare&) = default;
};

// An attention in one go, or what an engine that goes by stages (goes_by_stages()) launches of it
// at a time.
enum class AttentionPiece : std::uint8_t {
  whole,
  projections,  // all ahead of the cache
  cache,        // from its kernel on, the router too
  send,         // of the exchange behind it, what runs on the GPU
  receive,      // likewise, of the results of the experts behind it
};
// Likewise of an FFN.
enum class FfnPiece : std::uint8_t { whole, shared, routed };

struct AttentionWork {
  Place at;
  std::uint32_t block = 0;     // of the model's attention blocks
  std::uint32_t next_ffn = 0;  // the FFN block whose router runs behind it
  std::uint32_t partials = 0;  // results of the FFN before it, which are added up first
  std::uint32_t queries = 1;   // tokens per sequence
  std::uint32_t ranks = 1;     // GPUs whose parts of the result are added up
  AttentionPiece piece = AttentionPiece::whole;
  friend bool operator==(const AttentionWork&, const AttentionWork&) = default;
};

struct FfnWork {
  Place at;
  std::uint32_t block = 0;  // of the model's FFN blocks
  std::uint32_t layer = 0;  // told apart only where layers of one block differ (expert skew)
  std::uint32_t queries = 1;
  FfnPiece piece = FfnPiece::whole;
  friend bool operator==(const FfnWork&, const FfnWork&) = default;
};

// LM head and sampling.
struct HeadWork {
  Place at;
  std::uint32_t queries = 1;
  friend bool operator==(const HeadWork&, const HeadWork&) = default;
};

// From one instance to another, over their NICs. Payload = bytes_per_token x requests of
// `requests_of`, an instance of the attention pool, x the share of them that is routed so.
struct Message {
  Place from;
  Place to;
  double bytes_per_token = 0.0;
  std::uint32_t requests_of = kAllInstances;
  std::optional<RoutedShare> routed;
  friend bool operator==(const Message&, const Message&) = default;
};

// Within an instance, over its scale-up links; payload as of a message.
struct Collective {
  Place at;
  enum class Pattern : std::uint8_t { all_gather, reduce_scatter, all_reduce };
  Pattern pattern = Pattern::all_gather;
  double bytes_per_token = 0.0;
  std::uint32_t requests_of = kAllInstances;
  std::uint32_t ranks = 1;
  std::optional<RoutedShare> routed;
  bool padded = false;  // whether what pads a batch is in it too; of an all-reduce it is
  friend bool operator==(const Collective&, const Collective&) = default;
};

// Tokens to their experts and back, all GPUs of an instance to all, over NICs and scale-up links.
struct Exchange {
  Place at;
  double bytes_per_copy = 0.0;
  std::uint32_t top_k = 1;  // copies of each token
  std::uint32_t queries = 1;
  std::uint32_t layer = 0;  // as of FfnWork
  std::uint32_t experts = 0;
  bool returning = false;
  std::uint32_t ranks = 1;
  friend bool operator==(const Exchange&, const Exchange&) = default;
};

// Within an FFN instance whose GPUs hold different experts: each GPU has received an equal part of
// the tokens over its own NIC, and the peers that hold their experts need them; or their results go
// the same way back.
struct PeerExchange {
  Place at;
  double bytes_per_token = 0.0;
  std::uint32_t requests_of = kAllInstances;
  std::uint32_t block = 0;  // of the model's FFN blocks
  std::uint32_t layer = 0;  // as of FfnWork
  std::uint32_t ranks = 1;  // expert-parallel ranks of the instance
  bool returning = false;
  std::optional<RoutedShare> routed;
  friend bool operator==(const PeerExchange&, const PeerExchange&) = default;
};

// What a task does. Many tasks share it (the same block in every layer), so that its duration is
// computed once per step.
using Work =
    std::variant<AttentionWork, FfnWork, HeadWork, Message, Collective, Exchange, PeerExchange>;

[[nodiscard]] inline Stage stage_of(const Work& work) {
  // In the order of the variant.
  constexpr std::array<Stage, std::variant_size_v<Work>> kStageOf = {
      Stage::attention, Stage::ffn,     Stage::head,    Stage::network,
      Stage::scale_up,  Stage::network, Stage::scale_up};
  return kStageOf[work.index()];
}
// Where it runs; a message, where it leaves.
[[nodiscard]] Place place_of(const Work& work);

struct Task {
  WorkId work = 0;
  ResourceId resource = 0;  // meaningless for a message between instances
  std::uint32_t layer = 0;
  std::uint32_t stage = 0;  // in which an engine that goes by stages launches it
  bool on_resource = true;
};

class StepGraph {
 public:
  [[nodiscard]] std::span<const ResourceInfo> resources() const { return resources_; }
  [[nodiscard]] std::span<const Work> works() const { return works_; }
  [[nodiscard]] std::span<const Task> tasks() const { return tasks_; }
  [[nodiscard]] std::span<const TaskId> roots() const { return roots_; }
  [[nodiscard]] std::size_t sinks() const { return sinks_; }
  [[nodiscard]] std::span<const TaskId> successors(TaskId task) const {
    return {successors_.data() + first_successor_[task],
            successors_.data() + first_successor_[task + 1]};
  }
  [[nodiscard]] std::uint32_t dependencies(TaskId task) const { return dependencies_[task]; }

  // The longest path through the step when task i takes durations[work of i]: no schedule of one
  // micro-batch is shorter.
  [[nodiscard]] des::SimTime longest_path(std::span<const des::SimTime> durations) const;

 private:
  friend class StepGraphBuilder;

  std::vector<ResourceInfo> resources_;
  std::vector<Work> works_;
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
  // The same number for equal work.
  WorkId work(const Work& work);
  // A task that starts once all of `after` are done.
  TaskId task(WorkId work, ResourceId resource, std::uint32_t layer, std::span<const TaskId> after,
              std::uint32_t stage = 0);
  TaskId transfer(WorkId work, std::uint32_t layer, std::span<const TaskId> after);

  // Orders the tasks. Throws InvariantError on a cycle.
  [[nodiscard]] StepGraph compile() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ridge::decode
