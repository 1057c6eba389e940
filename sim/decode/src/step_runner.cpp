#include "step_runner.hpp"

#include <algorithm>

namespace ridge::decode {

using des::Priority;
using des::SimTime;

StepRunner::StepRunner(const SimulationInput& input, const StepGraph& graph, StageTimer& timer,
                       Engine& engine, Accounting& accounting)
    : input_(input),
      graph_(graph),
      timer_(timer),
      engine_(engine),
      accounting_(accounting),
      micro_batches_(static_cast<std::size_t>(input.deployment.micro_batches)),
      network_noise_(input.seed, kNetwork) {
  const Deployment& d = input.deployment;
  // Strategies of one pool send no messages between instances.
  if (d.pools.size() > 1) interconnect_.emplace(d, input.network_model, input.noise.slow_links);
  const auto replicas = static_cast<std::size_t>(d.replicas);
  servers_.resize(replicas * graph.resources().size());
  for (std::size_t s = 0; s < servers_.size(); ++s) {
    servers_[s].random = Random(input.seed, kFirstServer + s);
  }
  lanes_.resize(replicas * micro_batches_);
  for (std::size_t id = 0; id < lanes_.size(); ++id) {
    Lane& lane = lanes_[id];
    lane.replica = static_cast<std::uint32_t>(id / micro_batches_);
    lane.first_lane = static_cast<std::uint32_t>(id - id % micro_batches_);
    lane.first_server = lane.replica * graph.resources().size();
    lane.missing.resize(graph.tasks().size());
    lane.ready.resize(graph.tasks().size());
    lane.begin.resize(graph.tasks().size());
    lane.enabled_by.resize(graph.tasks().size(), kNoTask);
  }
}

void StepRunner::begin_measurement() {
  for (Server& server : servers_) server.queue.restart(engine_.now());
  if (interconnect_) interconnect_->restart(engine_.now());
}

void StepRunner::keep_order(
    const std::function<std::span<const GroupBatch>(std::size_t)>& batches) {
  for (std::size_t id = 0; id < lanes_.size(); ++id) {
    Lane& lane = lanes_[id];
    timer_.time(batches(id), lane.times);
    lane.changed = false;
    lane.waiting.assign(graph_.tasks().size(), 0);
  }
  const std::span<const Lane> first(lanes_.data(), micro_batches_);
  Interconnect* interconnect = interconnect_ ? &*interconnect_ : nullptr;
  rotation_.emplace(best_rotation(graph_, input_.deployment, interconnect, first));
  if (interconnect_) interconnect_->keep_order(*rotation_);
  if (!messages_keep_order()) return;
  on_wires_.resize(lanes_.size());
  for (std::size_t id = 0; id < lanes_.size(); ++id) time_messages(id);
}

// Of a lane whose times are new.
void StepRunner::time_messages(std::size_t lane_id) {
  const Lane& lane = lanes_[lane_id];
  const auto works = graph_.works();
  auto& times = on_wires_[lane_id];
  times.resize(works.size());
  for (WorkId w = 0; w < works.size(); ++w) {
    const auto* message = std::get_if<Message>(&works[w]);
    if (message == nullptr) continue;
    times[w] = interconnect_->times({lane.replica, message->from}, {lane.replica, message->to},
                                    lane.times.payload_bytes[w]);
  }
}

Seconds StepRunner::cycle_time() {
  const std::span<const Lane> first(lanes_.data(), micro_batches_);
  return decode::cycle_time(graph_, interconnect_ ? &*interconnect_ : nullptr, first, *rotation_);
}

void StepRunner::begin_step(std::size_t lane_id, std::span<const GroupBatch> batches) {
  Lane& lane = lanes_[lane_id];
  if (lane.changed) {
    timer_.time(batches, lane.times);
    lane.changed = false;
    if (messages_keep_order()) time_messages(lane_id);
  }
  accounting_.step_begins(batches);
  lane.step_begin = engine_.now();
  lane.sinks_left = graph_.sinks();
  for (TaskId t = 0; t < lane.missing.size(); ++t) lane.missing[t] = graph_.dependencies(t);
  for (const TaskId root : graph_.roots()) task_ready(lane_id, root, kNoTask);
}

void StepRunner::task_ready(std::size_t lane_id, TaskId task, TaskId enabled_by) {
  Lane& lane = lanes_[lane_id];
  const SimTime now = engine_.now();
  lane.ready[task] = now;
  lane.enabled_by[task] = enabled_by;
  const Task& info = graph_.tasks()[task];
  if (!info.on_resource) {
    send(lane_id, task);
    return;
  }
  if (!needs_resource(lane, info)) {
    begin(tag_of(lane_id, task));
    engine_.after(
        SimTime(), Priority::complete,
        {.kind = EventKind::task_end, .lane = static_cast<std::uint32_t>(lane_id), .id = task});
    return;
  }
  if (rotation_) {
    lane.waiting[task] = 1;
    serve_in_turn(lane, info.resource);
    return;
  }
  Server& s = server(lane, info.resource);
  const LaneTask waiting{static_cast<std::uint32_t>(lane_id), task};
  if (s.queue.request(now, waiting)) begin_task(s, waiting);
}

// The server of this lane's replica.
void StepRunner::serve_in_turn(const Lane& lane, ResourceId resource) {
  Server& s = server(lane, resource);
  if (s.queue.busy()) return;
  const Rotation::Turn& turn = rotation_->turn(resource, s.place);
  const LaneTask next{lane.first_lane + turn.micro_batch, turn.task};
  char& waiting = lanes_[next.lane].waiting[next.task];
  if (waiting == 0) return;
  waiting = 0;
  s.place = rotation_->place_after(resource, s.place);
  s.queue.request(engine_.now(), next);
  begin_task(s, next);
}

void StepRunner::begin_task(Server& s, const LaneTask& what) {
  Lane& lane = lanes_[what.lane];
  const SimTime now = engine_.now();
  const Task& info = graph_.tasks()[what.task];
  lane.begin[what.task] = now;
  lane.last_begun = what.task;
  accounting_.server_begins(now, s, graph_.resources()[info.resource], lane, what.task);
  s.running = what;
  s.begin = now;
  engine_.after(draw_duration(s, lane, info.work), Priority::complete,
                {.kind = EventKind::task_end, .lane = what.lane, .id = what.task});
}

SimTime StepRunner::draw_duration(Server& s, const Lane& lane, WorkId work) {
  s.rank_seconds = lane.times.rank_sum[work];
  const Noise& noise = input_.noise;
  if (noise.kernel_jitter == 0.0 && noise.network_jitter == 0.0) return lane.times.slowest[work];
  const Stage stage = stage_of(graph_.works()[work]);
  const bool wire = stage == Stage::network || stage == Stage::scale_up;
  const double sigma = wire ? noise.network_jitter : noise.kernel_jitter;
  if (sigma == 0.0) return lane.times.slowest[work];
  double slowest = 0.0;
  s.rank_seconds = 0.0;
  for (const double seconds : timer_.ranks(lane.times, work)) {
    double factor = s.random.lognormal(sigma);
    if (wire) factor = std::max(factor, 1.0);
    s.rank_seconds += seconds * factor;
    slowest = std::max(slowest, seconds * factor);
  }
  return SimTime::from(Seconds{slowest});
}

void StepRunner::send(std::size_t lane_id, TaskId task) {
  const WorkId work = graph_.tasks()[task].work;
  const auto& message = std::get<Message>(graph_.works()[work]);
  const Lane& lane = lanes_[lane_id];
  const double bytes = lane.times.payload_bytes[work];
  const std::uint64_t tag = tag_of(lane_id, task);
  if (bytes == 0.0 && !rotation_) {
    begin(tag);
    deliver(engine_.now(), tag);
    return;
  }
  Interconnect::Parcel parcel{.tag = tag,
                              .from = {lane.replica, message.from},
                              .to = {lane.replica, message.to},
                              .bytes = bytes};
  if (input_.noise.network_jitter > 0.0 && bytes > 0.0) {
    // A message can be held up, but the wire is never faster than it is.
    const double factor = network_noise_.lognormal(input_.noise.network_jitter);
    parcel.delay = SimTime::from(std::max(factor - 1.0, 0.0) * timer_.message_time(message, bytes));
  }
  if (interconnect_->keeps_order()) {
    interconnect_->send_in_order(engine_.now(), parcel, on_wires_[lane_id][work], *this);
  } else {
    interconnect_->send(engine_.now(), parcel, *this);
  }
}

void StepRunner::begin(std::uint64_t tag) {
  Lane& lane = lanes_[tag >> 32U];
  const auto task = static_cast<TaskId>(tag);
  lane.begin[task] = engine_.now();
  lane.last_begun = task;
}

void StepRunner::deliver(SimTime when, std::uint64_t tag) {
  engine_.at(when, Priority::deliver,
             {.kind = EventKind::task_end,
              .lane = static_cast<std::uint32_t>(tag >> 32U),
              .id = static_cast<TaskId>(tag)});
}

void StepRunner::sender_free(SimTime when, std::uint32_t port) {
  engine_.at(when, Priority::complete, {.kind = EventKind::sender_free, .id = port});
}

void StepRunner::wake(SimTime when) {
  engine_.at(when, Priority::settle, {.kind = EventKind::network_wakes});
}

bool StepRunner::on_task_end(std::size_t lane_id, TaskId task) {
  Lane& lane = lanes_[lane_id];
  const Task& info = graph_.tasks()[task];
  const SimTime now = engine_.now();
  accounting_.task_ends(now, lane_id, lane, task);
  if (needs_resource(lane, info)) {
    Server& s = server(lane, info.resource);
    accounting_.server_ends(now, s, graph_.resources()[info.resource]);
    s.idle_since = now;
    if (LaneTask next; s.queue.complete(now, next)) begin_task(s, next);
    if (rotation_) serve_in_turn(lane, info.resource);
  }
  const auto successors = graph_.successors(task);
  if (successors.empty()) {
    if (--lane.sinks_left > 0) return false;
    ++lane.steps;
    lane.last_task = task;
    lane.step_end = now;
    return true;
  }
  for (const TaskId next : successors) {
    if (--lane.missing[next] == 0) task_ready(lane_id, next, task);
  }
  return false;
}

}  // namespace ridge::decode
