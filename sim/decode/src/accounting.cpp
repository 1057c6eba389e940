#include "accounting.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace ridge::decode {

using des::SimTime;

namespace {

// Of the steps measured, every how many a critical path is followed.
constexpr std::uint64_t kStepsPerPath = 8;

}  // namespace

Accounting::Accounting(const SimulationInput& input, const StepGraph& graph,
                       const StageTimer& timer, const MemoryPlan& memory)
    : input_(input),
      graph_(graph),
      kv_budget_(memory.pools[input.deployment.index_of(Role::attention)].kv_budget.value()),
      micro_batches_(static_cast<std::size_t>(input.deployment.micro_batches)) {
  const auto& pools = input.deployment.pools;
  result_.pools.resize(pools.size());
  for (const Pool& pool : pools) gpus_.push_back(static_cast<double>(pool.gpus_per_instance));
  for (WorkId w = 0; w < graph.works().size(); ++w) {
    const Stage stage = stage_of(graph.works()[w]);
    const double gpus = gpus_[place_of(graph.works()[w]).pool];
    const auto ranks = static_cast<double>(timer.ranks(w));
    of_work_.push_back({.stage = stage,
                        .on_links = stage == Stage::scale_up || stage == Stage::network,
                        .gpus_per_rank = gpus / ranks});
  }
}

void Accounting::begin_measurement(SimTime now) {
  measuring_ = true;
  measurement_begin_ = now;
  kv_used_.restart(now);
  kv_filled_.restart(now);
  active_.restart(now);
  full_.restart(now);
  result_.kv_peak = 0.0;
  result_.longest_queue = 0;
  result_.requests_in_decode_before = static_cast<std::uint64_t>(active_.level());
  record_load(now);
}

// ---- requests -----------------------------------------------------------------------------------

void Accounting::arrived(std::int64_t output_tokens, bool refused) {
  if (!measuring_) return;
  ++result_.requests_arrived;
  tokens_asked_ += static_cast<std::uint64_t>(output_tokens);
  if (!refused) return;
  ++result_.requests_refused;
  tokens_refused_ += static_cast<std::uint64_t>(output_tokens);
}

void Accounting::waiting(std::size_t requests) {
  result_.longest_queue = std::max<std::uint64_t>(result_.longest_queue, requests);
}

void Accounting::admitted(SimTime waited) {
  if (measuring_) result_.queueing.add(waited.seconds().value());
}

void Accounting::finished(double seconds_per_token, SimTime in_system) {
  if (!measuring_) return;
  ++result_.requests_finished;
  result_.request_tpot.add(seconds_per_token);
  result_.time_in_system.add(in_system.seconds().value());
}

void Accounting::holds(SimTime now, std::int64_t requests, double kv_bytes, double fullest_bytes) {
  kv_used_.set(now, static_cast<std::int64_t>(kv_bytes));
  active_.set(now, requests);
  result_.kv_peak = std::max(result_.kv_peak, fullest_bytes / kv_budget_);
  record_load(now);
}

// ---- steps and tasks ----------------------------------------------------------------------------

void Accounting::step_ends(SimTime now, const Lane& lane, TaskId last) {
  if (!measuring_) return;
  ++result_.steps;
  if (result_.steps % kStepsPerPath == 1) follow_critical_path(now, lane, last);
}

void Accounting::pass_half(SimTime now) {
  if (!measuring_ || half_ || input_.workload.kind == Workload::Kind::closed_loop) return;
  const SimTime half = measurement_begin_ + SimTime::from(0.5 * input_.measurement.duration);
  if (now < half) return;
  half_ = half;
  tokens_at_half_ = result_.tokens;
  full_.restart(half);
}

// More arrives than is served where a queue finds no place all the time and still what is asked for
// is more than what is served meanwhile. Of random arrivals the mean rate is known; of a trace,
// what came.
void Accounting::judge_load(SimTime now) {
  const Workload& w = input_.workload;
  if (w.kind == Workload::Kind::closed_loop) return;
  const double elapsed = (now - measurement_begin_).seconds().value();
  if (!measuring_ || elapsed <= 0.0) return;
  const auto asked = static_cast<double>(tokens_asked_);
  const double kept = asked > 0.0 ? 1.0 - static_cast<double>(tokens_refused_) / asked : 1.0;
  const double offered =
      kept * (w.kind == Workload::Kind::poisson ? w.requests_per_second * w.output.mean()
                                                : asked / elapsed);
  pass_half(now);
  const SimTime from = half_.value_or(measurement_begin_);
  const double late = (now - from).seconds().value();
  const double served =
      late > 0.0 ? static_cast<double>(result_.tokens - tokens_at_half_) / late : 0.0;
  constexpr double kAllTheTime = 0.9;
  constexpr double kSurely = 1.01;
  const bool full = full_.mean(now) > kAllTheTime * static_cast<double>(input_.deployment.replicas);
  result_.load = LoadVerdict{.offered_tokens_per_second = offered,
                             .stable = !(full && offered > kSurely * served)};
}

