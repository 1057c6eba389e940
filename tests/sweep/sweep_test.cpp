// What a sweep computes: which points, in which order, with which rows kept and flagged.
#include "ridge/sweep/sweep.hpp"

#include "ridge/sweep/sweep_output.hpp"

#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::sweep {
namespace {

using nlohmann::json;
using testing::ElementsAre;

SweepResult cost_sweep(const std::string& axes_and_more, const SweepOptions& options = {}) {
  return run_sweep(read_sweep(JsonDocument::parse(
                       R"({"kind": "sweep", "title": "t", "base": {"kind": "cost",
                           "model": "step-3", "chip": "h800", "afd_chips": ["h800", "h20"],
                           "context_tokens": 8192}, )" +
                           axes_and_more + "}",
                       "x.json")),
                   options);
}

std::string written(const SweepResult& result, view::OutputFormat format) {
  std::string text;
  write_sweep(result, format, {}, [&](std::string_view piece) { text += piece; });
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::size_t begin = 0;
  for (auto end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    out.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

TEST(Sweep, ProductTurnsTheLastAxisFastest) {
  const auto result = cost_sweep(R"("columns": ["effective_rank"], "axes": [
    {"pointer": "/model/attention/mfa/query_heads", "values": [1, 2]},
    {"pointer": "/model/attention/mfa/head_dim", "from": 10, "to": 30, "step": 10}])");
  EXPECT_THAT(lines_of(written(result, view::OutputFormat::csv)),
              ElementsAre("query_heads,head_dim,effective_rank", "1,10,10", "1,20,20", "1,30,30",
                          "2,10,20", "2,20,40", "2,30,60"));
}

TEST(Sweep, HeadersAreTheShortestEndsThatTellAxesApart) {
  const auto result = cost_sweep(R"("columns": ["effective_rank"], "axes": [
    {"pointer": "/model/attention/mfa/head_dim", "values": [64]},
    {"pointer": "/model/ffn/moe/experts", "values": [48]},
    {"pointer": "/chip/memory_bandwidth_TBps/value", "values": [2]},
    {"pointer": "/chip/nic_bandwidth_GBps/value", "values": [50]}])");
  EXPECT_EQ(lines_of(written(result, view::OutputFormat::csv))[0],
            "head_dim,experts,memory_bandwidth_TBps,nic_bandwidth_GBps,effective_rank");
}

TEST(Sweep, ATableShowsWholeNumbersWhole) {
  const auto result = cost_sweep(R"("columns": ["effective_rank", "total_usd_per_Mtok"], "axes": [
    {"pointer": "/model/attention/mfa/query_heads", "values": [1]},
    {"pointer": "/model/attention/mfa/head_dim", "values": [8]}])");
  EXPECT_THAT(written(result, view::OutputFormat::table), testing::ContainsRegex(" 8 +8 +0\\.0"));
}

TEST(Sweep, ZipTakesTheValuesOfAllAxesSideBySide) {
  const auto result = cost_sweep(R"("combine": "zip", "columns": ["effective_rank"], "axes": [
    {"pointer": "/model/attention/mfa/query_heads", "values": [1, 2, 3]},
    {"pointer": "/model/attention/mfa/head_dim", "from": 10, "to": 40, "factor": 2}])");
  EXPECT_THAT(lines_of(written(result, view::OutputFormat::csv)),
              ElementsAre("query_heads,head_dim,effective_rank", "1,10,10", "2,20,40", "3,40,120"));
}

TEST(Sweep, OneAxisMovesSeveralPointersTogether) {
  const auto result = cost_sweep(R"("columns": ["effective_rank"], "axes": [{"pointers":
    ["/model/attention/mfa/query_heads", "/model/attention/mfa/head_dim"],
    "values": [[2, 8], 4]}])");
  EXPECT_THAT(lines_of(written(result, view::OutputFormat::csv)),
              ElementsAre("query_heads,head_dim,effective_rank", "2,8,16", "4,4,16"));
}

