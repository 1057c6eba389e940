#include "ridge/des/sim_time.hpp"

#include "ridge/base/error.hpp"

#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

namespace ridge::des {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();

TEST(SimTime, SecondsRoundToTheNearestPicosecond) {
  EXPECT_EQ(SimTime::from(Seconds{1.0}).picoseconds(), 1'000'000'000'000);
  EXPECT_EQ(SimTime::from(Seconds{1.4e-12}).picoseconds(), 1);
  EXPECT_EQ(SimTime::from(Seconds{1.6e-12}).picoseconds(), 2);
  EXPECT_EQ(SimTime::from(Seconds{-1.4e-12}).picoseconds(), -1);
  EXPECT_EQ(SimTime::from(Seconds{-1.6e-12}).picoseconds(), -2);
  EXPECT_EQ(SimTime::from(Seconds{0.0}).picoseconds(), 0);
}

TEST(SimTime, HalfAPicosecondRoundsAwayFromZero) {
  // 0.5e-12 * 1e12 is exactly 0.5 in double arithmetic, and so are these multiples.
  ASSERT_EQ(2.5e-12 * 1e12, 2.5);
  EXPECT_EQ(SimTime::from(Seconds{0.5e-12}).picoseconds(), 1);
  EXPECT_EQ(SimTime::from(Seconds{2.5e-12}).picoseconds(), 3);
  EXPECT_EQ(SimTime::from(Seconds{-0.5e-12}).picoseconds(), -1);
  EXPECT_EQ(SimTime::from(Seconds{-2.5e-12}).picoseconds(), -3);
}

TEST(SimTime, EveryPicosecondOfAnHourSurvivesTheTripThroughSeconds) {
  // A double holds 3600 s to 0.5e-12 s; odd offsets catch a truncation.
  for (std::int64_t ps = 1; ps < 3'600'000'000'000'000; ps = ps * 3 + 1) {
    EXPECT_EQ(SimTime::from(SimTime::from_picoseconds(ps).seconds()).picoseconds(), ps);
  }
}

TEST(SimTime, InfinityIsNever) {
  EXPECT_EQ(SimTime::from(Seconds{std::numeric_limits<double>::infinity()}), SimTime::never());
}

TEST(SimTime, WhatIsNoTimeIsRefused) {
  EXPECT_THROW(SimTime::from(Seconds{std::numeric_limits<double>::quiet_NaN()}), InvariantError);
  EXPECT_THROW(SimTime::from(Seconds{-std::numeric_limits<double>::infinity()}), InvariantError);
  EXPECT_THROW(SimTime::from(Seconds{9.3e6}), InvariantError);
  EXPECT_THROW(SimTime::from(Seconds{-9.3e6}), InvariantError);
  EXPECT_NO_THROW(SimTime::from(Seconds{106.0 * 86400.0}));
}

TEST(SimTime, SumsSaturateInsteadOfWrapping) {
  const SimTime second = SimTime::from_milliseconds(1000);
  EXPECT_EQ(SimTime::never() + second, SimTime::never());
  EXPECT_EQ(SimTime::from_picoseconds(kLeast) - second, SimTime::from_picoseconds(kLeast));
  EXPECT_EQ(SimTime::from_picoseconds(kLeast) + SimTime::from_picoseconds(-1),
            SimTime::from_picoseconds(kLeast));
  EXPECT_EQ(SimTime::never() - SimTime::from_picoseconds(-1), SimTime::never());
  EXPECT_EQ(second * kMost, SimTime::never());
  EXPECT_EQ(second * -kMost, SimTime::from_picoseconds(kLeast));
  EXPECT_EQ(SimTime::from_milliseconds(kMost), SimTime::never());
}

TEST(SimTime, UnitsAreWhatTheySay) {
  EXPECT_EQ(SimTime::from_nanoseconds(7), SimTime::from(Seconds{7e-9}));
  EXPECT_EQ(SimTime::from_microseconds(7), SimTime::from(Seconds{7e-6}));
  EXPECT_EQ(SimTime::from_milliseconds(7), SimTime::from(Seconds{7e-3}));
  EXPECT_DOUBLE_EQ(SimTime::from_microseconds(50).seconds().value(), 50e-6);
}

}  // namespace
}  // namespace ridge::des
