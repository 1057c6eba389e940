#include "ridge/des/time_average.hpp"

#include "microseconds.hpp"

#include <gtest/gtest.h>

namespace ridge::des {
namespace {

TEST(TimeAverage, WeighsEachLevelByHowLongItHeld) {
  TimeAverage kv_bytes;
  kv_bytes.set(us(2), 100);
  kv_bytes.add(us(6), -40);
  EXPECT_DOUBLE_EQ(kv_bytes.mean(us(10)), (0 * 2 + 100 * 4 + 60 * 4) / 10.0);
  EXPECT_DOUBLE_EQ(kv_bytes.integral(us(10)), 640e-6);
  EXPECT_EQ(kv_bytes.largest(), 100);
  EXPECT_EQ(kv_bytes.level(), 60);
}

TEST(TimeAverage, ALevelThatLastsNoTimeWeighsNothingButIsTheLargest) {
  TimeAverage queue;
  queue.add(us(5), 3);
  queue.add(us(5), -3);
  EXPECT_EQ(queue.mean(us(10)), 0.0);
  EXPECT_EQ(queue.largest(), 3);
}

TEST(TimeAverage, RestartKeepsTheLevel) {
  TimeAverage queue(4);
  queue.restart(us(10));
  EXPECT_EQ(queue.mean(us(10)), 4.0);
  queue.set(us(15), 0);
  EXPECT_EQ(queue.mean(us(20)), 2.0);
}

TEST(TimeAverage, TerabytesOverADayDoNotOverflow) {
  TimeAverage bytes(std::int64_t{1} << 50);
  EXPECT_DOUBLE_EQ(bytes.mean(us(86'400'000'000)), 0x1p50);
}

}  // namespace
}  // namespace ridge::des
