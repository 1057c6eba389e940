// What a library read, by which two answers are known to be of one question.
#include "ridge/scenario/library.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge::scenario {
namespace {

using testing::Contains;
using testing::Not;
using testing::StartsWith;

TEST(Library, HoldsTheErrorsOfTransfersAmongWhatCalibrationsRestOn) {
  // Of every library of a process, though the file is kept from the first on.
  for (int i = 0; i < 2; ++i) {
    Library library;
    (void)library.chip("h800");
    EXPECT_THAT(library.contents(), Not(Contains(StartsWith("errors of transfers "))));
    (void)library.calibration("h800");
    EXPECT_THAT(library.contents(), Contains(StartsWith("errors of transfers ")));
  }
}

}  // namespace
}  // namespace ridge::scenario
