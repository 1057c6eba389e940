#include "bench/family.hpp"
#include "bench/options.hpp"
#include "bench/statistics.hpp"

#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

namespace ridge::kernels::bench {
namespace {

TEST(Options, DefaultToAQuickMeasurement) {
  const Options options = parse_options({});
  EXPECT_EQ(options.action, Action::kMeasure);
  EXPECT_EQ(options.extent, Extent::kQuick);
  EXPECT_FALSE(options.fresh);
}

TEST(Options, AreReadAsTheUsageSays) {
  const Options options =
      parse_options({"--full", "--output", "h.json", "--family", "rope", "--family", "dense_gemm",
                     "--only", "batch=1", "--fresh", "--check"});
  EXPECT_EQ(options.extent, Extent::kFull);
  EXPECT_EQ(options.output, "h.json");
  EXPECT_EQ(options.families, (std::vector<std::string>{"rope", "dense_gemm"}));
  EXPECT_EQ(options.only, "batch=1");
  EXPECT_TRUE(options.fresh);
  EXPECT_EQ(options.action, Action::kCheck);
  for (const char* option :
       {"--quick", "--full", "--output", "--family", "--only", "--fresh", "--no-check", "--check",
        "--smoke", "--explain", "--list", "--help", "-o", "--time-limit", "--item-limit"}) {
    EXPECT_NE(usage().find(option), std::string::npos) << option;
  }
}

TEST(Options, LimitsAreSecondsAndPositive) {
  const Options options =
      parse_options({"-o", "h.json", "--time-limit", "540", "--item-limit", "5"});
  EXPECT_EQ(options.output, "h.json");
  EXPECT_EQ(options.time_limit_s, 540);
  EXPECT_EQ(options.item_limit_s, 5);
  for (const char* wrong : {"0", "-1", "ten", "", "nan"}) {
    EXPECT_THROW(parse_options({"--time-limit", wrong}), UsageError) << wrong;
  }
}

TEST(InputSets, AreAtLeastTwoAndTogetherFourTimesTheL2) {
  const DeviceFacts device{.sm_count = 132,
                           .l2_bytes = 50'000'000,
                           .memory_bytes = 80'000'000'000,
                           .free_bytes = 78'000'000'000,
                           .capability = 90};
  EXPECT_EQ(input_sets(1e6, device), 200);
  EXPECT_EQ(input_sets(150e6, device), 2);
  EXPECT_EQ(input_sets(8e9, device), 2);
  EXPECT_EQ(input_sets(1e3, device, 64), 64);
}

TEST(Options, AMistakeIsNamed) {
  try {
    parse_options({"--ful"});
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("'--ful'"), std::string::npos);
  }
  EXPECT_THROW(parse_options({"--output"}), UsageError);
}

TEST(Quantile, InterpolatesBetweenOrderStatistics) {
  EXPECT_EQ(quantile({3, 1, 2}, 0.5), 2);
  EXPECT_EQ(quantile({4, 1, 2, 3}, 0.5), 2.5);
  EXPECT_EQ(quantile({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, 0.1), 2);
  EXPECT_EQ(quantile({5}, 0.9), 5);
  EXPECT_THROW(quantile({}, 0.5), std::invalid_argument);
}

TEST(Summary, OrdersItsQuantiles) {
  const Timing timing = summarize({10, 30, 20, 50, 40});
  EXPECT_EQ(timing.median_us, 30);
  EXPECT_EQ(timing.samples, 5);
  EXPECT_LT(timing.p10_us, timing.median_us);
  EXPECT_GT(timing.p90_us, timing.median_us);
}

TEST(Shape, SaysWhichFieldIsMissingOrOfAnotherKind) {
  const Shape shape{{"batch", std::int64_t{4}}, {"dtype", std::string("bf16")}};
  EXPECT_EQ(shape.integer("batch"), 4);
  EXPECT_EQ(shape.to_string(), "batch=4 dtype=bf16");
  EXPECT_THROW(shape.integer("dtype"), std::invalid_argument);
  try {
    shape.integer("heads");
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("'heads'"), std::string::npos);
  }
}

}  // namespace
}  // namespace ridge::kernels::bench
