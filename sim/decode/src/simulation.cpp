#include "ridge/decode/simulation.hpp"

#include "fabric.hpp"
#include "request_pool.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/format.hpp"
#include "ridge/base/random.hpp"
#include "ridge/decode/strategy.hpp"
#include "ridge/des/engine.hpp"
#include "ridge/des/resource.hpp"
#include "ridge/des/time_average.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::decode {
namespace {

using des::Priority;
using des::SimTime;

enum class EventKind : std::uint16_t {
  task_end,     // id: task
  sender_free,  // id: port
  network_wakes,
  arrival,
  measurement_begins,
  measurement_ends,
};

struct Event {
  EventKind kind = EventKind::task_end;
  std::uint16_t unused = 0;  // the engine's checksum reads every byte
  std::uint32_t lane = 0;    // micro-batch of a replica
  std::uint32_t id = 0;
};

constexpr TaskId kNoTask = 0xffffffff;

// One micro-batch of one replica on its way through the step graph.
struct Lane {
  StepTimes times;
  std::vector<std::uint32_t> missing;  // per task: dependencies not done
  std::vector<SimTime> ready;          // per task: when its last dependency was done
  std::vector<SimTime> begin;
  std::vector<TaskId> enabled_by;  // per task: that last dependency
  std::size_t sinks_left = 0;
  SimTime step_begin;
  TaskId last_task = kNoTask;  // of the step before, which ended at step_end
  SimTime step_end;
  std::uint64_t steps = 0;
  bool idle = true;     // no requests
  bool changed = true;  // its batch, since `times`
  TaskId last_begun = kNoTask;
};

struct WaitingTask {
  std::uint32_t lane = 0;
  TaskId task = 0;
};

// A resource of one replica and what it is doing.
struct Server {
  des::Resource<WaitingTask> queue;
  WaitingTask running;
  SimTime begin;
  SimTime idle_since;
  double rank_seconds = 0;  // of the running task, summed over GPUs
  Random random{0};
};

// Streams of randomness, so that one consumer's draws do not move another's.
enum RandomStream : std::uint64_t {
  kArrivals = 1,
  kLengths = 2,
  kDrafting = 3,
  kNetwork = 4,
  kFirstServer = 16,
};

}  // namespace

struct Simulation::Impl {
  explicit Impl(SimulationInput in)
      : input(checked(std::move(in))),
        graph(compile(input.deployment, layers_differ(input))),
        timer(input.deployment, graph, input.noise.experts, input.noise.slow_gpus, input.seed),
        memory(plan_memory(input.deployment, input.admission)),
        arrivals(input.seed, kArrivals),
        lengths(input.seed, kLengths),
        drafting(input.seed, kDrafting),
        network_noise(input.seed, kNetwork) {
    Diagnostics problems;
    for (const auto& problem : memory.problems) problems.error("memory", "", problem);
    problems.throw_if_errors();
    const Deployment& d = input.deployment;
    replicas = static_cast<std::size_t>(d.replicas);
    micro_batches = static_cast<std::size_t>(d.micro_batches);
    // Strategies of one pool send no messages between instances.
    if (d.pools.size() > 1) fabric.emplace(d, input.network_model, input.noise.slow_links);
    servers.resize(replicas * graph.resources().size());
    for (std::size_t s = 0; s < servers.size(); ++s) {
      servers[s].random = Random(input.seed, kFirstServer + s);
    }
    lanes.resize(replicas * micro_batches);
    for (Lane& lane : lanes) {
      lane.missing.resize(graph.tasks().size());
      lane.ready.resize(graph.tasks().size());
      lane.begin.resize(graph.tasks().size());
      lane.enabled_by.resize(graph.tasks().size(), kNoTask);
    }
    const GroupLimits limits{.kv_bytes = memory.pools.front().kv_budget.value(),
                             .requests_per_micro_batch = requests_per_micro_batch()};
    for (std::size_t r = 0; r < replicas; ++r) {
      requests.emplace_back(static_cast<std::size_t>(d.groups()), micro_batches, limits,
                            input.admission.routing);
    }
    result.pools.resize(d.pools.size());
  }

