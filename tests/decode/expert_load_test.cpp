#include "ridge/decode/expert_load.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/random.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace ridge::decode {
namespace {

using Kind = ExpertPopularity::Kind;

models::MoeFfn experts(std::int64_t count, std::int64_t top_k) {
  return {.experts = count, .top_k = top_k, .expert_intermediate = 1};
}

double busiest(const std::vector<RankLoad>& ranks) {
  return std::max_element(ranks.begin(), ranks.end(),
                          [](const auto& a, const auto& b) { return a.load < b.load; })
      ->load;
}

TEST(ExpertLoad, UniformRanksAreAlike) {
  for (const RankLoad& rank : rank_loads(experts(48, 3), {}, 8, 0, 1, 0)) {
    EXPECT_DOUBLE_EQ(rank.load, 1.0);
    EXPECT_EQ(rank.experts_held, 6);
    EXPECT_THAT(rank.token_share, testing::Each(testing::DoubleEq(3.0 / 48)));
  }
}

TEST(ExpertLoad, LoadsSumToTheRanksAndNoTokenChoosesAnExpertTwice) {
  EXPECT_TRUE(rc::check([] {
    const std::int64_t ranks = *rc::gen::inRange(1, 9);
    const std::int64_t held = *rc::gen::inRange(1, 9);
    const std::int64_t redundant = *rc::gen::inRange<std::int64_t>(0, ranks * held);
    const std::int64_t count = ranks * held - redundant;
    const std::int64_t top_k = *rc::gen::inRange<std::int64_t>(1, count + 1);
    const ExpertPopularity popularity{.kind = Kind::power_law,
                                      .exponent = *rc::gen::inRange(0, 300) / 100.0};
    const auto loads = rank_loads(experts(count, top_k), popularity, ranks, redundant,
                                  *rc::gen::inRange(1, 99), 3);
    double load = 0.0;
    double chosen = 0.0;
    for (const RankLoad& rank : loads) {
      load += rank.load;
      RC_ASSERT(rank.experts_held == held);
      for (const double share : rank.token_share) {
        RC_ASSERT(share >= 0.0);
        RC_ASSERT(share <= 1.0 + 1e-9);
        chosen += share;
      }
      RC_ASSERT(std::abs(rank.load -
                         std::accumulate(rank.token_share.begin(), rank.token_share.end(), 0.0) *
                             static_cast<double>(ranks) / static_cast<double>(top_k)) < 1e-9);
    }
    RC_ASSERT(std::abs(load - static_cast<double>(ranks)) < 1e-9 * static_cast<double>(ranks));
    RC_ASSERT(std::abs(chosen - static_cast<double>(top_k)) < 1e-9 * static_cast<double>(count));
  }));
}

TEST(ExpertLoad, APopularExpertIsChosenByEveryTokenAtMostOnce) {
  ExpertPopularity popularity{.kind = Kind::shares, .shares = {97, 1, 1, 1}};
  const auto loads = rank_loads(experts(4, 2), popularity, 4, 0, 1, 0);
  // The first expert gets every token, which is half of the choices; the others share the rest.
  std::vector<double> shares;
  for (const RankLoad& rank : loads) shares.push_back(rank.token_share.at(0));
  std::sort(shares.begin(), shares.end());
  EXPECT_THAT(shares,
              testing::Pointwise(testing::DoubleNear(1e-9), {1.0 / 3, 1.0 / 3, 1.0 / 3, 1.0}));
}

TEST(ExpertLoad, CopiesOfBusyExpertsEvenOutTheRanks) {
  const ExpertPopularity popularity{.kind = Kind::power_law, .exponent = 1.0};
  for (std::uint64_t layer = 0; layer < 20; ++layer) {
    const double without = busiest(rank_loads(experts(256, 8), popularity, 32, 0, 1, layer));
    const double with = busiest(rank_loads(experts(256, 8), popularity, 32, 32, 1, layer));
    EXPECT_LT(with, without);
    EXPECT_LT(with, 1.3);
    EXPECT_GT(without, 1.5);
  }
}

TEST(ExpertLoad, ASteeperLawLoadsTheBusiestRankMore) {
  double last = 1.0;
  for (const double exponent : {0.25, 0.5, 1.0}) {
    double mean = 0.0;
    for (std::uint64_t layer = 0; layer < 32; ++layer) {
      const ExpertPopularity popularity{.kind = Kind::power_law, .exponent = exponent};
      mean += busiest(rank_loads(experts(64, 4), popularity, 8, 0, 1, layer)) / 32;
    }
    EXPECT_GT(mean, last);
    last = mean;
  }
}

// TensorRT-LLM's examples/wide_ep/ep_load_balancer: DeepSeek-R1 on 36 ranks with 32 copies, 1024
// rows a rank. Over the layers the busiest rank has 1.115 times the mean, and the standard
// deviation of ranks is 5.3 %.
TEST(ExpertLoad, ABalancerLeavesWhatItDoesNotKnow) {
  const auto left = [](std::optional<double> error) {
    const ExpertPopularity popularity{
        .kind = Kind::power_law, .exponent = 0.63, .balancer_error = error};
    Random random(5);
    double highest = 0.0;
    double spread = 0.0;
    constexpr int kLayers = 58;
    for (int layer = 0; layer < kLayers; ++layer) {
      const auto loads =
          rank_loads(experts(256, 8), popularity, 36, 32, 1, static_cast<std::uint64_t>(layer));
      std::vector<RankRows> rows(loads.size());
      RowDraw(loads, experts(256, 8)).draw(36 * 1024 / 8, random, rows);
      double most = 0.0;
      double squares = 0.0;
      for (const RankRows& rank : rows) {
        most = std::max(most, rank.rows / 1024);
        squares += std::pow(rank.rows / 1024 - 1.0, 2) / 36;
      }
      highest += most / kLayers;
      spread += std::sqrt(squares) / kLayers;
    }
    return std::pair(highest, spread);
  };
  EXPECT_NEAR(left(0.12).first, 1.115, 0.01);
  EXPECT_NEAR(left(0.12).second, 0.0527, 0.003);
  // Chance alone.
  EXPECT_NEAR(left(0.0).first, 1.06, 0.01);
  EXPECT_EQ(left(0.0), left(std::nullopt));
}

TEST(ExpertLoad, ABalancerPlacesExpertsThatHaveNoCopies) {
  ExpertPopularity popularity{.kind = Kind::power_law, .exponent = 0.63};
  const double by_number = busiest(rank_loads(experts(256, 8), popularity, 16, 0, 1, 0));
  popularity.balancer_error = 0.0;
  EXPECT_LT(busiest(rank_loads(experts(256, 8), popularity, 16, 0, 1, 0)), by_number);
}

TEST(ExpertLoad, WhoIsPopularDependsOnSeedAndLayer) {
  const ExpertPopularity popularity{.kind = Kind::power_law, .exponent = 1.0};
  const auto load = [&](std::uint64_t seed, std::uint64_t layer) {
    return rank_loads(experts(64, 4), popularity, 8, 0, seed, layer)[0].load;
  };
  EXPECT_EQ(load(1, 1), load(1, 1));
  EXPECT_NE(load(1, 1), load(1, 2));
  EXPECT_NE(load(1, 1), load(2, 1));
}

TEST(ExpertLoad, AnExpertIsActiveIfAnyTokenChoosesIt) {
  const RankLoad rank{.token_share = {0.5, 0.25, 1.0, 0.0}};
  EXPECT_DOUBLE_EQ(rank.active_experts(0), 0.0);
  EXPECT_NEAR(rank.active_experts(2), 0.75 + (1 - 0.75 * 0.75) + 1.0, 1e-12);
}

// Expected number of distinct experts against a simulation of the choices.
TEST(ExpertLoad, ActiveExpertsAreThoseOfRandomTokens) {
  const RankLoad rank{.token_share = {0.02, 0.1, 0.3}};
  Random random(3);
  constexpr int kTrials = 20000;
  constexpr int kTokens = 8;
  int active = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    for (const double share : rank.token_share) {
      bool any = false;
      for (int token = 0; token < kTokens; ++token) any = (random.uniform() < share) || any;
      active += any ? 1 : 0;
    }
  }
  EXPECT_NEAR(static_cast<double>(active) / kTrials, rank.active_experts(kTokens), 0.02);
}