void Accounting::count_tokens(SimTime now, double step_seconds, std::int64_t tokens,
                              std::int64_t requests) {
  if (!measuring_ || requests == 0) return;
  pass_half(now);
  const auto samples = static_cast<std::uint64_t>(tokens * requests);
  const double each = step_seconds / static_cast<double>(tokens);
  result_.tokens += samples;
  result_.tpot.add(each, samples);
  tpot_sum_ += each * static_cast<double>(samples);
}

void Accounting::record(SimTime now, std::size_t lane_id, const Lane& lane, TaskId task) {
  const SimTime begin = std::max(lane.begin[task], measurement_begin_);
  if (begin >= now) return;
  if (result_.trace.size() == input_.max_trace_records) {
    result_.trace_full = true;
    return;
  }
  // Of what had begun before, the part that is measured.
  const double part = (now - begin).seconds() / (now - lane.begin[task]).seconds();
  const Bytes payload{lane.times.payload_bytes[graph_.tasks()[task].work]};
  result_.trace.push_back({.replica = static_cast<std::uint32_t>(lane_id / micro_batches_),
                           .micro_batch = static_cast<std::uint32_t>(lane_id % micro_batches_),
                           .task = task,
                           .begin = begin,
                           .end = now,
                           .payload = part * payload});
}

void Accounting::keep_load(SimTime now) {
  auto& loads = result_.load_trace;
  const double all = kv_of_all_groups();
  const LoadRecord load{.at = now,
                        .in_decode = active_.level(),
                        .kv_reserved = static_cast<double>(kv_used_.level()) / all,
                        .kv_filled = static_cast<double>(kv_filled_.level()) / all};
  if (!loads.empty() && loads.back().at == now) {
    loads.back() = load;
  } else if (loads.size() < input_.max_trace_records) {
    loads.push_back(load);
  }
}

double Accounting::kv_of_all_groups() const {
  const Deployment& d = input_.deployment;
  return kv_budget_ * static_cast<double>(d.groups()) * static_cast<double>(d.replicas);
}

// The part of the running task that lies within measurement, up to `now`.
void Accounting::count_busy(const Server& server, const ResourceInfo& resource, SimTime now) {
  const SimTime begin = std::max(server.begin, measurement_begin_);
  const double span = (now - server.begin).seconds().value();
  if (span <= 0.0 || now <= begin) return;
  const double counted = (now - begin).seconds().value();
  const OfWork& work = of_work_[graph_.tasks()[server.running.task].work];
  const double gpus = gpus_of(resource);
  PoolTimes& times = result_.pools[resource.at.pool];
  // A collective on the kernels' stream keeps every GPU of the instance.
  const double busy =
      work.on_links ? gpus * counted
                    // The span is whole picoseconds, the ranks' seconds are not.
                    : std::min(server.rank_seconds * work.gpus_per_rank / span, gpus) * counted;
  times.busy += busy;
  times.slowest_rank += gpus * counted - busy;
}

// Says what the kernels of an instance were waiting for between falling idle and `until`: backwards
// from task `t`, the last one that was on its way, each span belongs to the stage that was then on
// its way (running, or in a queue).
void Accounting::blame(const Server& server, const ResourceInfo& resource, const Lane& lane,
                       TaskId t, SimTime until) {
  const double gpus = gpus_of(resource);
  PoolTimes& times = result_.pools[resource.at.pool];
  const SimTime from = std::max(server.idle_since, measurement_begin_);
  const auto wait_from = [&](SimTime begin, double& cause) {
    begin = std::max(begin, from);
    if (begin >= until) return;
    cause += gpus * (until - begin).seconds().value();
    until = begin;
  };
  for (; t != kNoTask && until > from; t = lane.enabled_by[t]) {
    wait_from(lane.ready[t], times.waiting_for[stage_index(t)]);
  }
  // Before this step the micro-batch had nothing to do, and before that it ran the step before.
  wait_from(lane.last_task == kNoTask ? from : lane.step_end, times.empty);
  for (t = lane.last_task; t != kNoTask && until > from; t = lane.enabled_by[t]) {
    // What this step has already overwritten had begun before all that is left to explain.
    const bool overwritten = lane.ready[t] > until;
    wait_from(overwritten ? from : lane.ready[t], times.waiting_for[stage_index(t)]);
  }
  wait_from(from, times.empty);
}

// Idle when measurement ended: it waits for whatever its replica had begun last.
void Accounting::blame_open_wait(const Server& server, const ResourceInfo& resource,
                                 std::span<const Lane> lanes_of_replica, SimTime now) {
  for (const Lane& lane : lanes_of_replica) {
    if (lane.idle || lane.last_begun == kNoTask) continue;
    blame(server, resource, lane, lane.last_begun, now);
    return;
  }
  const SimTime from = std::max(server.idle_since, measurement_begin_);
  result_.pools[resource.at.pool].empty += (now - from).seconds().value() * gpus_of(resource);
}

