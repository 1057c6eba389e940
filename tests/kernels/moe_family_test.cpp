#include "moe/bench_shape.hpp"
#include "moe/family.hpp"
#include "moe/permutation.hpp"
#include "moe/schedule.hpp"

#include <algorithm>
#include <map>
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

std::vector<bench::Point> both_grids(bench::Extent extent, const bench::DeviceFacts& device) {
  std::vector<bench::Point> points = layer_grid(extent, device);
  const std::vector<bench::Point> gemms = gemm_grid(extent, device);
  points.insert(points.end(), gemms.begin(), gemms.end());
  return points;
}

TEST(MoeFamily, ShapesSurviveTheBenchAndBack) {
  for (const bench::Point& point : both_grids(bench::Extent::kFull, kDevice)) {
    const LayerShape shape = layer_shape_of(point.shape);
    const Routing routing = routing_of(point.shape);
    const bench::Shape again = point.shape.has("projection")
                                   ? gemm_fields(gemm_of(point.shape), shape, routing)
                                   : layer_fields(shape, routing);
    EXPECT_EQ(again.to_string(), point.shape.to_string());
  }
}

TEST(MoeFamily, GridPointsAreDistinctAndHaveWork) {
  for (const bench::Extent extent : {bench::Extent::kQuick, bench::Extent::kFull}) {
    std::set<std::string> keys;
    for (const bench::Point& point : both_grids(extent, kDevice)) {
      EXPECT_TRUE(keys.insert(point.kernel + " " + point.shape.to_string()).second)
          << point.shape.to_string();
      EXPECT_GT(point.work.bytes_read, 0.0);
      EXPECT_GT(point.work.bytes_written, 0.0);
      EXPECT_GT(point.work.flop, 0.0);
    }
    EXPECT_GT(keys.size(), 20u);
  }
}

TEST(MoeFamily, BaselinesComeBeforeTheKernelTheyAreComparedWith) {
  std::map<std::string, std::string> last;
  for (const bench::Point& point : both_grids(bench::Extent::kFull, kDevice))
    last[point.shape.to_string()] = point.kernel;
  for (const auto& [shape, kernel] : last) EXPECT_EQ(kernel, "ridge") << shape;
}

TEST(MoeFamily, GridLeavesOutWhatDoesNotFitTheDevice) {
  bench::DeviceFacts small = kDevice;
  small.free_bytes = 4ull << 30;
  const auto points = both_grids(bench::Extent::kFull, small);
  EXPECT_FALSE(points.empty());
  for (const bench::Point& point : points) {
    const LayerShape s = layer_shape_of(point.shape);
    EXPECT_LT(3.0 * s.groups() * s.hidden * s.intermediate, 4e9);
  }
}

TEST(MoeFamily, FullGridMeasuresEveryRouting) {
  std::set<std::string> routings;
  for (const bench::Point& point : layer_grid(bench::Extent::kFull, kDevice))
    routings.insert(point.shape.word("routing"));
  EXPECT_EQ(routings, (std::set<std::string>{"balanced", "uniform", "power_law_1.01",
                                             "power_law_1.2", "hot_expert"}));
}

TEST(MoeFamily, CasesReachEveryRoutingEveryTileWidthAndNoTokens) {
  for (const auto& cases :
       {layer_cases(bench::Extent::kQuick, kDevice), gemm_cases(bench::Extent::kQuick, kDevice)}) {
    std::set<std::string> routings;
    std::set<int> padded;
    bool no_tokens = false;
    bool subset = false;
    for (const bench::Case& test : cases) {
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
}

TEST(MoeFamily, ExplainsEveryPointOfTheQuickGridWithoutADevice) {
  for (const bench::Point& point : layer_grid(bench::Extent::kQuick, kDevice))
    EXPECT_FALSE(explain_layer(point, kDevice).empty());
  for (const bench::Point& point : gemm_grid(bench::Extent::kQuick, kDevice))
    EXPECT_FALSE(explain_gemm(point, kDevice).empty());
}

TEST(MoeFamily, RefusesNamesItDoesNotKnow) {
  const bench::Shape good = gemm_fields(Gemm::kDown, whole_layer(1, 128, 128, 4, 1, 0), {});
  EXPECT_EQ(gemm_of(good), Gemm::kDown);
  EXPECT_THROW(gemm_of(bench::Shape{{"projection", std::string("sideways")}}),
               std::invalid_argument);
  EXPECT_THROW(routing_of(bench::Shape{{"routing", std::string("power_law_9")}}),
               std::invalid_argument);
  EXPECT_THROW(layer_shape_of(bench::Shape{{"tokens", std::int64_t{1}}}), std::invalid_argument);
}

}  // namespace
}  // namespace ridge::kernels::moe