  static SimulationInput checked(SimulationInput in) {
    Diagnostics problems;
    for (const auto& problem : deployment_problems(in.deployment)) {
      problems.error("deployment", "", problem);
    }
    problems.throw_if_errors();
    return in;
  }

  static bool layers_differ(const SimulationInput& in) {
    return in.noise.experts.kind != ExpertPopularity::Kind::uniform;
  }

  // Per group; all of them where nothing but memory limits a batch.
  std::int64_t requests_per_micro_batch() const {
    const Deployment& d = input.deployment;
    const bool closed = input.workload.kind == Workload::Kind::closed_loop;
    const std::int64_t per_gpu =
        closed ? input.workload.requests_per_gpu : input.admission.max_requests_per_gpu;
    if (per_gpu == 0) return std::numeric_limits<std::int64_t>::max();
    const std::int64_t per_group = per_gpu * d.attention_tensor_parallel;
    if (closed && per_group % d.micro_batches != 0) {
      throw UserError(
          fmt::format("workload: {} requests per group do not divide into {} "
                      "micro-batches",
                      per_group, d.micro_batches));
    }
    return (per_group + d.micro_batches - 1) / d.micro_batches;
  }

  // ---- requests -------------------------------------------------------------------------------

  double kv_bytes(std::int64_t tokens) const {
    return request_kv_bytes(input.deployment, input.admission, tokens).value();
  }

  void fill_closed_loop() {
    const Workload& w = input.workload;
    const std::int64_t each = requests_per_micro_batch();
    const double budget = memory.pools.front().kv_budget.value();
    const std::int64_t longest = w.context.largest() + (w.steady ? 0 : w.output.largest());
    if (const double need = kv_bytes(longest); need > budget) {
      throw UserError(
          fmt::format("memory: pool \"{}\": a request of {} tokens, the longest context and "
                      "output, needs {} of "
                      "KV on a GPU, {} more than the {} left beside its weights",
                      memory.pools.front().pool, longest, si(need, "B"), si(need - budget, "B"),
                      si(budget, "B")));
    }
    for (RequestPool& pool : requests) {
      const auto groups = static_cast<std::size_t>(input.deployment.groups());
      for (std::size_t m = 0; m < micro_batches; ++m) {
        for (std::size_t g = 0; g < groups; ++g) {
          for (std::int64_t i = 0; i < each; ++i) {
            ActiveRequest request{.context = w.context.sample(lengths)};
            if (w.steady) {
              request.kv_bytes = kv_bytes(request.context);
            } else {
              // Caught somewhere in its life, so that departures do not come all at once.
              const std::int64_t output = w.output.sample(lengths);
              request.remaining =
                  1 + static_cast<std::int64_t>(lengths.below(static_cast<std::uint64_t>(output)));
              request.kv_bytes = kv_bytes(request.context + output);
              request.context += output - request.remaining;
            }
            pool.place(m, g, request);
          }
        }
      }
      const double fullest = *std::max_element(pool.kv_used().begin(), pool.kv_used().end());
      if (fullest > budget) {
        throw UserError(fmt::format(
            "memory: pool \"{}\": the requests of a GPU need {} of KV, {} more than the {} left "
            "beside its weights; fewer requests_per_gpu or a smaller KV precision would fit",
            memory.pools.front().pool, si(fullest, "B"), si(fullest - budget, "B"),
            si(budget, "B")));
      }
    }
    track_kv();
  }

  void track_kv() {
    double used = 0.0;
    const double budget = memory.pools.front().kv_budget.value();
    for (const RequestPool& pool : requests) {
      for (const double group : pool.kv_used()) {
        used += group;
        result.kv_peak = std::max(result.kv_peak, group / budget);
      }
    }
    kv_used.set(engine.now(), static_cast<std::int64_t>(used));
  }

  void schedule_arrival() {
    const Workload& w = input.workload;
    if (w.kind == Workload::Kind::poisson) {
      const Seconds gap{arrivals.exponential() / w.requests_per_second};
      engine.after(SimTime::from(gap), Priority::admit, {.kind = EventKind::arrival});
    } else if (next_in_trace < w.trace.size()) {
      engine.at(std::max(engine.now(), SimTime::from(w.trace[next_in_trace].arrival)),
                Priority::admit, {.kind = EventKind::arrival});
    }
  }

