// The Step-3 report (arXiv 2507.19427), cell by cell.
#include "ridge/evidence/reproduction.hpp"

#include "json_schema.hpp"
#include "ridge/base/error.hpp"
#include "source_tree.hpp"
#include "temporary_file.hpp"

#include <map>
#include <set>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::evidence {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const Reproduction& step3() {
  static const Reproduction reproduction = reproduce("step3");
  return reproduction;
}

json step3_file() {
  return json::parse(test::source_text("scenarios/reproduce/step3.json"));
}

Reproduction reproduce_changed(const json& document) {
  const test::TemporaryFile file("changed.json", document.dump());
  return reproduce(file.path());
}

std::string problem_with(const json& document) {
  try {
    (void)reproduce_changed(document);
  } catch (const UserError& e) {
    return e.what();
  }
  return "no problem";
}

// {matches, cells} by table.
std::map<std::string, std::pair<int, int>> counts(const Reproduction& reproduction) {
  std::map<std::string, std::pair<int, int>> out;
  for (const auto& cell : reproduction.cells) {
    auto& [matches, cells] = out[cell.table];
    ++cells;
    if (cell.matches) ++matches;
  }
  return out;
}

TEST(Step3Reproduction, EveryTableMatchesInAsManyCellsAsExpected) {
  const std::map<std::string, std::pair<int, int>> expected = {
      {"table 1", {4, 4}},
      {"table 2", {36, 36}},
      {"table 3", {36, 36}},
      {"table 4", {18, 18}},
      {"table 5", {7, 8}},
      {"table 6", {108, 108}},
      {"table 6, parameters", {7, 7}},
      {"table 7", {4, 4}},
      {"figure 1", {9, 9}},
      {"figure 1, parameters", {9, 9}},
      {"figure 2", {40, 40}},
      {"figure 2, claim", {8, 10}},
      {"figure 3", {17, 18}},
      {"figure 4", {4, 6}},
      {"figure 5", {15, 16}},
      {"section 4.2", {6, 6}},
      {"section 4.2, claim", {1, 4}},
      {"section 5.1", {9, 9}},
      {"section 5.2", {0, 1}},
      {"section 5.4", {6, 7}},
      {"section 6", {8, 15}},
  };
  EXPECT_EQ(counts(step3()), expected);
}

TEST(Step3Reproduction, WhatDiffersIsASlipOfTheReport) {
  for (const auto& cell : step3().cells) {
    EXPECT_EQ(cell.matches, cell.slip.empty())
        << cell.table << ", " << cell.row << ", " << cell.column;
    EXPECT_EQ(cell.matches, cell.paper_text == cell.ridge_text);
  }
}

TEST(Step3Reproduction, TheReportsSlipsAreNotImitated) {
  std::set<std::string> slips;
  for (const auto& cell : step3().cells) {
    if (!cell.slip.empty()) slips.insert(cell.table + ": " + cell.row + ": " + cell.ridge_text);
  }
  for (const char* slip : {"table 5: H800: 2.81e-19", "figure 3: Llama 4 M: 1.177",
                           "figure 5: H800: 591", "section 5.2: full layers of MM M1: 10",
                           "section 6: cards: 128", "figure 2, claim: Qwen3 32B: 2"}) {
    EXPECT_TRUE(slips.contains(slip)) << slip;
  }
}

TEST(Step3Reproduction, CellsAreNamedOnce) {
  std::set<std::string> names;
  for (const auto& cell : step3().cells) {
    EXPECT_TRUE(names.insert(cell.table + "|" + cell.row + "|" + cell.column).second)
        << cell.table << ", " << cell.row << ", " << cell.column;
  }
}

// The counts above could not fail if matching were too generous.
TEST(Step3Reproduction, OneUnitInTheLastDigitIsADifference) {
  json document = step3_file();
  for (auto& table : document["tables"]) {
    if (table["id"] != "table 6") continue;
    for (auto& row : table["rows"]) {
      for (auto& figure : row["paper"]) figure = figure.get<double>() + 0.001;
    }
  }
  const auto count = counts(reproduce_changed(document)).at("table 6");
  EXPECT_EQ(count, std::make_pair(0, 108));
}

TEST(Step3Reproduction, TheTrueCountOfMlaDiffersFromTheReportsOnMlaModelsOnly) {
  json document = step3_file();
  document["assumptions"]["mla_count"] = "absorbed";
  std::set<std::string> differing;
  for (const auto& cell : reproduce_changed(document).cells) {
    if (cell.table == "table 2" && !cell.matches) differing.insert(cell.row + " " + cell.column);
  }
  EXPECT_EQ(differing, (std::set<std::string>{"DSv3 attn", "Kimi K2 attn"}));
}

TEST(Step3Reproduction, JsonHoldsEveryCell) {
  const json out = json::parse(render(step3(), view::OutputFormat::json));
  EXPECT_EQ(out["provenance"], "theory");
  EXPECT_EQ(out["cells"].size(), step3().cells.size());
  for (const auto& cell : out["cells"]) {
    for (const char* key : {"table", "row", "column", "paper", "ridge", "matches", "slip"}) {
      EXPECT_TRUE(cell.contains(key)) << key;
    }
  }
  EXPECT_EQ(out["summary"]["unexplained"], 0);
}

TEST(ReproductionFile, IsValidByItsSchema) {
  EXPECT_EQ(test::JsonSchema("reproduction").violations(step3_file()), "");
}

TEST(ReproductionFile, SchemaKnowsTheSameWordsAsTheReader) {
  const test::JsonSchema schema("reproduction");
  for (const auto& [key, value] : {std::pair{"quantity", "kv_byte"}, std::pair{"unit", "GiB"},
                                   std::pair{"digits", "3"}, std::pair{"mode", "x"}}) {
    json document = step3_file();
    document["tables"][1]["columns"][0][key] = value;
    EXPECT_NE(schema.violations(document), "") << key;
    EXPECT_NE(problem_with(document), "no problem") << key;
  }
}

TEST(ReproductionFile, ASlipThatAgreesIsAnError) {
  json document = step3_file();
  document["tables"][1]["slips"] = {{{"row", "DSv3"}, {"column", "KV"}, {"why", "made up"}}};
  EXPECT_THAT(problem_with(document), HasSubstr("/tables/1/slips/0: no figure at row \"DSv3\""));
}

TEST(ReproductionFile, AnUnknownQuantityNamesTheNearest) {
  json document = step3_file();
  document["tables"][1]["columns"][0]["quantity"] = "kv_byte";
  EXPECT_THAT(problem_with(document), HasSubstr("did you mean \"kv_bytes\"?"));
}

TEST(ReproductionFile, AQuantityIsNotMeasuredInAnotherDimension) {
  json document = step3_file();
  document["tables"][1]["columns"][0]["unit"] = "ms";
  EXPECT_THAT(problem_with(document), HasSubstr("which is not measured in \"ms\""));
}

TEST(ReproductionFile, AQuantityNamesWhatItLacks) {
  json document = step3_file();
  document["tables"][1]["rows"][0].erase("model");
  EXPECT_THAT(problem_with(document),
              HasSubstr("/tables/1/rows/0/paper/0: quantity \"kv_bytes\" needs \"model\""));
}

TEST(ReproductionFile, ARowHasOneFigureForEachColumn) {
  json document = step3_file();
  document["tables"][1]["rows"][0]["paper"] = {1.0};
  EXPECT_THAT(problem_with(document), HasSubstr("expected 4 figures"));
}

}  // namespace
}  // namespace ridge::evidence
