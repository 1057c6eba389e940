#include "decode_attention/part_layout.hpp"
#include "decode_attention/tile_plan.hpp"
#include "decode_attention/transposed_layout.hpp"

#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace ridge::kernels::decode {
namespace {

/// Whether the lanes' accesses of `bytes` bytes at these offsets meet every bank of four bytes at
/// most once.
bool conflict_free(const std::vector<std::uint32_t>& offsets, std::uint32_t bytes) {
  std::vector<int> uses(32, 0);
  for (const std::uint32_t offset : offsets) {
    for (std::uint32_t word = 0; word < bytes / 4; ++word) {
      ++uses[(offset / 4 + word) % 32];
    }
  }
  return *std::max_element(uses.begin(), uses.end()) <= 1;
}

TEST(TransposedLayout, KeysMeetTheQueriesOfTheirDimension) {
  // Of 16 codes that thread t of a quad loads, word `step` has columns 2 t, 2 t + 1, 2 t + 8 and
  // 2 t + 9 of the step-th 16 columns.
  for (std::uint32_t dim = 0; dim < 256; ++dim) {
    const std::uint32_t thread = dim % 64 / 16;
    const std::uint32_t step = dim % 16 / 4;
    const std::uint32_t code = dim % 4;
    const std::uint32_t column = 2 * thread + code % 2 + 8 * (code / 2);
    EXPECT_EQ(query_column(dim), dim / 64 * 64 + step * 16 + column);
  }
}

TEST(TransposedLayout, EveryTokenHasARowAmongItsWarps) {
  std::set<std::uint32_t> seen;
  for (std::uint32_t row = 0; row < 64; ++row) {
    EXPECT_EQ(score_token(row) / 16, row / 16);
    EXPECT_EQ(score_token(row ^ 8), score_token(row) ^ 8);  // A thread's two rows.
    seen.insert(score_token(row));
  }
  EXPECT_EQ(seen.size(), 64u);
}

TEST(TransposedLayout, EveryValueDimensionHasOneThreadAndRow) {
  for (const std::uint32_t head_dim : {128u, 256u}) {
    std::vector<int> seen(head_dim, 0);
    for (std::uint32_t thread = 0; thread < 128; thread += 4) {
      for (std::uint32_t i = 0; i < head_dim / 32; ++i) {
        ++seen[first_value_dim(head_dim, thread) + i];
      }
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), head_dim);
  }
}

TEST(TransposedLayout, ComputesNoMoreColumnsThanTheLeastThatHoldsAGroup) {
  const auto columns = [](int group) { return computed_heads(128, KvType::kE4m3, group); };
  EXPECT_EQ(columns(1), 16);
  EXPECT_EQ(columns(16), 16);
  EXPECT_EQ(columns(17), 32);
  EXPECT_EQ(columns(32), 32);
  EXPECT_EQ(columns(33), 64);
  EXPECT_EQ(columns(128), 64);
  EXPECT_EQ(computed_heads(128, KvType::kBf16, 8), 64);
  EXPECT_EQ(computed_heads(64, KvType::kE4m3, 8), 64);  // Expanded in shared memory.
}

TEST(TransposedLayout, LoadsAndStoresMeetNoBankTwice) {
  for (std::uint32_t warp = 0; warp < 4; ++warp) {
    const auto lanes = [&](std::uint32_t first, std::uint32_t count, auto offset) {
      std::vector<std::uint32_t> offsets;
      for (std::uint32_t lane = first; lane < first + count; ++lane) {
        offsets.push_back(offset(warp * 32 + lane));
      }
      return offsets;
    };
    for (std::uint32_t block = 0; block < 4; ++block) {
      for (std::uint32_t first = 0; first < 32; first += 8) {  // 16 bytes a lane: eight at a time.
        EXPECT_TRUE(conflict_free(
            lanes(first, 8, [&](std::uint32_t t) { return key_codes(t, block); }), 16));
      }
    }
    for (std::uint32_t odd = 0; odd < 2; ++odd) {
      for (std::uint32_t first = 0; first < 32; first += 16) {
        EXPECT_TRUE(conflict_free(
            lanes(first, 16, [&](std::uint32_t t) { return value_codes(256, t, t % 4 * 2 + odd); }),
            8));
      }
      EXPECT_TRUE(conflict_free(
          lanes(0, 32, [&](std::uint32_t t) { return value_codes(128, t, t % 4 * 2 + odd); }), 4));
    }
    for (std::uint32_t pair = 0; pair < 8; ++pair) {
      EXPECT_TRUE(conflict_free(lanes(0, 32,
                                      [&](std::uint32_t t) {
                                        return weight_pair(t, score_token(t / 32 * 16 + t % 32 / 4),
                                                           pair);
                                      }),
                                4));
    }
  }
  // A warp stores pairs of eight neighboring pieces of a query, of four rows.
  for (std::uint32_t pair = 0; pair < 4; ++pair) {
    std::vector<std::uint32_t> offsets;
    for (std::uint32_t lane = 0; lane < 32; ++lane) {
      offsets.push_back(
          panel_offset(64, 4 + lane / 8, query_column(64 + lane % 8 * 8 + pair * 2) * 2));
    }
    EXPECT_TRUE(conflict_free(offsets, 4));
  }
}

template <int ValueDim, bool Transposed>
void expect_every_place_once() {
  using Layout = PartLayout<ValueDim, Transposed>;
  std::set<std::pair<int, int>> seen;
  for (int vector = 0; vector < Layout::kVectors; ++vector) {
    for (int half = 0; half < 2; ++half) {
      for (int next = 0; next < 2; ++next) {
        seen.insert(
            {Layout::row(vector) + Layout::kRowsApart * half, Layout::column(vector) + next});
      }
    }
    const int lane = vector % 32;
    for (int apart = Layout::kSharersApart; apart < Layout::kSharersApart * Layout::kSharers;
         apart *= 2) {
      EXPECT_EQ(Layout::row(vector), Layout::row(vector - lane + (lane ^ apart)));
      EXPECT_NE(Layout::sharer(lane), Layout::sharer(lane ^ apart));
    }
  }
  EXPECT_EQ(seen.size(), std::size_t{64} * ValueDim);
  EXPECT_EQ(seen.rbegin()->first, 63);
}

TEST(PartLayout, HasEveryElementOnceAndSharersOfTheSameRows) {
  expect_every_place_once<64, false>();
  expect_every_place_once<256, false>();
  expect_every_place_once<512, false>();
  expect_every_place_once<128, true>();
  expect_every_place_once<256, true>();
}

}  // namespace
}  // namespace ridge::kernels::decode