  void on_arrival() {
    const Workload& w = input.workload;
    PendingRequest request{.arrival = engine.now()};
    if (w.kind == Workload::Kind::trace) {
      const TraceRequest& recorded = w.trace[next_in_trace++];
      request.context = recorded.context_tokens;
      request.output = recorded.output_tokens;
    } else {
      request.context = w.context.sample(lengths);
      request.output = w.output.sample(lengths);
    }
    if (measuring) ++result.requests_arrived;
    if (kv_bytes(request.context + request.output) > memory.pools.front().kv_budget.value()) {
      if (measuring) ++result.requests_refused;
    } else {
      enqueue(choose_replica(), request);
    }
    schedule_arrival();
  }

  std::size_t choose_replica() {
    if (input.admission.routing == Routing::round_robin) return next_replica++ % replicas;
    std::size_t best = 0;
    const auto load = [&](std::size_t r) {
      return requests[r].active() + static_cast<std::int64_t>(requests[r].waiting().size());
    };
    for (std::size_t r = 1; r < replicas; ++r) {
      if (load(r) < load(best)) best = r;
    }
    return best;
  }

  void enqueue(std::size_t replica, const PendingRequest& request) {
    requests[replica].enqueue(request);
    result.longest_queue =
        std::max<std::uint64_t>(result.longest_queue, requests[replica].waiting().size());
    wake_idle(replica);
  }

  void wake_idle(std::size_t replica) {
    for (std::size_t m = 0; m < micro_batches && !requests[replica].waiting().empty(); ++m) {
      const std::size_t lane = replica * micro_batches + m;
      if (lanes[lane].idle) begin_step(lane);
    }
  }

  // ---- steps ----------------------------------------------------------------------------------

  bool steady() const {
    return input.workload.kind == Workload::Kind::closed_loop && input.workload.steady;
  }

  void begin_step(std::size_t lane_id) {
    Lane& lane = lanes[lane_id];
    RequestPool& pool = requests[lane_id / micro_batches];
    const std::size_t m = lane_id % micro_batches;
    const SimTime now = engine.now();
    bool admitted = false;
    pool.admit(
        now, m, [&](std::int64_t tokens) { return kv_bytes(tokens); },
        [&](const PendingRequest& request) {
          admitted = true;
          const SimTime waited = now - request.arrival;
          if (measuring && waited > SimTime()) result.queueing.add(waited.seconds().value());
        });
    if (admitted) {
      lane.changed = true;
      track_kv();
      active.set(now, total_active());
    }
    lane.idle = pool.active_in(m) == 0;
    if (lane.idle) return;
    if (lane.changed) {
      timer.time(pool.batches(m), lane.times);
      lane.changed = false;
    }
    lane.step_begin = now;
    lane.sinks_left = graph.sinks();
    for (TaskId t = 0; t < lane.missing.size(); ++t) lane.missing[t] = graph.dependencies(t);
    for (const TaskId root : graph.roots()) task_ready(lane_id, root, kNoTask);
  }

  std::int64_t total_active() const {
    std::int64_t sum = 0;
    for (const RequestPool& pool : requests) sum += pool.active();
    return sum;
  }

