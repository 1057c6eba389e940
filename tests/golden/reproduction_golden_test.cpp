// The whole answer as people read it. After a change that is meant:
//   ridge reproduce step3 -o tests/golden/reproduce-step3.txt
#include "ridge/evidence/reproduction.hpp"
#include "source_tree.hpp"

#include <gtest/gtest.h>

namespace ridge::evidence {
namespace {

TEST(Golden, TheReproductionOfStep3ReadsAsKept) {
  EXPECT_EQ(render(reproduce("step3"), view::OutputFormat::table),
            test::source_text("tests/golden/reproduce-step3.txt"));
}

}  // namespace
}  // namespace ridge::evidence
