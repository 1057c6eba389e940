#include "common/random.hpp"
#include "moe/schedule.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace ridge::kernels::moe {
namespace {

std::vector<int> offsets_of(const std::vector<int>& sizes) {
  std::vector<int> offsets{0};
  for (const int size : sizes) offsets.push_back(offsets.back() + size);
  return offsets;
}

template <int Cluster = 1>
std::vector<Tile> tiles_of(const std::vector<int>& offsets, int blocks, int worker, int workers) {
  TileCursor<Cluster> cursor(offsets.data(), static_cast<int>(offsets.size()) - 1, blocks,
                             worker / Cluster, workers / Cluster, worker % Cluster);
  std::vector<Tile> tiles;
  Tile tile;
  while (cursor.next(tile)) tiles.push_back(tile);
  return tiles;
}

/// Group sizes of every flavour: empty, one token, around the thresholds, several bands.
std::vector<int> random_sizes(std::uint64_t seed) {
  const std::array<int, 12> flavours{0, 0, 1, 15, 16, 17, 63, 64, 65, 128, 129, 2100};
  const auto groups = 1 + random_bits(seed, 0) % 40;
  std::vector<int> sizes;
  for (std::uint64_t g = 0; g < groups; ++g) {
    const std::uint64_t bits = random_bits(seed, g + 1);
    sizes.push_back(bits % 3 == 0 ? static_cast<int>(bits / 3 % 700)
                                  : flavours[bits / 3 % flavours.size()]);
  }
  return sizes;
}

template <int Cluster>
void expect_every_output_once(std::uint64_t seed) {
  const std::vector<int> offsets = offsets_of(random_sizes(seed));
  const int blocks = 1 + static_cast<int>(random_bits(seed, 1000) % 9);
  const int workers = Cluster * (1 + static_cast<int>(random_bits(seed, 1001) % 140));
  std::vector<int> computed(static_cast<std::size_t>(offsets.back() * blocks), 0);
  for (int worker = 0; worker < workers; ++worker)
    for (const Tile& tile : tiles_of<Cluster>(offsets, blocks, worker, workers)) {
      if (tile.tokens == 0) {
        ASSERT_EQ(Cluster, kPair);
        ASSERT_EQ(tile.shared, Tile::Shared::kNothing);
        continue;
      }
      ASSERT_LE(tile.tokens, kTileTokens);
      ASSERT_GE(tile.first_row, offsets[static_cast<std::size_t>(tile.group)]);
      ASSERT_LE(tile.first_row + tile.tokens, offsets[static_cast<std::size_t>(tile.group) + 1]);
      ASSERT_GE(tile.weight_block, 0);
      ASSERT_LT(tile.weight_block, blocks);
      for (int row = tile.first_row; row < tile.first_row + tile.tokens; ++row)
        ++computed[static_cast<std::size_t>(row * blocks + tile.weight_block)];
    }
  for (const int count : computed) ASSERT_EQ(count, 1) << "seed " << seed;
}

TEST(MoeTileSchedule, ComputesEveryOutputExactlyOnceForAnyRouting) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    expect_every_output_once<1>(seed);
    expect_every_output_once<kPair>(seed);
  }
}

TEST(MoeTileSchedule, BlocksOfAPairTakeAsManyStepsAndShareWhatTheyAreToldTheyShare) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<int> offsets = offsets_of(random_sizes(seed));
    for (int worker = 0; worker < 8; worker += kPair) {
      const std::vector<Tile> one = tiles_of<kPair>(offsets, 5, worker, 8);
      const std::vector<Tile> other = tiles_of<kPair>(offsets, 5, worker + 1, 8);
      ASSERT_EQ(one.size(), other.size());
      for (std::size_t i = 0; i < one.size(); ++i) {
        EXPECT_EQ(one[i].group, other[i].group);
        EXPECT_EQ(one[i].shared, other[i].shared);
        EXPECT_EQ(one[i].shared == Tile::Shared::kTokens,
                  one[i].first_row == other[i].first_row && other[i].tokens > kSwapTokens);
        if (one[i].shared == Tile::Shared::kWeights) {
          EXPECT_EQ(one[i].weight_block, other[i].weight_block);
          EXPECT_EQ(one[i].first_row + kTileTokens, other[i].first_row);
          EXPECT_GT(other[i].tokens, kSwapTokens);
        } else {
          EXPECT_EQ(one[i].weight_block + 1, other[i].weight_block);
          EXPECT_EQ(one[i].first_row, other[i].first_row);
        }
      }
    }
  }
}

