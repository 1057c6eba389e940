// Measurements beside a calibration that was not made from them.
#include "ridge/hwmodels/calibrated/judge.hpp"

#include <cmath>

#include <gtest/gtest.h>

namespace ridge::hw::calibrated {
namespace {

// 2 us and 1 TB/s.
Curve stream(const std::string& kernel, double launch_us = 2.0) {
  Fitted<ElementwiseForm> fitted;
  fitted.p = {launch_us, 1.0};
  Curve curve;
  curve.key = {.family = Family::elementwise, .kernel = kernel};
  curve.fitted = fitted;
  curve.ranges = {{"MB", 1, 100}};
  curve.held_out.measurements = 100;
  curve.held_out.p90 = 1.645 * 0.10;  // a standard error of a tenth
  return curve;
}

Calibration streams(std::vector<Curve> curves) {
  Calibration c;
  c.machine = {.compute_units = 100,
               .memory_TBps = 3.0,
               .bf16_TFLOPps = 900,
               .fp8_TFLOPps = 1800,
               .fp4_TFLOPps = 3600};
  c.curves = std::move(curves);
  return c;
}

MeasurementSet measured(const std::string& rows) {
  MeasurementSet set;
  read_measurement_csv("kernel,bytes_read,bytes_written,latency_us\n" + rows, "x.csv", set);
  return set;
}

TEST(Judge, TellsErrorBiasAndCoverageByHand) {
  // Predicted 10, 20, 40, 400 us.
  const auto judged =
      judge(measured("k,8000000,0,10\nk,18000000,0,25\nk,38000000,0,50\nk,398000000,0,200\n"),
            streams({stream("k")}));
  ASSERT_EQ(judged.size(), 1U);
  const Judgment& j = judged.front();
  EXPECT_EQ(j.answered_by, "k");
  EXPECT_EQ(j.measurements, 4);
  EXPECT_EQ(j.outside, 1) << "398 MB";
  EXPECT_NEAR(j.worst, 1.0, 1e-9);
  EXPECT_NEAR(j.p50, 0.2, 1e-9);
  EXPECT_NEAR(j.bias, -0.1, 1e-9) << "the middle of -0.2, -0.2, 0, 1";
  // ln(1.25) is 0.22, more than 0.1645; so is ln(2).
  EXPECT_NEAR(j.coverage_90, 0.25, 1e-9);
  // Of the three inside, two need as much, and nine of ten no more.
  ASSERT_TRUE(j.needed_error);
  EXPECT_NEAR(*j.needed_error, std::sqrt(std::pow(std::log(1.25) / 1.645, 2) - 0.10 * 0.10), 1e-9);
}

TEST(Judge, MeasurementsOutsideTheRangesTellNothingOfWhatATransferNeeds) {
  const auto judged = judge(measured("k,398000000,0,200\n"), streams({stream("k")}));
  EXPECT_TRUE(judged.front().answered);
  EXPECT_FALSE(judged.front().needed_error);
}

TEST(Judge, TheVeryKernelAnswersWhereItHasACurveElseWhatAUserWouldGet) {
  const Calibration c = streams({stream("slow", 9.0), stream("fast", 1.0)});
  EXPECT_EQ(judge(measured("slow,8000000,0,10\n"), c).front().answered_by, "slow");
  EXPECT_EQ(judge(measured("other,8000000,0,10\n"), c).front().answered_by, "fast");
  EXPECT_TRUE(judge(measured("other,8000000,0,10\n"), streams({stream("")})).front().answered);
  EXPECT_FALSE(judge(measured("other,8000000,0,10\n"), streams({})).front().answered);
}

}  // namespace
}  // namespace ridge::hw::calibrated
