// The bare engine: clock, order, checksum and dispatch, with a handler that only reschedules.

#include "ridge/base/random.hpp"
#include "ridge/des/engine.hpp"
#include "ridge/des/resource.hpp"

#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

namespace ridge::des {
namespace {

enum class Kind : std::uint32_t { request, complete };
struct Event {
  Kind kind;
  std::uint32_t index;
  std::uint64_t data;
};

constexpr std::uint64_t kBatch = 100'000;

void bare_engine(benchmark::State& state) {
  std::vector<SimTime> delays(1U << 14U);
  Random random(1);
  for (SimTime& delay : delays) delay = SimTime::from(Seconds{50e-6 * random.exponential()});
  std::size_t draw = 0;
  Engine<Event> engine;
  for (std::uint32_t i = 0; i < state.range(0); ++i) {
    engine.after(delays[draw++ % delays.size()], Priority::start, {Kind::request, i, 0});
  }
  RunLimits limits;
  limits.max_events = kBatch;
  const auto run = [&] {
    engine.run(
        [&](const Event& event) {
          engine.after(delays[draw++ % delays.size()], Priority::start,
                       {event.kind, event.index, event.data + 1});
        },
        limits);
  };
  run();
  for (auto _ : state) run();
  benchmark::DoNotOptimize(engine.checksum());
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatch));
}
BENCHMARK(bare_engine)->RangeMultiplier(10)->Range(1'000, 1'000'000);

// Closed loops of micro-batches in lock-step over one resource each, three to a resource.
void resources_in_lock_step(benchmark::State& state) {
  const auto count = static_cast<std::uint32_t>(state.range(0));
  Engine<Event> engine;
  std::vector<Resource<std::uint64_t>> resources(count);
  for (std::uint32_t i = 0; i < 3 * count; ++i) {
    engine.at(SimTime{}, Priority::start, {Kind::request, i % count, i});
  }
  RunLimits limits;
  limits.max_events = kBatch;
  const SimTime service = SimTime::from_microseconds(50);
  for (auto _ : state) {
    engine.run(
        [&](const Event& event) {
          auto& resource = resources[event.index];
          switch (event.kind) {
            case Kind::request:
              if (resource.request(engine.now(), event.data)) {
                engine.after(service, Priority::complete,
                             {Kind::complete, event.index, event.data});
              }
              break;
            case Kind::complete:
              if (const auto next = resource.complete(engine.now())) {
                engine.after(service, Priority::complete, {Kind::complete, event.index, *next});
              }
              engine.after(service, Priority::start, {Kind::request, event.index, event.data});
              break;
          }
        },
        limits);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatch));
}
BENCHMARK(resources_in_lock_step)->Arg(8)->Arg(48)->Arg(1024);

}  // namespace
}  // namespace ridge::des
