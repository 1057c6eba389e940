// What moves while a simulation runs: micro-batches through their steps, and the servers that work
// on them.
#pragma once

#include "random_streams.hpp"
#include "ridge/base/random.hpp"
#include "ridge/decode/stage_timer.hpp"
#include "ridge/decode/step_graph.hpp"
#include "ridge/des/engine.hpp"
#include "ridge/des/resource.hpp"

#include <cstdint>
#include <vector>

namespace ridge::decode {

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
  std::uint32_t lane = 0;
  std::uint32_t id = 0;
};
using Engine = des::Engine<Event>;

inline constexpr TaskId kNoTask = 0xffffffff;

// One micro-batch of one replica on its way through the step graph. Lanes are numbered
// [replica][micro-batch].
struct Lane {
  std::uint32_t replica = 0;
  std::uint32_t first_lane = 0;  // of its replica
  std::size_t first_server = 0;
  StepTimes times;
  std::vector<std::uint32_t> missing;  // per task: dependencies not done
  std::vector<des::SimTime> ready;     // per task: when its last dependency was done
  std::vector<des::SimTime> begin;
  std::vector<TaskId> enabled_by;  // per task: that last dependency
  std::vector<char> waiting;       // per task: for its turn, under a rotation
  std::size_t sinks_left = 0;
  des::SimTime step_begin;
  TaskId last_task = kNoTask;  // of the step before, which ended at step_end
  des::SimTime step_end;
  std::uint64_t steps = 0;
  bool idle = true;     // no requests
  bool changed = true;  // its batch, since `times`
  TaskId last_begun = kNoTask;
};

struct LaneTask {
  std::uint32_t lane = 0;
  TaskId task = 0;
};

// A resource of one replica and what it is doing. Servers are numbered [replica][resource].
struct Server {
  des::Resource<LaneTask> queue;
  LaneTask running;
  des::SimTime begin;
  des::SimTime idle_since;
  double rank_seconds = 0;  // of the running task, summed over GPUs
  std::size_t place = 0;    // in its order, under a rotation
  Random random{0};
};

}  // namespace ridge::decode
