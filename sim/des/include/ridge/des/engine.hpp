// The clock and the loop that moves it.
#pragma once

#include "ridge/des/checksum.hpp"
#include "ridge/des/event_queue.hpp"
#include "ridge/des/priority.hpp"
#include "ridge/des/sim_time.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

namespace ridge::des {

// When a run ends, if not by running out of events.
struct RunLimits {
  // Events at this instant still run; the clock then stands here.
  SimTime until = SimTime::never();
  // Set from a signal handler or another thread to end the run between two events.
  const std::atomic<bool>* stop = nullptr;
  std::uint64_t max_events = std::numeric_limits<std::uint64_t>::max();
};

enum class RunEnd { out_of_events, time_limit, event_limit, stopped };

namespace detail {
[[noreturn]] void refuse_event(SimTime time, SimTime now);
}

// Clock and order, nothing else. The owner defines Event (typically a kind and two or three
// integers), and gives run() a handler that switches on the kind.
//
// Event must be trivially copyable and without padding or floating-point members, since the
// checksum reads its bytes.
template <class Event>
class Engine {
  static_assert(std::is_trivially_copyable_v<Event>);
  static_assert(std::has_unique_object_representations_v<Event>,
                "give padding bytes a name and a value: the checksum reads them");

 public:
  [[nodiscard]] SimTime now() const { return now_; }
  [[nodiscard]] std::uint64_t events() const { return events_; }
  [[nodiscard]] std::size_t pending() const { return queue_.size(); }
  // A hash over (time, priority, event) of all events so far, in their order.
  [[nodiscard]] std::uint64_t checksum() const { return checksum_.value(); }

  void reserve(std::size_t pending) { queue_.reserve(pending); }

  // Throws InvariantError if `time` lies in the past or is never().
  void at(SimTime time, Priority priority, const Event& event) {
    if (time < now_ || time == SimTime::never()) detail::refuse_event(time, now_);
    queue_.push(time, priority, event);
  }
  void after(SimTime delay, Priority priority, const Event& event) {
    at(now_ + delay, priority, event);
  }

  // Takes events in order and calls handler(event) for each, with now() at its instant.
  // Can be called again to go on.
  template <class Handler>
  RunEnd run(Handler&& handler, const RunLimits& limits = {}) {
    for (std::uint64_t count = 0; !queue_.empty(); ++count) {
      if (queue_.next_time() > limits.until) {
        now_ = limits.until;
        return RunEnd::time_limit;
      }
      if (count == limits.max_events) return RunEnd::event_limit;
      if (limits.stop != nullptr && limits.stop->load(std::memory_order_relaxed)) {
        return RunEnd::stopped;
      }
      const auto item = queue_.pop();
      now_ = item.time;
      ++events_;
      record(item);
      handler(item.event);
    }
    return RunEnd::out_of_events;
  }

 private:
  using Item = typename EventQueue<Event>::Item;

  void record(const Item& item) {
    checksum_.add(static_cast<std::uint64_t>(item.time.picoseconds()));
    std::array<std::uint64_t, (sizeof(Event) + 8) / 8> words{};
    // The priority takes a byte behind the event, which is free for most event sizes.
    static_assert(sizeof(words) > sizeof(Event));
    std::memcpy(words.data(), &item.event, sizeof(Event));
    words.back() ^= static_cast<std::uint64_t>(item.priority) << 56;
    for (const std::uint64_t word : words) checksum_.add(word);
  }

  EventQueue<Event> queue_;
  SimTime now_;
  std::uint64_t events_ = 0;
  Checksum checksum_;
};

}  // namespace ridge::des
