#include "moe/permutation.hpp"
#include "moe/routing.hpp"
#include "support/every_routing.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

namespace ridge::kernels::moe {
namespace {

TEST(MoePermutation, IsABijectionBetweenLocalSlotsAndRows) {
  for (const Routing& routing : kEveryRouting)
    for (const int tokens : {0, 1, 7, 300}) {
      const LayerShape shape = slice(whole_layer(tokens, 128, 128, 12, 3, 2), 1, 2, 1);
      const Permutation p = permute(shape, draw_routing(shape, routing, 5));
      std::vector<int> seen(static_cast<std::size_t>(p.rows()), 0);
      for (std::size_t slot = 0; slot < p.row_of_slot.size(); ++slot) {
        const int row = p.row_of_slot[slot];
        if (row == kNotLocal) continue;
        ASSERT_LT(row, p.rows());
        ++seen[static_cast<std::size_t>(row)];
        EXPECT_EQ(p.slot_of_row[static_cast<std::size_t>(row)], static_cast<int>(slot));
      }
      for (const int count : seen) EXPECT_EQ(count, 1) << name(routing);
      EXPECT_LE(p.rows(), shape.row_capacity());
    }
}

TEST(MoePermutation, PutsEachRowInTheGroupOfItsExpertInTokenOrder) {
  const LayerShape shape = whole_layer(200, 128, 128, 10, 4, 1);
  const RouterOutput router = draw_routing(shape, {RoutingKind::kPowerLaw, 1.2}, 9);
  const Permutation p = permute(shape, router);
  for (int group = 0; group < shape.groups(); ++group) {
    int previous_token = -1;
    for (int row = p.group_offsets[static_cast<std::size_t>(group)];
         row < p.group_offsets[static_cast<std::size_t>(group) + 1]; ++row) {
      const int slot = p.slot_of_row[static_cast<std::size_t>(row)];
      const int token = slot / 5;
      EXPECT_GT(token, previous_token);
      previous_token = token;
      if (group < 10) {
        EXPECT_EQ(router.experts[static_cast<std::size_t>(token * 4 + slot % 5)], group);
      } else {
        EXPECT_EQ(slot % 5, 4);
      }
    }
  }
}

TEST(MoePermutation, GivesEveryTokenToEverySharedExpert) {
  const LayerShape shape = whole_layer(33, 128, 128, 8, 2, 2);
  const std::vector<int> sizes = group_sizes(permute(shape, draw_routing(shape, {}, 1)));
  EXPECT_EQ(sizes[8], 33);
  EXPECT_EQ(sizes[9], 33);
}

TEST(MoePermutation, OfAllExpertParallelRanksTogetherCoversEachPickOnce) {
  const LayerShape whole = whole_layer(64, 128, 128, 12, 3, 0);
  const RouterOutput router = draw_routing(whole, {RoutingKind::kUniform}, 3);
  std::vector<int> owners(router.experts.size(), 0);
  for (int rank = 0; rank < 4; ++rank) {
    const Permutation p = permute(slice(whole, 1, 4, rank), router);
    for (std::size_t pick = 0; pick < owners.size(); ++pick)
      owners[pick] += p.row_of_slot[pick] != kNotLocal ? 1 : 0;
  }
  EXPECT_TRUE(std::all_of(owners.begin(), owners.end(), [](int n) { return n == 1; }));
}

TEST(MoePermutation, HoldsAllTokensOfOneExpert) {
  const LayerShape shape = whole_layer(500, 128, 128, 16, 1, 0);
  const std::vector<int> sizes =
      group_sizes(permute(shape, draw_routing(shape, {RoutingKind::kHotExpert}, 2)));
  EXPECT_EQ(std::count(sizes.begin(), sizes.end(), 500), 1);
  EXPECT_EQ(std::count(sizes.begin(), sizes.end(), 0), 15);
}

TEST(MoePermutation, RefusesARouterOutputThatDoesNotFit) {
  const LayerShape shape = whole_layer(4, 128, 128, 8, 2, 0);
  RouterOutput router = draw_routing(shape, {}, 1);
  router.experts[3] = 8;
  EXPECT_THROW(permute(shape, router), std::invalid_argument);
  router.experts.pop_back();
  EXPECT_THROW(permute(shape, router), std::invalid_argument);
}

TEST(MoeLayerShape, NamesWhatIsWrongWithIt) {
  EXPECT_EQ(problem_with(whole_layer(0, 7168, 5120, 48, 3, 1)), nullptr);
  EXPECT_NE(problem_with(whole_layer(1, 7100, 5120, 48, 3, 1)), nullptr);
  EXPECT_NE(problem_with(whole_layer(1, 7168, 5000, 48, 3, 1)), nullptr);
  EXPECT_NE(problem_with(whole_layer(1, 7168, 5120, 48, 49, 1)), nullptr);
  EXPECT_NE(problem_with(whole_layer(1, 7168, 5120, 600, 3, 1)), nullptr);
  EXPECT_NE(problem_with(whole_layer(-1, 7168, 5120, 48, 3, 1)), nullptr);
  LayerShape beyond = whole_layer(1, 7168, 5120, 48, 3, 1);
  beyond.first_expert = 1;
  EXPECT_NE(problem_with(beyond), nullptr);
}

TEST(MoeLayerShape, SlicesTensorAndExpertParallelRanks) {
  const LayerShape rank = slice(whole_layer(2048, 7168, 5120, 48, 3, 1), 8, 2, 1);
  EXPECT_EQ(rank.intermediate, 640);
  EXPECT_EQ(rank.first_expert, 24);
  EXPECT_EQ(rank.local_experts, 24);
  EXPECT_EQ(rank.groups(), 25);
  EXPECT_EQ(problem_with(rank), nullptr);
}

}  // namespace
}  // namespace ridge::kernels::moe