  void end_step(std::size_t lane_id, TaskId last) {
    Lane& lane = lanes[lane_id];
    RequestPool& pool = requests[lane_id / micro_batches];
    const std::size_t m = lane_id % micro_batches;
    const SimTime now = engine.now();
    const double seconds = (now - lane.step_begin).seconds().value();
    ++lane.steps;
    lane.last_task = last;
    lane.step_end = now;
    bool left = false;
    if (measuring) {
      ++result.steps;
      if (result.steps % kStepsPerPath == 1) follow_critical_path(lane, last);
    }
    if (steady() && input.deployment.drafting.tokens == 0) {
      count_tokens(seconds, 1, pool.active_in(m));
    } else {
      std::array<std::int64_t, kMaxDrafts + 2> by_tokens{};
      pool.step(
          m,
          [&](ActiveRequest& request) {
            const std::int64_t got =
                steady() ? accepted_tokens() : std::min(accepted_tokens(), request.remaining);
            ++by_tokens[static_cast<std::size_t>(got)];
            return steady() ? 0 : got;
          },
          [&](const ActiveRequest& request) {
            left = true;
            if (measuring) {
              ++result.requests_finished;
              result.request_tpot.add((now - request.admitted).seconds().value() /
                                      static_cast<double>(request.generated));
            }
            if (input.workload.kind == Workload::Kind::closed_loop) ++to_replace;
          });
      for (std::size_t k = 1; k < by_tokens.size(); ++k) {
        count_tokens(seconds, static_cast<std::int64_t>(k), by_tokens[k]);
      }
      lane.changed = lane.changed || !steady();
      if (left) {
        track_kv();
        active.set(now, total_active());
      }
      for (; to_replace > 0; --to_replace) {
        pool.enqueue({.arrival = now,
                      .context = input.workload.context.sample(lengths),
                      .output = input.workload.output.sample(lengths)});
      }
    }
    if (lane_id == 0) count_measured_steps(lane.steps);
    if (finished) return;
    begin_step(lane_id);
    // The memory that was freed may be what a request waits for that another micro-batch can take.
    if (left) wake_idle(lane_id / micro_batches);
  }

  std::int64_t accepted_tokens() {
    std::int64_t got = 1;
    const Drafting& d = input.deployment.drafting;
    while (got <= d.tokens && drafting.uniform() < d.acceptance) ++got;
    return got;
  }

  // `requests` requests got `tokens` tokens each out of a step of this length.
  void count_tokens(double step_seconds, std::int64_t tokens, std::int64_t requests_count) {
    if (!measuring || requests_count == 0) return;
    const auto samples = static_cast<std::uint64_t>(tokens * requests_count);
    const double each = step_seconds / static_cast<double>(tokens);
    result.tokens += samples;
    result.tpot.add(each, samples);
    tpot_sum += each * static_cast<double>(samples);
  }

  // ---- tasks ----------------------------------------------------------------------------------

  Server& server(std::size_t lane_id, ResourceId resource) {
    return servers[lane_id / micro_batches * graph.resources().size() + resource];
  }

  void task_ready(std::size_t lane_id, TaskId task, TaskId enabled_by) {
    Lane& lane = lanes[lane_id];
    const SimTime now = engine.now();
    lane.ready[task] = now;
    lane.enabled_by[task] = enabled_by;
    const Task& info = graph.tasks()[task];
    if (!info.on_resource) {
      send(lane_id, task);
      return;
    }
    if (!needs_resource(lane, info)) {
      begin(tag_of(lane_id, task));
      engine.after(
          SimTime(), Priority::complete,
          {.kind = EventKind::task_end, .lane = static_cast<std::uint32_t>(lane_id), .id = task});
      return;
    }
    Server& s = server(lane_id, info.resource);
    const WaitingTask waiting{static_cast<std::uint32_t>(lane_id), task};
    if (s.queue.request(now, waiting)) begin_task(s, waiting);
  }

  // A task without work (an output head that a deployment does not price, say) is over at once: in
  // the queue it would wait for other micro-batches' kernels only to occupy nothing.
  static bool needs_resource(const Lane& lane, const Task& task) {
    return task.on_resource && lane.times.slowest[task.slot] > SimTime();
  }

  void begin_task(Server& s, const WaitingTask& what) {
    Lane& lane = lanes[what.lane];
    const SimTime now = engine.now();
    const Task& info = graph.tasks()[what.task];
    const ResourceInfo& resource = graph.resources()[info.resource];
    lane.begin[what.task] = now;
    lane.last_begun = what.task;
    if (resource.compute && s.idle_since < now) {
      blame(s, resource, lane, lane.enabled_by[what.task], lane.ready[what.task]);
    }
    s.running = what;
    s.begin = now;
    const SimTime duration = draw_duration(s, lane, info);
    engine.after(duration, Priority::complete,
                 {.kind = EventKind::task_end, .lane = what.lane, .id = what.task});
  }