TEST(MoeTileSchedule, WorkersDifferByAtMostOneTile) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<int> offsets = offsets_of(random_sizes(seed));
    std::set<std::size_t> counts;
    for (int worker = 0; worker < 132; ++worker)
      counts.insert(tiles_of(offsets, 5, worker, 132).size());
    EXPECT_LE(*counts.rbegin() - *counts.begin(), 1u) << "seed " << seed;
  }
}

TEST(MoeTileSchedule, GivesNobodyAnythingWhenEveryGroupIsEmpty) {
  const std::vector<int> offsets(49, 0);
  for (int worker = 0; worker < 132; ++worker)
    EXPECT_TRUE(tiles_of(offsets, 40, worker, 132).empty());
}

TEST(MoeTileSchedule, KeepsConcurrentBlocksOnTheSameWeights) {
  // Ten token tiles: ten neighboring thread blocks share each weight block.
  const std::vector<int> offsets{0, 10 * kTileTokens};
  const std::vector<Tile> walk = tiles_of(offsets, 6, 0, 1);
  for (std::size_t i = 0; i < walk.size(); ++i)
    EXPECT_EQ(walk[i].weight_block, static_cast<int>(i / 10));
}

TEST(MoeTileSchedule, BoundsTheTokensInUseAtOnceByABand) {
  const std::vector<int> offsets{0, 40 * kTileTokens};
  const std::vector<Tile> walk = tiles_of(offsets, 30, 0, 1);
  std::map<int, std::pair<std::size_t, std::size_t>> first_and_last_use;
  for (std::size_t i = 0; i < walk.size(); ++i) {
    auto [at, fresh] = first_and_last_use.try_emplace(walk[i].first_row, i, i);
    at->second.second = i;
  }
  const std::size_t longest = static_cast<std::size_t>(kTokenTilesPerBand) * 30;
  for (const auto& [row, use] : first_and_last_use) EXPECT_LT(use.second - use.first, longest);
}

TEST(MoeTileSchedule, SwapsOperandsUpToSixtyFourTokens) {
  EXPECT_EQ(operand_order(1), OperandOrder::kWeightsByTokens);
  EXPECT_EQ(operand_order(63), OperandOrder::kWeightsByTokens);
  EXPECT_EQ(operand_order(64), OperandOrder::kWeightsByTokens);
  EXPECT_EQ(operand_order(65), OperandOrder::kTokensByWeights);
  EXPECT_EQ(operand_order(128), OperandOrder::kTokensByWeights);
}

TEST(MoeTileSchedule, PadsToTheNextWidthTheMatrixUnitOffers) {
  for (int tokens = 1; tokens <= kTileTokens; ++tokens) {
    const int padded = padded_tokens(tokens);
    EXPECT_GE(padded, tokens);
    EXPECT_TRUE(padded == 16 || padded < 2 * tokens) << tokens;
    EXPECT_EQ(padded == kTileTokens, operand_order(tokens) == OperandOrder::kTokensByWeights);
  }
}

TEST(MoeTileSchedule, TurnsARemainderOfOneIntoANarrowTile) {
  const std::vector<int> offsets{0, 129};
  const std::vector<Tile> walk = tiles_of(offsets, 1, 0, 1);
  ASSERT_EQ(walk.size(), 2u);
  EXPECT_EQ(walk[0], (Tile{0, 0, 128, 0}));
  EXPECT_EQ(walk[1], (Tile{0, 128, 1, 0}));
  EXPECT_EQ(padded_tokens(walk[1].tokens), 16);
}

constexpr int tiles_counted_by_the_compiler() {
  const std::array<int, 5> offsets{0, 0, 3, 300, 300};
  TileCursor<1> cursor(offsets.data(), 4, 2, 0, 1, 0);
  Tile tile;
  int count = 0;
  while (cursor.next(tile)) ++count;
  return count;
}
// One narrow tile for 3 tokens, three for 297, times two weight blocks.
static_assert(tiles_counted_by_the_compiler() == 8);

}  // namespace
}  // namespace ridge::kernels::moe
