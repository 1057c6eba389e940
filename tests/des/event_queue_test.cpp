#include "ridge/des/event_queue.hpp"

#include <algorithm>
#include <cstdint>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace ridge::des {
namespace {

TEST(EventQueue, EarlierComesFirst) {
  EventQueue<int> queue;
  queue.push(SimTime::from_nanoseconds(3), Priority::complete, 3);
  queue.push(SimTime::from_nanoseconds(1), Priority::finish, 1);
  queue.push(SimTime::from_nanoseconds(-1), Priority::finish, -1);
  queue.push(SimTime::from_nanoseconds(2), Priority::complete, 2);
  for (const int expected : {-1, 1, 2, 3}) EXPECT_EQ(queue.pop().event, expected);
}

TEST(EventQueue, OneInstantRunsCompletionsThenDeliveriesThenStartsThenObservers) {
  const std::vector<Priority> order = {Priority::complete, Priority::deliver, Priority::admit,
                                       Priority::start,    Priority::settle,  Priority::observe,
                                       Priority::finish};
  EventQueue<int> queue;
  for (std::size_t i = order.size(); i-- > 0;) {
    queue.push(SimTime::from_nanoseconds(5), order[i], static_cast<int>(i));
  }
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto item = queue.pop();
    EXPECT_EQ(item.event, static_cast<int>(i));
    EXPECT_EQ(item.priority, order[i]);
    EXPECT_EQ(item.time, SimTime::from_nanoseconds(5));
  }
}

TEST(EventQueue, FullTiesKeepTheirOrderOfInsertion) {
  EventQueue<int> queue;
  for (int i = 0; i < 1000; ++i) queue.push(SimTime{}, Priority::start, i);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(queue.pop().event, i);
}

TEST(EventQueue, TheWholeRangeOfTimeIsOrdered) {
  EventQueue<int> queue;
  const auto last = SimTime::never() - SimTime::from_picoseconds(1);
  const auto first = SimTime{} - last;
  queue.push(last, Priority::finish, 2);
  queue.push(SimTime{}, Priority::complete, 1);
  queue.push(first, Priority::finish, 0);
  EXPECT_EQ(queue.next_time(), first);
  EXPECT_EQ(queue.pop().time, first);
  EXPECT_EQ(queue.pop().time, SimTime{});
  EXPECT_EQ(queue.pop().time, last);
}

RC_GTEST_PROP(EventQueue, IsAStableSortByTimeAndPriority, ()) {
  using Row = std::tuple<std::int64_t, int, std::uint32_t>;
  auto rows = *rc::gen::container<std::vector<Row>>(
      rc::gen::tuple(rc::gen::inRange<std::int64_t>(-3, 4), rc::gen::inRange(0, 3),
                     rc::gen::just<std::uint32_t>(0)));
  EventQueue<std::uint32_t> queue;
  for (std::uint32_t i = 0; i < rows.size(); ++i) {
    auto& [time, priority, serial] = rows[i];
    serial = i;
    queue.push(SimTime::from_picoseconds(time), static_cast<Priority>(priority), serial);
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return std::tie(std::get<0>(a), std::get<1>(a)) < std::tie(std::get<0>(b), std::get<1>(b));
  });
  for (const auto& row : rows) RC_ASSERT(queue.pop().event == std::get<2>(row));
  RC_ASSERT(queue.empty());
}

}  // namespace
}  // namespace ridge::des
