#include "ridge/decode/simulation.hpp"

#include "accounting.hpp"
#include "requests.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/format.hpp"
#include "ridge/decode/strategy.hpp"
#include "step_runner.hpp"

#include <fmt/format.h>

namespace ridge::decode {

using des::Priority;
using des::SimTime;

namespace {

// Systems whose pools answer each other fix the order in which each serves micro-batches. Where
// requests come and go a micro-batch can be empty, and shared links keep no order.
Schedule usual_schedule(const SimulationInput& input) {
  const bool fixed = input.deployment.pools.size() > 1 &&
                     input.workload.kind == Workload::Kind::closed_loop &&
                     input.network_model == NetworkModel::ports;
  return fixed ? Schedule::cyclic : Schedule::fifo;
}

SimulationInput checked(SimulationInput input) {
  Diagnostics problems;
  const bool closed = input.workload.kind == Workload::Kind::closed_loop;
  Deployment& d = input.deployment;
  if (!d.schedule) d.schedule = usual_schedule(input);
  if (keeps_order(*d.schedule) && !closed) {
    problems.error(kScenario, "/deployment/schedule",
                   "a fixed order needs a closed loop: where requests come and go, a micro-batch "
                   "can be empty; \"fifo\" serves what there is");
  }
  for (const auto& problem : deployment_problems(input.deployment)) {
    problems.error(kScenario, "/deployment", problem);
  }
  problems.throw_if_errors();
  return input;
}

MemoryPlan checked_memory(const SimulationInput& input) {
  MemoryPlan memory = plan_memory(input.deployment, input.admission, input.workload);
  Diagnostics problems;
  for (const auto& problem : memory.problems) {
    problems.error(kScenario, "/deployment/pools/" + problem.pool, problem.words);
  }
  problems.throw_if_errors();
  return memory;
}

}  // namespace

// The clock, and who is told what happens.
struct Simulation::Impl {
  explicit Impl(SimulationInput in)
      : input(checked(std::move(in))),
        graph(compile(input.deployment, drawn_layers(input.deployment, input.noise.experts))),
        timer(input.deployment, graph, input.noise.experts, input.noise.slow_gpus, input.seed,
              input.drawn_rows),
        memory(checked_memory(input)),
        accounting(input, graph, timer, memory),
        requests(input, memory, accounting),
        runner(input, graph, timer, engine, accounting),
        micro_batches(static_cast<std::size_t>(input.deployment.micro_batches)) {}

  void handle(const Event& event) {
    switch (event.kind) {
      case EventKind::task_end:
        if (runner.on_task_end(event.lane, event.id)) end_step(event.lane);
        break;
      case EventKind::sender_free:
        runner.on_sender_free(event.id);
        break;
      case EventKind::network_wakes:
        runner.on_network_wakes();
        break;
      case EventKind::arrival:
        if (const auto replica = requests.arrive(engine.now())) wake_idle(*replica);
        requests.tell_waiting();
        schedule_arrival();
        end_with_trace();
        break;
      case EventKind::measurement_begins:
        begin_measurement();
        break;
      case EventKind::measurement_ends:
        end_measurement();
        break;
    }
  }

  void schedule_arrival() {
    if (const auto when = requests.next_arrival(engine.now())) {
      engine.at(*when, Priority::admit, {.kind = EventKind::arrival});
    }
  }

  void wake_idle(std::size_t replica) {
    for (std::size_t m = 0; m < micro_batches && requests.waiting_in(replica); ++m) {
      const std::size_t lane = replica * micro_batches + m;
      if (runner.lanes()[lane].idle) begin_step(lane);
    }
  }

  void begin_step(std::size_t lane_id) {
    Lane& lane = runner.lanes()[lane_id];
    if (requests.admit(engine.now(), lane_id)) lane.changed = true;
    lane.idle = requests.active_in(lane_id) == 0 && !runner.keeps_order();
    if (!lane.idle) runner.begin_step(lane_id, requests.batches(lane_id));
  }

