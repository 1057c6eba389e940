// What must hold of costs whatever the model, the chip and the context.
#include "property.hpp"
#include "ridge/hwmodels/theory/token_cost.hpp"

#include <map>

namespace ridge::hw::theory {
namespace {

const std::vector<models::ModelSpec>& shipped_models() {
  static const auto models = [] {
    std::vector<models::ModelSpec> out;
    for (const auto& name : models::model_names()) out.push_back(models::load_model(name));
    return out;
  }();
  return models;
}

// A chip that no data sheet describes.
struct AnyChip {
  ChipSpec spec;
  UsdPerSecond price;
};

AnyChip any_chip() {
  AnyChip chip;
  const auto magnitude = [] { return static_cast<double>(*rc::gen::inRange(1, 1000000)); };
  chip.spec.memory_bandwidth.value = BytesPerSecond{magnitude() * 1e8};
  chip.spec.matrix_rate[static_cast<std::size_t>(models::Precision::bf16)].value =
      FlopPerSecond{magnitude() * 1e10};
  if (*rc::gen::arbitrary<bool>()) {
    chip.spec.matrix_rate[static_cast<std::size_t>(models::Precision::fp8)].value =
        FlopPerSecond{magnitude() * 1e10};
  }
  chip.price = UsdPerSecond{magnitude() * 1e-8};
  return chip;
}

const models::ModelSpec& any_model() {
  return shipped_models()[*rc::gen::inRange<std::size_t>(0, shipped_models().size())];
}

double any_context() {
  return *rc::gen::inRange(1, 10000000);
}

double any_gain() {
  return 1.0 + *rc::gen::inRange(0, 1000) / 100.0;
}

CostAssumptions any_assumptions() {
  CostAssumptions assumptions;
  if (*rc::gen::arbitrary<bool>()) assumptions.batch = *rc::gen::inRange(1, 4096);
  if (*rc::gen::arbitrary<bool>()) assumptions.mla_count = models::MlaCount::step3;
  return assumptions;
}

TokenCost cost(const models::ModelSpec& model, const AnyChip& chip, double context,
               const CostAssumptions& assumptions) {
  return cost_of(TokenTimeModel(assumptions).time(model, RooflineChip(chip.spec), context),
                 chip.price);
}

// Rounding keeps order, so these hold to the last bit.
void assert_no_dearer(const TokenCost& better, const TokenCost& worse) {
  RC_ASSERT(better.attention <= worse.attention);
  RC_ASSERT(better.ffn <= worse.ffn);
  RC_ASSERT(better.total() <= worse.total());
}

TEST(TokenCost, MoreBandwidthNeverCostsMore) {
  test::expect_property("more bandwidth never costs more", [] {
    const auto& model = any_model();
    const double context = any_context();
    const CostAssumptions assumptions = any_assumptions();
    AnyChip chip = any_chip();
    const TokenCost before = cost(model, chip, context, assumptions);
    *chip.spec.memory_bandwidth.value *= any_gain();
    assert_no_dearer(cost(model, chip, context, assumptions), before);
  });
}

TEST(TokenCost, MoreFlopPerSecondNeverCostMore) {
  test::expect_property("more FLOP/s never cost more", [] {
    const auto& model = any_model();
    const double context = any_context();
    const CostAssumptions assumptions = any_assumptions();
    AnyChip chip = any_chip();
    const TokenCost before = cost(model, chip, context, assumptions);
    for (auto& rate : chip.spec.matrix_rate) {
      if (rate.value && *rc::gen::arbitrary<bool>()) *rate.value *= any_gain();
    }
    assert_no_dearer(cost(model, chip, context, assumptions), before);
  });
}

TEST(TokenCost, ALowerPriceNeverCostsMore) {
  test::expect_property("a lower price never costs more", [] {
    const auto& model = any_model();
    const double context = any_context();
    const CostAssumptions assumptions = any_assumptions();
    AnyChip chip = any_chip();
    const TokenCost before = cost(model, chip, context, assumptions);
    chip.price /= any_gain();
    assert_no_dearer(cost(model, chip, context, assumptions), before);
  });
}

TEST(TokenCost, ALongerContextNeverCostsLess) {
  test::expect_property("a longer context never costs less", [] {
    const auto& model = any_model();
    const double context = any_context();
    const CostAssumptions assumptions = any_assumptions();
    const AnyChip chip = any_chip();
    const TokenCost before = cost(model, chip, context, assumptions);
    const double longer = context + *rc::gen::inRange(0, 100000);
    assert_no_dearer(before, cost(model, chip, longer, assumptions));
  });
}

TEST(TokenCost, ALargerBatchNeverCostsMorePerToken) {
  test::expect_property("a larger batch never costs more per token", [] {
    const auto& model = any_model();
    const double context = any_context();
    const AnyChip chip = any_chip();
    CostAssumptions small;
    small.batch = *rc::gen::inRange(1, 4096);
    CostAssumptions large;
    large.batch = *small.batch + *rc::gen::inRange(0, 4096);
    const TokenCost dear = cost(model, chip, context, small);
    const TokenCost cheap = cost(model, chip, context, large);
    // Both are sums of quotients, each rounded.
    constexpr double kRounding = 1.0 + 1e-12;
    RC_ASSERT(cheap.attention <= dear.attention * kRounding);
    RC_ASSERT(cheap.ffn <= dear.ffn * kRounding);
  });
}

}  // namespace
}  // namespace ridge::hw::theory
