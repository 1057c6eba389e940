#include "ridge/base/catalog.hpp"

#include "ridge/base/error.hpp"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge {
namespace {

TEST(Catalog, ListsTheJsonFilesOfItsFolderInOrderAndNotThoseBelow) {
  const Catalog models("a model", "models/data");
  EXPECT_TRUE(std::is_sorted(models.names().begin(), models.names().end()));
  EXPECT_THAT(models.names(), testing::Contains("step-3"));
  EXPECT_THAT(models.names(), testing::Not(testing::Contains("quantization")));
}

TEST(Catalog, TakesAPathForAPath) {
  const Catalog models("a model", "models/data");
  EXPECT_EQ(models.resolve("mine.json"), "mine.json");
  EXPECT_EQ(models.resolve("./mine"), "./mine");
  EXPECT_EQ(models.resolve("step-3").filename(), "step-3.json");
}

TEST(Catalog, NamesWhatItHoldsWhenItDoesNotHoldWhatIsAsked) {
  const Catalog models("a model", "models/data");
  try {
    (void)models.resolve("stepp-3");
    FAIL();
  } catch (const UserError& e) {
    EXPECT_THAT(e.what(), testing::StartsWith("expected a model ("));
    EXPECT_THAT(e.what(), testing::EndsWith("got \"stepp-3\"; did you mean \"step-3\"?"));
  }
}

TEST(Catalog, AFolderThatIsNotThereSaysHowToPutItRight) {
  try {
    const Catalog nothing("a thing", "no/such/folder");
    FAIL();
  } catch (const UserError& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr("set RIDGE_DATA"));
  }
}

}  // namespace
}  // namespace ridge
