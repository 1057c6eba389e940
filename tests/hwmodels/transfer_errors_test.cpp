// What a transfer adds to errors, from the file that says what was measured.
#include "ridge/hwmodels/calibrated/transfer_errors.hpp"

#include "json_schema.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/json.hpp"
#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "shipped_calibrations.hpp"
#include "source_tree.hpp"
#include "temporary_file.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge::hw::calibrated {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TransferErrors errors_of(std::vector<MeasuredTransfer> transfers) {
  return {.per_fold = 0.1,
          .per_fold_source = "",
          .least = 0.02,
          .least_source = "",
          .transfers = std::move(transfers)};
}

TEST(TransferErrors, TheShippedFileFitsItsSchemaAndKnowsEveryFamily) {
  const auto document =
      JsonDocument::read(test::source_path("hwmodels/data/kernels/transfer_errors.json"));
  EXPECT_EQ(test::JsonSchema("transfer-errors").violations(document.json()), "");
  for (const auto& [name, family] : family_names()) {
    EXPECT_GE(transfer_errors().between_alike(family, ""), transfer_errors().least) << name;
  }
}

TEST(TransferErrors, OfSeveralTransfersTheRootOfTheMeanSquareCounts) {
  const TransferErrors errors =
      errors_of({{"a",
                  "b",
                  "",
                  {{Family::gemm, Format::any, 0.30, 10}, {Family::top_k, Format::any, 0.001, 10}},
                  {}},
                 {"b", "a", "", {{Family::gemm, Format::any, 0.10, 10}}, {}},
                 {"c",
                  "d",
                  "",
                  {{Family::gemm, Format::any, 0.90, 10}},
                  {{Family::gemm, Format::any, "two releases"}}},
                 {"a",
                  "a",
                  "",
                  {{Family::gemm, Format::bf16, 0.40, 10}, {Family::top_k, Format::any, 0.5, 1}},
                  {}}});
  // sqrt((0.09 + 0.01) / 2) = 0.2236.
  EXPECT_NEAR(errors.between_alike(Family::gemm, ""), 0.22, 1e-12);
  EXPECT_NEAR(errors.between_alike(Family::top_k, ""), 0.02, 1e-12) << "the least";
  EXPECT_NEAR(errors.of_another_kernel(Family::gemm, Format::bf16), 0.40, 1e-12);
  EXPECT_NEAR(errors.of_another_kernel(Family::gemm, Format::fp8), 0.40, 1e-12)
      << "of any format, where none is of this";
  EXPECT_EQ(errors.of_another_kernel(Family::moe_layer, Format::bf16), 0.0);
  EXPECT_THROW((void)errors.between_alike(Family::moe_layer, ""), UserError);
}

TEST(TransferErrors, WhatIsLeftOutCountsForItsOwnGenerationAndNoGenerationForLessThanAll) {
  TransferErrors errors = errors_of({{"a", "b", "", {{Family::gemm, Format::any, 0.10, 10}}, {}},
                                     {"c",
                                      "d",
                                      "",
                                      {{Family::gemm, Format::any, 0.50, 10}},
                                      {{Family::gemm, Format::any, "two releases"}}}});
  errors.transfers[0].generation = "one";
  errors.transfers[1].generation = "two";
  EXPECT_NEAR(errors.between_alike(Family::gemm, "one"), 0.10, 1e-12);
  EXPECT_NEAR(errors.between_alike(Family::gemm, "two"), 0.50, 1e-12);
  EXPECT_NEAR(errors.between_alike(Family::gemm, "three"), 0.10, 1e-12);
  errors.transfers[1].errors.front().error = 0.05;
  EXPECT_NEAR(errors.between_alike(Family::gemm, "two"), 0.10, 1e-12);
}

TEST(TransferErrors, AShippedChipTellsItsGeneration) {
  for (const MeasuredTransfer& transfer : transfer_errors().transfers) {
    if (transfer.from == transfer.to) {
      EXPECT_NE(transfer.generation, "") << transfer.from;
    }
  }
}

// Not in the order of the keys, with a schema elsewhere and comments.
constexpr const char* kMine = R"({
  "comment": ["kept",1],
  "$schema": "../transfer-errors.schema.json",
  "per_fold": 0.1,
  "per_fold_source": "",
  "least": 0.02,
  "least_source": "",
  "transfers": [
    {
      "to": "h200",
      "from": "h100",
      "source": "kept",
      "errors": [
        {"family":"gemm","error":0.3,"measurements":10},
        {"measurements":10,"family":"top_k","error":0.05}
      ],
      "left_out": [
        {"family":"top_k","why":"kept"}
      ]
    }
  ]
}
)";

