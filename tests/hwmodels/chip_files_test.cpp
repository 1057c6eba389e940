// The shipped accelerators: their schema and their sources.
#include "identifier.hpp"
#include "json_schema.hpp"
#include "mutation.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "source_tree.hpp"

#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::hw {
namespace {

using nlohmann::json;

json shipped(const std::string& name) {
  return json::parse(test::source_text("hwmodels/data/chips/" + name + ".json"));
}

// What the reader says of a document.
std::vector<std::string> problems(const json& document) {
  Diagnostics diagnostics;
  const JsonContext context{.file = "chip.json", .diagnostics = &diagnostics};
  ChipSpec chip;
  read_chip(JsonNode(document, context), chip);
  return diagnostics.errors();
}

class ShippedChip : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Catalog, ShippedChip, testing::ValuesIn(chip_names()),
                         [](const auto& param) { return test::identifier_of(param.param); });

TEST_P(ShippedChip, IsValidByItsSchemaAndItsReader) {
  static const test::JsonSchema schema("chip");
  const json document = shipped(GetParam());
  EXPECT_EQ(schema.violations(document), "");
  EXPECT_TRUE(problems(document).empty());
  EXPECT_EQ(document.value("name", ""), GetParam());
  EXPECT_EQ(document.value("$schema", ""), "../../../docs/schema/chip.schema.json");
}

TEST_P(ShippedChip, TheSchemaAndTheReaderRefuseTheSameMistakes) {
  static const test::JsonSchema schema("chip");
  int invalid = 0;
  for (const auto& [description, document] : test::mutations(shipped(GetParam()))) {
    const bool accepted = schema.accepts(document);
    EXPECT_EQ(accepted, problems(document).empty()) << description << "\n"
                                                    << schema.violations(document);
    if (!accepted) ++invalid;
  }
  EXPECT_GT(invalid, 300);
}

TEST_P(ShippedChip, EveryFigureHasASource) {
  const json document = shipped(GetParam());
  const json flat = document.flatten();
  int figures = 0;
  for (const auto& item : flat.items()) {
    const json::json_pointer pointer(item.key());
    if (!item.value().is_number()) continue;
    ++figures;
    const json& source = document.at(pointer.parent_pointer() / "source");
    EXPECT_GE(source.get<std::string>().size(), 6U) << item.key();
  }
  EXPECT_GE(figures, 4);
}

TEST_P(ShippedChip, KnowsWhatTheRooflineNeeds) {
  const ChipSpec chip = load_chip(GetParam());
  EXPECT_TRUE(chip.memory_bandwidth.value.has_value());
  EXPECT_TRUE(chip.rate_for(Precision::bf16).has_value());
  EXPECT_TRUE(chip.ridge_point(Precision::fp8).has_value());
}

// Slips by a factor of 1,000 are the usual ones in data like this.
TEST_P(ShippedChip, FiguresAreOfTheRightOrder) {
  const ChipSpec chip = load_chip(GetParam());
  EXPECT_GT(chip.ridge_point(Precision::bf16)->value(), 20.0);
  EXPECT_LT(chip.ridge_point(Precision::bf16)->value(), 1000.0);
  for (const auto precision : {Precision::fp8, Precision::fp4}) {
    const auto& rate = chip.matrix_rate[static_cast<std::size_t>(precision)].value;
    if (rate) {
      EXPECT_GE(rate->value(), chip.rate_for(Precision::bf16)->value());
      EXPECT_LE(rate->value(), 8.0 * chip.rate_for(Precision::bf16)->value());
    }
  }
  for (const Price& price : chip.prices) {
    EXPECT_GT(price.rate.value() * 3600.0, 0.1);
    EXPECT_LT(price.rate.value() * 3600.0, 100.0);
  }
}

TEST(ChipCatalog, TellsAMistypedNameTheNearestOne) {
  try {
    (void)load_chip("h80");
    FAIL() << "an unknown chip was loaded";
  } catch (const UserError& e) {
    EXPECT_NE(std::string(e.what()).find("did you mean \"h800\"?"), std::string::npos) << e.what();
  }
}

// No such unit and nobody-knows are different things, and neither is a zero.
TEST(ChipSpec, AFactIsANumberOrUnknownOrNone) {
  json chip = shipped("h800");
  for (const char* word : {"unknown", "none"}) {
    chip["l2_cache_MB"]["value"] = word;
    EXPECT_TRUE(problems(chip).empty()) << word;
  }
  chip["l2_cache_MB"]["value"] = "fifty";
  ASSERT_EQ(problems(chip).size(), 1U);
  EXPECT_EQ(problems(chip).front(),
            "chip.json: /l2_cache_MB/value: expected a number, \"unknown\" or \"none\", got "
            "\"fifty\"");
  chip["l2_cache_MB"]["value"] = 0;
  EXPECT_EQ(problems(chip).size(), 1U);
}

// Section 4.2 of the Step-3 report: chips without FP8 store eight bits and multiply in BF16.
TEST(ChipSpec, WithoutFp8UnitsItMultipliesInBf16) {
  const ChipSpec chip = load_chip("a800");
  EXPECT_EQ(chip.compute_for(Precision::fp8), Precision::bf16);
  EXPECT_EQ(chip.rate_for(Precision::fp8)->value(), chip.rate_for(Precision::bf16)->value());
  EXPECT_EQ(load_chip("h800").compute_for(Precision::fp8), Precision::fp8);
}

// arXiv 2507.19427 table 4.
TEST(ChipSpec, AThirdOfItsComputeUnitsMultipliesAThirdAsFastFromTheSameMemory) {
  const ChipSpec whole = load_chip("h100");
  const ChipSpec third = with_compute_units(whole, 44);
  EXPECT_EQ(third.compute_units.value, 44);
  EXPECT_DOUBLE_EQ(*third.rate_for(Precision::fp8) / *whole.rate_for(Precision::fp8), 1.0 / 3);
  EXPECT_EQ(third.memory_bandwidth.value, whole.memory_bandwidth.value);
  EXPECT_EQ(third.nic_bandwidth.value, whole.nic_bandwidth.value);
}

TEST(ChipSpec, RidgePointsAreThePapers) {
  EXPECT_NEAR(load_chip("h800").ridge_point(Precision::fp8)->value(), 591.0, 0.5);
  EXPECT_NEAR(load_chip("h20").ridge_point(Precision::fp8)->value(), 74.0, 0.5);
  EXPECT_NEAR(load_chip("a800").ridge_point(Precision::fp8)->value(), 156.0, 0.5);
  EXPECT_NEAR(load_chip("ascend-910b").ridge_point(Precision::fp8)->value(), 175.0, 0.5);
}

TEST(ChipSpec, AnUnpricedChipHasNoPriceRatherThanNone) {
  EXPECT_EQ(load_chip("l20").price(), nullptr);
  EXPECT_EQ(load_chip("h800").price("no-such-list"), nullptr);
  ASSERT_NE(load_chip("h100").price("lambda"), nullptr);
}

}  // namespace
}  // namespace ridge::hw