  void end_step(std::size_t lane_id) {
    Lane& lane = runner.lanes()[lane_id];
    const SimTime now = engine.now();
    accounting.step_ends(now, lane, lane.last_task);
    const bool left = requests.step(now, lane_id, (now - lane.step_begin).seconds().value());
    lane.changed = lane.changed || !requests.steady();
    if (lane_id == 0) count_measured_steps(lane.steps);
    if (finished) return;
    begin_step(lane_id);
    // The memory that was freed may be what a request waits for that another micro-batch can take.
    if (left) wake_idle(lane_id / micro_batches);
    end_with_trace();
  }

  // ---- measurement ------------------------------------------------------------------------------

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
    accounting.begin_measurement(engine.now());
    runner.begin_measurement();
    requests.tell(engine.now());
  }

  // Nothing more happens then.
  void end_with_trace() {
    if (!requests.over()) return;
    accounting.result().trace_over = true;
    end_measurement();
  }

  void end_measurement() {
    finished = true;
    halt.store(true, std::memory_order_relaxed);
  }

  // In which the closed loop's requests are served.
  void keep_order() {
    if (!keeps_order(*input.deployment.schedule)) return;
    runner.keep_order([this](std::size_t lane) { return requests.batches(lane); });
  }

  SimulationResult run(const std::atomic<bool>* stop, const std::function<void(double)>& progress) {
    const auto stopped = [stop] {
      return stop != nullptr && stop->load(std::memory_order_relaxed);
    };
    if (closed_loop()) {
      requests.fill_closed_loop();
      // That they fit is all that one who only checks wants to know; an order takes long to find.
      if (stopped()) return close();
      keep_order();
      if (input.measurement.warmup_steps == 0) begin_measurement();
      for (std::size_t lane = 0; lane < runner.lanes().size(); ++lane) begin_step(lane);
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
      if (stopped()) break;
    }
    return close();
  }

  SimulationResult close() {
    SimulationResult result =
        accounting.close(engine, runner.servers(), runner.lanes(), runner.interconnect());
    result.partial = !finished;
    result.requests_in_decode = requests.in_decode();
    result.requests_waiting = requests.waiting();
    result.requests = requests.records();
    if (!result.partial && result.tokens == 0) throw UserError(nothing_measured(result));
    return result;
  }

  std::string nothing_measured(const SimulationResult& result) const {
    const Measurement& m = input.measurement;
    std::string why;
    if (result.trace_over) {
      why = fmt::format("all of the trace was served after {}",
                        si(engine.now().seconds().value(), "s"));
    } else {
      why = fmt::format("{} requests arrived meanwhile, and {} were in decode at the end",
                        result.requests_arrived, result.requests_in_decode);
    }
    return fmt::format("measurement: no token was decoded in the {} after a warm-up of {}: {}",
                       si(m.duration.value(), "s"), si(m.warmup.value(), "s"), why);
  }

  SimulationInput input;
  StepGraph graph;
  StageTimer timer;
  MemoryPlan memory;
  Engine engine;
  Accounting accounting;
  Requests requests;
  StepRunner runner;
  std::size_t micro_batches;
  std::atomic<bool> halt{false};
  bool finished = false;
  double share_done = 0.0;
};

Simulation::Simulation(SimulationInput input) : impl_(std::make_unique<Impl>(std::move(input))) {}
Simulation::~Simulation() = default;

SimulationResult Simulation::run(const std::atomic<bool>* stop,
                                 const std::function<void(double)>& progress) {
  return impl_->run(stop, progress);
}

Seconds cyclic_step_time(SimulationInput input) {
  const bool plain = input.noise.kernel_jitter == 0.0 && input.noise.network_jitter == 0.0 &&
                     input.network_model == NetworkModel::ports;
  if (input.workload.kind != Workload::Kind::closed_loop || !input.workload.steady || !plain) {
    throw UserError(
        "a step's cycle is known without simulation for a steady closed loop without jitter on "
        "network model \"ports\"");
  }
  auto& schedule = input.deployment.schedule;
  if (!schedule || !goes_by_stages(*schedule)) schedule = Schedule::cyclic;
  Simulation::Impl impl(std::move(input));
  impl.requests.fill_closed_loop();
  impl.keep_order();
  return impl.runner.cycle_time();
}

const StepGraph& Simulation::graph() const {
  return impl_->graph;
}
const MemoryPlan& Simulation::memory() const {
  return impl_->memory;
}

}  // namespace ridge::decode
