#include "ridge/des/resource.hpp"

#include "microseconds.hpp"

#include <gtest/gtest.h>

namespace ridge::des {
namespace {

TEST(Resource, ServesOneAtATimeInOrderOfRequest) {
  Resource<int> stream;
  EXPECT_TRUE(stream.request(us(0), 1));
  EXPECT_FALSE(stream.request(us(0), 2));
  EXPECT_FALSE(stream.request(us(1), 3));
  EXPECT_EQ(stream.queue_length(), 2U);
  EXPECT_EQ(stream.complete(us(5)), 2);
  EXPECT_EQ(stream.complete(us(6)), 3);
  EXPECT_EQ(stream.complete(us(9)), std::nullopt);
  EXPECT_FALSE(stream.busy());
}

TEST(Resource, ALowerRankOvertakesTheQueueButNotTheTaskInService) {
  Resource<char> stream;
  EXPECT_TRUE(stream.request(us(0), 'a', 7));
  EXPECT_FALSE(stream.request(us(0), 'b', 1));
  EXPECT_FALSE(stream.request(us(1), 'c', 0));
  EXPECT_FALSE(stream.request(us(2), 'd', 1));
  EXPECT_FALSE(stream.request(us(3), 'e', -1));
  for (const char expected : {'e', 'c', 'b', 'd'}) EXPECT_EQ(stream.complete(us(4)), expected);
}

TEST(Resource, BusyAndIdleTimeAddUpToTheElapsedTime) {
  Resource<int> stream;
  stream.request(us(10), 1);
  stream.complete(us(14));
  stream.request(us(20), 2);
  const auto use = stream.use(us(40));
  EXPECT_EQ(use.busy, us(24));
  EXPECT_EQ(use.idle(), us(16));
  EXPECT_EQ(use.elapsed, us(40));
  EXPECT_DOUBLE_EQ(use.utilization(), 0.6);
  EXPECT_EQ(use.started, 2U);
  EXPECT_EQ(use.completed, 1U);
}

TEST(Resource, WaitsAreFromRequestToStart) {
  Resource<int> stream;
  stream.request(us(0), 1);
  stream.request(us(2), 2);
  stream.request(us(3), 3);
  stream.complete(us(10));
  stream.complete(us(20));
  stream.complete(us(30));
  const auto use = stream.use(us(30));
  EXPECT_EQ(use.longest_wait, us(17));
  EXPECT_EQ(use.mean_wait.picoseconds(), (0 + 8 + 17) * 1'000'000 / 3);
  EXPECT_EQ(use.longest_queue, 2);
  EXPECT_DOUBLE_EQ(use.mean_queue_length, 25.0 / 30.0);
}

TEST(Resource, RestartForgetsTheWarmUpButNotTheTaskInService) {
  Resource<int> stream;
  stream.request(us(0), 1);
  stream.request(us(0), 2);
  stream.restart(us(6));
  EXPECT_EQ(stream.use(us(8)).busy, us(2));
  EXPECT_EQ(stream.complete(us(10)), 2);
  const auto use = stream.use(us(16));
  EXPECT_EQ(use.busy, us(10));
  EXPECT_EQ(use.elapsed, us(10));
  EXPECT_EQ(use.started, 1U);
  EXPECT_DOUBLE_EQ(use.mean_queue_length, 0.4);
}

TEST(Resource, NothingMeasuredIsNothingUsed) {
  const Resource<int> stream;
  EXPECT_EQ(stream.use(us(0)).utilization(), 0.0);
  EXPECT_EQ(stream.use(us(0)).mean_wait, us(0));
}

}  // namespace
}  // namespace ridge::des
