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
  for (const char* option : {"--quick", "--full", "--output", "--family", "--only", "--fresh",
                             "--no-check", "--check", "--explain", "--list", "--help"}) {
    EXPECT_NE(usage().find(option), std::string::npos) << option;
  }
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
  const Timing timing = summarise({10, 30, 20, 50, 40});
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
