// What a transfer adds to errors, from the file that says what was measured.
#include "ridge/hwmodels/calibrated/transfer_errors.hpp"

#include "json_schema.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/json.hpp"
#include "source_tree.hpp"
#include "temporary_file.hpp"

#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge::hw::calibrated {
namespace {

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

TEST(TransferErrors, WhatIsMeasuredAnewTakesThePlaceOfThatFamilyAlone) {
  TransferErrors errors =
      errors_of({{"a",
                  "b",
                  "kept",
                  {{Family::gemm, Format::any, 0.30, 10}, {Family::top_k, Format::any, 0.05, 10}},
                  {{Family::top_k, Format::any, "kept"}}}});
  replace(errors,
          {"a",
           "b",
           "new",
           {{Family::gemm, Format::any, 0.10, 20}, {Family::moe_layer, Format::any, 0.2, 5}},
           {}});
  replace(errors, {"b", "a", "new", {{Family::gemm, Format::any, 0.20, 30}}, {}});
  ASSERT_EQ(errors.transfers.size(), 2U);
  const MeasuredTransfer& first = errors.transfers[0];
  EXPECT_EQ(first.source, "kept");
  EXPECT_EQ(first.left_out.size(), 1U);
  ASSERT_EQ(first.errors.size(), 3U);
  EXPECT_EQ(first.errors[0].error, 0.10);
  EXPECT_EQ(first.errors[0].measurements, 20);
  EXPECT_EQ(first.errors[1].error, 0.05);
  EXPECT_EQ(first.errors[2].family, Family::moe_layer);
  EXPECT_EQ(errors.transfers[1].source, "new");
}

TEST(TransferErrors, AFileWrittenIsReadAsItWas) {
  const std::string written = to_json(transfer_errors());
  const test::TemporaryFile file("errors.json", written);
  EXPECT_EQ(to_json(load_transfer_errors(file.path())), written);
}

}  // namespace
}  // namespace ridge::hw::calibrated
