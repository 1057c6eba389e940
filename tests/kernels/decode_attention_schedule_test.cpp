#include "common/random.hpp"
#include "decode_attention/schedule.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

namespace ridge::kernels::decode {
namespace {

Problem random_problem(std::uint64_t seed) {
  std::uint64_t draw = 0;
  const auto pick = [&](std::uint64_t count) { return random_bits(seed, draw++) % count; };
  Problem problem;
  const int kv_heads[] = {1, 1, 2, 4, 8};
  problem.kv_heads = kv_heads[pick(5)];
  problem.query_heads = problem.kv_heads * 16;
  if (problem.kv_heads == 1 && pick(2) == 0) {
    problem.query_heads = 128;  // Two row blocks.
  }
  const std::uint64_t batch = 1 + pick(40);
  const std::uint64_t longest = std::uint64_t{1} << pick(14);
  for (std::uint64_t i = 0; i < batch; ++i) {
    problem.kv_lengths.push_back(pick(4) == 0 ? 0 : static_cast<std::int32_t>(pick(longest + 1)));
  }
  return problem;
}

int tiles_of(int tokens) {
  return (tokens + 63) / 64;
}

std::vector<int> payloads(const Schedule& schedule, int segment_cost) {
  std::vector<int> result;
  for (int cta = 0; cta < schedule.ctas(); ++cta) {
    int payload = 0;
    for (int i = schedule.cta_begin[cta]; i < schedule.cta_begin[cta + 1]; ++i) {
      payload += segment_cost + schedule.segments[i].tiles;
    }
    result.push_back(payload);
  }
  return result;
}

using Key = std::tuple<int, int, int>;  // request, KV head, row block

TEST(SplitSchedule, CoversEveryTileOfAnyRaggedBatchExactlyOnce) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const Problem problem = random_problem(seed);
    const int max_ctas = 1 + static_cast<int>(random_bits(seed, 1000) % 140);
    const int cost = static_cast<int>(random_bits(seed, 1001) % 4);
    const Schedule schedule = make_schedule(problem, max_ctas, cost);
    ASSERT_LE(schedule.ctas(), max_ctas);
    ASSERT_EQ(schedule.cta_begin.front(), 0);
    ASSERT_EQ(schedule.cta_begin.back(), static_cast<int>(schedule.segments.size()));

    std::map<Key, std::vector<Segment>> by_item;
    for (const Segment& segment : schedule.segments) {
      by_item[{segment.request, segment.kv_head, segment.row_block}].push_back(segment);
    }
    const int row_blocks = (problem.group() + kTileRows - 1) / kTileRows;
    ASSERT_EQ(by_item.size(),
              static_cast<std::size_t>(problem.batch() * problem.kv_heads * row_blocks));
    for (const auto& [key, segments] : by_item) {
      const int tokens = problem.kv_lengths[std::get<0>(key)];
      int next = 0;
      for (const Segment& segment : segments) {
        ASSERT_EQ(segment.first_tile, next) << "seed " << seed;
        ASSERT_EQ(segment.kv_tokens, tokens);
        ASSERT_TRUE(segment.tiles > 0 || tokens == 0);
        ASSERT_EQ(segment.partial >= 0, segments.size() > 1) << "seed " << seed;
        next += segment.tiles;
      }
      ASSERT_EQ(next, tiles_of(tokens)) << "seed " << seed;
    }
  }
}

TEST(SplitSchedule, WithoutSegmentCostAnyTwoCtasDifferByAtMostOneTile) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Problem problem = random_problem(seed);
    // Requests of length 0 cost nothing here and would only add empty segments.
    std::erase(problem.kv_lengths, 0);
    if (problem.kv_lengths.empty()) {
      continue;
    }
    const int max_ctas = 1 + static_cast<int>(random_bits(seed, 7) % 140);
    const std::vector<int> payload = payloads(make_schedule(problem, max_ctas, 0), 0);
    ASSERT_LE(*std::max_element(payload.begin(), payload.end()) -
                  *std::min_element(payload.begin(), payload.end()),
              1)
        << "seed " << seed;
  }
}

