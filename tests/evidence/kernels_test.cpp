// Measured kernels beside a calibration.
#include "ridge/evidence/kernels.hpp"

#include "ridge/base/error.hpp"
#include "ridge/hwmodels/calibrated/transfer_errors.hpp"
#include "source_tree.hpp"
#include "temporary_file.hpp"

#include <cmath>

#include <fmt/format.h>
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
  return judge_kernels(read_kernels(files, calibration.path()));
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

using hw::calibrated::Family;
using hw::calibrated::MeasuredTransfer;

// Errors of no transfer, in a file of one's own.
constexpr const char* kErrors = R"({
  "comment": "mine",
  "per_fold": 0.1,
  "per_fold_source": "",
  "least": 0.02,
  "least_source": "",
  "transfers": []
}
)";

// RMSNorm on H800 takes 2 us and streams 1 TB/s: two kernels, one of them slower by 10 us.
std::string two_kernels() {
  auto calibration = nlohmann::json::parse(kCalibration);
  auto slow = calibration["curves"][0];
  slow["kernel"] = "slow";
  slow["parameters"]["launch_us"] = 12;
  calibration["curves"].push_back(slow);
  return calibration.dump();
}

std::vector<MeasuredTransfer> written(const std::string& calibration, const std::string& rows,
                                      const std::string& chip = {}) {
  const test::TemporaryFile measured("new.csv",
                                     "kernel,bytes_read,bytes_written,latency_us\n" + rows);
  const test::TemporaryFile made("mine.json", calibration);
  const test::TemporaryFile errors("errors.json", kErrors);
  const std::vector<std::string> files = {measured.path()};
  write_transfer_errors(read_kernels(files, made.path(), chip), errors.path());
  const auto json = JsonDocument::read(errors.path()).json();
  EXPECT_EQ(json["comment"], "mine");
  return hw::calibrated::load_transfer_errors(errors.path()).transfers;
}

template <typename Ask>
std::string refused(Ask&& ask) {
  try {
    (void)ask();
  } catch (const UserError& e) {
    return e.what();
  }
  return "";
}

TEST(TransferErrorsOfKernels, AreWithoutTheChangeOfBalanceAndRounded) {
  const hw::ChipSpec from = hw::load_chip("h800");
  const hw::ChipSpec to = hw::load_chip("h200");
  const double change =
      hw::calibrated::change_error(Family::elementwise, hw::calibrated::Format::any, from, to);
  ASSERT_GT(change, 0.02);
  // 8 MB takes 2 us and 8 us of a stream that is as much faster as memory is.
  const auto moved = hw::calibrated::transferred(
      hw::calibrated::load_calibration(test::TemporaryFile("mine.json", kCalibration).path()), from,
      to);
  const auto& fitted = std::get<hw::calibrated::Fitted<hw::calibrated::ElementwiseForm>>(
      moved.curves.front().fitted);
  const double predicted = fitted.p[0] + 8.0 / fitted.p[1];
  const double own = 0.10;  // 0.1645 / 1.645
  const double off = std::log(1.4) / 1.645;
  const auto transfers =
      written(kCalibration, fmt::format("k,8000000,0,{}\n", 1.4 * predicted), "h200");
  ASSERT_EQ(transfers.size(), 1U);
  EXPECT_EQ(transfers[0].from, "h800");
  EXPECT_EQ(transfers[0].to, "h200");
  ASSERT_EQ(transfers[0].errors.size(), 1U);
  const double error = transfers[0].errors[0].error;
  EXPECT_NEAR(error, std::sqrt(off * off - own * own - change * change), 5.1e-4);
  EXPECT_EQ(error, std::stod(fmt::format("{:.3f}", error)));
  EXPECT_EQ(transfers[0].errors[0].measurements, 1);
}

TEST(TransferErrorsOfKernels, OnTheChipItselfAreOfTheOtherKernels) {
  // Predicted by "slow" 20 us, half as fast as "k".
  const double off = std::log(2.0) / 1.645;
  const test::TemporaryFile same("same.json", test::source_text("hwmodels/data/chips/h800.json"));
  for (const std::string& chip : {std::string(), std::string("h800"), same.path()}) {
    SCOPED_TRACE(chip);
    const auto transfers = written(two_kernels(), "k,8000000,0,10\n", chip);
    ASSERT_EQ(transfers.size(), 1U);
    EXPECT_EQ(transfers[0].from, "h800");
    EXPECT_EQ(transfers[0].to, "h800");
    EXPECT_NEAR(transfers[0].errors.at(0).error, std::sqrt(off * off - 0.10 * 0.10), 5.1e-4);
  }
}

TEST(TransferErrorsOfKernels, WhereNothingTellsTheWayOnIsSaid) {
  const std::string alone = refused([] { return written(kCalibration, "k,8000000,0,10\n"); });
  EXPECT_THAT(alone, HasSubstr("new.csv: mine has no curve of another kernel"));
  EXPECT_THAT(alone, HasSubstr("with --chip"));
  EXPECT_THAT(refused([] { return written(kCalibration, "z,8000000,0,10\n", "h200"); }),
              HasSubstr("mine has no curve of the kernels that were measured"));
  const test::TemporaryFile measured(
      "new.csv", "kernel,bytes_read,bytes_written,latency_us\nk,8000000,0,10\n");
  const test::TemporaryFile made("mine.json", two_kernels());
  const std::vector<std::string> files = {measured.path(), measured.path()};
  EXPECT_THAT(refused([&] {
                write_transfer_errors(read_kernels(files, made.path()), made.path() + ".none");
                return 0;
              }),
              HasSubstr("there is no such file; begin with a copy of the shipped one"));
}

}  // namespace
}  // namespace ridge::evidence
