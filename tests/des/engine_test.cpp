#include "ridge/des/engine.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/random.hpp"

#include <atomic>
#include <cstdint>
#include <set>
#include <thread>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

namespace ridge::des {
namespace {

enum class Kind : std::uint32_t { tick, tock };
struct Event {
  Kind kind;
  std::uint32_t id;
};

SimTime ns(std::int64_t n) {
  return SimTime::from_nanoseconds(n);
}

// Twenty thousand events of `seed`'s choosing, many of them tied.
std::uint64_t checksum_of_a_busy_run(std::uint64_t seed) {
  Engine<Event> engine;
  Random random(seed);
  for (std::uint32_t id = 0; id < 200; ++id) engine.at(ns(0), Priority::start, {Kind::tick, id});
  RunLimits limits;
  limits.max_events = 20'000;
  engine.run(
      [&](const Event& event) {
        const auto priority = static_cast<Priority>(random.below(4));
        const auto kind = static_cast<Kind>(random.below(2));
        engine.after(ns(static_cast<std::int64_t>(random.below(8))), priority, {kind, event.id});
      },
      limits);
  return engine.checksum();
}

std::uint64_t checksum_of(const std::vector<std::tuple<SimTime, Priority, Event>>& events) {
  Engine<Event> engine;
  for (const auto& [time, priority, event] : events) engine.at(time, priority, event);
  engine.run([](const Event&) {});
  return engine.checksum();
}

TEST(Engine, TheClockStandsAtTheEventBeingHandled) {
  Engine<Event> engine;
  std::vector<SimTime> seen;
  engine.at(ns(5), Priority::start, {Kind::tick, 0});
  engine.at(ns(2), Priority::start, {Kind::tick, 1});
  const auto end = engine.run([&](const Event& event) {
    seen.push_back(engine.now());
    if (event.id == 1) engine.after(ns(1), Priority::start, {Kind::tock, 2});
  });
  EXPECT_EQ(end, RunEnd::out_of_events);
  EXPECT_EQ(seen, (std::vector{ns(2), ns(3), ns(5)}));
  EXPECT_EQ(engine.events(), 3U);
}

TEST(Engine, AnEventScheduledForThisInstantStillRunsInIt) {
  Engine<Event> engine;
  std::vector<std::uint32_t> order;
  engine.at(ns(1), Priority::complete, {Kind::tick, 0});
  engine.at(ns(1), Priority::finish, {Kind::tick, 9});
  engine.run([&](const Event& event) {
    order.push_back(event.id);
    if (event.id == 0) engine.after(ns(0), Priority::start, {Kind::tick, 1});
  });
  EXPECT_EQ(order, (std::vector<std::uint32_t>{0, 1, 9}));
}

TEST(Engine, RunsThroughTheLimitAndGoesOnLater) {
  Engine<Event> engine;
  for (std::uint32_t t = 1; t <= 4; ++t) engine.at(ns(t * 10), Priority::start, {Kind::tick, t});
  int handled = 0;
  RunLimits limits;
  limits.until = ns(20);
  EXPECT_EQ(engine.run([&](const Event&) { ++handled; }, limits), RunEnd::time_limit);
  EXPECT_EQ(handled, 2);
  EXPECT_EQ(engine.now(), ns(20));
  EXPECT_EQ(engine.pending(), 2U);
  limits.until = ns(35);
  EXPECT_EQ(engine.run([&](const Event&) { ++handled; }, limits), RunEnd::time_limit);
  EXPECT_EQ(engine.now(), ns(35));
  EXPECT_EQ(engine.run([&](const Event&) { ++handled; }), RunEnd::out_of_events);
  EXPECT_EQ(handled, 4);
}

TEST(Engine, StopsBetweenTwoEventsWhenAsked) {
  Engine<Event> engine;
  std::atomic<bool> stop{false};
  RunLimits limits;
  limits.stop = &stop;
  engine.at(ns(1), Priority::start, {Kind::tick, 0});
  const auto end = engine.run(
      [&](const Event& event) {
        if (event.id == 99) stop = true;
        engine.after(ns(1), Priority::start, {Kind::tick, event.id + 1});
      },
      limits);
  EXPECT_EQ(end, RunEnd::stopped);
  EXPECT_EQ(engine.events(), 100U);
  EXPECT_EQ(engine.now(), ns(100));
}

TEST(Engine, ThePastAndNeverAreRefused) {
  Engine<Event> engine;
  engine.at(ns(10), Priority::start, {Kind::tick, 0});
  engine.run([](const Event&) {});
  EXPECT_THROW(engine.at(ns(9), Priority::start, {Kind::tick, 0}), InvariantError);
  EXPECT_THROW(engine.at(SimTime::never(), Priority::start, {Kind::tick, 0}), InvariantError);
  EXPECT_THROW(engine.after(SimTime::never(), Priority::start, {Kind::tick, 0}), InvariantError);
}

TEST(EngineChecksum, IsTheSameInEveryBuildAndOnEveryMachine) {
  // Recorded once. A change here means that the order of events, or the hash, has changed: every
  // recorded run has then lost its fingerprint.
  EXPECT_EQ(checksum_of_a_busy_run(1), 3185190251424127059U);
  EXPECT_EQ(checksum_of_a_busy_run(2), 13831277090071687006U);
}

TEST(EngineChecksum, IsTheSameOnAnyNumberOfThreads) {
  std::vector<std::uint64_t> alone;
  for (std::uint64_t seed = 0; seed < 8; ++seed) alone.push_back(checksum_of_a_busy_run(seed));
  std::vector<std::uint64_t> together(alone.size());
  std::vector<std::thread> threads;
  for (std::size_t seed = 0; seed < together.size(); ++seed) {
    threads.emplace_back([&, seed] { together[seed] = checksum_of_a_busy_run(seed); });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(alone, together);
  EXPECT_EQ(std::set<std::uint64_t>(alone.begin(), alone.end()).size(), alone.size());
}

TEST(EngineChecksum, AnyChangeOfTimePriorityKindPayloadOrderOrCountShows) {
  using Events = std::vector<std::tuple<SimTime, Priority, Event>>;
  const Events base = {{ns(1), Priority::start, {Kind::tick, 1}},
                       {ns(2), Priority::start, {Kind::tick, 2}},
                       {ns(2), Priority::start, {Kind::tock, 3}}};
  std::set<std::uint64_t> seen = {checksum_of(base)};
  const auto is_new = [&](const Events& events) { return seen.insert(checksum_of(events)).second; };

  Events later = base;
  std::get<0>(later[0]) = SimTime::from_picoseconds(1001);
  EXPECT_TRUE(is_new(later));
  Events urgent = base;
  std::get<1>(urgent[0]) = Priority::complete;
  EXPECT_TRUE(is_new(urgent));
  Events other_kind = base;
  std::get<2>(other_kind[0]).kind = Kind::tock;
  EXPECT_TRUE(is_new(other_kind));
  Events other_id = base;
  std::get<2>(other_id[0]).id = 4;
  EXPECT_TRUE(is_new(other_id));
  EXPECT_TRUE(is_new({base[0], base[2], base[1]}));
  EXPECT_TRUE(is_new({base[0], base[1]}));
  EXPECT_TRUE(is_new({}));
  EXPECT_FALSE(is_new(base));
}

TEST(EngineChecksum, NoSingleBitOfAnEventGoesUnnoticed) {
  std::set<std::uint64_t> seen;
  for (int bit = 0; bit < 62; ++bit) {
    seen.insert(checksum_of(
        {{SimTime::from_picoseconds(std::int64_t{1} << bit), Priority::start, {Kind::tick, 0}}}));
  }
  for (int bit = 0; bit < 32; ++bit) {
    const std::uint32_t id = 1U << bit;
    seen.insert(checksum_of({{ns(0), Priority::start, {Kind::tick, id}}}));
    seen.insert(checksum_of({{ns(0), Priority::start, {static_cast<Kind>(id), 0}}}));
  }
  EXPECT_EQ(seen.size(), 62U + 2 * 32U);
}

}  // namespace
}  // namespace ridge::des