TEST(SplitSchedule, TheLongestCtaIsWithinTwoSegmentCostsAndATileOfThePerfectSplit) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const Problem problem = random_problem(seed);
    const int max_ctas = 1 + static_cast<int>(random_bits(seed, 8) % 140);
    for (const int cost : {1, 3}) {
      const Schedule schedule = make_schedule(problem, max_ctas, cost);
      const std::vector<int> payload = payloads(schedule, cost);
      const int row_blocks = (problem.group() + kTileRows - 1) / kTileRows;
      double unsplit = 0;
      for (const int tokens : problem.kv_lengths) {
        unsplit += (cost + tiles_of(tokens)) * problem.kv_heads * row_blocks;
      }
      ASSERT_LE(*std::max_element(payload.begin(), payload.end()),
                unsplit / schedule.ctas() + 2 * cost + 1)
          << "seed " << seed << " cost " << cost;
    }
  }
}

TEST(SplitSchedule, RowBlocksOfAKvHeadStreamTheSameTilesSideBySide) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Problem problem = random_problem(seed);
    problem.kv_heads = 1;
    problem.query_heads = 128;
    const int max_ctas = 2 + static_cast<int>(random_bits(seed, 9) % 140);
    const Schedule schedule = make_schedule(problem, max_ctas);
    ASSERT_EQ(schedule.ctas() % 2, 0);
    for (int cta = 0; cta < schedule.ctas(); cta += 2) {
      const int count = schedule.cta_begin[cta + 1] - schedule.cta_begin[cta];
      ASSERT_EQ(schedule.cta_begin[cta + 2] - schedule.cta_begin[cta + 1], count);
      for (int i = schedule.cta_begin[cta]; i < schedule.cta_begin[cta + 1]; ++i) {
        const Segment& upper = schedule.segments[i];
        const Segment& lower = schedule.segments[i + count];
        ASSERT_EQ(upper.row_block, 0);
        ASSERT_EQ(lower.row_block, 1);
        ASSERT_EQ(upper.request, lower.request);
        ASSERT_EQ(upper.first_tile, lower.first_tile);
        ASSERT_EQ(upper.tiles, lower.tiles);
      }
    }
  }
}

TEST(SplitSchedule, UsesEverySmWhenThereIsATileForEachOfTheirConsumers) {
  Problem problem;
  problem.kv_lengths = {265 * 64};
  const Schedule schedule = make_schedule(problem, 132, 0);
  EXPECT_EQ(schedule.ctas(), 132);
  const std::vector<int> payload = payloads(schedule, 0);
  EXPECT_EQ(*std::min_element(payload.begin(), payload.end()), 2);
  EXPECT_EQ(*std::max_element(payload.begin(), payload.end()), 3);
}

TEST(SplitSchedule, GivesATileToEachConsumerBeforeItTakesAnotherSm) {
  Problem problem;
  problem.kv_lengths = {10 * 64};
  const Schedule schedule = make_schedule(problem, 132, 0);
  EXPECT_EQ(schedule.ctas(), 5);
  EXPECT_EQ(schedule.partials, 5);
}

TEST(SplitSchedule, TheCostOfASegmentSavesSplits) {
  Problem problem;
  problem.kv_lengths.assign(50, 2048);
  EXPECT_EQ(make_schedule(problem, 132, 1).partials, 176);
  EXPECT_EQ(make_schedule(problem, 132, 8).partials, 164);
}

TEST(SplitSchedule, LeavesAFewSmsIdleWhereThatSplitsEqualRequestsEvenly) {
  Problem problem;
  problem.head_dim = 256;
  problem.query_heads = 64;
  problem.kv_heads = 1;
  const auto with = [&](int requests, int tokens) {
    problem.kv_lengths.assign(static_cast<std::size_t>(requests), tokens);
    return make_schedule(problem, 132);
  };
  EXPECT_EQ(with(64, 2048).ctas(), 128);  // Two to a request.
  EXPECT_EQ(with(64, 2048).partials, 128);
  EXPECT_EQ(with(256, 8192).ctas(), 128);  // Two requests each, and nothing to merge.
  EXPECT_EQ(with(256, 8192).partials, 0);
  EXPECT_EQ(with(84, 8192).ctas(), 132);    // 84 would leave too many idle.
  EXPECT_EQ(with(1024, 8192).ctas(), 132);  // So long that splits are the lesser evil.
}