  SimTime draw_duration(Server& s, const Lane& lane, const Task& info) {
    const Slot& slot = graph.slots()[info.slot];
    const bool message = slot.stage == Stage::network || slot.stage == Stage::scale_up;
    const double sigma = message ? input.noise.network_jitter : input.noise.kernel_jitter;
    s.rank_seconds = lane.times.rank_sum[info.slot];
    if (sigma == 0.0) return lane.times.slowest[info.slot];
    double slowest = 0.0;
    s.rank_seconds = 0.0;
    for (const double seconds : timer.ranks(lane.times, info.slot)) {
      double factor = s.random.lognormal(sigma);
      if (message) factor = std::max(factor, 1.0);
      s.rank_seconds += seconds * factor;
      slowest = std::max(slowest, seconds * factor);
    }
    return SimTime::from(Seconds{slowest});
  }

  void send(std::size_t lane_id, TaskId task) {
    const Slot& slot = graph.slots()[graph.tasks()[task].slot];
    const double bytes = lanes[lane_id].times.payload_bytes[graph.tasks()[task].slot];
    const auto replica = static_cast<std::uint32_t>(lane_id / micro_batches);
    if (bytes == 0.0) {
      begin(tag_of(lane_id, task));
      deliver(engine.now(), tag_of(lane_id, task));
      return;
    }
    Fabric::Message message{.tag = tag_of(lane_id, task),
                            .from = {replica, slot.pool, slot.instance},
                            .to = {replica, slot.to_pool, slot.to_instance},
                            .bytes = bytes};
    if (input.noise.network_jitter > 0.0) {
      // A message can be held up, but the wire is never faster than it is.
      const double factor = network_noise.lognormal(input.noise.network_jitter);
      message.delay = SimTime::from(std::max(factor - 1.0, 0.0) * timer.message_time(slot, bytes));
    }
    fabric->send(engine.now(), message, *this);
  }

  static std::uint64_t tag_of(std::size_t lane_id, TaskId task) {
    return static_cast<std::uint64_t>(lane_id) << 32U | task;
  }

  // What the fabric tells (see Fabric::send).
  friend class Fabric;
  void begin(std::uint64_t tag) {
    Lane& lane = lanes[tag >> 32U];
    const auto task = static_cast<TaskId>(tag);
    lane.begin[task] = engine.now();
    lane.last_begun = task;
  }
  void deliver(SimTime when, std::uint64_t tag) {
    engine.at(when, Priority::deliver,
              {.kind = EventKind::task_end,
               .lane = static_cast<std::uint32_t>(tag >> 32U),
               .id = static_cast<TaskId>(tag)});
  }
  void sender_free(SimTime when, std::uint32_t port) {
    engine.at(when, Priority::complete, {.kind = EventKind::sender_free, .id = port});
  }
  void wake(SimTime when) { engine.at(when, Priority::settle, {.kind = EventKind::network_wakes}); }

  void on_task_end(std::size_t lane_id, TaskId task) {
    Lane& lane = lanes[lane_id];
    const Task& info = graph.tasks()[task];
    const SimTime now = engine.now();
    record(lane_id, task);
    if (needs_resource(lane, info)) {
      Server& s = server(lane_id, info.resource);
      count_busy(s, graph.resources()[info.resource], now);
      s.idle_since = now;
      if (const auto next = s.queue.complete(now)) begin_task(s, *next);
    }
    const auto successors = graph.successors(task);
    if (successors.empty()) {
      if (--lane.sinks_left == 0) end_step(lane_id, task);
      return;
    }
    for (const TaskId next : successors) {
      if (--lane.missing[next] == 0) task_ready(lane_id, next, task);
    }
  }

  // ---- accounting -----------------------------------------------------------------------------

  // The part of the running task that lies within measurement, up to `now`.
  void count_busy(const Server& s, const ResourceInfo& resource, SimTime now) {
    if (!measuring || !resource.compute) return;
    const SimTime begin = std::max(s.begin, measurement_begin);
    const double span = (now - s.begin).seconds().value();
    if (span <= 0.0 || now <= begin) return;
    const double counted = (now - begin).seconds().value();
    const Slot& slot = graph.slots()[graph.tasks()[s.running.task].slot];
    const auto gpus = static_cast<double>(input.deployment.pools[resource.pool].gpus_per_instance);
    const auto ranks = static_cast<double>(
        timer.ranks(lanes[s.running.lane].times, graph.tasks()[s.running.task].slot).size());
    PoolTimes& times = result.pools[resource.pool];
    // A collective on the kernels' stream keeps every GPU of the instance.
    const bool all_busy = slot.stage == Stage::scale_up || slot.stage == Stage::network;
    const double busy = all_busy ? gpus * counted
                                 // The span is whole picoseconds, the ranks' seconds are not.
                                 : std::min(s.rank_seconds * (gpus / ranks) / span, gpus) * counted;
    times.busy += busy;
    times.slowest_rank += gpus * counted - busy;
  }

