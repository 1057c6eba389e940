// What a token weighs between pools, counted by hand.
#include "ridge/models/messages.hpp"

#include <gtest/gtest.h>

namespace ridge::models {
namespace {

TEST(Messages, AnFp8TokenBringsItsScalesAndItsChoices) {
  // 7168 values, a 4-byte scale for each 128 of them, 8 choices of 8 bytes.
  EXPECT_DOUBLE_EQ(dispatch_bytes(7168, Precision::fp8, 8, MessageCount::whole).value(),
                   7168.0 + 56 * 4 + 8 * 8);
}

TEST(Messages, ABf16TokenHasNoScales) {
  EXPECT_DOUBLE_EQ(dispatch_bytes(7168, Precision::bf16, 0, MessageCount::whole).value(), 14336.0);
}

TEST(Messages, ValuesAloneAreTheReportsCount) {
  EXPECT_DOUBLE_EQ(dispatch_bytes(7168, Precision::fp8, 8, MessageCount::values).value(), 7168.0);
}

TEST(Messages, ADenseLayerNamesNoExperts) {
  const ModelSpec model = load_model("deepseek-v3");
  double dense = 0.0;
  double moe = 0.0;
  for (const auto& ffn : model.ffns) {
    const double bytes = dispatch_bytes(model, ffn).value();
    (std::holds_alternative<MoeFfn>(ffn.kind) ? moe : dense) = bytes;
  }
  EXPECT_DOUBLE_EQ(moe - dense, 8.0 * 8.0);
  EXPECT_DOUBLE_EQ(combine_bytes(model).value(), 14336.0);
}

}  // namespace
}  // namespace ridge::models