TEST(SplitSchedule, PartialsOfAMergeAreConsecutiveAndInTokenOrder) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const Problem problem = random_problem(seed);
    const Schedule schedule = make_schedule(problem, 132);
    int next = 0;
    for (const Merge& merge : schedule.merges) {
      ASSERT_EQ(merge.first_partial, next);
      ASSERT_GE(merge.partials, 2);
      next += merge.partials;
      int seen = 0;
      for (const Segment& segment : schedule.segments) {
        if (segment.partial >= merge.first_partial && segment.partial < next) {
          ASSERT_EQ(segment.partial, merge.first_partial + seen);
          ASSERT_EQ(segment.request, merge.request);
          ASSERT_EQ(segment.kv_head, merge.kv_head);
          ASSERT_EQ(segment.row_block, merge.row_block);
          ++seen;
        }
      }
      ASSERT_EQ(seen, merge.partials);
    }
    ASSERT_EQ(next, schedule.partials);
  }
}

TEST(SplitSchedule, PairsShareOneResultEachAndDoItLast) {
  int paired = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Problem problem = random_problem(seed);
    const int max_ctas = 2 + static_cast<int>(random_bits(seed, 11) % 139);
    const Schedule schedule = make_schedule(problem, max_ctas, 3, Pairing::kPairs);
    ASSERT_EQ(schedule.ctas() % 2, 0);
    ASSERT_LE(schedule.ctas(), max_ctas);
    std::map<Key, std::map<int, int>> tiles;  // By first tile, of each item.
    std::map<Key, std::map<int, int>> parts;  // By part, how many segments it is made of.
    for (int cta = 0; cta < schedule.ctas(); ++cta) {
      for (int i = schedule.cta_begin[cta]; i < schedule.cta_begin[cta + 1]; ++i) {
        const Segment& segment = schedule.segments[i];
        const Key key{segment.request, segment.kv_head, segment.row_block};
        ASSERT_TRUE(tiles[key].emplace(segment.first_tile, segment.tiles).second);
        ++parts[key][segment.partial];
        if (segment.paired == 0) {
          continue;
        }
        ++paired;
        ASSERT_EQ(i + 1, schedule.cta_begin[cta + 1]) << "seed " << seed;
        const Segment& other = schedule.segments[schedule.cta_begin[(cta ^ 1) + 1] - 1];
        ASSERT_EQ(other.paired, 1);
        ASSERT_EQ(std::tie(other.request, other.kv_head, other.row_block, other.partial),
                  std::tie(segment.request, segment.kv_head, segment.row_block, segment.partial));
        ASSERT_EQ(
            cta % 2 == 0 ? segment.first_tile + segment.tiles : other.first_tile + other.tiles,
            cta % 2 == 0 ? other.first_tile : segment.first_tile);
      }
    }
    for (const auto& [key, of_item] : tiles) {
      int next = 0;
      for (const auto& [first, count] : of_item) {
        ASSERT_EQ(first, next) << "seed " << seed;
        next += count;
      }
      ASSERT_EQ(next, tiles_of(problem.kv_lengths[std::get<0>(key)]));
      ASSERT_EQ(parts[key].count(-1), parts[key].size() == 1 ? 1u : 0u);
    }
    int partials = 0;
    for (const Merge& merge : schedule.merges) {
      ASSERT_EQ(merge.first_partial, partials);
      ASSERT_EQ(parts[Key(merge.request, merge.kv_head, merge.row_block)].size(),
                static_cast<std::size_t>(merge.partials));
      partials += merge.partials;
    }
    ASSERT_EQ(partials, schedule.partials);
  }
  EXPECT_GT(paired, 1000);
}

