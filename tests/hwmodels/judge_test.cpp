// Measurements beside a calibration that was not made from them.
#include "ridge/hwmodels/calibrated/judge.hpp"

#include <cmath>

#include <fmt/format.h>
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

TEST(Judge, WhatKernelsNeedInEachOthersPlaceIsMeasuredByPuttingTheirOwnAside) {
  // Predicted 10 by its own curve and 17 by the other's.
  const Calibration c = streams({stream("a"), stream("b", 9.0)});
  const auto rows = measured("a,8000000,0,10\n");
  const auto own = needed_errors(rows, c, false);
  ASSERT_EQ(own.size(), 1U);
  EXPECT_EQ(own.front().family, Family::elementwise);
  EXPECT_EQ(own.front().measurements, 1);
  EXPECT_EQ(own.front().error, 0.0);
  const auto other = needed_errors(rows, c, true);
  ASSERT_EQ(other.size(), 1U);
  EXPECT_NEAR(other.front().error, std::sqrt(std::pow(std::log(1.7) / 1.645, 2) - 0.10 * 0.10),
              1e-9);
  EXPECT_TRUE(needed_errors(rows, streams({stream("a")}), true).empty()) << "no other";
  EXPECT_TRUE(needed_errors(measured("a,398000000,0,400\n"), c, false).empty()) << "outside";
}

TEST(Judge, AnIntervalIsWiderWhereAnotherKernelAnswers) {
  // Of latent attention the shipped errors of transfers know what other kernels need.
  const double more = transfer_errors().of_another_kernel(Family::latent_attention, Format::bf16);
  ASSERT_GT(more, 0.05);
  Calibration c;
  c.machine = streams({}).machine;
  Curve curve;
  curve.key = {
      .family = Family::latent_attention, .format = Format::bf16, .head_dim = 576, .kernel = "a"};
  Fitted<DecodeAttentionForm> fitted;
  const auto info = DecodeAttentionForm::parameters();
  for (std::size_t j = 0; j < fitted.p.size(); ++j) fitted.p[j] = info[j].initial;
  curve.fitted = fitted;
  curve.ranges = {
      {"sequences", 1, 100}, {"context", 1, 1e6}, {"query_rows", 1, 1e3}, {"kv_heads", 1, 10}};
  curve.held_out.measurements = 100;
  curve.held_out.p90 = 0.0164;
  c.curves = {curve};
  const auto judged = [&](const std::string& kernel, double factor) {
    MeasurementSet set;
    const auto rows = [&](double us) {
      return fmt::format(
          "kernel,kv_dtype,heads,batch,kv_len,latency_us\n{},bfloat16,64,8,4096,{}\n", kernel, us);
    };
    read_measurement_csv(rows(100.0), "mla_decode.csv", set);
    const double predicted = 100.0 * (1.0 + judge(set, c).front().bias);
    MeasurementSet off;
    read_measurement_csv(rows(predicted * factor), "mla_decode.csv", off);
    return judge(off, c).front().coverage_90;
  };
  const double inside = std::exp(1.645 * 0.9 * more);
  EXPECT_EQ(judged("a", inside), 0.0);
  EXPECT_EQ(judged("b", inside), 1.0);
  EXPECT_EQ(judged("b", std::exp(1.645 * 1.2 * more)), 0.0);
}

}  // namespace
}  // namespace ridge::hw::calibrated
