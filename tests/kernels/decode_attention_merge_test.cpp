#include "decode_attention/tile_plan.hpp"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace ridge::kernels::decode {
namespace {

TEST(MergeWeight, OfThePartWithTheLargestSumIsOneAndOfAnEmptyPartIsZero) {
  const auto exp2 = [](float x) { return std::exp2(x); };
  EXPECT_EQ(merge_weight(5.0f, 5.0f, exp2), 1.0f);
  EXPECT_EQ(merge_weight(3.0f, 5.0f, exp2), 0.25f);
  EXPECT_EQ(merge_weight(-std::numeric_limits<float>::infinity(), 5.0f, exp2), 0.0f);
}

}  // namespace
}  // namespace ridge::kernels::decode
