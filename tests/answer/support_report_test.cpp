// What a model's times rest on.
#include "ridge/answer/support_report.hpp"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::answer {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Times by the operator's kind: attention measured, products carried over and far outside, all else
// without a curve.
class Kernels final : public hw::KernelModel {
 public:
  [[nodiscard]] hw::Timing time(const models::Operator& op) const override {
    if (std::holds_alternative<models::DecodeAttention>(op.shape)) return {.time = Seconds{6e-6}};
    if (std::holds_alternative<models::Gemm>(op.shape)) {
      return {.time = Seconds{1e-6}, .octaves_outside = 2.5};
    }
    return {};
  }
  [[nodiscard]] hw::Basis basis(const models::Operator& op) const override {
    return std::holds_alternative<models::DecodeAttention>(op.shape) ? hw::Basis::measured
                                                                     : hw::Basis::transferred;
  }
  [[nodiscard]] std::string_view kernel(const models::Operator& op) const override {
    return std::holds_alternative<models::DecodeAttention>(op.shape) ? "swift" : "";
  }
  [[nodiscard]] const hw::ChipSpec& chip() const override { return chip_; }
  [[nodiscard]] std::string provenance() const override { return "made up"; }

 private:
  hw::ChipSpec chip_;
};

SupportReport report() {
  SupportQuestion question;
  question.model = models::load_model("llama-3.1-8b");
  question.chips.push_back(
      {.name = "x", .kernels = std::make_shared<Kernels>(), .unknown = {}, .way_on = {}});
  question.chips.push_back(
      {.name = "y", .kernels = nullptr, .unknown = "no bandwidth", .way_on = {}});
  return answer(question);
}

// 32 layers of one attention (6 us) and so many products (1 us each), and the LM head (1 us).
TEST(Support, SharesAreOfTheTimeOfAllLayersAndAddUp) {
  const SupportReport asked = report();
  const ChipSupport& support = asked.chips.front();
  double products = 0.0;
  for (const SupportRow& row : support.rows) {
    if (row.basis == hw::Basis::transferred) products += static_cast<double>(row.layers);
  }
  EXPECT_GT(products, 4 * 32.0);  // q, k and v; output; up; down; and the LM head.
  const double total = 6.0 * 32.0 + products;
  EXPECT_NEAR(support.share_of(hw::Basis::measured), 6.0 * 32.0 / total, 1e-12);
  EXPECT_NEAR(support.share_of(hw::Basis::transferred), products / total, 1e-12);
  EXPECT_NEAR(support.measured_within(), support.share_of(hw::Basis::measured), 1e-12);
}

TEST(Support, WhatTakesNoTimeRestsOnNothing) {
  const SupportReport asked = report();
  const auto& rows = asked.chips.front().rows;
  EXPECT_TRUE(std::any_of(rows.begin(), rows.end(), [](const SupportRow& row) {
    return row.basis == hw::Basis::nothing && row.share == 0.0;
  }));
}

TEST(Support, TellsTheKernelHowFarOutsideAndWhatCannotBePriced) {
  const std::string text = render(report(), view::OutputFormat::table);
  EXPECT_THAT(text, HasSubstr("measured: swift"));
  EXPECT_THAT(text, HasSubstr("transferred; 2.50 doublings outside"));
  EXPECT_THAT(text, HasSubstr("y: cannot be priced: no bandwidth"));
  const auto told = nlohmann::json::parse(render(report(), view::OutputFormat::json));
  EXPECT_EQ(told["chips"][1]["unknown"], "no bandwidth");
  EXPECT_FALSE(told["chips"][1].contains("operators"));
}

TEST(Support, AContextBeyondWhatTheModelWasMadeForIsRemarked) {
  const auto asked = [](double context) {
    SupportQuestion question;
    question.model = models::load_model("llama-3.1-8b");
    question.context = context;
    return render(answer(question), view::OutputFormat::table);
  };
  EXPECT_THAT(asked(131073), HasSubstr("131073 tokens of context are more than the 131072"));
  EXPECT_THAT(asked(131072), Not(HasSubstr("more than")));
}

}  // namespace
}  // namespace ridge::answer
