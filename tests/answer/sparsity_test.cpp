#include "ridge/answer/sparsity_report.hpp"

#include <gtest/gtest.h>

namespace ridge::answer {
namespace {

SparsityQuestion sparsity_question(const char* model, std::vector<const char*> chips) {
  SparsityQuestion out;
  out.traffic = hw::theory::ffn_traffic(models::load_model(model));
  for (const char* chip : chips) out.chips.push_back(hw::load_chip(chip));
  out.assumptions.stage_budget = Seconds{0.05 / 3.0};
  return out;
}

// Section 5.4 of arXiv 2507.19427: FP8 to the FFN, BF16 back, values alone, weights of one byte.
TEST(Sparsity, IsTheReportsClosedForm) {
  auto asked = sparsity_question("step-3", {"h800", "h20", "a800", "ascend-910b"});
  asked.traffic.count = models::MessageCount::values;
  const SparsityReport report = answer(asked);
  ASSERT_EQ(report.rows.size(), asked.chips.size());
  for (std::size_t i = 0; i < report.rows.size(); ++i) {
    const auto& chip = asked.chips[i];
    const double rate = chip.rate_for(models::Precision::fp8)->value();
    const double bandwidth = chip.memory_bandwidth.value->value();
    const double network = 8.0 * chip.nic_bandwidth.value->value();
    const double expected =
        7168.0 * rate * 61.0 / (network * bandwidth * (0.05 / 3.0) * (2.0 / 3.0));
    EXPECT_NEAR(report.rows[i].bound.min_sparsity, expected, 1e-12 * expected) << chip.name;
  }
}

TEST(Sparsity, ScalesAndExpertNumbersLeaveLessOfTheNetwork) {
  auto asked = sparsity_question("step-3", {"h800"});
  const double whole = answer(asked).rows.front().bound.min_sparsity;
  asked.traffic.count = models::MessageCount::values;
  const double values = answer(asked).rows.front().bound.min_sparsity;
  // Of 3 x 7168 bytes there and back: 56 scales of 4 bytes, 3 experts of 8.
  EXPECT_NEAR(whole / values, (3.0 * 7168 + 56 * 4 + 3 * 8) / (3.0 * 7168), 1e-12);
}

TEST(Sparsity, CountsTheSharedExpertAsOneMore) {
  EXPECT_DOUBLE_EQ(hw::theory::ffn_traffic(models::load_model("step-3")).sparsity(), 4.0 / 49.0);
  EXPECT_DOUBLE_EQ(hw::theory::ffn_traffic(models::load_model("deepseek-v3")).sparsity(),
                   9.0 / 257.0);
}

TEST(Sparsity, OfADenseModelIsOne) {
  EXPECT_DOUBLE_EQ(hw::theory::ffn_traffic(models::load_model("qwen3-32b")).sparsity(), 1.0);
}

TEST(Sparsity, TwiceTheNetworkAllowsExpertsTwiceAsSparse) {
  auto asked = sparsity_question("step-3", {"h800"});
  asked.assumptions.nic_bandwidth = BytesPerSecond{40e9};
  const double slow = answer(asked).rows.front().bound.min_sparsity;
  asked.assumptions.nic_bandwidth = BytesPerSecond{80e9};
  EXPECT_NEAR(answer(asked).rows.front().bound.min_sparsity, slow / 2.0, 1e-12);
}

TEST(Sparsity, CeilingIsFullUseExactlyWhereTheModelIsDenseEnough) {
  const auto report = answer(sparsity_question("step-3", {"h800"}));
  EXPECT_LT(report.rows.front().bound.min_sparsity, report.traffic.sparsity());
  EXPECT_DOUBLE_EQ(report.rows.front().bound.ceiling(), 1.0);
  const auto sparse = answer(sparsity_question("deepseek-v3", {"h800"}));
  const auto& row = sparse.rows.front().bound;
  ASSERT_GT(row.min_sparsity, sparse.traffic.sparsity());
  EXPECT_NEAR(row.ceiling(), sparse.traffic.sparsity() / row.min_sparsity, 1e-12);
}

TEST(Sparsity, NeedsAWholeNumberOfExpertsThatIsJustEnough) {
  const auto report = answer(sparsity_question("deepseek-v3", {"h800"}));
  const auto& row = report.rows.front().bound;
  const double all = report.traffic.experts;
  EXPECT_GE((row.experts_needed + 1.0) / all, row.min_sparsity);
  EXPECT_LT(row.experts_needed / all, row.min_sparsity);
}

TEST(Sparsity, SaysWhatIsUnknownInsteadOfAssumingIt) {
  auto asked = sparsity_question("step-3", {"h800"});
  asked.chips.front().nic_bandwidth.value.reset();
  EXPECT_EQ(answer(asked).rows.front().unknown, "NIC bandwidth unknown");
  asked.assumptions.nic_bandwidth = BytesPerSecond{50e9};
  EXPECT_EQ(answer(asked).rows.front().unknown, "");
}

}  // namespace
}  // namespace ridge::answer
