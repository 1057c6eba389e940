#include "moe/fragments.hpp"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

namespace ridge::kernels::moe {
namespace {

TEST(MoeFragments, HoldEachElementOfATileOnceWithTokensFirst) {
  std::vector<int> holders(kTileTokens * kTileWeights, 0);
  for (int warpgroup = 0; warpgroup < 2; ++warpgroup)
    for (int part = 0; part < 2; ++part)
      for (int thread = 0; thread < 128; ++thread)
        for (int index = 0; index < 64; ++index) {
          const TileElement at = tokens_by_weights_element(warpgroup, part, thread, index);
          ++holders.at(static_cast<std::size_t>(at.token * kTileWeights + at.weight));
        }
  EXPECT_EQ(std::count(holders.begin(), holders.end(), 1), kTileTokens * kTileWeights);
}

TEST(MoeFragments, HoldEachElementOfATileOnceWithWeightsFirst) {
  for (const int tokens : {16, 32, 64}) {
    std::vector<int> holders(static_cast<std::size_t>(tokens * kTileWeights), 0);
    for (int warpgroup = 0; warpgroup < 2; ++warpgroup)
      for (int part = 0; part < 2; ++part)
        for (int thread = 0; thread < 128; ++thread)
          for (int index = 0; index < tokens / 2; ++index) {
            const TileElement at = weights_by_tokens_element(warpgroup, part, thread, index);
            ++holders.at(static_cast<std::size_t>(at.token * kTileWeights + at.weight));
          }
    EXPECT_EQ(std::count(holders.begin(), holders.end(), 1), tokens * kTileWeights);
  }
}

TEST(MoeFragments, KeepGateAndUpOfOneActivationInOneThread) {
  const auto expect_partner = [](const TileElement& gate, const TileElement& up) {
    EXPECT_EQ(gate.token, up.token);
    EXPECT_FALSE(is_up(gate.weight));
    EXPECT_TRUE(is_up(up.weight));
    EXPECT_EQ(activation_column(gate.weight), activation_column(up.weight));
  };
  for (const OperandOrder order :
       {OperandOrder::kTokensByWeights, OperandOrder::kWeightsByTokens}) {
    const auto element = order == OperandOrder::kTokensByWeights ? tokens_by_weights_element
                                                                 : weights_by_tokens_element;
    for (int warpgroup = 0; warpgroup < 2; ++warpgroup)
      for (int part = 0; part < 2; ++part)
        for (int thread = 0; thread < 128; ++thread)
          for (int index = 0; index < 32; ++index) {
            const TileElement at = element(warpgroup, part, thread, index);
            ASSERT_EQ(holds_up(order, index), is_up(at.weight));
            if (!holds_up(order, index))
              expect_partner(at,
                             element(warpgroup, part, thread, index + up_register_distance(order)));
          }
  }
}

TEST(MoeFragments, KeepATokensWholeScaleBlockInOneQuadWithTokensFirst) {
  // The requantization then needs two shuffles and no shared memory.
  for (int thread = 0; thread < 128; ++thread)
    for (int index = 0; index < 64; ++index)
      EXPECT_EQ(tokens_by_weights_element(0, 0, thread, index).token,
                tokens_by_weights_element(0, 1, thread / 4 * 4, index / 2 % 2 * 2).token);
}

TEST(MoeInterleave, IsABijectionThatKeepsScaleBlocksTogether) {
  for (int row = 0; row < 2048; ++row) {
    const int column = activation_column(row);
    EXPECT_EQ(interleaved_row(column, is_up(row)), row);
    // 256 interleaved rows are one tile; its activations are one 128-wide scale block.
    EXPECT_EQ(row / kTileWeights, column / kScaleBlock);
  }
}

}  // namespace
}  // namespace ridge::kernels::moe