TEST(Sweep, NamesTurnSlowestWhereverTheyAreListed) {
  const auto result = cost_sweep(R"("columns": ["ridge_point"], "axes": [
    {"pointer": "/context_tokens", "values": [1024, 2048]},
    {"pointer": "/chip", "values": ["h800", "h20"]}])");
  const auto text = lines_of(written(result, view::OutputFormat::csv));
  ASSERT_EQ(text.size(), 5U);
  EXPECT_EQ(text[0], "context_tokens,chip,ridge_point");
  EXPECT_TRUE(text[1].starts_with("1024,h800,")) << text[1];
  EXPECT_TRUE(text[2].starts_with("2048,h800,")) << text[2];
  EXPECT_TRUE(text[3].starts_with("1024,h20,")) << text[3];
}

TEST(Sweep, APairingTakesEachPartsCheapestChip) {
  const auto result = cost_sweep(R"("columns": ["afd_usd_per_Mtok", "afd_attention_usd_per_Mtok",
      "afd_ffn_usd_per_Mtok", "attention_usd_per_Mtok", "ffn_usd_per_Mtok", "total_usd_per_Mtok"],
    "axes": [{"pointer": "/chip", "values": ["h800", "h20"]}])");
  ASSERT_EQ(result.kept(), 2U);
  const auto& v = result.chunks()[0].values;
  EXPECT_EQ(v[1], std::min(v[3], v[9]));
  EXPECT_EQ(v[2], std::min(v[4], v[10]));
  EXPECT_NEAR(v[0], v[1] + v[2], 1e-12);
  EXPECT_LE(v[0], std::min(v[5], v[11]));
}

TEST(Sweep, AChipWithoutAPriceIsUnknownAndSaidToBe) {
  const auto result =
      cost_sweep(R"("columns": ["kv_bytes", "total_usd_per_Mtok", "attention_bound"],
    "axes": [{"pointer": "/chip", "values": ["h800", "tpu-v7"]}])");
  const auto text = lines_of(written(result, view::OutputFormat::csv));
  ASSERT_EQ(text.size(), 3U);
  if (!result.notes().empty()) {
    EXPECT_THAT(result.notes(), ElementsAre("tpu-v7: no cost: price unknown"));
    // What it waits for is known without a price.
    EXPECT_TRUE(text[2].ends_with(",,memory")) << text[2];
    EXPECT_EQ(
        json::parse(written(result, view::OutputFormat::json))["rows"][1]["total_usd_per_Mtok"],
        nullptr);
  } else {
    ADD_FAILURE() << "this test wants a chip without a price";
  }
}

TEST(Sweep, AnAxisMayMoveAKeyThatTheBaseLeavesOut) {
  const auto result = cost_sweep(R"("columns": ["kv_bytes_per_token", "ffn_usd_per_Mtok"], "axes": [
    {"pointer": "/model/attention/mfa/kv_heads", "values": [1, 2]},
    {"pointer": "/batch", "values": [1, 1e9]}])");
  const auto& v = result.chunks()[0].values;
  ASSERT_EQ(v.size(), 8U);
  EXPECT_EQ(2.0 * v[0], v[4]);
  EXPECT_GT(v[1], v[3]);
}

TEST(Sweep, FiltersKeepWhatLiesWithin) {
  const auto result = cost_sweep(R"("columns": ["effective_rank"],
    "filters": [{"column": "effective_rank", "equals": 100, "tolerance": 0.1}],
    "axes": [{"pointer": "/model/attention/mfa/query_heads", "values": [1]},
             {"pointer": "/model/attention/mfa/head_dim", "values": [89, 90, 100, 110, 111]}])");
  EXPECT_THAT(result.chunks()[0].values, ElementsAre(90, 100, 110));
}

