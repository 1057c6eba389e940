// Something that serves one task at a time, and how busy it was.
#pragma once

#include "ridge/des/four_ary_heap.hpp"
#include "ridge/des/int128.hpp"
#include "ridge/des/sim_time.hpp"
#include "ridge/des/time_average.hpp"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace ridge::des {

// What a resource did between the start of its measurement and `until`.
struct ResourceUse {
  SimTime busy;
  // From the start of the measurement.
  SimTime elapsed;
  std::uint64_t started = 0;
  std::uint64_t completed = 0;
  // Over the tasks started, from request to start.
  SimTime mean_wait;
  SimTime longest_wait;
  // Tasks waiting, averaged over time, and at most. The one in service does not count.
  double mean_queue_length = 0;
  std::int64_t longest_queue = 0;

  [[nodiscard]] SimTime idle() const { return elapsed - busy; }
  // In [0, 1].
  [[nodiscard]] double utilization() const {
    return elapsed > SimTime{} ? busy.seconds() / elapsed.seconds() : 0.0;
  }
};

// Serves one task at a time: a GPU stream, a NIC direction, an NVLink domain.
//
// Tasks wait in order of rank (lowest first), then of request; a task in service is not
// interrupted. The resource holds no clock and schedules nothing: when a task starts, its
// owner, who knows how long it takes, schedules the completion.
template <class Task>
class Resource {
 public:
  // True if the task starts now; false if it waits until complete() returns it.
  bool request(SimTime now, const Task& task, std::int64_t rank = 0) {
    if (!busy_) {
      start(now, now);
      return true;
    }
    queue_.push(rank * kTwoTo64 + sequence_++, {task, now});
    queue_length_.add(now, 1);
    return false;
  }

  // Ends the task in service; returns the next one if that starts now.
  std::optional<Task> complete(SimTime now) {
    Task next{};
    return complete(now, next) ? std::optional(next) : std::nullopt;
  }
  // The same where it is called millions of times a second: GCC 12 builds an optional in memory, in
  // pieces that its reader waits for. Whether a next one starts now.
  bool complete(SimTime now, Task& next) {
    assert(busy_);
    busy_ = false;
    busy_time_ += now - std::max(busy_since_, start_);
    ++completed_;
    if (queue_.empty()) return false;
    const auto waited = queue_.pop().payload;
    queue_length_.add(now, -1);
    start(now, waited.requested);
    next = waited.task;
    return true;
  }

  [[nodiscard]] bool busy() const { return busy_; }
  [[nodiscard]] std::size_t queue_length() const { return queue_.size(); }

  // Forgets the statistics so far (a warm-up), not the tasks.
  void restart(SimTime now) {
    start_ = now;
    busy_time_ = longest_wait_ = SimTime{};
    waited_ps_ = 0;
    started_ = completed_ = 0;
    queue_length_.restart(now);
  }

  [[nodiscard]] ResourceUse use(SimTime until) const {
    ResourceUse use;
    use.elapsed = until - start_;
    use.busy = busy_ ? busy_time_ + (until - std::max(busy_since_, start_)) : busy_time_;
    use.started = started_;
    use.completed = completed_;
    if (started_ > 0) {
      use.mean_wait = SimTime::from_picoseconds(
          static_cast<std::int64_t>(waited_ps_ / static_cast<Int128>(started_)));
    }
    use.longest_wait = longest_wait_;
    use.mean_queue_length = queue_length_.mean(until);
    use.longest_queue = queue_length_.largest();
    return use;
  }

 private:
  struct Waiting {
    Task task;
    SimTime requested;
  };

  void start(SimTime now, SimTime requested) {
    busy_ = true;
    busy_since_ = now;
    ++started_;
    const SimTime wait = now - requested;
    waited_ps_ += wait.picoseconds();
    longest_wait_ = std::max(longest_wait_, wait);
  }

  FourAryHeap<Waiting> queue_;
  std::uint64_t sequence_ = 0;
  bool busy_ = false;
  SimTime busy_since_;
  SimTime start_;
  SimTime busy_time_;
  // The waits of a million queued tasks soon add up to more than 106 days.
  Int128 waited_ps_ = 0;
  SimTime longest_wait_;
  std::uint64_t started_ = 0;
  std::uint64_t completed_ = 0;
  TimeAverage queue_length_;
};

}  // namespace ridge::des