TEST(TransferErrors, WhatIsMeasuredAnewTakesThePlaceOfThatFamilyAlone) {
  const test::TemporaryFile mine("errors.json", kMine);
  const std::string first = with_transfer(mine.path(), {"h100",
                                                        "h200",
                                                        "new",
                                                        {{Family::gemm, Format::any, 0.1, 20},
                                                         {Family::moe_layer, Format::any, 0.2, 5}},
                                                        {}});
  std::string expected = kMine;
  const auto put = [&](const std::string& old, const std::string& fresh) {
    const std::size_t at = expected.find(old);
    ASSERT_NE(at, std::string::npos);
    expected.replace(at, old.size(), fresh);
  };
  put(R"("error":0.3,"measurements":10})", R"("error":0.1,"measurements":20})");
  put(R"("error":0.05})", R"("error":0.05},
        {"family":"moe_layer","error":0.2,"measurements":5})");
  EXPECT_EQ(first, expected);

  const test::TemporaryFile one("errors.json", first);
  const std::string second = with_transfer(
      one.path(), {"h200", "mine", "new", {{Family::gemm, Format::any, 0.2, 30}}, {}, "hopper"});
  put("\n    }\n  ]\n}", R"(
    },
    {
      "from": "h200",
      "to": "mine",
      "generation": "hopper",
      "source": "new",
      "errors": [
        {"family":"gemm","error":0.2,"measurements":30}
      ]
    }
  ]
})");
  EXPECT_EQ(second, expected);
  const test::TemporaryFile two("errors.json", second);
  const TransferErrors read = load_transfer_errors(two.path());
  ASSERT_EQ(read.transfers.size(), 2U);
  EXPECT_EQ(read.transfers[0].errors[0].error, 0.1);
  EXPECT_EQ(read.transfers[0].generation, "hopper") << "by its chips";
  EXPECT_EQ(read.transfers[1].generation, "hopper") << "as stated";
}

TEST(TransferErrors, OfAFileNothingElseIsWrittenAnew) {
  const TransferErrors& shipped = transfer_errors();
  const auto measured = std::find_if(
      shipped.transfers.begin(), shipped.transfers.end(),
      [](const MeasuredTransfer& each) { return each.errors.front().format != Format::any; });
  ASSERT_NE(measured, shipped.transfers.end());
  EXPECT_EQ(with_transfer(transfer_errors_path(), *measured),
            test::source_text("hwmodels/data/kernels/transfer_errors.json"));
}

std::string refused(const std::string& transfers) {
  const test::TemporaryFile file(
      "errors.json",
      R"({"per_fold": 0.1, "per_fold_source": "", "least": 0.02, "least_source": "", "transfers": [)" +
          transfers + "]}");
  try {
    (void)load_transfer_errors(file.path());
  } catch (const UserError& e) {
    return e.what();
  }
  return "";
}

TEST(TransferErrors, MistakesThatWouldChangeIntervalsAreRefused) {
  constexpr const char* kGemm = R"({"family":"gemm","error":0.1,"measurements":9})";
  const auto transfer = [](const std::string& from, const std::string& errors,
                           const std::string& more = "") {
    return fmt::format(R"({{"from":"{}","to":"h200","source":"s","errors":[{}]{}}})", from, errors,
                       more);
  };
  EXPECT_EQ(refused(transfer("h100", kGemm)), "");
  EXPECT_THAT(refused(transfer("h10O", kGemm)),
              AllOf(HasSubstr("/transfers/0/from: expected the name of a shipped chip"),
                    HasSubstr("did you mean \"h100\"")));
  EXPECT_EQ(refused(transfer("h10O", kGemm, R"(,"generation":"hopper")")), "");
  EXPECT_EQ(refused(transfer("any", R"({"family":"gemm","error":0.1,"measurements":0})")), "");
  EXPECT_THAT(refused(transfer("h100", kGemm) + "," + transfer("h100", kGemm)),
              HasSubstr("/transfers/1: h100 to h200 is told of twice"));
  EXPECT_THAT(refused(transfer("h100", std::string(kGemm) + "," + kGemm)),
              HasSubstr("/transfers/0/errors/1: gemm is told of twice"));
  const std::string bf16 = R"({"family":"gemm","format":"bf16","error":0.1,"measurements":9})";
  EXPECT_THAT(refused(transfer("h100", bf16)), HasSubstr("/transfers/0/errors/0/format"));
  EXPECT_EQ(refused(transfer("h200", bf16 + "," + kGemm)), "") << "of other kernels";
  const auto left_out = [](const std::string& what) {
    return fmt::format(R"(,"left_out":[{{{},"why":"w"}}])", what);
  };
  EXPECT_THAT(refused(transfer("h100", kGemm, left_out(R"("family":"top_k")"))),
              HasSubstr("/transfers/0/left_out/0: expected a family and format"));
  EXPECT_THAT(refused(transfer("h200", bf16, left_out(R"("family":"gemm")"))),
              HasSubstr("/transfers/0/left_out/0: expected a family and format"));
  EXPECT_THAT(refused(transfer("h200", bf16, left_out(R"("family":"gemm","format":"bf16")"))), "");
}

// A calibration keeps what a transfer added when it was made.
TEST(TransferErrors, ShippedCalibrationsHoldWhatTheFileSays) {
  std::size_t borrowed = 0;
  for (const Calibration& calibration : shipped_calibrations()) {
    for (const Curve& curve : calibration.curves) {
      if (!curve.borrowed) continue;
      const std::vector<std::string> chips = chip_names();
      const std::string& from = curve.borrowed->from;
      if (std::find(chips.begin(), chips.end(), from) == chips.end()) continue;
      ++borrowed;
      EXPECT_NEAR(curve.borrowed->added_error,
                  transfer_error(curve.key.family, curve.key.format, load_chip(from),
                                 load_chip(calibration.chip)),
                  5e-4)
          << calibration.name << ": " << curve.key.slot();
    }
  }
  EXPECT_GT(borrowed, 10U);
}

}  // namespace
}  // namespace ridge::hw::calibrated