TEST(Sweep, ReferencesFollowTheAxesThatDoNotReachIntoTheModel) {
  const auto result = cost_sweep(R"("columns": ["effective_rank"], "references": ["deepseek-v3"],
    "axes": [{"pointer": "/model/attention/mfa/query_heads", "values": [1, 2]},
             {"pointer": "/context_tokens", "values": [1024, 2048]}])");
  EXPECT_THAT(lines_of(written(result, view::OutputFormat::csv)),
              ElementsAre("reference,query_heads,context_tokens,effective_rank", ",1,1024,256",
                          ",1,2048,256", ",2,1024,512", ",2,2048,512", "deepseek-v3,,1024,16384",
                          "deepseek-v3,,2048,16384"));
  const json parsed = json::parse(written(result, view::OutputFormat::json));
  EXPECT_EQ(parsed["rows"].size(), 4U);
  EXPECT_EQ(parsed["references"].size(), 2U);
  EXPECT_EQ(parsed["references"][0]["reference"], "deepseek-v3");
  EXPECT_EQ(parsed["references"][0]["query_heads"], nullptr);
  EXPECT_EQ(parsed["provenance"], "theory");
}

TEST(Sweep, AReferenceIsOnTheFrontIfNoPointOfItsContextBeatsIt) {
  // More heads of the same width only cost more, so one head is the front at either context.
  const auto result = cost_sweep(R"("columns": ["attention_usd_per_Mtok"],
    "references": ["step-3"], "pareto": {"minimize": ["attention_usd_per_Mtok"],
    "within": ["/context_tokens"]},
    "axes": [{"pointer": "/context_tokens", "values": [1024, 8192]},
             {"pointer": "/model/attention/mfa/query_heads", "values": [32, 64, 128]}])");
  const json parsed = json::parse(written(result, view::OutputFormat::json));
  std::vector<bool> flags;
  for (const auto& row : parsed["rows"]) flags.push_back(row["pareto"]);
  EXPECT_THAT(flags, ElementsAre(true, false, false, true, false, false));
  EXPECT_EQ(parsed["references"][0]["pareto"], false);
  EXPECT_EQ(parsed["references"][1]["pareto"], false);
}

TEST(Sweep, ANumberOfAChipMovesItsCost) {
  const auto result = cost_sweep(R"("columns": ["ridge_point", "total_usd_per_Mtok"],
    "axes": [{"pointer": "/chip/memory_bandwidth_TBps/value", "values": [1, 2, 4]},
             {"pointer": "/chip/prices/0/rate_USD_per_hour", "values": [1, 2]}])");
  const auto& v = result.chunks()[0].values;
  ASSERT_EQ(v.size(), 12U);
  EXPECT_EQ(v[0], 2.0 * v[4]);
  EXPECT_GT(v[1], v[5]);
  EXPECT_DOUBLE_EQ(2.0 * v[1], v[3]);
  EXPECT_THAT(lines_of(written(result, view::OutputFormat::csv))[0],
              "memory_bandwidth_TBps,rate_USD_per_hour,ridge_point,"
              "total_usd_per_Mtok");
}

TEST(Sweep, TheTableShowsTheFront) {
  const auto result = cost_sweep(R"("columns": ["effective_rank"],
    "pareto": {"minimize": ["effective_rank"]},
    "axes": [{"pointer": "/model/attention/mfa/query_heads", "values": [3, 1, 2]}])");
  const std::string table = written(result, view::OutputFormat::table);
  EXPECT_THAT(table, testing::HasSubstr("theory: 3 points, 3 kept; below the 1 on the Pareto"));
  EXPECT_THAT(table, testing::HasSubstr(" 256  yes"));
  EXPECT_EQ(table.find(" 768"), std::string::npos);
}

TEST(Sweep, AStoppedSweepHasNoResult) {
  const std::atomic<bool> stop{true};
  EXPECT_THROW((void)cost_sweep(R"("axes": [{"pointer": "/context_tokens", "values": [1, 2]}])",
                                {.threads = 2, .stop = &stop}),
               Interrupted);
}

}  // namespace
}  // namespace ridge::sweep
