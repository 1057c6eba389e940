#include "ridge/models/written_name.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge::models {
namespace {

using ::testing::ElementsAre;

TEST(WrittenName, IsKnownWithoutItsOrganizationAndWhatLeavesShapesAsTheyAre) {
  EXPECT_THAT(written_names("Org/Some 7B-Instruct-2507-FP8"),
              ElementsAre("org/some-7b-instruct-2507-fp8", "some-7b-instruct-2507-fp8",
                          "some-7b-instruct-2507", "some-7b-instruct", "some-7b"));
  EXPECT_THAT(written_names("Some-8x7B-v0.1-quantized.w4a16"),
              ElementsAre("some-8x7b-v0.1-quantized.w4a16", "some-8x7b-v0.1", "some-8x7b"));
}

// What stands within a name, and sizes, tell shapes.
TEST(WrittenName, KeepsEveryOtherWord) {
  EXPECT_THAT(written_names("Some-FP8-Air"), ElementsAre("some-fp8-air"));
  EXPECT_THAT(written_names("Some-120b"), ElementsAre("some-120b"));
  EXPECT_THAT(written_names("Some-32768"), ElementsAre("some-32768"));
  EXPECT_THAT(written_names("-FP8"), ElementsAre("-fp8"));
}

}  // namespace
}  // namespace ridge::models