  // Says what the kernels of an instance were waiting for between falling idle and `until`:
  // backwards from task `t`, the last one that was on its way, each span belongs to the stage that
  // was then on its way (running, or in a queue).
  void blame(const Server& s, const ResourceInfo& resource, const Lane& lane, TaskId t,
             SimTime until) {
    if (!measuring) return;
    const auto gpus = static_cast<double>(input.deployment.pools[resource.pool].gpus_per_instance);
    PoolTimes& times = result.pools[resource.pool];
    const SimTime from = std::max(s.idle_since, measurement_begin);
    const auto wait_from = [&](SimTime begin, double& cause) {
      begin = std::max(begin, from);
      if (begin >= until) return;
      cause += gpus * (until - begin).seconds().value();
      until = begin;
    };
    for (; t != kNoTask && until > from; t = lane.enabled_by[t]) {
      wait_from(lane.ready[t], times.waiting_for[stage_of(t)]);
    }
    // Before this step the micro-batch had nothing to do, and before that it ran the step before.
    wait_from(lane.last_task == kNoTask ? from : lane.step_end, times.empty);
    for (t = lane.last_task; t != kNoTask && until > from; t = lane.enabled_by[t]) {
      // What this step has already overwritten had begun before all that is left to explain.
      const bool overwritten = lane.ready[t] > until;
      wait_from(overwritten ? from : lane.ready[t], times.waiting_for[stage_of(t)]);
    }
    wait_from(from, times.empty);
  }

  std::size_t stage_of(TaskId task) const {
    return static_cast<std::size_t>(graph.slots()[graph.tasks()[task].slot].stage);
  }

  void follow_critical_path(const Lane& lane, TaskId last) {
    ++result.critical_steps;
    SimTime end = engine.now();
    for (TaskId t = last; t != kNoTask; t = lane.enabled_by[t]) {
      result.critical_service[stage_of(t)] += (end - lane.begin[t]).seconds().value();
      result.critical_queue[stage_of(t)] += (lane.begin[t] - lane.ready[t]).seconds().value();
      end = lane.ready[t];
    }
  }

  void record(std::size_t lane_id, TaskId task) {
    const SimTime begin = std::max(lanes[lane_id].begin[task], measurement_begin);
    if (!measuring || input.max_trace_records == 0 || begin >= engine.now()) return;
    if (result.trace.size() == input.max_trace_records) {
      result.trace_full = true;
      return;
    }
    result.trace.push_back({.replica = static_cast<std::uint32_t>(lane_id / micro_batches),
                            .micro_batch = static_cast<std::uint32_t>(lane_id % micro_batches),
                            .task = task,
                            .begin = begin,
                            .end = engine.now()});
  }

  // ---- measurement ----------------------------------------------------------------------------

  bool closed_loop() const { return input.workload.kind == Workload::Kind::closed_loop; }

  void count_measured_steps(std::uint64_t steps) {
    if (!closed_loop()) return;
    const auto warmup = static_cast<std::uint64_t>(input.measurement.warmup_steps);
    const auto measured = static_cast<std::uint64_t>(input.measurement.steps);
    if (steps == warmup) begin_measurement();
    if (steps == warmup + measured) end_measurement();
    share_done = static_cast<double>(steps) / static_cast<double>(warmup + measured);
  }

  void begin_measurement() {
    measuring = true;
    measurement_begin = engine.now();
    for (Server& s : servers) s.queue.restart(engine.now());
    if (fabric) fabric->restart(engine.now());
    kv_used.restart(engine.now());
    active.restart(engine.now());
  }

  void end_measurement() {
    finished = true;
    halt.store(true, std::memory_order_relaxed);
    summarise();
  }

