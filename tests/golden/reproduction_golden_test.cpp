// The whole answer as people read it. After a change that is meant:
//   COLUMNS=80 ridge reproduce step3 -o tests/golden/reproduce-step3.txt
#include "ridge/evidence/reproduction.hpp"
#include "ridge/view/terminal.hpp"
#include "source_tree.hpp"

#include <gtest/gtest.h>

namespace ridge::evidence {
namespace {

TEST(Golden, TheReproductionOfStep3ReadsAsKept) {
  EXPECT_EQ(view::folded(render(reproduce("step3"), view::OutputFormat::table), 80),
            test::source_text("tests/golden/reproduce-step3.txt"));
}

}  // namespace
}  // namespace ridge::evidence
