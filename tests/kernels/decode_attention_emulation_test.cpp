#include "decode_attention/reference.hpp"
#include "decode_attention/schedule.hpp"
#include "support/emulated_attention.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace ridge::kernels::decode {
namespace {

struct Shape {
  std::vector<std::int32_t> kv_lengths;
  int query_heads;
  int kv_heads;
  int head_dim;
  int ctas;
};

void expect_close(const Shape& shape, KvType type, std::uint64_t seed, float sharpness = 1) {
  Problem problem;
  problem.kv_lengths = shape.kv_lengths;
  problem.query_heads = shape.query_heads;
  problem.kv_heads = shape.kv_heads;
  problem.head_dim = shape.head_dim;
  problem.kv_type = type;
  const HostInputs inputs = make_inputs(problem, seed, {}, sharpness);
  const Result want = reference_attention(problem, inputs);
  const Result got = EmulatedAttention(problem, inputs).run(make_schedule(problem, shape.ctas));
  const double tolerance = type == KvType::kBf16 ? 1e-3 : 2e-3;
  EXPECT_LE(relative_error(got.output, want.output), tolerance)
      << name(type) << " " << shape.head_dim;
  EXPECT_LE(relative_error(got.lse, want.lse), 1e-5) << name(type) << " " << shape.head_dim;
}

class EmulatedKernel : public testing::TestWithParam<KvType> {};

TEST_P(EmulatedKernel, EqualsTheReferenceWhenOneTileNeedsNoMask) {
  expect_close({{64}, 64, 1, 256, 1}, GetParam(), 1);
}

TEST_P(EmulatedKernel, IgnoresNanBeyondTheLengthAndGarbagePagesPastTheEnd) {
  expect_close({{5}, 64, 1, 256, 1}, GetParam(), 2);
  expect_close({{1, 63, 65}, 16, 1, 64, 2}, GetParam(), 3);
}

TEST_P(EmulatedKernel, MergesItsTwoConsumersWhicheverHasTheOddTile) {
  // One CTA, so the second and third requests start on the other consumer.
  expect_close({{300, 20, 40, 70}, 64, 1, 128, 1}, GetParam(), 4);
}

TEST_P(EmulatedKernel, CombinesARequestSplitOverManyCtas) {
  expect_close({{700}, 64, 1, 256, 7}, GetParam(), 5);
  expect_close({{400, 0, 130, 900}, 32, 2, 64, 5}, GetParam(), 6);
}

TEST_P(EmulatedKernel, YieldsZerosAndMinusInfinityForALengthOfZero) {
  Problem problem;
  problem.kv_lengths = {0, 10};
  problem.head_dim = 64;
  problem.kv_type = GetParam();
  const HostInputs inputs = make_inputs(problem, 7);
  const Result got = EmulatedAttention(problem, inputs).run(make_schedule(problem, 2));
  for (int head = 0; head < 64; ++head) {
    EXPECT_EQ(got.lse[head], -std::numeric_limits<double>::infinity());
    for (int d = 0; d < 64; ++d) {
      EXPECT_EQ(got.output[head * 64 + d], 0.0);
    }
  }
}

TEST_P(EmulatedKernel, ServesGroupsSmallerAndLargerThanATile) {
  expect_close({{100, 64}, 64, 4, 128, 3}, GetParam(), 8);
  expect_close({{100, 64}, 128, 1, 64, 3}, GetParam(), 9);
  expect_close({{100}, 48, 3, 256, 2}, GetParam(), 10);
}

TEST_P(EmulatedKernel, StaysAccurateWhenFewTokensDominate) {
  expect_close({{333}, 64, 1, 128, 2}, GetParam(), 11, 6);
}

INSTANTIATE_TEST_SUITE_P(KvTypes, EmulatedKernel, testing::Values(KvType::kBf16, KvType::kE4m3),
                         [](const auto& type) { return std::string(name(type.param)); });

TEST(MergeWeight, OfThePartWithTheLargestSumIsOneAndOfAnEmptyPartIsZero) {
  const auto exp2 = [](float x) { return std::exp2(x); };
  EXPECT_EQ(merge_weight(5.0f, 5.0f, exp2), 1.0f);
  EXPECT_EQ(merge_weight(3.0f, 5.0f, exp2), 0.25f);
  EXPECT_EQ(merge_weight(-std::numeric_limits<float>::infinity(), 5.0f, exp2), 0.0f);
}

}  // namespace
}  // namespace ridge::kernels::decode
