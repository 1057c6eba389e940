#include "ridge/sweep/sweep_picture.hpp"

#include "ridge/base/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge::sweep {
namespace {

using testing::HasSubstr;

SweepResult sweep(const std::string& more) {
  return run_sweep(read_sweep(JsonDocument::parse(
                       R"({"kind": "sweep", "title": "Heads", "base": {"kind": "cost",
                           "model": "step-3", "chip": "h800", "context_tokens": 8192}, "axes": [
                           {"pointer": "/context_tokens", "values": [8192, 32768]},
                           {"pointer": "/model/attention/mfa/query_heads", "values": [32, 64]}],
                           "columns": ["effective_rank", "total_usd_per_Mtok"])" +
                           more + "}",
                       "x.json")),
                   {});
}

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

TEST(SweepPicture, HasADotForEveryRowAndOneLineForEveryGroupsFront) {
  const std::string svg = sweep_picture(sweep(R"(, "pareto": {"minimize": ["total_usd_per_Mtok"],
      "maximize": ["effective_rank"], "within": ["/context_tokens"]})"));
  // Fewer heads are cheaper and of lower rank: all four are on a front. Two more dots in the
  // legend.
  EXPECT_EQ(count(svg, "<circle"), 4U + 2U);
  EXPECT_EQ(count(svg, "<polyline"), 2U);
  EXPECT_THAT(svg, HasSubstr("context_tokens = 8192</text>"));
  EXPECT_THAT(svg, HasSubstr("<title>context_tokens = 32768, query_heads = 64</title>"));
  EXPECT_THAT(svg, HasSubstr("(less is better)"));
  EXPECT_THAT(svg, HasSubstr("theory"));
}

TEST(SweepPicture, NamesReferences) {
  const std::string svg = sweep_picture(sweep(R"(, "references": ["deepseek-v3"], "pareto":
      {"minimize": ["total_usd_per_Mtok"], "maximize": ["effective_rank"]})"));
  EXPECT_GE(count(svg, ">deepseek-v3</text>"), 1U);
  EXPECT_EQ(count(svg, "<path"), 2U);
}

TEST(SweepPicture, NeedsTwoObjectives) {
  for (const char* pareto : {"", R"(, "pareto": {"minimize": ["total_usd_per_Mtok"]})"}) {
    try {
      (void)sweep_picture(sweep(pareto));
      ADD_FAILURE();
    } catch (const UserError& error) {
      EXPECT_THAT(error.what(), HasSubstr("x.json: /pareto: a picture needs two objectives"));
    }
  }
}

}  // namespace
}  // namespace ridge::sweep
