// Runs a deployment under a workload, event by event, and says what it delivered and what its GPUs
// waited for.
#pragma once

#include "ridge/base/quantity.hpp"
#include "ridge/base/statistics.hpp"
#include "ridge/decode/deployment.hpp"
#include "ridge/decode/expert_load.hpp"
#include "ridge/decode/memory_plan.hpp"
#include "ridge/decode/stage_timer.hpp"
#include "ridge/decode/step_graph.hpp"
#include "ridge/decode/workload.hpp"
#include "ridge/des/sim_time.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::decode {

// The file of mistakes that only a run finds; their pointers are those of the scenario that asks
// for it.
inline constexpr std::string_view kScenario = "scenario";

struct SlowLink {
  std::uint32_t pool = 0;
  std::uint32_t instance = 0;
  double factor = 1.0;  // its messages take this many times as long
};

struct Noise {
  double kernel_jitter =
      0.0;  // sigma of a lognormal factor (median 1) on each GPU's part of a stage
  double network_jitter = 0.0;  // the same on messages, which it only delays
  std::vector<SlowGpu> slow_gpus;
  std::vector<SlowLink> slow_links;
  ExpertPopularity experts;
};

// What part of the run counts. Closed loop: steps of a micro-batch; otherwise simulated time.
struct Measurement {
  std::int64_t warmup_steps = 4;
  std::int64_t steps = 16;
  Seconds warmup{5.0};
  Seconds duration{60.0};
};

// How transfers between instances share their links.
enum class NetworkModel : std::uint8_t {
  ports,  // each NIC direction serves one message at a time; the fabric between is never full
  max_min_fair,  // all links of the topology are shared max-min fairly
};

struct SimulationInput {
  Deployment deployment;
  Workload workload;
  Admission admission;
  Noise noise;
  Measurement measurement;
  NetworkModel network_model = NetworkModel::ports;
  std::uint64_t seed = 1;
  std::size_t max_trace_records = 0;  // tasks to record for a trace, from the start of measurement
  bool record_requests = false;       // of arrivals: every one from the first, warm-up included
  // Of simulations of one model with batches that do not change: what one draws, others find here.
  std::shared_ptr<DrawnRows> drawn_rows;
};

// One task as it ran.
struct TraceRecord {
  std::uint32_t replica = 0;
  std::uint32_t micro_batch = 0;
  TaskId task = 0;
  des::SimTime begin;
  des::SimTime end;
  Bytes payload;  // of a message, whole instances: what of it went between `begin` and `end`
};

// What the whole deployment held from `at` on.
struct LoadRecord {
  des::SimTime at;
  std::int64_t in_decode = 0;
  double kv_reserved = 0;  // of the KV budget of all groups, set aside
  double kv_filled = 0;    // likewise, in pages that hold tokens
};

// One request that arrived. Times since the simulation began; empty for what had not happened when
// it ended, or never will: a request larger than a GPU's whole KV memory is refused.
struct RequestRecord {
  des::SimTime arrival;
  std::optional<des::SimTime> admitted;
  std::optional<des::SimTime> first_token;
  std::optional<des::SimTime> finished;
  std::int64_t context_tokens = 0;  // that it came with
  std::int64_t output_tokens = 0;   // that it got
  bool refused = false;
};

// Where the GPU-seconds of a pool went during measurement. They add up to elapsed x GPUs.
struct PoolTimes {
  double busy = 0;          // kernels running
  double slowest_rank = 0;  // done, while another GPU of the instance still works on the stage
  std::array<double, kStages> waiting_for{};  // idle because of this stage of the next micro-batch
  double empty = 0;                           // no requests
};

struct LinkUse {
  std::string name;
  double utilization = 0;  // of time
  Bytes bytes;             // payload, of messages between instances
};

// What arrives against what is served.
struct LoadVerdict {
  double offered_tokens_per_second = 0;  // by requests that are not refused
  bool stable = true;                    // else the queue grows for as long as requests come so
};

struct SimulationResult {
  des::SimTime elapsed;  // measured
  std::uint64_t tokens = 0;
  std::uint64_t steps = 0;  // of micro-batches
  QuantileSketch tpot;      // seconds between tokens of a request, one sample per token
  Seconds mean_tpot;
  QuantileSketch request_tpot;  // mean over each finished request
  double mean_requests = 0;     // in decode, over time
  // Cached tokens as measured steps begin: of a request, and of the longest request of a group that
  // has any; 0 where no such step began.
  double mean_context = 0;
  double mean_longest = 0;
  std::uint64_t requests_finished = 0;
  std::uint64_t requests_arrived = 0;
  std::uint64_t requests_refused = 0;           // larger than a GPU's whole KV memory
  std::uint64_t requests_in_decode = 0;         // when the measurement ended
  std::uint64_t requests_waiting = 0;           // likewise
  std::uint64_t requests_in_decode_before = 0;  // when it began
  std::uint64_t requests_preempted = 0;         // how often one gave its place up
  std::uint64_t longest_queue = 0;              // of all replicas together
  QuantileSketch queueing;                      // seconds from arrival to admission
  QuantileSketch time_in_system;                // seconds from arrival to the last token
  std::optional<LoadVerdict> load;              // of arrivals
  bool trace_over = false;  // all of it was served before the time to measure was over
  std::vector<PoolTimes> pools;
  std::vector<LinkUse> links;
  double kv_peak = 0;      // of the KV budget of the fullest group, set aside
  double kv_reserved = 0;  // of the KV budget, set aside, all groups, over time
  double kv_filled = 0;    // likewise, in pages that hold tokens
  // Of the sampled steps, seconds of the critical path spent in each stage and in queues before it.
  std::array<double, kStages> critical_service{};
  std::array<double, kStages> critical_queue{};
  std::uint64_t critical_steps = 0;
  // Longest path of the last measured step of a micro-batch without contention, and what its
  // busiest resource needs for all micro-batches: no schedule of this deployment is faster.
  Seconds path_floor;
  Seconds resource_floor;
  std::uint64_t events = 0;
  std::uint64_t checksum = 0;
  bool partial = false;  // stopped before the measurement was over
  std::vector<TraceRecord> trace;
  std::vector<LoadRecord> load_trace;   // from the start of measurement, beside `trace`
  bool trace_full = false;              // more tasks ran than max_trace_records
  std::vector<RequestRecord> requests;  // by arrival, where they were to be recorded
};

class Simulation {
 public:
  // Throws UserError for a deployment that its strategy cannot run or that does not fit in memory.
  explicit Simulation(SimulationInput input);
  ~Simulation();

  // Runs to the end of the measurement, or until *stop is set. `progress` is told the share done.
  [[nodiscard]] SimulationResult run(const std::atomic<bool>* stop = nullptr,
                                     const std::function<void(double)>& progress = {});

  [[nodiscard]] const StepGraph& graph() const;
  [[nodiscard]] const MemoryPlan& memory() const;

 private:
  friend Seconds cyclic_step_time(SimulationInput input);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// How long a step of a steady closed loop takes in the long run under Schedule::cyclic (or by
// stages, where the deployment says so): the maximum cycle ratio of its step graph, without
// simulation. Throws UserError where there is jitter or a network that is not NetworkModel::ports.
[[nodiscard]] Seconds cyclic_step_time(SimulationInput input);

}  // namespace ridge::decode