  void summarise() {
    const SimTime now = engine.now();
    for (std::size_t i = 0; measuring && i < servers.size(); ++i) {
      const ResourceInfo& resource = graph.resources()[i % graph.resources().size()];
      Server& s = servers[i];
      if (!resource.compute) {
        if (s.queue.busy()) record(s.running.lane, s.running.task);
        continue;
      }
      if (s.queue.busy()) {
        count_busy(s, resource, now);
        record(s.running.lane, s.running.task);
      } else {
        blame_open_wait(s, resource, i / graph.resources().size());
      }
    }
    result.elapsed = measuring ? now - measurement_begin : SimTime();
    measuring = false;
    result.kv_mean = kv_used.mean(now) / (memory.pools.front().kv_budget.value() *
                                          static_cast<double>(input.deployment.groups()) *
                                          static_cast<double>(replicas));
    result.mean_requests = active.mean(now);
    for (const RequestPool& pool : requests) {
      result.requests_in_decode += static_cast<std::uint64_t>(pool.active());
      result.requests_waiting += pool.waiting().size();
    }
    for (std::size_t p = 0; p < input.deployment.pools.size(); ++p) {
      link_use(p, now);
    }
    floors();
    result.events = engine.events();
    result.checksum = engine.checksum();
  }

  // Idle when measurement ended: it waits for whatever its replica had begun last.
  void blame_open_wait(const Server& s, const ResourceInfo& resource, std::size_t replica) {
    for (std::size_t m = 0; m < micro_batches; ++m) {
      const Lane& lane = lanes[replica * micro_batches + m];
      if (lane.idle || lane.last_begun == kNoTask) continue;
      blame(s, resource, lane, lane.last_begun, engine.now());
      return;
    }
    const SimTime from = std::max(s.idle_since, measurement_begin);
    result.pools[resource.pool].empty +=
        (engine.now() - from).seconds().value() *
        static_cast<double>(input.deployment.pools[resource.pool].gpus_per_instance);
  }

  void link_use(std::size_t pool, SimTime now) {
    const Pool& info = input.deployment.pools[pool];
    const double instances = static_cast<double>(info.instances) * static_cast<double>(replicas);
    if (fabric) {
      const Fabric::Sent sent = fabric->sent(static_cast<std::uint32_t>(pool), now);
      result.links.push_back({.name = fmt::format("{} NICs, sending", info.name),
                              .utilization = sent.utilization,
                              .bytes = sent.payload});
    }
    double links = 0.0;
    bool any = false;
    for (std::size_t i = 0; i < servers.size(); ++i) {
      const ResourceInfo& resource = graph.resources()[i % graph.resources().size()];
      if (resource.compute || resource.pool != pool) continue;
      any = true;
      links += servers[i].queue.use(now).utilisation();
    }
    if (any) {
      result.links.push_back(
          {.name = fmt::format("{} collectives", info.name), .utilization = links / instances});
    }
  }

  // From the times of the first replica's last steps.
  void floors() {
    std::vector<SimTime> busy(graph.resources().size());
    std::vector<std::size_t> first_port;
    std::size_t ports = 0;
    for (const Pool& pool : input.deployment.pools) {
      first_port.push_back(ports);
      ports += static_cast<std::size_t>(pool.instances);
    }
    std::vector<SimTime> sending(ports);
    std::vector<SimTime> receiving(ports);
    for (std::size_t m = 0; m < micro_batches; ++m) {
      const Lane& lane = lanes[m];
      if (lane.times.slowest.empty()) continue;
      result.path_floor =
          std::max(result.path_floor, graph.longest_path(lane.times.slowest).seconds());
      for (const Task& task : graph.tasks()) {
        if (task.on_resource) {
          busy[task.resource] += lane.times.slowest[task.slot];
          continue;
        }
        const Slot& slot = graph.slots()[task.slot];
        const auto wire = [&](std::uint32_t pool) {
          const Pool& p = input.deployment.pools[pool];
          return SimTime::from(Bytes{lane.times.payload_bytes[task.slot]} /
                               (static_cast<double>(p.gpus_per_instance) * p.nic_bandwidth *
                                input.deployment.network.efficiency));
        };
        sending[first_port[slot.pool] + slot.instance] += wire(slot.pool);
        receiving[first_port[slot.to_pool] + slot.to_instance] += wire(slot.to_pool);
      }
    }
    for (const auto& loads : {busy, sending, receiving}) {
      for (const SimTime load : loads) {
        result.resource_floor = std::max(result.resource_floor, load.seconds());
      }
    }
  }