TEST(ExpertLoad, FewerLiveExpertsThanChoicesAreAnError) {
  const ExpertPopularity popularity{.kind = Kind::shares, .shares = {1, 0, 0, 0}};
  EXPECT_THAT([&] { (void)rank_loads(experts(4, 2), popularity, 4, 0, 1, 0); },
              testing::ThrowsMessage<UserError>(testing::HasSubstr("only 1 of 4 experts")));
}

TEST(Reach, IsThatOfDrawingWithoutPuttingBack) {
  EXPECT_NEAR(reach(0.25, 2, 8), 1.0 - 30.0 / 56.0, 1e-12);  // two of eight experts, two choices
  EXPECT_NEAR(reach(16.0 / 256, 8, 256), 0.408, 5e-4);
  EXPECT_DOUBLE_EQ(reach(1.0, 2, 8), 1.0);
  EXPECT_DOUBLE_EQ(reach(0.0, 2, 8), 0.0);
}

TEST(RowDraw, EveryChoiceFallsOnARankAndNoExpertGetsATokenTwice) {
  EXPECT_TRUE(rc::check([] {
    const std::int64_t ranks = *rc::gen::inRange(1, 9);
    const std::int64_t held = *rc::gen::inRange(1, 9);
    const std::int64_t redundant = *rc::gen::inRange<std::int64_t>(0, ranks * held);
    const std::int64_t count = ranks * held - redundant;
    const std::int64_t top_k = *rc::gen::inRange<std::int64_t>(1, count + 1);
    const ExpertPopularity popularity{.kind = Kind::power_law,
                                      .exponent = *rc::gen::inRange(0, 300) / 100.0};
    const auto loads = rank_loads(experts(count, top_k), popularity, ranks, redundant, 1, 3);
    const std::int64_t tokens = *rc::gen::oneOf(rc::gen::inRange(0, 5), rc::gen::inRange(0, 2000));
    RowDraw draw(loads, experts(count, top_k));
    Random random(7);
    std::vector<RankRows> rows(loads.size());
    draw.draw(tokens, random, rows);
    double all = 0.0;
    for (const RankRows& rank : rows) {
      all += rank.rows;
      RC_ASSERT(rank.rows <= static_cast<double>(held * tokens));
      RC_ASSERT(rank.active <= static_cast<double>(held));
      RC_ASSERT((rank.active > 0) == (rank.rows > 0));
    }
    RC_ASSERT(all == static_cast<double>(tokens * top_k));
  }));
}

