// Runs steps: micro-batches take the tasks of the step graph through servers and the network.
#pragma once

#include "accounting.hpp"
#include "interconnect.hpp"
#include "rotation.hpp"
#include "run_state.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace ridge::decode {

class StepRunner {
 public:
  // All must outlive this object.
  StepRunner(const SimulationInput& input, const StepGraph& graph, StageTimer& timer,
             Engine& engine, Accounting& accounting);

  // From now on every server keeps to a rotation, the best for these batches of each lane.
  void keep_order(const std::function<std::span<const GroupBatch>(std::size_t)>& batches);
  // Then a lane without requests goes through its steps like the others.
  [[nodiscard]] bool keeps_order() const { return rotation_.has_value(); }
  // How long the rotation makes a step.
  [[nodiscard]] Seconds cycle_time();

  // A step of a lane with these requests, whose batch has changed since the last step or not.
  void begin_step(std::size_t lane, std::span<const GroupBatch> batches);

  // A task is done. True if the lane's step is: `lanes()[lane].last_task` was its last task.
  [[nodiscard]] bool on_task_end(std::size_t lane, TaskId task);
  void on_sender_free(std::uint32_t port) {
    interconnect_->sender_free(engine_.now(), port, *this);
  }
  void on_network_wakes() { interconnect_->wake(engine_.now(), *this); }

  void begin_measurement();

  [[nodiscard]] std::span<Lane> lanes() { return lanes_; }
  [[nodiscard]] std::span<const Server> servers() const { return servers_; }
  [[nodiscard]] const std::optional<Interconnect>& interconnect() const { return interconnect_; }

 private:
  void task_ready(std::size_t lane, TaskId task, TaskId enabled_by);
  void serve_in_turn(const Lane& lane, ResourceId resource);
  void begin_task(Server& server, const LaneTask& what);
  [[nodiscard]] des::SimTime draw_duration(Server& server, const Lane& lane, WorkId work);
  void send(std::size_t lane, TaskId task);

  void time_messages(std::size_t lane);
  [[nodiscard]] bool messages_keep_order() const {
    return interconnect_ && interconnect_->keeps_order();
  }

  [[nodiscard]] Server& server(const Lane& lane, ResourceId resource) {
    return servers_[lane.first_server + resource];
  }
  // A task without work (an output head that a deployment does not price, say) is over at once: in
  // the queue it would wait for other micro-batches' kernels only to occupy nothing.
  // In a rotation it takes its turn all the same.
  [[nodiscard]] bool needs_resource(const Lane& lane, const Task& task) const {
    return task.on_resource && (rotation_ || lane.times.slowest[task.work] > des::SimTime());
  }
  [[nodiscard]] static std::uint64_t tag_of(std::size_t lane, TaskId task) {
    return static_cast<std::uint64_t>(lane) << 32U | task;
  }

  // What the interconnect tells (see Interconnect::send).
  friend class Interconnect;
  friend class net::Network;
  void begin(std::uint64_t tag);
  void deliver(des::SimTime when, std::uint64_t tag);
  void sender_free(des::SimTime when, std::uint32_t port);
  void wake(des::SimTime when);

  const SimulationInput& input_;
  const StepGraph& graph_;
  StageTimer& timer_;
  Engine& engine_;
  Accounting& accounting_;
  std::size_t micro_batches_;
  std::optional<Interconnect> interconnect_;
  std::optional<Rotation> rotation_;
  Random network_noise_;
  std::vector<Server> servers_;
  std::vector<Lane> lanes_;
  std::vector<std::vector<Interconnect::Times>> on_wires_;  // [lane][work], under a rotation
};

}  // namespace ridge::decode
