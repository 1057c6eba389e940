// ridge show: derived quantities agree with the cost model; calibrations tell their kernels.
#include "identifier.hpp"
#include "ridge/answer/calibration_card.hpp"
#include "ridge/answer/chip_card.hpp"
#include "ridge/answer/model_card.hpp"
#include "ridge/hwmodels/theory/token_cost.hpp"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::answer {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class ModelCards : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Catalog, ModelCards, testing::ValuesIn(models::model_names()),
                         [](const auto& param) { return test::identifier_of(param.param); });

TEST_P(ModelCards, OperatorsAddUpToTheDemandOfAToken) {
  const models::ModelSpec model = models::load_model(GetParam());
  const double context = 5000;
  const json card =
      json::parse(model_card(model, {.context = context, .batch = 1}, view::OutputFormat::json));
  double attention = 0;
  double linear = 0;
  double ffn = 0;
  double cache = 0;
  for (const char* part : {"attention", "ffn"}) {
    for (const auto& block : card[part]) {
      const double layers = block["layers"];
      for (const auto& op : block["operators"]) {
        const double flop = layers * op["flop"].get<double>();
        if (op["part"] == "attention") attention += flop;
        if (op["part"] == "attention linear") linear += flop;
        if (op["part"] == "FFN") ffn += flop;
        cache += layers *
                 (op["cache_read_bytes"].get<double>() + op["cache_written_bytes"].get<double>());
      }
    }
  }
  const hw::theory::TokenDemand demand = hw::theory::TokenTimeModel().demand(model, context);
  EXPECT_NEAR(attention, demand.attention.value(), 1e-9 * attention);
  EXPECT_NEAR(linear, demand.attention_linear.value(), 1e-9 * linear);
  EXPECT_NEAR(ffn, demand.ffn.value(), 1e-9 * ffn);
  EXPECT_NEAR(cache, demand.cache.value(), 1e-9 * cache);
}

TEST_P(ModelCards, HoldsTheDerivedQuantities) {
  const models::ModelSpec model = models::load_model(GetParam());
  const json card = json::parse(model_card(model, {}, view::OutputFormat::json));
  EXPECT_EQ(card["kind"], "model");
  EXPECT_EQ(card["total_parameters"], model.total_parameters());
  EXPECT_EQ(card["active_parameters"], model.active_parameters());
  EXPECT_EQ(card["kv_bytes_per_token"], model.cache_bytes_per_token().value());
  EXPECT_EQ(card["effective_rank"], model.effective_rank());
  EXPECT_EQ(card["layers"], model.layers());
}

// Half of 24 layers see the last 128 tokens alone: 1,024 values of a token in each layer, one byte
// each, are 102 MB at 8K, and so 12.5 kB of it per token.
TEST(ModelCard, TellsTheCacheOfSlidingWindowsAtTheContext) {
  const std::string card =
      model_card(models::load_model("gpt-oss-20b"), {}, view::OutputFormat::table);
  EXPECT_NEAR(12.0 * 1024 * (8192 + 128), 102e6, 0.5e6);
  EXPECT_THAT(card, HasSubstr("12.5 kB per token; 102 MB at 8K"));
}

TEST(ChipCard, MarksWhatIsUnknownOrUnconfirmed) {
  hw::ChipSpec chip = hw::load_chip("l20");
  chip.memory.value.reset();
  const json card = json::parse(chip_card(chip, view::OutputFormat::json));
  EXPECT_TRUE(card["facts"]["memory_GB"]["value"].is_null());
  EXPECT_EQ(card["facts"]["memory_GB"]["absent"], false);
  EXPECT_EQ(card["facts"]["fp4_TFLOPps"]["absent"], true);
  EXPECT_EQ(card["facts"]["nic_bandwidth_GBps"]["unconfirmed"], true);
  EXPECT_TRUE(card["prices"].empty());
}

TEST(ChipCard, PricesAFlopAtTheRateThatDoesIt) {
  const json card = json::parse(chip_card(hw::load_chip("a800"), view::OutputFormat::json));
  // No FP8 units: BF16 arithmetic, so both cost the same.
  const auto& prices = card["prices"][0]["usd_per_flop"];
  EXPECT_EQ(prices["fp8"], prices["bf16"]);
  EXPECT_NEAR(prices["bf16"].get<double>(), 0.75 / 3600 / 312e12, 1e-24);
}

TEST(CalibrationCard, TellsTheKernelInUseItsAlternativesAndWhereACurveComesFrom) {
  const std::string card =
      calibration_card(hw::calibrated::load_calibration("h800"), view::OutputFormat::table);
  const auto line_of = [&](const std::string& words, std::size_t from) {
    const auto at = card.find(words, from);
    return at == std::string::npos ? std::string() : card.substr(at, card.find('\n', at) - at);
  };
  const auto slot = card.find("decode_attention bf16 head_dim 128");
  ASSERT_NE(slot, std::string::npos);
  EXPECT_EQ(line_of("flashinfer/fa3", slot), "flashinfer/fa3: used");
  EXPECT_THAT(line_of("sglang:fa3", slot), HasSubstr("not used: from the base; from h100, + 4"));
  EXPECT_THAT(line_of("flashmla/flashinfer", slot), HasSubstr("batch sizes left"));
  EXPECT_THAT(card, HasSubstr("\"kernel_model\": \"calibrated:h800\""));
}

TEST(CalibrationCard, AsJsonIsTheFileItself) {
  const auto calibration = hw::calibrated::load_calibration("a100");
  EXPECT_EQ(calibration_card(calibration, view::OutputFormat::json), to_json(calibration));
}

}  // namespace
}  // namespace ridge::answer
