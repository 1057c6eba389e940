// Watches a run and keeps its books: tokens, what every GPU-second went to, critical paths, links,
// memory. It moves nothing.
#pragma once

#include "interconnect.hpp"
#include "ridge/decode/simulation.hpp"
#include "ridge/des/time_average.hpp"
#include "run_state.hpp"

#include <cstdint>
#include <optional>
#include <span>

namespace ridge::decode {

class Accounting {
 public:
  // All must outlive this object.
  Accounting(const SimulationInput& input, const StepGraph& graph, const StageTimer& timer,
             const MemoryPlan& memory);

  [[nodiscard]] bool measuring() const { return measuring_; }
  void begin_measurement(des::SimTime now);

  // ---- requests
  void arrived(std::int64_t output_tokens, bool refused);
  void waiting(std::size_t requests);
  void admitted(des::SimTime waited);
  void preempted(std::size_t requests) {
    if (measuring_) result_.requests_preempted += requests;
  }
  void finished(double seconds_per_token, des::SimTime in_system);
  // After every change: in decode, and bytes of KV that all groups, and the fullest of them, have
  // set aside.
  void holds(des::SimTime now, std::int64_t requests, double kv_bytes, double fullest_bytes);
  // Of a replica's groups: bytes of KV in pages that hold tokens, before and after a change.
  void fills(des::SimTime now, double before, double after) {
    kv_filled_.add(now, static_cast<std::int64_t>(after) - static_cast<std::int64_t>(before));
    record_load(now);
  }
  // Replicas whose queue found no place.
  void full(des::SimTime now, std::int64_t replicas) {
    pass_half(now);
    full_.set(now, replicas);
  }

  // ---- steps and tasks
  void step_begins(std::span<const GroupBatch> batches) {
    if (!measuring_) return;
    for (const GroupBatch& batch : batches) {
      if (batch.requests == 0) continue;
      begun_.requests += static_cast<double>(batch.requests);
      begun_.cached_tokens += static_cast<double>(batch.cached_tokens);
      begun_.longest += static_cast<double>(batch.longest);
      begun_.groups += 1.0;
    }
  }
  void step_ends(des::SimTime now, const Lane& lane, TaskId last);
  // `requests` requests got `tokens` tokens each out of a step of this length.
  void count_tokens(des::SimTime now, double step_seconds, std::int64_t tokens,
                    std::int64_t requests);
  void server_begins(des::SimTime now, const Server& server, const ResourceInfo& resource,
                     const Lane& lane, TaskId task) {
    if (measuring_ && resource.compute && server.idle_since < now) {
      blame(server, resource, lane, lane.enabled_by[task], lane.ready[task]);
    }
  }
  void server_ends(des::SimTime now, const Server& server, const ResourceInfo& resource) {
    if (measuring_ && resource.compute) count_busy(server, resource, now);
  }
  void task_ends(des::SimTime now, std::size_t lane_id, const Lane& lane, TaskId task) {
    if (measuring_ && input_.max_trace_records > 0) record(now, lane_id, lane, task);
  }

  // ---- the end
  [[nodiscard]] SimulationResult close(const Engine& engine, std::span<const Server> servers,
                                       std::span<const Lane> lanes,
                                       const std::optional<Interconnect>& interconnect);
  SimulationResult& result() { return result_; }

 private:
  // The second half of a measured time tells whether what arrives is served.
  void pass_half(des::SimTime now);
  void judge_load(des::SimTime now);
  void record(des::SimTime now, std::size_t lane_id, const Lane& lane, TaskId task);
  void record_load(des::SimTime now) {
    if (measuring_ && input_.max_trace_records > 0) keep_load(now);
  }
  void keep_load(des::SimTime now);
  [[nodiscard]] double kv_of_all_groups() const;
  void count_busy(const Server& server, const ResourceInfo& resource, des::SimTime now);
  void blame(const Server& server, const ResourceInfo& resource, const Lane& lane, TaskId task,
             des::SimTime until);
  void blame_open_wait(const Server& server, const ResourceInfo& resource,
                       std::span<const Lane> lanes_of_replica, des::SimTime now);
  void follow_critical_path(des::SimTime now, const Lane& lane, TaskId last);
  void link_use(std::uint32_t pool, std::span<const Server> servers,
                const std::optional<Interconnect>& interconnect, des::SimTime now);
  void floors(std::span<const Lane> lanes);

  [[nodiscard]] std::size_t stage_index(TaskId task) const {
    return static_cast<std::size_t>(of_work_[graph_.tasks()[task].work].stage);
  }
  [[nodiscard]] double gpus_of(const ResourceInfo& resource) const {
    return gpus_[resource.at.pool];
  }

  const SimulationInput& input_;
  const StepGraph& graph_;
  std::vector<double> gpus_;  // of an instance, per pool
  struct OfWork {
    Stage stage = Stage::attention;
    bool on_links = false;
    double gpus_per_rank = 1.0;
  };
  std::vector<OfWork> of_work_;
  double kv_budget_;  // bytes, of one group
  // Of measured steps, as they begin: sums over them and their groups.
  struct Begun {
    double requests = 0.0;
    double cached_tokens = 0.0;
    double longest = 0.0;
    double groups = 0.0;
  };
  Begun begun_;
  std::size_t micro_batches_;
  bool measuring_ = false;
  des::SimTime measurement_begin_;
  double tpot_sum_ = 0.0;
  des::TimeAverage kv_used_;
  des::TimeAverage kv_filled_;
  des::TimeAverage active_;
  des::TimeAverage full_;           // replicas
  std::uint64_t tokens_asked_ = 0;  // by requests that arrived
  std::uint64_t tokens_refused_ = 0;
  std::optional<des::SimTime> half_;  // once it has passed
  std::uint64_t tokens_at_half_ = 0;
  SimulationResult result_;
};

}  // namespace ridge::decode
