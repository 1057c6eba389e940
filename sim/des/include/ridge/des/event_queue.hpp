// The events to come.
#pragma once

#include "ridge/des/four_ary_heap.hpp"
#include "ridge/des/priority.hpp"
#include "ridge/des/sim_time.hpp"

#include <cstddef>
#include <cstdint>

namespace ridge::des {

// The events to come, in order of (time, priority, order of insertion).
//
// The three are one 128-bit key: 64 bits of time, 8 of priority, 56 of sequence, so that one
// comparison decides and the order is total. 2^56 events at 10^7 per second last 228 years.
// There is no cancellation: an event that may be overtaken carries a generation in its payload
// and its owner ignores the stale ones, which costs nothing when nobody cancels.
template <class Event>
class EventQueue {
 public:
  struct Item {
    SimTime time;
    Priority priority;
    Event event;
  };

  [[nodiscard]] bool empty() const { return heap_.empty(); }
  [[nodiscard]] std::size_t size() const { return heap_.size(); }
  void reserve(std::size_t events) { heap_.reserve(events); }

  // The instant of the next event. The queue must not be empty.
  [[nodiscard]] SimTime next_time() const { return time_of(heap_.top().key); }

  void push(SimTime time, Priority priority, const Event& event) {
    const std::uint64_t order =
        (static_cast<std::uint64_t>(priority) << kSequenceBits) | sequence_++;
    heap_.push(static_cast<Int128>(time.picoseconds()) * kTwoTo64 + order, event);
  }

  // Removes and returns the next event. The queue must not be empty.
  Item pop() {
    const auto entry = heap_.pop();
    return {time_of(entry.key),
            static_cast<Priority>(static_cast<std::uint64_t>(entry.key) >> kSequenceBits),
            entry.payload};
  }

 private:
  static constexpr int kSequenceBits = 56;

  // An arithmetic shift: a signed time in the upper half of a signed key keeps its order.
  static SimTime time_of(Int128 key) {
    return SimTime::from_picoseconds(static_cast<std::int64_t>(key >> 64));
  }

  FourAryHeap<Event> heap_;
  std::uint64_t sequence_ = 0;
};

}  // namespace ridge::des