  // ---- run ------------------------------------------------------------------------------------

  void handle(const Event& event) {
    switch (event.kind) {
      case EventKind::task_end:
        on_task_end(event.lane, event.id);
        break;
      case EventKind::sender_free:
        fabric->sender_free(engine.now(), event.id, *this);
        break;
      case EventKind::network_wakes:
        fabric->wake(engine.now(), *this);
        break;
      case EventKind::arrival:
        on_arrival();
        break;
      case EventKind::measurement_begins:
        begin_measurement();
        break;
      case EventKind::measurement_ends:
        end_measurement();
        break;
    }
  }

  SimulationResult run(const std::atomic<bool>* stop, const std::function<void(double)>& progress) {
    if (closed_loop()) {
      fill_closed_loop();
      active.set(engine.now(), total_active());
      if (input.measurement.warmup_steps == 0) begin_measurement();
      for (std::size_t lane = 0; lane < lanes.size(); ++lane) begin_step(lane);
    } else {
      const SimTime begin = SimTime::from(input.measurement.warmup);
      if (begin == SimTime()) {
        // Before the requests that arrive in the first instant.
        begin_measurement();
      } else {
        engine.at(begin, Priority::observe, {.kind = EventKind::measurement_begins});
      }
      engine.at(begin + SimTime::from(input.measurement.duration), Priority::finish,
                {.kind = EventKind::measurement_ends});
      schedule_arrival();
    }
    constexpr std::uint64_t kEventsBetweenLooks = 1U << 16U;
    while (!finished) {
      const auto end = engine.run([this](const Event& event) { handle(event); },
                                  {.stop = &halt, .max_events = kEventsBetweenLooks});
      RIDGE_INVARIANT(finished || end == des::RunEnd::event_limit,
                      "the simulation ran out of events before its measurement was over");
      if (finished) break;
      if (!closed_loop()) {
        const Seconds all = input.measurement.warmup + input.measurement.duration;
        share_done = engine.now().seconds() / all;
      }
      if (progress) progress(share_done);
      if (stop != nullptr && stop->load(std::memory_order_relaxed)) {
        result.partial = true;
        summarise();
        break;
      }
    }
    result.mean_tpot =
        result.tokens > 0 ? Seconds{tpot_sum / static_cast<double>(result.tokens)} : Seconds{};
    return std::move(result);
  }

  static constexpr std::uint64_t kStepsPerPath = 8;
  static constexpr std::size_t kMaxDrafts = 64;

  SimulationInput input;
  StepGraph graph;
  StageTimer timer;
  MemoryPlan memory;
  std::optional<Fabric> fabric;
  Random arrivals;
  Random lengths;
  Random drafting;
  Random network_noise;
  std::size_t replicas = 1;
  std::size_t micro_batches = 1;
  std::vector<Server> servers;        // [replica][resource]
  std::vector<Lane> lanes;            // [replica][micro-batch]
  std::vector<RequestPool> requests;  // [replica]
  des::Engine<Event> engine;
  std::atomic<bool> halt{false};
  std::size_t next_in_trace = 0;
  std::size_t next_replica = 0;
  std::int64_t to_replace = 0;
  bool measuring = false;
  bool finished = false;
  SimTime measurement_begin;
  double share_done = 0.0;
  double tpot_sum = 0.0;
  des::TimeAverage kv_used;
  des::TimeAverage active;
  SimulationResult result;
};

Simulation::Simulation(SimulationInput input) : impl_(std::make_unique<Impl>(std::move(input))) {}
Simulation::~Simulation() = default;

SimulationResult Simulation::run(const std::atomic<bool>* stop,
                                 const std::function<void(double)>& progress) {
  return impl_->run(stop, progress);
}

const StepGraph& Simulation::graph() const {
  return impl_->graph;
}
const MemoryPlan& Simulation::memory() const {
  return impl_->memory;
}

}  // namespace ridge::decode
