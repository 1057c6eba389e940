// Measured kernels beside a calibration.
#include "ridge/evidence/kernels.hpp"

#include "temporary_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::evidence {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

// One curve: RMSNorm's kernel "k" takes 2 us and streams 1 TB/s, give or take a tenth.
constexpr const char* kCalibration = R"({
  "name": "mine", "chip": "h800",
  "machine": {"compute_units": 132, "memory_bandwidth_TBps": 3.35, "bf16_TFLOPps": 989,
              "fp8_TFLOPps": 1979, "fp4_TFLOPps": 989},
  "source": "made up",
  "curves": [{
    "family": "elementwise", "kernel": "k", "choice": {}, "spread": [0.1, 0, 0.1],
    "parameters": {"launch_us": 2, "memory_TBps": 1},
    "ranges": {"MB": [1, 100]},
    "held_out_error": {"p50": 0.05, "p90": 0.1645, "worst": 0.3, "in_sample_p50": 0.05,
                       "measurements": 100, "groups": 10, "folds": 5, "left_out": "shapes",
                       "draw_sigma": 0.1, "coverage_90": 0.9},
    "outliers": {"count": 0, "worst": []},
    "measurements": [{"file": "seen.csv", "rows": 3}]}]})";

KernelLedger judged(const std::string& name, const std::string& rows) {
  const test::TemporaryFile measured(name, rows);
  const test::TemporaryFile calibration("mine.json", kCalibration);
  const std::vector<std::string> files = {measured.path()};
  return judge_kernels(files, calibration.path());
}

TEST(Kernels, AreJudgedByWhatTheCalibrationSaysOfThem) {
  // Predicted 10 and 20 us, of 10 and 25.
  const KernelLedger ledger = judged(
      "new.csv", "kernel,bytes_read,bytes_written,latency_us\nk,8000000,0,10\nk,18000000,0,25\n");
  ASSERT_EQ(ledger.rows.size(), 1U);
  EXPECT_NEAR(ledger.rows[0].worst, 0.2, 1e-9);
  EXPECT_NEAR(ledger.rows[0].bias, -0.1, 1e-9);
  EXPECT_TRUE(ledger.notes.empty());
  const auto json = nlohmann::json::parse(render(ledger, view::OutputFormat::json));
  EXPECT_NEAR(json["rows"][0]["error"]["worst"].get<double>(), 0.2, 1e-9);
  EXPECT_EQ(json["rows"][0]["answered_by"], "k");
  EXPECT_THAT(render(ledger, view::OutputFormat::table), HasSubstr("-10.0 %"));
}

TEST(Kernels, WithoutACurveAreToldAndNotLeftOut) {
  const KernelLedger ledger =
      judged("gemm.csv", "kernel,m,n,k,dtype,latency_us\nz,16,4096,4096,bf16,12\n");
  ASSERT_EQ(ledger.rows.size(), 1U);
  EXPECT_THAT(ledger.notes, Contains(HasSubstr("mine has no curve for it")));
  EXPECT_THAT(render(ledger, view::OutputFormat::table), HasSubstr("no curve"));
  const auto json = nlohmann::json::parse(render(ledger, view::OutputFormat::json));
  EXPECT_TRUE(json["rows"][0]["bias"].is_null());
  EXPECT_EQ(json["rows"][0]["measurements"], 1);
}

TEST(Kernels, ThatTheFitHasSeenAreNoPredictionAndSaidToBeNone) {
  const std::string rows = "kernel,bytes_read,bytes_written,latency_us\nk,8000000,0,10\n";
  EXPECT_THAT(judged("seen.csv", rows).notes, Contains(HasSubstr("what the fit has seen")));
  EXPECT_TRUE(judged("new.csv", rows).notes.empty());
}

}  // namespace
}  // namespace ridge::evidence
