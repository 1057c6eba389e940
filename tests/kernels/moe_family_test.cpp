#include "moe/family.hpp"
#include "moe/permutation.hpp"
#include "moe/schedule.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace ridge::kernels::moe {
namespace {

// An H100 SXM: 132 SMs, 50 MB L2, 80 GB.
constexpr bench::DeviceFacts kDevice{.sm_count = 132,
                                     .l2_bytes = 50ull << 20,
                                     .memory_bytes = 80ull << 30,
                                     .free_bytes = 78ull << 30};

TEST(MoeFamily, ShapesSurviveTheBenchAndBack) {
  for (const bench::Point& point : grid(bench::Extent::kFull, kDevice))
    EXPECT_EQ(to_bench_shape(operation_of(point.shape), layer_shape_of(point.shape),
                             routing_of(point.shape))
                  .to_string(),
              point.shape.to_string());
}

TEST(MoeFamily, GridPointsAreDistinctAndHaveWork) {
  for (const bench::Extent extent : {bench::Extent::kQuick, bench::Extent::kFull}) {
    std::set<std::string> keys;
    for (const bench::Point& point : grid(extent, kDevice)) {
      EXPECT_TRUE(keys.insert(point.kernel + " " + point.shape.to_string()).second)
          << point.shape.to_string();
      EXPECT_GT(point.work.bytes_read, 0.0);
      EXPECT_GT(point.work.bytes_written, 0.0);
      EXPECT_GT(point.work.flop, 0.0);
    }
    EXPECT_GT(keys.size(), 10u);
  }
}

TEST(MoeFamily, GridLeavesOutWhatDoesNotFitTheDevice) {
  bench::DeviceFacts small = kDevice;
  small.free_bytes = 4ull << 30;
  const auto points = grid(bench::Extent::kFull, small);
  EXPECT_FALSE(points.empty());
  for (const bench::Point& point : points) {
    const LayerShape s = layer_shape_of(point.shape);
    EXPECT_LT(3.0 * s.groups() * s.hidden * s.intermediate, 4e9);
  }
}

TEST(MoeFamily, FullGridMeasuresEveryRouting) {
  std::set<std::string> routings;
  for (const bench::Point& point : grid(bench::Extent::kFull, kDevice))
    routings.insert(point.shape.word("routing"));
  EXPECT_EQ(routings, (std::set<std::string>{"balanced", "uniform", "power_law_1.01",
                                             "power_law_1.2", "hot_expert"}));
}

TEST(MoeFamily, CasesReachEveryRoutingEveryTileWidthAndNoTokens) {
  std::set<std::string> routings;
  std::set<int> padded;
  bool no_tokens = false;
  bool subset = false;
  for (const bench::Case& test : cases(bench::Extent::kQuick)) {
    const LayerShape shape = layer_shape_of(test.shape);
    const Routing routing = routing_of(test.shape);
    routings.insert(name(routing));
    no_tokens = no_tokens || shape.tokens == 0;
    subset = subset || shape.local_experts < shape.experts;
    for (const int size : group_sizes(permute(shape, draw_routing(shape, routing, kRoutingSeed))))
      for (int first = 0; first < size; first += kTileTokens)
        padded.insert(padded_tokens(std::min(size - first, kTileTokens)));
  }
  EXPECT_EQ(routings.size(), 5u);
  EXPECT_EQ(padded, (std::set<int>{16, 32, 64, 128}));
  EXPECT_TRUE(no_tokens);
  EXPECT_TRUE(subset);
}

TEST(MoeFamily, ExplainsEveryPointOfTheQuickGridWithoutADevice) {
  for (const bench::Point& point : grid(bench::Extent::kQuick, kDevice))
    EXPECT_FALSE(explain(point, kDevice).empty());
}

TEST(MoeFamily, RefusesNamesItDoesNotKnow) {
  const LayerShape shape = whole_layer(1, 128, 128, 4, 1, 0);
  bench::Shape good = to_bench_shape(Operation::kDown, shape, {});
  EXPECT_EQ(operation_of(good), Operation::kDown);
  EXPECT_THROW(operation_of(bench::Shape{{"op", std::string("moe_sideways")}}),
               std::invalid_argument);
  EXPECT_THROW(routing_of(bench::Shape{{"routing", std::string("power_law_9")}}),
               std::invalid_argument);
  EXPECT_THROW(layer_shape_of(bench::Shape{{"tokens", std::int64_t{1}}}), std::invalid_argument);
}

}  // namespace
}  // namespace ridge::kernels::moe
