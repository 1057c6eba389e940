#include "ridge/base/catalog.hpp"

#include "ridge/base/error.hpp"
#include "temporary_folder.hpp"

#include <algorithm>
#include <cstdlib>
#include <optional>

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
  EXPECT_EQ(models.resolve("page.html"), "page.html");
  EXPECT_EQ(models.resolve("-"), "-");
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

// One's own library, for as long as a test needs it.
class OwnLibrary : public testing::Test {
 protected:
  OwnLibrary() {
    if (const char* config = std::getenv("XDG_CONFIG_HOME")) before_ = config;
    ::setenv("XDG_CONFIG_HOME", (folder_ / "").c_str(), 1);
    std::filesystem::create_directories(folder_ / "ridge/models");
  }
  ~OwnLibrary() override {
    if (before_) {
      ::setenv("XDG_CONFIG_HOME", before_->c_str(), 1);
    } else {
      ::unsetenv("XDG_CONFIG_HOME");
    }
  }

  TemporaryFolder folder_;
  std::optional<std::string> before_;
};

TEST_F(OwnLibrary, IsFoundByNameBesideWhatShips) {
  const auto mine = folder_.put("ridge/models/a-mine.json", "{}");
  const Catalog models("a model", "models/data", "models");
  EXPECT_EQ(models.resolve("a-mine"), mine);
  EXPECT_EQ(models.names().front(), "a-mine");
  EXPECT_THAT(models.names(), testing::Contains("step-3"));
  EXPECT_TRUE(std::is_sorted(models.names().begin(), models.names().end()));
}

TEST_F(OwnLibrary, AddsNothingToWhatOneCannotHaveOnesOwnOf) {
  folder_.put("ridge/models/mine.json", "{}");
  const Catalog models("a model", "models/data");
  EXPECT_THAT(models.names(), testing::Not(testing::Contains("mine")));
}

TEST_F(OwnLibrary, ANameThatAlsoShipsIsRefusedSinceEitherCouldBeMeant) {
  const auto mine = folder_.put("ridge/models/step-3.json", "{}");
  const Catalog models("a model", "models/data", "models");
  EXPECT_EQ(std::count(models.names().begin(), models.names().end(), "step-3"), 1);
  try {
    (void)models.resolve("step-3");
    FAIL();
  } catch (const UserError& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr("\"step-3\" is a model that ships with Ridge"));
    EXPECT_THAT(e.what(), testing::HasSubstr(mine.string()));
  }
}

TEST_F(OwnLibrary, ThatIsNotThereIsNoMistake) {
  ::setenv("XDG_CONFIG_HOME", (folder_ / "nowhere").c_str(), 1);
  const Catalog models("a model", "models/data", "models");
  EXPECT_THAT(models.names(), testing::Contains("step-3"));
}

TEST_F(OwnLibrary, ARelativeXdgFolderIsIgnoredAsItsSpecificationSays) {
  ::setenv("XDG_CONFIG_HOME", "relative", 1);
  EXPECT_NE(own_library(), "relative/ridge");
}

}  // namespace
}  // namespace ridge