void Accounting::follow_critical_path(SimTime now, const Lane& lane, TaskId last) {
  ++result_.critical_steps;
  SimTime end = now;
  for (TaskId t = last; t != kNoTask; t = lane.enabled_by[t]) {
    result_.critical_service[stage_index(t)] += (end - lane.begin[t]).seconds().value();
    result_.critical_queue[stage_index(t)] += (lane.begin[t] - lane.ready[t]).seconds().value();
    end = lane.ready[t];
  }
}

// ---- the end ------------------------------------------------------------------------------------

SimulationResult Accounting::close(const Engine& engine, std::span<const Server> servers,
                                   std::span<const Lane> lanes,
                                   const std::optional<Interconnect>& interconnect) {
  const SimTime now = engine.now();
  const Deployment& d = input_.deployment;
  for (std::size_t i = 0; measuring_ && i < servers.size(); ++i) {
    const std::size_t replica = i / graph_.resources().size();
    const ResourceInfo& resource = graph_.resources()[i % graph_.resources().size()];
    const Server& server = servers[i];
    if (server.queue.busy()) {
      const Lane& lane = lanes[server.running.lane];
      server_ends(now, server, resource);
      task_ends(now, server.running.lane, lane, server.running.task);
    } else if (resource.compute) {
      blame_open_wait(server, resource, lanes.subspan(replica * micro_batches_, micro_batches_),
                      now);
    }
  }
  judge_load(now);
  result_.elapsed = measuring_ ? now - measurement_begin_ : SimTime();
  measuring_ = false;
  const double kv_all = kv_of_all_groups();
  result_.kv_reserved = kv_used_.mean(now) / kv_all;
  result_.kv_filled = kv_filled_.mean(now) / kv_all;
  result_.mean_requests = active_.mean(now);
  if (begun_.groups > 0.0) {
    result_.mean_context = begun_.cached_tokens / begun_.requests;
    result_.mean_longest = begun_.longest / begun_.groups;
  }
  for (std::uint32_t p = 0; p < d.pools.size(); ++p) link_use(p, servers, interconnect, now);
  floors(lanes);
  result_.mean_tpot =
      result_.tokens > 0 ? Seconds{tpot_sum_ / static_cast<double>(result_.tokens)} : Seconds{};
  result_.events = engine.events();
  result_.checksum = engine.checksum();
  return std::move(result_);
}

void Accounting::link_use(std::uint32_t pool, std::span<const Server> servers,
                          const std::optional<Interconnect>& interconnect, SimTime now) {
  const Pool& info = input_.deployment.pools[pool];
  if (interconnect) {
    const Interconnect::Sent sent = interconnect->sent(pool, now);
    const std::string_view path = name_of(input_.deployment.message_path);
    result_.links.push_back({.name = fmt::format("{} {}, sending", info.name, path),
                             .utilization = sent.utilization,
                             .bytes = sent.payload});
  }
  double links = 0.0;
  bool any = false;
  for (std::size_t i = 0; i < servers.size(); ++i) {
    const ResourceInfo& resource = graph_.resources()[i % graph_.resources().size()];
    if (resource.compute || resource.at.pool != pool) continue;
    any = true;
    links += servers[i].queue.use(now).utilization();
  }
  if (any) {
    const auto instances = static_cast<double>(info.instances * input_.deployment.replicas);
    result_.links.push_back(
        {.name = fmt::format("{} collectives", info.name), .utilization = links / instances});
  }
}

// From the times of the first replica's last steps.
void Accounting::floors(std::span<const Lane> lanes) {
  const Deployment& d = input_.deployment;
  std::vector<SimTime> busy(graph_.resources().size());
  std::vector<std::size_t> first_port;
  std::size_t ports = 0;
  for (const Pool& pool : d.pools) {
    first_port.push_back(ports);
    ports += static_cast<std::size_t>(pool.instances);
  }
  std::vector<SimTime> sending(ports);
  std::vector<SimTime> receiving(ports);
  for (const Lane& lane : lanes.first(micro_batches_)) {
    if (lane.times.slowest.empty()) continue;
    result_.path_floor =
        std::max(result_.path_floor, graph_.longest_path(lane.times.slowest).seconds());
    for (const Task& task : graph_.tasks()) {
      if (task.on_resource) {
        busy[task.resource] += lane.times.slowest[task.work];
        continue;
      }
      const auto& message = std::get<Message>(graph_.works()[task.work]);
      const auto wire = [&](std::uint32_t pool) {
        const Pool& p = d.pools[pool];
        return SimTime::from(Bytes{lane.times.payload_bytes[task.work]} /
                             (static_cast<double>(p.gpus_per_instance) * d.message_bandwidth(p) *
                              d.message_transport().efficiency));
      };
      sending[first_port[message.from.pool] + message.from.instance] += wire(message.from.pool);
      receiving[first_port[message.to.pool] + message.to.instance] += wire(message.to.pool);
    }
  }
  for (const auto& loads : {busy, sending, receiving}) {
    for (const SimTime load : loads) {
      result_.resource_floor = std::max(result_.resource_floor, load.seconds());
    }
  }
}

}  // namespace ridge::decode
