// What a token's cost says beside its figures.
#include "ridge/answer/cost_report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge::answer {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

TEST(CostReport, AContextBeyondWhatTheModelWasMadeForIsRemarkedOnce) {
  const auto notes = [](std::vector<double> contexts) {
    models::ModelSpec model = models::load_model("qwen3-8b");
    model.context_limit = 40960;
    return answer({.models = {model},
                   .chips = {hw::load_chip("h800"), hw::load_chip("h20")},
                   .contexts = std::move(contexts),
                   .prices = {},
                   .assumptions = {}})
        .notes;
  };
  EXPECT_THAT(notes({8192, 40961}),
              Contains(HasSubstr("40961 tokens of context are more than the 40960")).Times(1));
  EXPECT_THAT(notes({8192, 40960}), Not(Contains(HasSubstr("tokens of context are more than"))));
}

}  // namespace
}  // namespace ridge::answer