TEST(SplitSchedule, PairsLeaveNothingToMergeOfTwoCtasPerRequest) {
  Problem problem;
  problem.kv_lengths.assign(64, 8192);
  EXPECT_EQ(make_schedule(problem, 132).partials, 128);
  EXPECT_EQ(make_schedule(problem, 132, kSegmentCostTiles, Pairing::kPairs).partials, 0);
  problem.kv_lengths = {4096};
  EXPECT_EQ(make_schedule(problem, 132).partials, 32);
  EXPECT_EQ(make_schedule(problem, 132, kSegmentCostTiles, Pairing::kPairs).partials, 16);
  problem.kv_lengths = {64};  // One CTA, and one beside it that has nothing to do.
  const Schedule one = make_schedule(problem, 132, kSegmentCostTiles, Pairing::kPairs);
  EXPECT_EQ(one.cta_begin, (std::vector<std::int32_t>{0, 1, 1}));
}

TEST(SplitSchedule, TakesPairsWhereTheyLeaveFewerResultsToMerge) {
  Problem problem;
  const auto best = [&](std::vector<std::int32_t> lengths) {
    problem.kv_lengths = std::move(lengths);
    return make_best_schedule(problem, 132);
  };
  // Two CTAs to a request, at any length: all results are whole.
  for (const std::int32_t tokens : {2048, 8192, 32768}) {
    const Schedule schedule = best(std::vector<std::int32_t>(64, tokens));
    EXPECT_EQ(schedule.pairing, Pairing::kPairs) << tokens;
    EXPECT_EQ(schedule.ctas(), 128) << tokens;
    EXPECT_TRUE(schedule.merges.empty()) << tokens;
  }
  // Most of 84 requests lie in a pair; of all CTAs 84 are too few.
  const Schedule some = best(std::vector<std::int32_t>(84, 4096));
  EXPECT_EQ(some.pairing, Pairing::kPairs);
  EXPECT_EQ(some.ctas(), 132);
  EXPECT_LT(some.merges.size(), make_schedule(problem, 132).merges.size());
  // One request is merged elsewhere in any case, 128 need no merging.
  EXPECT_EQ(best({4096}).pairing, Pairing::kNone);
  EXPECT_EQ(best(std::vector<std::int32_t>(128, 4096)).pairing, Pairing::kNone);
  // Row blocks side by side are different results.
  problem.query_heads = 128;
  EXPECT_EQ(best(std::vector<std::int32_t>(16, 4096)).pairing, Pairing::kNone);
}

TEST(SplitSchedule, IsAFunctionOfItsArguments) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Schedule a = make_schedule(random_problem(seed), 132);
    const Schedule b = make_schedule(random_problem(seed), 132);
    ASSERT_EQ(a.cta_begin, b.cta_begin);
    ASSERT_EQ(a.segments.size(), b.segments.size());
    for (std::size_t i = 0; i < a.segments.size(); ++i) {
      ASSERT_EQ(a.segments[i].first_tile, b.segments[i].first_tile);
      ASSERT_EQ(a.segments[i].tiles, b.segments[i].tiles);
      ASSERT_EQ(a.segments[i].partial, b.segments[i].partial);
    }
  }
}

TEST(SplitSchedule, ABatchOfEmptyRequestsStillWritesEveryOutput) {
  Problem problem;
  problem.kv_lengths.assign(5, 0);
  problem.kv_heads = 4;
  const Schedule schedule = make_schedule(problem, 132);
  EXPECT_EQ(schedule.segments.size(), 20u);
  EXPECT_EQ(schedule.partials, 0);
}

TEST(SplitSchedule, RefusesWhatTheKernelsDoNotCover) {
  Problem problem;
  problem.kv_lengths = {100};
  EXPECT_THROW(make_schedule(problem, 0), std::invalid_argument);
  problem.head_dim = 96;
  EXPECT_THROW(make_schedule(problem, 132), std::invalid_argument);
  problem.head_dim = 128;
  problem.kv_heads = 3;  // Does not divide 64.
  EXPECT_THROW(make_schedule(problem, 132), std::invalid_argument);
}

}  // namespace
}  // namespace ridge::kernels::decode
