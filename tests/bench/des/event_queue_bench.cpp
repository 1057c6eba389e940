// The hold model: a queue of constant size from which the next event is taken and a later one
// inserted, over and over. One iteration is one such pair.

#include "ridge/base/random.hpp"
#include "ridge/des/event_queue.hpp"

#include <cstdint>
#include <queue>
#include <tuple>
#include <vector>

#include <benchmark/benchmark.h>

namespace ridge::des {
namespace {

struct QueuedEvent {
  std::uint32_t kind;
  std::uint32_t index;
  std::uint64_t data;
};

// The textbook alternative, with the same total order.
class StandardQueue {
 public:
  void push(SimTime time, Priority priority, const QueuedEvent& event) {
    queue_.push({time, priority, sequence_++, event});
  }
  auto pop() {
    const Item item = queue_.top();
    queue_.pop();
    return item;
  }

 private:
  struct Item {
    SimTime time;
    Priority priority;
    std::uint64_t sequence;
    QueuedEvent event;
    bool operator<(const Item& other) const {
      return std::tie(time, priority, sequence) >
             std::tie(other.time, other.priority, other.sequence);
    }
  };
  std::priority_queue<Item> queue_;
  std::uint64_t sequence_ = 0;
};

// Increments are drawn beforehand, so that the generator is not what is measured.
std::vector<SimTime> increments(bool ties) {
  std::vector<SimTime> result(1U << 14U);
  Random random(1);
  for (SimTime& increment : result) {
    // Lock-step: one of four stage times. Random: exponential around 50 us.
    increment = ties ? SimTime::from_microseconds(20 * (1 + static_cast<int>(random.below(4))))
                     : SimTime::from(Seconds{50e-6 * random.exponential()});
  }
  return result;
}

template <class Queue, bool ties>
void hold(benchmark::State& state) {
  const auto delays = increments(ties);
  Queue queue;
  std::size_t draw = 0;
  const auto delay = [&] { return delays[draw++ % delays.size()]; };
  const auto pending = static_cast<std::uint32_t>(state.range(0));
  for (std::uint32_t i = 0; i < pending; ++i) {
    queue.push(delay(), Priority::start, {i % 8, i, i});
  }
  // The shape of a fresh heap is not the shape of one that has been running.
  for (std::uint32_t i = 0; i < 2 * pending; ++i) {
    const auto item = queue.pop();
    queue.push(item.time + delay(), item.priority, item.event);
  }
  for (auto _ : state) {
    const auto item = queue.pop();
    queue.push(item.time + delay(), item.priority, item.event);
  }
  state.SetItemsProcessed(state.iterations());
}

constexpr bool kRandom = false;
constexpr bool kTies = true;
#define RIDGE_PENDING RangeMultiplier(10)->Range(1'000, 1'000'000)
BENCHMARK(hold<EventQueue<QueuedEvent>, kRandom>)->RIDGE_PENDING;
BENCHMARK(hold<EventQueue<QueuedEvent>, kTies>)->RIDGE_PENDING;
BENCHMARK(hold<StandardQueue, kRandom>)->RIDGE_PENDING;
BENCHMARK(hold<StandardQueue, kTies>)->RIDGE_PENDING;

}  // namespace
}  // namespace ridge::des