// It is the same to the last row, over numbers of tokens that come again and others between them.
TEST(RowDraw, DrawsTheSameWhereItRemembers) {
  const auto moe = experts(48, 3);
  const auto loads = rank_loads(moe, {}, 8, 0, 1, 0);
  RowDraw plain(loads, moe);
  RowDraw remembers(loads, moe, true);
  Random one(7);
  Random other(7);
  std::vector<RankRows> rows(8);
  std::vector<RankRows> again(8);
  for (int i = 0; i < 2000; ++i) {
    const std::int64_t tokens = 1 + (i * i) % 300;
    plain.draw(tokens, one, rows);
    remembers.draw(tokens, other, again);
    ASSERT_EQ(rows, again) << tokens;
  }
}

// Against tokens that choose one by one, with few and with many tokens: mean and spread of a rank's
// rows, and the busiest rank.
TEST(RowDraw, IsAsIfEachTokenChose) {
  const auto moe = experts(32, 4);
  const auto loads = rank_loads(moe, {}, 8, 0, 1, 0);
  Random random(11);
  for (const std::int64_t tokens : {8, 256}) {
    RowDraw draw(loads, moe);
    constexpr int kTrials = 2000;
    struct Moments {
      double square = 0, busiest = 0, active = 0;
    };
    Moments drawn;
    Moments chosen;
    const double mean = static_cast<double>(tokens) * 4 / 8;
    const auto add = [&](Moments& moments, std::span<const RankRows> rows) {
      double busiest = 0.0;
      for (const RankRows& rank : rows) {
        moments.square += (rank.rows - mean) * (rank.rows - mean) / (8.0 * kTrials);
        moments.active += rank.active / (8.0 * kTrials);
        busiest = std::max(busiest, rank.rows);
      }
      moments.busiest += busiest / kTrials;
    };
    std::vector<RankRows> rows(8);
    for (int trial = 0; trial < kTrials; ++trial) {
      draw.draw(tokens, random, rows);
      add(drawn, rows);
      std::vector<int> of(32, 0);
      for (std::int64_t token = 0; token < tokens; ++token) {
        std::vector<int> all(32);
        std::iota(all.begin(), all.end(), 0);
        for (std::size_t i = 0; i < 4; ++i) {
          std::swap(all[i], all[i + random.below(32 - i)]);
          ++of[static_cast<std::size_t>(all[i])];
        }
      }
      for (std::size_t r = 0; r < 8; ++r) {
        rows[r] = {};
        for (std::size_t e = 4 * r; e < 4 * r + 4; ++e) {
          rows[r].rows += of[e];
          rows[r].active += of[e] > 0 ? 1 : 0;
        }
      }
      add(chosen, rows);
    }
    EXPECT_NEAR(drawn.square / chosen.square, 1.0, 0.06) << tokens;
    EXPECT_NEAR(drawn.busiest / chosen.busiest, 1.0, 0.01) << tokens;
    EXPECT_NEAR(drawn.active, chosen.active, 0.03) << tokens;
  }
}

// 128 rows on average: the largest of 128 about normal counts with a deviation of 11.2 is 2.6
// deviations above the mean.
TEST(RowDraw, TheBusiestOfManyRanksHasAQuarterMore) {
  const auto moe = experts(256, 8);
  RowDraw draw(rank_loads(moe, {}, 128, 0, 1, 0), moe);
  Random random(5);
  std::vector<RankRows> rows(128);
  double busiest = 0.0;
  for (int trial = 0; trial < 200; ++trial) {
    draw.draw(128 * 128 / 8, random, rows);
    busiest += std::max_element(rows.begin(), rows.end(),
                                [](const auto& a, const auto& b) { return a.rows < b.rows; })
                   ->rows /
               200;
  }
  EXPECT_NEAR(busiest / 128, 1.23, 0.015);
}

TEST(ExpertLoad, CopiesThatDoNotDivideAreAnErrorThatSaysWhatWould) {
  EXPECT_THAT([] { (void)rank_loads(experts(48, 3), {}, 32, 0, 1, 0); },
              testing::ThrowsMessage<UserError>(testing::HasSubstr("16 redundant experts would")));
}

}  // namespace
}  // namespace ridge::decode
