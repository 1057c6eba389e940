#include "ridge/des/state_times.hpp"

#include "microseconds.hpp"

#include <gtest/gtest.h>

namespace ridge::des {
namespace {

enum class State { empty, computing, waiting };
using GpuTimes = StateTimes<State, 3>;

TEST(StateTimes, AddUpToTheElapsedTime) {
  GpuTimes gpu;
  gpu.enter(us(3), State::computing);
  gpu.enter(us(7), State::waiting);
  gpu.enter(us(8), State::computing);
  EXPECT_EQ(gpu.time_in(State::empty, us(10)), us(3));
  EXPECT_EQ(gpu.time_in(State::computing, us(10)), us(6));
  EXPECT_EQ(gpu.time_in(State::waiting, us(10)), us(1));
  EXPECT_EQ(gpu.state(), State::computing);
}

TEST(StateTimes, ReenteringAStateChangesNothing) {
  GpuTimes gpu(State::waiting);
  gpu.enter(us(3), State::waiting);
  EXPECT_EQ(gpu.time_in(State::waiting, us(5)), us(5));
}

TEST(StateTimes, RestartKeepsTheState) {
  GpuTimes gpu;
  gpu.enter(us(2), State::computing);
  gpu.restart(us(4));
  EXPECT_EQ(gpu.time_in(State::empty, us(9)), us(0));
  EXPECT_EQ(gpu.time_in(State::computing, us(9)), us(5));
}

}  // namespace
}  // namespace ridge::des
