#include "common/numeric.hpp"
#include "decode_attention/family.hpp"
#include "decode_attention/reference.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

namespace ridge::kernels::decode {
namespace {

/// Attention of one query vector by the definition, exponentials unshifted, straight from the paged
/// bytes; shares no code with the reference but the number formats.
struct Naive {
  const Problem& problem;
  const HostInputs& inputs;

  long double element(const std::vector<std::uint8_t>& cache, const std::vector<float>& scale,
                      int request, int token, int kv_head, int d) const {
    const long page = inputs.block_table[request * inputs.block_table_stride + token / 64];
    const long index =
        ((page * problem.kv_heads + kv_head) * 64 + token % 64) * problem.head_dim + d;
    if (problem.kv_type == KvType::kE4m3) {
      return static_cast<long double>(to_float(E4m3{cache[index]})) * scale[kv_head];
    }
    return to_float(
        Bf16{static_cast<std::uint16_t>(cache[2 * index] + 256 * cache[2 * index + 1])});
  }

  std::vector<long double> output(int request, int head, long double& lse) const {
    const int kv_head = head * problem.kv_heads / problem.query_heads;
    std::vector<long double> numerator(problem.head_dim, 0);
    long double denominator = 0;
    for (int token = 0; token < problem.kv_lengths[request]; ++token) {
      long double score = 0;
      for (int d = 0; d < problem.head_dim; ++d) {
        const float q = to_float(
            Bf16{inputs.query[(request * problem.query_heads + head) * problem.head_dim + d]});
        score += q * element(inputs.key, inputs.k_scale, request, token, kv_head, d);
      }
      const long double weight = std::exp(score * inputs.softmax_scale);
      denominator += weight;
      for (int d = 0; d < problem.head_dim; ++d) {
        numerator[d] += weight * element(inputs.value, inputs.v_scale, request, token, kv_head, d);
      }
    }
    lse = std::log(denominator);
    for (long double& x : numerator) {
      x /= denominator;
    }
    return numerator;
  }
};

TEST(Reference, EqualsAnIndependentNaiveSoftmax) {
  for (const KvType type : {KvType::kBf16, KvType::kE4m3}) {
    Problem problem;
    problem.kv_lengths = {130, 1, 77};
    problem.query_heads = 32;
    problem.kv_heads = 4;
    problem.head_dim = 64;
    problem.kv_type = type;
    const HostInputs inputs = make_inputs(problem, 3);
    const Result result = reference_attention(problem, inputs);
    for (int request = 0; request < 3; ++request) {
      for (const int head : {0, 7, 8, 31}) {
        long double lse = 0;
        const auto want = Naive{problem, inputs}.output(request, head, lse);
        EXPECT_NEAR(result.lse[request * 32 + head], static_cast<double>(lse), 1e-12);
        for (int d = 0; d < 64; ++d) {
          EXPECT_NEAR(result.output[(request * 32 + head) * 64 + d], static_cast<double>(want[d]),
                      1e-12);
        }
      }
    }
  }
}

TEST(Reference, OfOneTokenIsItsValueAndItsScore) {
  Problem problem;
  problem.kv_lengths = {1};
  problem.query_heads = 16;
  problem.head_dim = 64;
  const HostInputs inputs = make_inputs(problem, 4);
  const Result result = reference_attention(problem, inputs);
  const std::size_t at = static_cast<std::size_t>(inputs.block_table[0]) * 64 * 64;
  for (int d = 0; d < 64; ++d) {
    const Bf16 value{static_cast<std::uint16_t>(inputs.value[2 * (at + d)] |
                                                inputs.value[2 * (at + d) + 1] << 8)};
    EXPECT_EQ(result.output[d], to_float(value));
  }
}

TEST(Inputs, GiveEveryRequestPagesOfItsOwn) {
  Problem problem;
  problem.kv_lengths = {200, 0, 64, 129};
  const HostInputs inputs = make_inputs(problem, 5);
  std::vector<int> uses(static_cast<std::size_t>(inputs.cache_pages), 0);
  for (int request = 0; request < problem.batch(); ++request) {
    for (int page = 0; page < (problem.kv_lengths[request] + 63) / 64; ++page) {
      ++uses.at(
          static_cast<std::size_t>(inputs.block_table[request * inputs.block_table_stride + page]));
    }
    // What follows is far outside the cache: a kernel that reads it faults.
    EXPECT_GE(
        inputs.block_table[request * inputs.block_table_stride + inputs.block_table_stride - 1],
        1 << 30);
  }
  for (const int count : uses) {
    EXPECT_LE(count, 1);
  }
  EXPECT_EQ(std::accumulate(uses.begin(), uses.end(), 0), 8);
}

TEST(RelativeError, SeesANanAndForgivesEqualInfinities) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(std::isnan(relative_error({1, nan}, {1, 2})));
  EXPECT_EQ(relative_error({1, -kInfinity}, {1, -kInfinity}), 0);
  EXPECT_FALSE(relative_error({1, 0}, {1, -kInfinity}) <= 1);
  EXPECT_NEAR(relative_error({3, 4.05}, {3, 4}), 0.05 / 5, 1e-12);
}

TEST(Work, CountsMfaBytesAndFlopAsByHand) {
  // MFA: 64 heads of one KV head of 256. A token is 256 x 2 (K and V) x 2 B = 1024 B and
  // 64 x 256 x 2 (QK and PV) x 2 = 65,536 FLOP.
  Problem problem;
  problem.kv_lengths.assign(64, 8192);
  const bench::Work work = problem.work();
  const double tokens = 64.0 * 8192;
  EXPECT_EQ(work.bytes_read, tokens * 1024 + 64 * 64 * 256 * 2);
  EXPECT_EQ(work.bytes_written, 64 * 64 * 256 * 2 + 64 * 64 * 4);
  EXPECT_EQ(work.flop, tokens * 65536);
  problem.kv_type = KvType::kE4m3;
  EXPECT_EQ(problem.work().bytes_read, tokens * 512 + 64 * 64 * 256 * 2);
}

TEST(LaunchPlan, SaysWhatWholeTilesCost) {
  Problem problem;
  problem.kv_lengths = {193};  // Four tiles, one of them for a single token.
  const Schedule schedule = make_schedule(problem, 132);
  const LaunchPlan plan = launch_plan(problem, schedule);
  EXPECT_EQ(plan.ctas, 2);
  EXPECT_EQ(plan.fetched_bytes, 256 * 1024);
  // Q K^T once, P V twice or once: see value_passes.
  EXPECT_EQ(plan.issued_flop, 256 * 65536.0 * 1.5);
  EXPECT_EQ(launch_plan(problem, schedule, true).issued_flop, 256 * 65536.0);
  EXPECT_EQ(plan.partial_bytes, 2.0 * 2 * 64 * 257 * 4);
  EXPECT_EQ(plan.most_tiles, 2);
}

TEST(LaunchPlan, StreamsTheCacheOncePer64QueryHeads) {
  Problem problem;
  problem.kv_lengths = {640};
  problem.query_heads = 128;
  EXPECT_EQ(launch_plan(problem, make_schedule(problem, 132)).fetched_bytes, 2 * 640 * 1024);
}

TEST(Lengths, RaggedBatchesKeepTheMeanAndDoScatter) {
  const std::vector<std::int32_t> lengths = make_lengths(64, 8192, Lengths::kRagged);
  long sum = 0;
  for (const std::int32_t length : lengths) {
    EXPECT_GE(length, 0);
    EXPECT_LE(length, 2 * 8192);
    sum += length;
  }
  EXPECT_EQ(sum, 64 * 8192);
  EXPECT_NE(lengths[0], lengths[1]);
}

TEST(Shape, RoundTripsThroughTheBenchsFields) {
  const bench::Shape shape = make_shape(4, 100, Lengths::kEqual, 64, 4, 128, KvType::kE4m3);
  EXPECT_EQ(shape.to_string(),
            "batch=4 context_tokens=100 kv_lengths=equal query_heads=64 kv_heads=4 head_dim=128 "
            "kv_dtype=fp8_e4m3");
  const Problem problem = problem_from(shape);
  EXPECT_EQ(problem.kv_lengths, std::vector<std::int32_t>(4, 100));
  EXPECT_EQ(problem.group(), 16);
  EXPECT_EQ(problem.kv_type, KvType::kE4m3);
}

TEST(Grid, HoldsOnlyProblemsTheKernelsCover) {
  const bench::DeviceFacts device{132, 50ull << 20, 80'000'000'000ull, 78'000'000'000ull};
  for (const bench::Extent extent : {bench::Extent::kQuick, bench::Extent::kFull}) {
    const std::vector<bench::Point> points = grid(extent, device);
    ASSERT_FALSE(points.empty());
    for (const bench::Point& point : points) {
      EXPECT_GT(point.work.bytes_read, 0);
    }
    for (const bench::Case& test : cases(extent, device)) {
      EXPECT_NO_THROW(problem_from(test.shape)) << test.name;
    }
  }
  EXPECT_NE(explain(grid(bench::Extent::kQuick, device).front(), device).find("CTAs"),
            std::string::npos);
}

TEST(Grid, ShrinksToTheMemoryThatIsFree) {
  const bench::DeviceFacts small{132, 50ull << 20, 8'000'000'000ull, 1'000'000'000ull};
  for (const bench::Point& point : grid(bench::Extent::kFull, small)) {
    EXPECT_LT(point.work.bytes_read, 0.7e9);
  }
}

}  // namespace
}  // namespace ridge::kernels::decode
