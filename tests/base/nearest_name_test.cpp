#include "ridge/base/nearest_name.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace ridge {
namespace {

const std::vector<std::string> kNames = {"h20", "h100", "h800", "a800", "ascend-910b", "tpu-v5e"};

TEST(NearestName, FindsOneMistake) {
  EXPECT_EQ(nearest_name("h8000", kNames), "h800");               // a letter too many
  EXPECT_EQ(nearest_name("acend-910b", kNames), "ascend-910b");   // one too few
  EXPECT_EQ(nearest_name("ascend-901b", kNames), "ascend-910b");  // two swapped
  EXPECT_EQ(nearest_name("tpu-v5f", kNames), "tpu-v5e");          // another
}

TEST(NearestName, CaseAndPunctuationAreFree) {
  EXPECT_EQ(nearest_name("Ascend_910B", kNames), "ascend-910b");
  EXPECT_EQ(nearest_name("TPUv5e", kNames), "tpu-v5e");
}

TEST(NearestName, OfEquallyNearNamesTheOneThatBeginsMostAlikeWins) {
  EXPECT_EQ(nearest_name("h80", kNames), "h800");
}

TEST(NearestName, OffersNothingWhereNothingIsNear) {
  EXPECT_EQ(nearest_name("gaudi-3", kNames), std::nullopt);
  EXPECT_EQ(nearest_name("", kNames), std::nullopt);
  EXPECT_EQ(nearest_name("h20", std::vector<std::string>{}), std::nullopt);
  EXPECT_EQ(did_you_mean("gaudi-3", kNames), "");
}

TEST(NearestName, DoesNotSpendTimeOnAbsurdNames) {
  EXPECT_EQ(nearest_name(std::string(1000000, 'h'), kNames), std::nullopt);
}

}  // namespace
}  // namespace ridge
