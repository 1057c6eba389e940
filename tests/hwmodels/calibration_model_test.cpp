// What a calibration answers: from its curve within the range, with a wider error outside, and
// never less for more work where physics forbids it.
#include "json_schema.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/base/random.hpp"
#include "ridge/hwmodels/calibrated/calibrated_model.hpp"
#include "ridge/hwmodels/calibrated/kernel_facts.hpp"
#include "shipped_calibrations.hpp"
#include "source_tree.hpp"
#include "temporary_file.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::hw::calibrated {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ChipSpec chip_named(const std::string& name, double memory_TBps = 3.0, double bf16_TFLOPps = 900) {
  ChipSpec chip;
  chip.name = name;
  chip.generation = "test";
  chip.compute_units.value = 100;
  chip.memory_bandwidth.value = BytesPerSecond{memory_TBps * 1e12};
  chip.scale_up_bandwidth.value = BytesPerSecond{450e9};
  chip.nic_bandwidth.value = BytesPerSecond{50e9};
  chip.chips_per_server.value = 8;
  chip.matrix_rate[static_cast<std::size_t>(Precision::bf16)].value =
      FlopPerSecond{bf16_TFLOPps * 1e12};
  chip.matrix_rate[static_cast<std::size_t>(Precision::fp8)].value =
      FlopPerSecond{2 * bf16_TFLOPps * 1e12};
  return chip;
}

template <typename Form>
Curve curve_of(Family family, Format format, std::int64_t head_dim = 0) {
  Fitted<Form> fitted;
  for (std::size_t j = 0; j < fitted.p.size(); ++j) fitted.p[j] = Form::parameters()[j].initial;
  Curve curve;
  curve.key = {.family = family, .format = format, .head_dim = head_dim, .kernel = "made-up"};
  curve.fitted = fitted;
  curve.held_out = {
      .p50 = 0.04,
      .p90 = 0.12,
      .worst = 0.4,
      .in_sample_p50 = 0.03,
      .measurements = 1000,
      .groups = 20,
      .folds = 5,
      .by_shape = true,
      .draw_sigma = 0.06,
      .coverage_90 = 0.9,
      .by_rows = {{.from = 1, .to = 15, .p50 = 0.03, .p90 = 0.1, .measurements = 400},
                  {.from = 16, .to = 64, .p50 = 0.05, .p90 = 0.2, .measurements = 600}}};
  curve.spread.assign(fitted.p.size() * fitted.p.size(), 0.0);
  for (std::size_t j = 0; j < fitted.p.size(); ++j) curve.spread[j * fitted.p.size() + j] = 0.02;
  curve.sources = {{.file = "folder/made_up.csv", .rows = 1000}};
  curve.outliers = {{.where = "folder/made_up.csv:7", .measured_us = 10, .predicted_us = 20}};
  curve.outlier_count = 3;
  return curve;
}

Calibration whole() {
  Calibration c;
  c.name = "made-up";
  c.chip = "testchip";
  c.machine = machine_of(chip_named("testchip"));
  c.source = "made up";
  for (const std::int64_t head_dim : {64, 128, 256}) {
    for (const Format format : {Format::bf16, Format::fp8}) {
      Curve curve = curve_of<DecodeAttentionForm>(Family::decode_attention, format, head_dim);
      curve.ranges = {{"sequences", 1, 1024},
                      {"context", 2, 131072},
                      {"query_rows", 1, 128},
                      {"kv_heads", 1, 64}};
      c.curves.push_back(curve);
    }
  }
  c.curves.push_back(curve_of<DecodeAttentionForm>(Family::latent_attention, Format::bf16, 576));
  for (const Format format : {Format::bf16, Format::fp8_block}) {
    Curve gemm = curve_of<GemmForm>(Family::gemm, format);
    gemm.ranges = {{"m", 1, 8192}, {"n", 32, 65536}, {"k", 32, 65536}, {"batch", 1, 1}};
    c.curves.push_back(gemm);
    c.curves.push_back(curve_of<GroupedGemmForm>(Family::moe_layer, format));
  }
  c.curves.push_back(curve_of<CollectiveForm>(Family::all_reduce, Format::any));
  c.curves.push_back(curve_of<CollectiveForm>(Family::all_to_all, Format::any));
  c.curves.push_back(curve_of<ExpertExchangeForm>(Family::expert_dispatch, Format::any));
  c.curves.push_back(curve_of<ElementwiseForm>(Family::elementwise, Format::any));
  return c;
}

models::DecodeAttention attention(double sequences, double context) {
  return {.sequences = sequences,
          .context = context,
          .query_heads = 64,
          .kv_heads = 4,
          .qk_dim = 128,
          .v_dim = 128,
          .cache_values_per_token = 2 * 4 * 128};
}

std::vector<models::Operator> one_of_each() {
  return {
      {.name = "attention", .shape = attention(64, 8192)},
      {.name = "mla",
       .shape = models::DecodeAttention{.kind = models::DecodeAttention::Kind::latent,
                                        .sequences = 32,
                                        .context = 4096,
                                        .query_heads = 128,
                                        .kv_heads = 1,
                                        .qk_dim = 576,
                                        .v_dim = 512,
                                        .cache_values_per_token = 576}},
      {.name = "gemm", .shape = models::Gemm{.m = 128, .n = 4096, .k = 7168}},
      {.name = "grouped",
       .shape = models::GroupedGemm{.rows = 1024,
                                    .experts = 32,
                                    .active_experts = 30,
                                    .tokens = 128,
                                    .routed_rows = 1024,
                                    .n = 4096,
                                    .k = 7168}},
      {.name = "norm", .shape = models::Elementwise{.values_read = 1e6, .values_written = 1e6}},
      {.name = "state",
       .shape = models::StateUpdate{.sequences = 8, .heads = 32, .key_dim = 128, .value_dim = 128}},
      {.name = "all_reduce", .shape = models::Collective{.ranks = 8, .payload = Bytes{1e6}}},
      {.name = "dispatch",
       .shape =
           models::Collective{
               .kind = models::Collective::Kind::all_to_all, .ranks = 64, .payload = Bytes{7e6}}},
      {.name = "send", .shape = models::PointToPoint{.payload = Bytes{1e6}}},
  };
}

models::Operator op(const models::Shape& shape) {
  return {.name = "op", .shape = shape};
}

TEST(CalibratedModel, EveryOperatorTakesAPositiveTimeWithAnError) {
  const auto model = calibrated_model(chip_named("testchip"), whole());
  for (const auto& each : one_of_each()) {
    const Timing timing = model->time(each);
    EXPECT_GT(timing.time.value(), 0.0) << each.name;
    EXPECT_LT(timing.time.value(), 1.0) << each.name;
    EXPECT_GT(timing.error, 0.0) << each.name;
  }
}

TEST(CalibratedModel, LongerContextAndMoreSequencesNeverTakeLessOnALoadedChip) {
  const auto model = calibrated_model(chip_named("testchip"), whole());
  double last = 0.0;
  for (double context = 8192; context <= 131072; context += 1000) {
    const double us = model->time(op(attention(128, context))).time.value();
    EXPECT_GE(us, last) << context;
    last = us;
  }
  last = 0.0;
  for (double sequences = 33; sequences <= 1024; sequences += 1) {
    const double us = model->time(op(attention(sequences, 8192))).time.value();
    EXPECT_GE(us, last) << sequences;
    last = us;
  }
}

// But for a last row of tiles: its loads are slow by the rows that it lacks, so that, as measured,
// time falls until it is full (GemmForm.ALastRowOfTilesCostsTheRowsItLacks).
TEST(CalibratedModel, WiderAndDeeperProductsNeverTakeLess) {
  Calibration full = whole();
  for (Curve& curve : full.curves) {
    if (curve.key.family == Family::gemm) values_of(curve.fitted)[GemmForm::ragged_us] = 1e-12;
  }
  const auto model = calibrated_model(chip_named("testchip"), full);
  for (const Precision compute : {Precision::bf16, Precision::fp8}) {
    models::Gemm gemm{.m = 1, .n = 512, .k = 512, .weights = compute, .compute = compute};
    const auto rises = [&](auto&& grow, const char* what) {
      gemm.m = 100;
      gemm.n = 512;
      gemm.k = 512;
      double last = 0.0;
      for (int i = 0; i < 400; ++i) {
        const double us = model->time(op(gemm)).time.value();
        EXPECT_GE(us, last * (1 - 1e-12)) << what << " step " << i;
        last = us;
        grow();
      }
    };
    rises([&] { gemm.m += 17; }, "m");
    rises([&] { gemm.n += 64; }, "n");
    rises([&] { gemm.k += 64; }, "k");
  }
}

TEST(CalibratedModel, NeverFasterThanTheDataSheet) {
  const auto model = calibrated_model(chip_named("testchip"), whole());
  const auto theory = theoretical_model(chip_named("testchip"));
  // Beyond what caches hold.
  for (const auto& shape :
       {op(attention(512, 16384)), op(models::Gemm{.m = 8192, .n = 8192, .k = 8192}),
        op(models::Elementwise{.values_read = 1e9, .values_written = 1e9})}) {
    EXPECT_GE(model->time(shape).time, theory->time(shape).time);
  }
}

// Whatever its shape has in common with one that has a curve.
TEST(CalibratedModel, AKindOfKernelWithoutACurveIsARooflineNeverAnotherKindsCurve) {
  const auto model = calibrated_model(chip_named("testchip"), whole());
  using Kind = models::DecodeAttention::Kind;
  for (const Kind kind : {Kind::sparse_latent, Kind::compressed_sparse, Kind::compressed,
                          Kind::block_sparse, Kind::index_scores}) {
    // 4 TB to read at 0.7 of 3 TB/s, behind the 2.5 us of an element-wise launch.
    models::DecodeAttention shape{.kind = kind,
                                  .sequences = 1000,
                                  .context = 1e6,
                                  .query_heads = 1,
                                  .kv_heads = 1,
                                  .qk_dim = 576,
                                  .v_dim = 512,
                                  .cache_values_per_token = 2000};
    const Timing timing = model->time(op(shape));
    EXPECT_NEAR(timing.time.value(), 2.5e-6 + 4e12 / (0.7 * 3e12), 1e-5);
    EXPECT_EQ(timing.error, 0.5);
    EXPECT_FALSE(timing.within_range);
    EXPECT_TRUE(model->explain(op(shape)).empty());
  }
}

TEST(CalibratedModel, TheSameShapeAsHeadsAndAsALatentHasTheCurveOfItsKind) {
  Calibration c = whole();
  for (Curve& curve : c.curves) {
    if (curve.key.family == Family::latent_attention) {
      values_of(curve.fitted)[DecodeAttentionForm::launch_us] = 50.0;
    }
  }
  const auto model = calibrated_model(chip_named("testchip"), c);
  models::DecodeAttention shape = attention(1, 16);
  const double heads = model->time(op(shape)).time.value();
  shape.kind = models::DecodeAttention::Kind::latent;
  EXPECT_GT(model->time(op(shape)).time.value(), heads + 30e-6);
}

// FlashAttention-3 by the name that SGLang's tables give it, which facts of kernels know.
Calibration of_latent_kernels(Format format) {
  Calibration c = whole();
  for (const char* kernel : {"sglang:flash_attention", "nobody:knows"}) {
    c.curves.push_back(curve_of<DecodeAttentionForm>(Family::latent_attention, format, 576));
    c.curves.back().key.kernel = kernel;
  }
  values_of(c.curves.back().fitted)[DecodeAttentionForm::launch_us] = 0.5;
  return c;
}

models::DecodeAttention latent(models::DecodeAttention::Kind kind, double context) {
  return {.kind = kind,
          .sequences = 32,
          .context = context,
          .query_heads = 128,
          .kv_heads = 1,
          .qk_dim = 576,
          .v_dim = 512,
          .cache_values_per_token = 576};
}

TEST(CalibratedModel, AKernelThatAttendsToChosenTokensTooAnswersForThem) {
  using Kind = models::DecodeAttention::Kind;
  const auto chosen = op(latent(Kind::sparse_latent, 2048));
  Calibration c = of_latent_kernels(Format::bf16);
  const auto alone = calibrated_model(chip_named("testchip"), c);
  EXPECT_EQ(alone->kernel(chosen), "sglang:flash_attention") << "the other's facts are not known";
  const Timing dense = [&] {
    Calibration only = c;
    prefer(only, {"sglang:flash_attention"});
    return calibrated_model(chip_named("testchip"), only)->time(op(latent(Kind::latent, 2048)));
  }();
  EXPECT_EQ(alone->time(chosen).time, dense.time);
  EXPECT_TRUE(alone->time(chosen).within_range);
  EXPECT_NEAR(alone->time(chosen).error, dense.error + 0.10, 1e-12);

  // Beside a kernel that was measured over chosen tokens, the faster of the two.
  c.curves.push_back(
      curve_of<DecodeAttentionForm>(Family::sparse_latent_attention, Format::bf16, 576));
  c.curves.back().key.kernel = "its:own";
  double& launch_us = values_of(c.curves.back().fitted)[DecodeAttentionForm::launch_us];
  const double as_fast = launch_us;
  launch_us = as_fast + 20.0;
  EXPECT_EQ(calibrated_model(chip_named("testchip"), c)->kernel(chosen), "sglang:flash_attention");
  EXPECT_EQ(use_of(c, c.curves.back()), Use::fastest);
  launch_us = 0.5 * as_fast;
  const auto both = calibrated_model(chip_named("testchip"), c);
  EXPECT_EQ(both->kernel(chosen), "its:own");
  EXPECT_NEAR(both->time(chosen).error, dense.error, 1e-12);
  EXPECT_EQ(both->kernel(op(latent(Kind::latent, 2048))), "nobody:knows");
}

TEST(CalibratedModel, AKernelAttendsToChosenTokensOverCachesOfTheFormatsThatFactsName) {
  const auto model = calibrated_model(chip_named("testchip"), of_latent_kernels(Format::fp8));
  models::DecodeAttention chosen = latent(models::DecodeAttention::Kind::sparse_latent, 2048);
  chosen.cache = Precision::fp8;
  EXPECT_EQ(model->basis(op(chosen)), Basis::no_curve);

  // Nor does one that does so over a BF16 cache stand in for one over FP8, as another may.
  Calibration c = of_latent_kernels(Format::bf16);
  c.curves.push_back(
      curve_of<DecodeAttentionForm>(Family::sparse_latent_attention, Format::bf16, 576));
  c.curves.back().key.kernel = "its:own";
  values_of(c.curves.back().fitted)[DecodeAttentionForm::launch_us] += 20.0;
  const auto both = calibrated_model(chip_named("testchip"), c);
  EXPECT_EQ(both->kernel(op(chosen)), "its:own");
  EXPECT_EQ(both->basis(op(chosen)), Basis::stand_in);
  chosen.cache = Precision::bf16;
  EXPECT_EQ(both->kernel(op(chosen)), "sglang:flash_attention");
}

TEST(CalibratedModel, WhatIsDrawnOfChosenTokensSpreadsByTheirErrorToo) {
  Calibration c = of_latent_kernels(Format::bf16);
  const auto chosen = op(latent(models::DecodeAttention::Kind::sparse_latent, 2048));
  const auto us = [&] { return calibrated_model(chip_named("testchip"), c)->time(chosen).time; };
  const Seconds straight = us();
  for (Curve& curve : c.curves) curve.stray = 1.0;
  EXPECT_NEAR(us() / straight, std::exp(0.10), 1e-12);
}

// Engines expand weights in block-FP8 for them, by the facts of kernels.
TEST(CalibratedModel, ProductsByHeadAreInBf16WhereThatWasMeasured) {
  const models::Gemm in_fp8{.m = 64,
                            .n = 512,
                            .k = 128,
                            .batch = 16,
                            .weights = Precision::fp8,
                            .compute = Precision::fp8};
  models::Gemm in_bf16 = in_fp8;
  in_bf16.weights = in_bf16.compute = Precision::bf16;
  Calibration c = whole();
  for (Curve& curve : c.curves) {
    if (curve.key.family != Family::gemm || curve.key.format != Format::fp8_block) continue;
    values_of(curve.fitted)[GemmForm::launch_us] = 70.0;
  }
  const auto model = calibrated_model(chip_named("testchip"), c);
  EXPECT_EQ(model->time(op(in_fp8)).time, model->time(op(in_bf16)).time);
  models::Gemm one = in_fp8;
  one.batch = 1;
  EXPECT_GT(model->time(op(one)).time.value(), 60e-6) << "one product is as it is asked";

  std::erase_if(c.curves, [](const Curve& curve) {
    return curve.key.family == Family::gemm && curve.key.format == Format::bf16;
  });
  EXPECT_GT(calibrated_model(chip_named("testchip"), c)->time(op(in_fp8)).time.value(), 60e-6);
}

TEST(CalibratedModel, OutsideItsRangeItSaysSoAndWidensTheError) {
  const auto model = calibrated_model(chip_named("testchip"), whole());
  const Timing inside = model->time(op(attention(64, 8192)));
  const Timing outside = model->time(op(attention(64, 4 * 131072)));
  EXPECT_TRUE(inside.within_range);
  EXPECT_NEAR(inside.error, 0.12 / 1.645, 1e-9);
  EXPECT_FALSE(outside.within_range);
  EXPECT_NEAR(outside.error, inside.error + 2 * 0.02, 1e-9) << "two octaves of context too many";

  const auto operators = std::vector{op(attention(64, 8192)), op(attention(64, 4 * 131072)),
                                     op(attention(64, 4 * 131072))};
  const auto warnings =
      range_warnings(*model, operators.data(), operators.data() + operators.size());
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_THAT(warnings.front(), HasSubstr("outside what the calibration was measured on"));
}

TEST(CalibratedModel, AnUnknownHeadSizeTakesTheNextLargerKernelWithAWiderError) {
  const auto model = calibrated_model(chip_named("testchip"), whole());
  models::DecodeAttention odd = attention(64, 8192);
  odd.qk_dim = odd.v_dim = 96;
  odd.cache_values_per_token = 2 * 4 * 96;
  const Timing timing = model->time(op(odd));
  EXPECT_FALSE(timing.within_range);
  EXPECT_GT(timing.error, 0.2);
}

// Standard deviation of the logarithm of the time over draws of the whole calibration.
double drawn_spread(const models::DecodeAttention& attention) {
  double sum = 0.0;
  double squares = 0.0;
  constexpr int kDraws = 400;
  for (std::uint64_t seed = 0; seed < kDraws; ++seed) {
    const auto model = calibrated_model(chip_named("testchip"), resampled(whole(), seed));
    const double x = std::log(model->time(op(attention)).time.value());
    sum += x;
    squares += x * x;
  }
  return std::sqrt(squares / kDraws - sum * sum / (kDraws * kDraws));
}

TEST(CalibratedModel, AnAnswerOutsideTheRangeSpreadsWiderOverDraws) {
  const double inside = drawn_spread(attention(64, 8192));
  models::DecodeAttention odd = attention(64, 8192);
  odd.qk_dim = odd.v_dim = 96;
  odd.cache_values_per_token = 2 * 4 * 96;
  // A head size that was not measured: 0.15 on top, as a standard error of its own.
  EXPECT_NEAR(drawn_spread(odd), std::hypot(inside, 0.15), 0.03);
}

TEST(CalibratedModel, NoWorkTakesNoTime) {
  const auto model = calibrated_model(chip_named("testchip"), whole());
  EXPECT_EQ(model->time(op(attention(0, 8192))).time.value(), 0.0);
  EXPECT_EQ(model->time(op(models::Gemm{.m = 0, .n = 5, .k = 5})).time.value(), 0.0);
  EXPECT_EQ(model->time(op(models::Collective{.ranks = 1, .payload = Bytes{1e6}})).time.value(),
            0.0);
}

TEST(CalibratedModel, SaysHowWrongItIs) {
  const auto model = calibrated_model(chip_named("testchip"), whole());
  EXPECT_EQ(model->provenance(), "calibrated:made-up (held-out error 4-4 % median by operator)");
}

TEST(CalibrationTransfer, OnlyTheMemorysPartOfABandwidthFollowsTheDataSheet) {
  const ChipSpec from = chip_named("testchip");
  const ChipSpec to = chip_named("otherchip", 4.5, 450);
  Calibration before = whole();
  for (Curve& curve : before.curves) {
    if (curve.key.family != Family::decode_attention) continue;
    values_of(curve.fitted)[DecodeAttentionForm::memory_TBps] = 2.5;
    values_of(curve.fitted)[DecodeAttentionForm::row_TBps] = 2.0;
  }
  const Calibration after = transferred(before, from, to);
  EXPECT_EQ(after.chip, "otherchip");
  const auto p = [](const Calibration& c, std::size_t index) {
    return values_of(c.find(Family::decode_attention, Format::bf16, 128)->fitted)[index];
  };
  // 1/2.5 is 1/3 of the sheet's and 1/15 beside it.
  EXPECT_NEAR(p(after, DecodeAttentionForm::memory_TBps), 1.0 / (1.0 / 4.5 + 1.0 / 15.0), 1e-12);
  EXPECT_DOUBLE_EQ(p(after, DecodeAttentionForm::row_TBps), 3.0) << "any other stream by the ratio";
  EXPECT_DOUBLE_EQ(p(after, DecodeAttentionForm::launch_us),
                   p(before, DecodeAttentionForm::launch_us));
  EXPECT_THAT(to_json(after), HasSubstr("\"borrowed\": {\"from\":\"testchip\""));
}

TEST(CalibrationTransfer, WhatFitsInL2FollowsTheSizeOfL2) {
  ChipSpec from = chip_named("testchip");
  ChipSpec to = chip_named("otherchip");
  from.l2_cache.value = Bytes{50e6};
  to.l2_cache.value = Bytes{60e6};
  const Calibration before = whole();
  const Calibration after = transferred(before, from, to);
  const auto attention_MB = [](const Calibration& c) {
    return values_of(
        c.find(Family::decode_attention, Format::bf16, 128)->fitted)[DecodeAttentionForm::l2_MB];
  };
  const auto small_MB = [](const Calibration& c) {
    return values_of(c.find(Family::gemm, Format::bf16)->fitted)[GemmForm::small_MB];
  };
  EXPECT_DOUBLE_EQ(attention_MB(after), 1.2 * attention_MB(before));
  EXPECT_DOUBLE_EQ(small_MB(after), 1.2 * small_MB(before));
}

TEST(CalibrationTransfer, ItsErrorGrowsWithTheChangeOfBalanceAndAddsUpOverTwo) {
  const ChipSpec from = chip_named("testchip", 3.0, 900);
  const ChipSpec near = chip_named("near", 3.0, 900);
  // Twice the bandwidth and a quarter of the arithmetic: an eighth of the FLOP per byte, half of
  // the units per byte.
  const ChipSpec far = chip_named("far", 6.0, 225);
  for (const auto& [name, family] : family_names()) {
    SCOPED_TRACE(name);
    const double same = transfer_error(family, Format::any, from, near);
    EXPECT_GT(same, 0.0);
    EXPECT_LT(same, 0.5);
    const bool links_alone =
        name.starts_with("all_") || name.starts_with("expert_") || name == "reduce_scatter";
    EXPECT_NEAR(transfer_error(family, Format::any, from, far),
                std::hypot(same, links_alone ? 0.0 : 0.10 * std::log(8.0)), 1e-12);
    EXPECT_DOUBLE_EQ(transfer_error(family, Format::any, far, from),
                     transfer_error(family, Format::any, from, far));
  }

  const Calibration once = transferred(whole(), from, far);
  const Calibration twice = transferred(once, far, near);
  const auto added = [](const Calibration& c) { return c.curves.front().borrowed->added_error; };
  EXPECT_DOUBLE_EQ(added(once),
                   transfer_error(once.curves.front().key.family, Format::any, from, far));
  EXPECT_DOUBLE_EQ(added(twice), std::sqrt(2.0) * added(once));
  EXPECT_EQ(twice.curves.front().borrowed->from, "testchip");
  EXPECT_DOUBLE_EQ(once.curves.front().standard_error(), std::hypot(0.12 / 1.645, added(once)));
}

TEST(CalibrationTransfer, TheChangeOfBalanceIsOfTheNumbersThatACurveComputesWith) {
  const ChipSpec from = chip_named("testchip");
  ChipSpec to = chip_named("near");
  auto& fp8 = to.matrix_rate[static_cast<std::size_t>(Precision::fp8)].value;
  fp8 = 0.5 * *fp8;
  EXPECT_EQ(change_error(Family::gemm, Format::bf16, from, to), 0.0);
  EXPECT_NEAR(change_error(Family::gemm, Format::fp8_block, from, to), 0.10 * std::log(2.0), 1e-12);
}

// Chips that compute FP8 and whole numbers of eight bits alike are asked by the same curves; on
// others these would be faster than the data sheet.
TEST(CalibrationModel, Fp8CurvesTellOfInt8WhereAChipIsAsFast) {
  const models::Operator product{
      .name = "product",
      .shape = models::Gemm{
          .m = 64, .n = 4096, .k = 7168, .weights = Precision::int8, .compute = Precision::int8}};
  ChipSpec chip = chip_named("testchip");
  auto& int8 = chip.matrix_rate[static_cast<std::size_t>(Precision::int8)].value;
  int8 = chip.matrix_rate[static_cast<std::size_t>(Precision::fp8)].value;
  EXPECT_EQ(calibrated_model(chip, whole())->basis(product), Basis::measured);
  int8 = FlopPerSecond{50e12};
  const auto slow = calibrated_model(chip, whole());
  EXPECT_EQ(slow->basis(product), Basis::no_curve);
  EXPECT_GT(slow->time(product).time.value(), 2.0 * 64 * 4096 * 7168 / 50e12);
  models::DecodeAttention shape = attention(64, 8192);
  shape.cache = shape.compute = Precision::int8;
  EXPECT_EQ(slow->basis({.name = "attention", .shape = shape}), Basis::no_curve);
  shape.compute = Precision::bf16;
  EXPECT_EQ(slow->basis({.name = "attention", .shape = shape}), Basis::measured);
}

// A kernel within a tray of four GPUs does not tell of sums over eight.
TEST(CalibrationModel, SumsAreOfKernelsThatWereMeasuredWithAsManyGpusWhateverIsPreferred) {
  Calibration c = whole();
  c.curves.clear();
  for (const auto& [kernel, most] : {std::pair{"in a tray", 4.0}, {"anywhere", 16.0}}) {
    c.curves.push_back(curve_of<CollectiveForm>(Family::all_reduce, Format::any));
    c.curves.back().key.kernel = kernel;
    c.curves.back().ranges = {{"ranks", 2, most}, {"wire_MB", 1e-4, 1e3}};
  }
  prefer(c, {"in a tray"});
  const auto kernel = [&](std::int64_t ranks) {
    ChipSpec chip = chip_named("testchip");
    chip.chips_per_server.value = 72;
    return std::string(calibrated_model(chip, c)->kernel(
        {.name = "sum",
         .shape = models::Collective{.kind = models::Collective::Kind::all_reduce,
                                     .ranks = ranks,
                                     .payload = Bytes{1e6}}}));
  };
  EXPECT_EQ(kernel(4), "in a tray");
  EXPECT_EQ(kernel(8), "anywhere");
  EXPECT_EQ(kernel(16), "anywhere");
  EXPECT_EQ(kernel(32), "anywhere");
}

TEST(CalibrationTransfer, WhatWasLearnedHoldsForNearlyAsManyComputeUnitsOnly) {
  Calibration before = whole();
  before.curves.front().residual = Residual({ResidualTree{}});
  ChipSpec to = chip_named("otherchip", 4.0);
  const ChipSpec from = chip_named("testchip");
  EXPECT_EQ(transferred(before, from, to).curves.front().residual.trees().size(), 1U);
  for (const int units : {98, 102}) {
    to.compute_units.value = units;
    EXPECT_EQ(transferred(before, from, to).curves.front().residual.trees().size(), 1U) << units;
  }
  for (const int units : {96, 104}) {
    to.compute_units.value = units;
    EXPECT_TRUE(transferred(before, from, to).curves.front().residual.empty()) << units;
  }
}

// The same tree everywhere: a tenth more time, whatever is asked.
constexpr std::int16_t kTenth = 953;  // ten-thousandths of ln(1.1)
const double kTenthMore = std::exp(ResidualTree::kLeafUnit * kTenth);
Calibration learned() {
  Calibration c = whole();
  ResidualTree tree;
  tree.leaf.fill(kTenth);
  for (Curve& curve : c.curves) curve.residual = Residual({tree});
  return c;
}

TEST(CalibratedModel, AThresholdThatFourBytesDoNotHoldIsRefused) {
  Calibration c = whole();
  ResidualTree tree;
  tree.threshold.fill(std::numeric_limits<float>::max());
  c.curves.front().residual = Residual({tree});
  auto json = nlohmann::json::parse(to_json(c));
  const auto message = [&] {
    const test::TemporaryFile file("mine.json", json.dump());
    try {
      (void)load_calibration(file.path());
    } catch (const UserError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_EQ(message(), "") << "the largest float, which is no question";
  for (const double threshold : {1e39, -1e39}) {
    json["curves"][0]["residual"]["trees"][0][1] = threshold;
    EXPECT_THAT(message(),
                AllOf(HasSubstr("/curves/0/residual/trees/0"), HasSubstr("a threshold is beyond")));
  }
}

// Of the kernels that are usable, none is passed over that is faster: each asked by itself. There
// are more than are compared at a time.
TEST(CalibratedModel, TheFastestIsFoundWithoutAskingAll) {
  Random random(12);
  Calibration c = whole();
  std::erase_if(c.curves, [](const Curve& curve) { return curve.key.family == Family::gemm; });
  const std::size_t others = c.curves.size();
  for (int kernel = 0; kernel < 20; ++kernel) {
    Curve curve = curve_of<GemmForm>(Family::gemm, Format::bf16);
    curve.key.kernel = fmt::format("k{}", kernel);
    curve.ranges = {{"m", 1, 4096}, {"n", 32, 65536}, {"k", 32, 65536}, {"batch", 1, 1}};
    if (kernel == 5 || kernel == 12) curve.ranges[0].max = 32;
    const std::size_t features = feature_names(curve.fitted).size();
    std::vector<ResidualTree> trees(60);
    for (ResidualTree& tree : trees) {
      for (std::size_t level = 0; level < ResidualTree::kDepth; ++level) {
        tree.feature[level] = static_cast<std::uint8_t>(random.below(features));
        tree.threshold[level] = static_cast<float>(random.below(14));
      }
      for (std::int16_t& leaf : tree.leaf) {
        leaf = static_cast<std::int16_t>(static_cast<int>(random.below(801)) - 400);
      }
    }
    curve.residual = Residual(std::move(trees));
    c.curves.push_back(std::move(curve));
  }
  const auto all = calibrated_model(chip_named("testchip"), c);
  std::vector<std::unique_ptr<KernelModel>> each;
  for (std::size_t kernel = others; kernel < c.curves.size(); ++kernel) {
    Calibration one = c;
    one.curves.erase(one.curves.begin() + static_cast<std::ptrdiff_t>(others), one.curves.end());
    one.curves.push_back(c.curves[kernel]);
    each.push_back(calibrated_model(chip_named("testchip"), one));
  }
  std::set<std::size_t> won;
  for (int i = 0; i < 300; ++i) {
    const auto product =
        op(models::Gemm{.m = static_cast<double>(1 + random.below(6000)),
                        .n = static_cast<std::int64_t>(64 * (1 + random.below(100))),
                        .k = static_cast<std::int64_t>(64 * (1 + random.below(100)))});
    std::size_t best = 0;
    const auto rank = [&](std::size_t kernel) {
      const Timing timing = each[kernel]->time(product);
      return std::make_pair(!timing.within_range, timing.time.value());
    };
    for (std::size_t kernel = 1; kernel < each.size(); ++kernel) {
      if (rank(kernel) < rank(best)) best = kernel;
    }
    won.insert(best);
    ASSERT_EQ(all->kernel(product), c.curves[others + best].key.kernel);
    ASSERT_EQ(all->time(product).time.value(), each[best]->time(product).time.value());
  }
  EXPECT_GT(won.size(), 3U) << "the test asks where they differ";
  EXPECT_GT(*won.rbegin(), 7U) << "among those compared last, too";
}

// Kernels that cut launches alike share what is worked out of the cut, and no others do.
TEST(CalibratedModel, EachOfAChoiceOfAttentionKernelsIsTimedByItsOwnCut) {
  std::size_t alike = 0;
  std::size_t unlike = 0;
  for (const Calibration& c : shipped_calibrations()) {
    const auto curves = usable(c, Family::decode_attention, Format::bf16, 128);
    const auto model = calibrated_model(load_chip(c.chip), c);
    for (std::size_t i = 1; i < curves.size(); ++i) {
      const auto choice = [&](std::size_t at) {
        return std::get<Fitted<DecodeAttentionForm>>(curves[at]->fitted).choice;
      };
      ++(choice(i) == choice(i - 1) ? alike : unlike);
    }
    for (double context = 64.0; !curves.empty() && context < 1e5; context *= 1.7) {
      for (const double sequences : {1.0, 7.0, 60.0, 200.0}) {
        const DecodeAttentionForm::Shape shape{.sequences = sequences,
                                               .context = context,
                                               .query_rows = 32,
                                               .kv_heads = 4,
                                               .qk_dim = 128,
                                               .v_dim = 128,
                                               .values_per_token = 1024,
                                               .bytes_per_value = 2};
        std::pair best(true, std::numeric_limits<double>::infinity());
        for (const Curve* curve : curves) {
          const double outside = curve->octaves_outside(DecodeAttentionForm::ranged(shape));
          const auto& fitted = std::get<Fitted<DecodeAttentionForm>>(curve->fitted);
          best = std::min(best, std::pair(outside > 0.0,
                                          curve->estimate(c.machine, fitted, shape, outside).us));
        }
        const models::Operator launch = op(models::DecodeAttention{.sequences = sequences,
                                                                   .context = context,
                                                                   .query_heads = 32,
                                                                   .kv_heads = 4,
                                                                   .qk_dim = 128,
                                                                   .v_dim = 128,
                                                                   .cache_values_per_token = 1024});
        EXPECT_EQ(model->time(launch).time.value(), best.second * 1e-6)
            << c.name << ", " << sequences << " x " << context;
      }
    }
  }
  EXPECT_GT(alike, 0U);
  EXPECT_GT(unlike, 0U);
}

TEST(CalibratedModel, WhatWasLearnedFadesOutOverTheFirstDoublingOutsideTheRange) {
  const auto with = calibrated_model(chip_named("testchip"), learned());
  const auto without = calibrated_model(chip_named("testchip"), whole());
  const auto ratio = [&](double context) {
    const auto shape = op(attention(64, context));
    return with->time(shape).time / without->time(shape).time;
  };
  EXPECT_NEAR(ratio(131072), kTenthMore, 1e-6);
  EXPECT_NEAR(ratio(131072 * std::sqrt(2.0)), std::sqrt(kTenthMore), 1e-6);
  EXPECT_NEAR(ratio(2 * 131072), 1.0, 1e-6);
  EXPECT_NEAR(ratio(64 * 131072), 1.0, 1e-6);
}

TEST(CalibratedModel, PartsAddUpToTheTimeWithWhatWasLearned) {
  const auto model = calibrated_model(chip_named("testchip"), learned());
  Seconds sum;
  const auto parts = model->explain(op(attention(64, 8192)));
  for (const TimePart& part : parts) sum += part.time;
  EXPECT_NEAR(sum.value(), model->time(op(attention(64, 8192))).time.value(), 1e-12);
}

// By its tokens a kernel chooses its tiles; whoever forgets them is told so.
TEST(CalibratedModel, ALaunchOverExpertsSaysWhichTokensItIsHanded) {
  const auto model = calibrated_model(chip_named("testchip"), learned());
  models::GroupedGemm product{.rows = 1024,
                              .experts = 32,
                              .active_experts = 30,
                              .tokens = 256,
                              .routed_rows = 1024,
                              .n = 4096,
                              .k = 7168};
  EXPECT_GT(model->time(op(product)).time.value(), 0.0);
  product.tokens = 0.0;
  EXPECT_THROW((void)model->time(op(product)), InvariantError);
  product.tokens = 256.0;
  product.routed_rows = 0.0;
  EXPECT_THROW((void)model->time(op(product)), InvariantError);
}

// A layer of experts was timed whole: its two products share what it takes, and nothing is lost.
TEST(CalibratedModel, TheTwoProductsOfALayerAddUpToIt) {
  const Calibration c = learned();
  const auto model = calibrated_model(chip_named("testchip"), c);
  models::GroupedGemm up{.kind = models::GroupedGemm::Kind::up,
                         .rows = 1024,
                         .experts = 32,
                         .active_experts = 30,
                         .tokens = 256,
                         .routed_rows = 2048,
                         .n = 4096,
                         .k = 7168};
  models::GroupedGemm down = up;
  down.kind = models::GroupedGemm::Kind::down;
  down.n = 7168;
  down.k = 2048;
  const GroupedGemmForm::Shape layer{.rows = 1024,
                                     .routed_rows = 2048,
                                     .tokens = 256,
                                     .experts = 32,
                                     .active_experts = 30,
                                     .n = 4096,
                                     .k = 7168,
                                     .n2 = 7168,
                                     .k2 = 2048,
                                     .intermediate = 2048,
                                     .profile = {}};
  const Curve& curve = *c.find(Family::moe_layer, Format::bf16);
  const auto& fitted = std::get<Fitted<GroupedGemmForm>>(curve.fitted);
  const double whole_us = curve.estimate(c.machine, fitted, layer, 0.0).us;
  EXPECT_NEAR(whole_us,
              kTenthMore * GroupedGemmForm::time(c.machine, fitted.choice, fitted.p, layer).us,
              1e-4);
  const double up_us = 1e6 * model->time(op(up)).time.value();
  const double down_us = 1e6 * model->time(op(down)).time.value();
  EXPECT_NEAR(up_us + down_us, whole_us, 1e-9);
  EXPECT_GT(up_us, down_us);
}

// Of products of 4 bits: the format that computes as asked, with its scales.
TEST(CalibratedModel, ANumberFormatHasTheCurveThatWasMeasuredInIt) {
  Calibration c = whole();
  for (const Format format : {Format::nvfp4, Format::mxfp4_w4a8, Format::mxfp4_w4a16}) {
    c.curves.push_back(curve_of<GemmForm>(Family::gemm, format));
    c.curves.back().key.kernel = name_of(format);
  }
  const auto model = calibrated_model(chip_named("testchip"), c);
  const auto kernel = [&](Precision compute, Precision weights) {
    return model->kernel(
        op(models::Gemm{.m = 8, .n = 512, .k = 512, .weights = weights, .compute = compute}));
  };
  EXPECT_EQ(kernel(Precision::fp4, Precision::fp4), "nvfp4");
  EXPECT_EQ(kernel(Precision::fp8, Precision::fp4), "mxfp4_w4a8");
  EXPECT_EQ(kernel(Precision::bf16, Precision::fp4), "mxfp4_w4a16");
  EXPECT_EQ(kernel(Precision::bf16, Precision::int4), "mxfp4_w4a16");
  EXPECT_EQ(kernel(Precision::fp8, Precision::fp8), "made-up");
}

// A seventh of the matrix rate on fewer units: what a kernel does beside its products takes as long
// per unit as before, so that it reaches a larger share of the smaller rate.
TEST(CalibrationTransfer, OnlyTheMatrixUnitsPartOfAMatrixRateFollowsTheDataSheet) {
  ChipSpec from = chip_named("testchip");  // 9 TFLOP/s per unit
  ChipSpec to = chip_named("otherchip", 3.0, 90.0);
  to.compute_units.value = 50;  // 1.8 per unit
  Calibration before = whole();
  const auto rate = [](Calibration& c) -> double& {
    for (Curve& curve : c.curves) {
      if (curve.key.family == Family::gemm && curve.key.format == Format::bf16) {
        return values_of(curve.fitted)[GemmForm::unit_TFLOPps];
      }
    }
    throw InvariantError("no such curve");
  };
  rate(before) = 6.0;  // two thirds of the sheet's
  Calibration after = transferred(before, from, to);
  EXPECT_NEAR(rate(after), 1.0 / (1.0 / 1.8 + (1.0 / 6.0 - 1.0 / 9.0)), 1e-12);
  EXPECT_GT(rate(after) / 1.8, 0.9);

  // And back again it is what it was.
  Calibration again = transferred(after, to, from);
  EXPECT_NEAR(rate(again), 6.0, 1e-9);

  // At the sheet's rate there is nothing beside.
  rate(before) = 9.0;
  after = transferred(before, from, to);
  EXPECT_NEAR(rate(after), 1.8, 1e-12);
}

TEST(CalibrationTransfer, AChipThatAsksForLessPowerForEachWattIsNotThrottled) {
  ChipSpec from = chip_named("testchip");
  ChipSpec to = chip_named("otherchip", 3.0, 90.0);
  from.power.value = Watts{700};
  to.power.value = Watts{400};
  const auto throttle = [](const Calibration& c) {
    return values_of(c.find(Family::gemm, Format::bf16)->fitted)[GemmForm::throttle];
  };
  const Calibration before = whole();
  EXPECT_NEAR(throttle(transferred(before, from, to)),
              GemmForm::parameters()[GemmForm::throttle].lower, 1e-12);
  ChipSpec twin = from;
  twin.name = "twin";
  EXPECT_NEAR(throttle(transferred(before, from, twin)), throttle(before), 1e-12);
}

TEST(CalibratedModel, TheWayBackFromTheExpertsHasACurveOfItsOwn) {
  Calibration c = whole();
  Curve combine = curve_of<ExpertExchangeForm>(Family::expert_combine, Format::any);
  values_of(combine.fitted)[ExpertExchangeForm::launch_us] = 50.0;
  c.curves.push_back(combine);
  const auto model = calibrated_model(chip_named("testchip"), c);
  models::Collective exchange{.kind = models::Collective::Kind::all_to_all,
                              .ranks = 64,
                              .payload = Bytes{7392.0 * 1024},
                              .copies = 1024,
                              .experts = 256};
  const double out = model->time(op(exchange)).time.value();
  exchange.returning = true;
  EXPECT_GT(model->time(op(exchange)).time.value(), out + 30e-6);
}

TEST(CalibratedModel, TokensForExpertsTakeTheExchangesCurveWithinAServerToo) {
  const auto model = calibrated_model(chip_named("testchip"), whole());
  models::Collective inside{
      .kind = models::Collective::Kind::all_to_all, .ranks = 8, .payload = Bytes{7392.0 * 1024}};
  const Seconds plain = model->time(op(inside)).time;
  inside.copies = 1024;
  inside.experts = 256;
  EXPECT_NE(model->time(op(inside)).time, plain);
  inside.payload = Bytes{2 * 7392.0 * 1024};
  EXPECT_GT(model->time(op(inside)).time, plain);
}

TEST(CalibratedModel, AnExchangeDoesNotSlowDownWithoutBoundAsRanksGrow) {
  const auto model = calibrated_model(chip_named("testchip"), whole());
  const auto us = [&](std::int64_t ranks) {
    return 1e6 * model
                     ->time(op(models::Collective{.kind = models::Collective::Kind::all_to_all,
                                                  .ranks = ranks,
                                                  .payload = Bytes{7392.0 * 1024},
                                                  .copies = 1024,
                                                  .experts = 256}))
                     .time.value();
  };
  EXPECT_GT(us(32), us(16));
  // Nearly all tokens leave their server from eight servers on: what is left is the handshake.
  const double step = ExpertExchangeForm::parameters()[ExpertExchangeForm::server_us].initial;
  EXPECT_LT(us(256) - us(128), us(32) - us(16));
  EXPECT_LT(us(1024) - us(512), 1.5 * step);
}

TEST(CalibratedModel, WhatALayersCurveIncludesIsNotCountedAgain) {
  const models::Elementwise around{.kind = models::Elementwise::Kind::expert_activation,
                                   .values_read = 1e8,
                                   .values_written = 1e8};
  models::Elementwise elsewhere = around;
  elsewhere.kind = models::Elementwise::Kind::general;
  Calibration c = whole();  // its experts' curves are of whole layers
  const auto layers = calibrated_model(chip_named("testchip"), c);
  EXPECT_EQ(layers->time(op(around)).time.value(), 0.0);
  EXPECT_GT(layers->time(op(elsewhere)).time.value(), 0.0);
  for (Curve& curve : c.curves) {
    if (curve.key.family == Family::moe_layer) curve.key.family = Family::grouped_gemm;
  }
  const auto products = calibrated_model(chip_named("testchip"), c);
  EXPECT_EQ(products->time(op(around)).time, products->time(op(elsewhere)).time);
  const auto theory = theoretical_model(chip_named("testchip"));
  EXPECT_EQ(theory->time(op(around)).time, theory->time(op(elsewhere)).time);
}

TEST(CalibratedModel, ThePartsOfAnAttentionLaunchAddUpToItsTime) {
  const auto model = calibrated_model(chip_named("testchip"), whole());
  for (const double context : {512.0, 8192.0, 65536.0}) {
    const models::DecodeAttention shape = attention(64, context);
    Seconds sum;
    for (const TimePart& part : model->explain(op(shape))) sum += part.time;
    EXPECT_NEAR(sum.value(), model->time(op(shape)).time.value(), 1e-12) << context;
  }
  const auto theory = theoretical_model(chip_named("testchip"));
  EXPECT_TRUE(theory->explain(op(attention(64, 8192))).empty());
}

TEST(CalibratedModel, PaddingIsToldWhereArithmeticDecides) {
  const auto cost_of_padding = [](double query_heads) {
    Calibration c = whole();
    for (Curve& curve : c.curves) {
      if (auto* f = std::get_if<Fitted<DecodeAttentionForm>>(&curve.fitted)) {
        f->choice.tile_rows = {64, 0, 0};
        f->p[DecodeAttentionForm::block_TFLOPps] = 0.3;
      }
    }
    const auto model = calibrated_model(chip_named("testchip"), c);
    models::DecodeAttention shape = attention(64, 8192);
    shape.query_heads = static_cast<std::int64_t>(query_heads);
    return model->explain(op(shape)).front().time / model->time(op(shape)).time;
  };
  EXPECT_NEAR(cost_of_padding(4 * 64), 0.0, 1e-12) << "tiles are full";
  EXPECT_GT(cost_of_padding(4 * 8), 0.5) << "seven of eight rows are padding";
}

TEST(CalibrationTransfer, RefusesAnotherGeneration) {
  ChipSpec other = chip_named("otherchip");
  other.generation = "later";
  try {
    (void)transferred(whole(), chip_named("testchip"), other);
    FAIL();
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("of another generation (later)"));
  }
}

TEST(CalibrationResample, SameSeedSameDrawAndDrawsSpreadAsTheErrorSays) {
  const Calibration c = whole();
  EXPECT_EQ(to_json(resampled(c, 5)), to_json(resampled(c, 5)));
  EXPECT_NE(to_json(resampled(c, 5)), to_json(resampled(c, 6)));
  Calibration fewer = c;
  fewer.curves.erase(fewer.curves.begin());
  const Calibration of_fewer = resampled(fewer, 5);
  const Calibration of_all = resampled(c, 5);
  for (std::size_t i = 0; i < of_fewer.curves.size(); ++i) {
    EXPECT_EQ(of_fewer.curves[i].factor, of_all.curves[i + 1].factor)
        << "a curve draws the same whatever others there are";
  }
  double sum = 0.0;
  double squares = 0.0;
  constexpr int kDraws = 400;
  const double center =
      calibrated_model(chip_named("testchip"), c)->time(op(attention(64, 8192))).time.value();
  for (int seed = 0; seed < kDraws; ++seed) {
    const auto model =
        calibrated_model(chip_named("testchip"), resampled(c, static_cast<std::uint64_t>(seed)));
    const double x = std::log(model->time(op(attention(64, 8192))).time.value() / center);
    sum += x;
    squares += x * x;
  }
  const double sigma = std::sqrt(squares / kDraws);
  EXPECT_NEAR(sum / kDraws, 0.0, 0.02);
  EXPECT_GT(sigma, 0.06 * 0.9) << "at least the common factor";
  EXPECT_LT(sigma, 0.15);
}

// Rates of a fast chip's compute units are above what bounds every machine's, and draws of them are
// bounded by its data sheet alone.
TEST(CalibrationResample, DrawsOfAMatrixRateLieOnBothSidesOfItBelowTheDataSheet) {
  int beyond = 0;
  for (const Calibration& calibration : shipped_calibrations()) {
    for (const Curve& curve : calibration.curves) {
      const auto info = parameters_of(curve.fitted);
      const auto fitted = values_of(curve.fitted);
      for (std::size_t i = 0; i < info.size(); ++i) {
        if (info[i].role != Role::matrix_rate || curve.spread.empty()) continue;
        const double sheet = calibration.machine.unit_TFLOPps(curve.key.format);
        double sigma = 0.0;
        for (std::size_t j = 0; j <= i; ++j) {
          sigma = std::hypot(sigma, curve.spread[i * info.size() + j]);
        }
        // Where the data sheet is farther than any draw.
        if (sigma < 1e-6 || fitted[i] * std::exp(4.0 * sigma) > sheet) continue;
        if (fitted[i] * std::exp(sigma) > info[i].upper) ++beyond;
        constexpr int kDraws = 64;
        double sum = 0.0;
        double squares = 0.0;
        Random random(7, 0);
        for (int k = 0; k < kDraws; ++k) {
          const Curve drawn = resampled(curve, calibration.machine, random);
          const double z = std::log(values_of(drawn.fitted)[i] / fitted[i]) / sigma;
          sum += z;
          squares += z * z;
        }
        EXPECT_NEAR(sum / kDraws, 0.0, 4.0 / std::sqrt(kDraws)) << info[i].name;
        EXPECT_GT(squares / kDraws, 0.4) << info[i].name;
      }
    }
  }
  EXPECT_GT(beyond, 0);
}

TEST(CalibrationFile, RoundTripsAndFitsItsSchema) {
  const Calibration c = whole();
  const std::string text = to_json(c);
  EXPECT_EQ(test::JsonSchema("calibration").violations(nlohmann::json::parse(text)), "");
  const JsonDocument document = JsonDocument::parse(text, "c.json");
  Diagnostics diagnostics;
  const JsonContext context{.file = "c.json", .diagnostics = &diagnostics};
  Calibration again;
  read_keys(JsonNode(document.json(), context), again);
  diagnostics.throw_if_errors();
  EXPECT_EQ(to_json(again), text);
}

// A kernel and a chip of the shipped facts, whatever their names.
struct TunedKernel {
  CurveKey key;
  std::string chip;
};
TunedKernel tuned_kernel() {
  const auto facts =
      JsonDocument::read(test::source_path("hwmodels/data/kernels/expert_tiles.json")).json();
  const auto& kernel = facts.at("expert_tiles").at(0);
  return {.key = {.family = Family::moe_layer,
                  .format = Format::bf16,
                  .kernel = kernel.at("kernels").at(0).get<std::string>()},
          .chip = kernel.at("tuned").at(0).at("chip").get<std::string>()};
}

TEST(CalibrationFile, PaddedTilesAreWhatTheFileSays) {
  Calibration c = whole();
  Curve curve = curve_of<GroupedGemmForm>(Family::moe_layer, Format::nvfp4);
  auto& choice = std::get<Fitted<GroupedGemmForm>>(curve.fitted).choice;
  choice = {.tiles = {.padded = true},
            .tile_n = 256,
            .padded = {.smallest = 16, .largest = 64, .share = 2}};
  c.curves = {curve};
  const auto json = nlohmann::json::parse(to_json(c));
  EXPECT_EQ(json["curves"][0]["choice"]["tiles"], "padded");
  const test::TemporaryFile file("mine.json", json.dump());
  const Calibration again = load_calibration(file.path());
  EXPECT_EQ(std::get<Fitted<GroupedGemmForm>>(again.curves.front().fitted).choice, choice);
}

TEST(CalibrationFile, NarrowSplitsNeedThreeHeights) {
  Calibration c = whole();
  Curve curve = curve_of<DecodeAttentionForm>(Family::latent_attention, Format::bf16);
  auto& choice = std::get<Fitted<DecodeAttentionForm>>(curve.fitted).choice;
  choice.split = SplitPolicy::narrow;
  choice.tile_rows = {8, 16, 64};
  c.curves = {curve};
  auto json = nlohmann::json::parse(to_json(c));
  {
    const test::TemporaryFile file("mine.json", json.dump());
    EXPECT_NO_THROW((void)load_calibration(file.path()));
  }
  json["curves"][0]["choice"]["tile_rows"] = {16, 64};
  const test::TemporaryFile file("mine.json", json.dump());
  try {
    (void)load_calibration(file.path());
    ADD_FAILURE() << "two heights were taken";
  } catch (const UserError& e) {
    EXPECT_THAT(e.what(), HasSubstr("/curves/0/choice/tile_rows: expected three heights"));
  }
}

TEST(CalibrationFile, TheHighestPaddedTileIsNotLowerThanTheLowest) {
  Calibration c = whole();
  Curve curve = curve_of<GroupedGemmForm>(Family::moe_layer, Format::bf16);
  std::get<Fitted<GroupedGemmForm>>(curve.fitted).choice.tiles.padded = true;
  c.curves = {curve};
  auto json = nlohmann::json::parse(to_json(c));
  json["curves"][0]["choice"]["smallest_tile_m"] = 128;
  json["curves"][0]["choice"]["largest_tile_m"] = 64;
  const test::TemporaryFile file("mine.json", json.dump());
  try {
    (void)load_calibration(file.path());
    ADD_FAILURE() << "a highest tile below the lowest was taken";
  } catch (const UserError& e) {
    EXPECT_THAT(e.what(), HasSubstr("/curves/0/choice/largest_tile_m: expected at least "
                                    "smallest_tile_m, 128, got 64"));
  }
}

TEST(CalibrationFile, StatedTilesAreThoseOfItsChipAndAnUnknownKernelHasNone) {
  const auto [key, chip] = tuned_kernel();
  Calibration c = whole();
  c.chip = chip;
  Curve curve = curve_of<GroupedGemmForm>(key.family, key.format);
  curve.key = key;
  std::get<Fitted<GroupedGemmForm>>(curve.fitted).choice.tiles.stated =
      stated_expert_tiles(key, "");
  c.curves = {curve};
  const auto tiles = [](const Calibration& of) {
    return std::get<Fitted<GroupedGemmForm>>(of.curves.front().fitted).choice.tiles.stated;
  };
  auto json = nlohmann::json::parse(to_json(c));
  EXPECT_EQ(json["curves"][0]["choice"]["tiles"], "stated");
  EXPECT_FALSE(json["curves"][0]["choice"].contains("tile_n"));
  {
    const test::TemporaryFile file("mine.json", json.dump());
    const Calibration again = load_calibration(file.path());
    EXPECT_EQ(tiles(again), stated_expert_tiles(key, chip));
    EXPECT_EQ(to_json(again), to_json(c));
    const Calibration elsewhere =
        moved(again, chip_named("testchip"), chip_named("otherchip", 4.5, 450));
    EXPECT_EQ(tiles(elsewhere), stated_expert_tiles(key, "otherchip"));
    EXPECT_NE(tiles(elsewhere), tiles(again)) << "tables are of one chip";
  }
  json["curves"][0]["kernel"] = "unheard-of";
  const test::TemporaryFile file("mine.json", json.dump());
  try {
    (void)load_calibration(file.path());
    FAIL() << "a kernel without facts";
  } catch (const UserError& e) {
    EXPECT_THAT(e.what(), AllOf(HasSubstr("/curves/0/choice/tiles: expected tried"),
                                HasSubstr("is to be fitted again")));
  }
}

TEST(CalibrationFile, AMissingParameterIsNamedByItsPointer) {
  std::string text = to_json(whole());
  const auto at = text.find("\"launch_us\"");
  text.replace(at, 11, "\"lunch_us\"");
  const JsonDocument document = JsonDocument::parse(text, "c.json");
  Diagnostics diagnostics;
  const JsonContext context{.file = "c.json", .diagnostics = &diagnostics};
  Calibration again;
  read_keys(JsonNode(document.json(), context), again);
  ASSERT_FALSE(diagnostics.ok());
  EXPECT_THAT(fmt::format("{}", diagnostics.errors().front()),
              AllOf(HasSubstr("c.json: /curves/0/parameters: missing key \"launch_us\""),
                    HasSubstr("fitted again with `ridge calibrate`")));
}

TEST(CalibrationOrder, ThePreferredKernelComesFirstElseTheOneMeasuredOnMostShapes) {
  Calibration c;
  for (const auto& [kernel, groups] : {std::pair{"few", 3}, {"many", 30}, {"some", 10}}) {
    Curve curve = curve_of<GemmForm>(Family::gemm, Format::bf16);
    curve.key.kernel = kernel;
    curve.held_out.groups = groups;
    c.curves.push_back(curve);
  }
  order_curves(c);
  EXPECT_EQ(c.find(Family::gemm, Format::bf16)->key.kernel, "many");
  prefer(c, {"few"});
  order_curves(c);
  EXPECT_EQ(c.find(Family::gemm, Format::bf16)->key.kernel, "few");
}

Calibration of_kernels(const std::vector<std::string>& kernels, const std::string& borrowed = "") {
  Calibration c;
  c.name = "made-up";
  c.machine = machine_of(chip_named("testchip"));
  for (const std::string& kernel : kernels) {
    c.curves.push_back(curve_of<DecodeAttentionForm>(Family::decode_attention, Format::bf16, 128));
    c.curves.back().key.kernel = kernel;
    if (kernel == borrowed)
      c.curves.back().borrowed = Borrowed{.from = "other", .added_error = 0.1};
  }
  return c;
}

std::vector<std::string> kernels_of(const Calibration& c) {
  std::vector<std::string> kernels;
  for (const Curve& curve : c.curves) kernels.push_back(curve.key.kernel);
  return kernels;
}

TEST(CalibrationOrder, AUsersPreferenceComesFirstAndLeavesTheRestInOrder) {
  Calibration c = of_kernels({"a", "b", "c", "d"});
  prefer(c, {"d", "b"});
  EXPECT_THAT(kernels_of(c), ElementsAre("d", "b", "a", "c"));
  EXPECT_EQ(c.find(Family::decode_attention, Format::bf16, 128)->key.kernel, "d");
}

TEST(CalibrationOrder, AStarNamesSeveralKernelsOfWhichTheFastestAnswers) {
  Calibration c = of_kernels({"a:one", "b:one", "b:two", "c:b"});
  prefer(c, {"b:*"});
  EXPECT_EQ(use_of(c, c.curves[0]), Use::fastest);
  EXPECT_THAT(kernels_of(c), ElementsAre("b:one", "b:two", "a:one", "c:b"));
  const auto used = usable(c, Family::decode_attention, Format::bf16, 128);
  ASSERT_EQ(used.size(), 2U);
  EXPECT_EQ(used[0]->key.kernel, "b:one");
  EXPECT_EQ(used[1]->key.kernel, "b:two");
  prefer(c, {"*:o*e"});
  EXPECT_EQ(usable(c, Family::decode_attention, Format::bf16, 128).size(), 2U);
  EXPECT_THAT([&] { prefer(c, {"d*"}); }, testing::Throws<UserError>());
}

TEST(CalibrationOrder, APreferenceForAKernelWithoutACurveIsRefusedByName) {
  Calibration c = of_kernels({"flash_attention_2", "flashinfer"});
  try {
    prefer(c, {"flash_attention_3"});
    FAIL();
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(),
                 "the calibration \"made-up\" has no curve of a kernel \"flash_attention_3\", only "
                 "of flash_attention_2, flashinfer; did you mean \"flash_attention_2\"?");
  }
}

// Three kernels, of which the launch tells them apart.
Calibration three_kernels() {
  Calibration c = of_kernels({"slow", "fast", "middle"});
  c.chip = "testchip";
  const auto launch = [](Curve& curve) -> double& {
    return values_of(curve.fitted)[DecodeAttentionForm::launch_us];
  };
  launch(c.curves[0]) = 60.0;
  launch(c.curves[1]) = 5.0;
  launch(c.curves[2]) = 6.0;
  return c;
}

std::string kernel_of(const Calibration& c, double context = 64) {
  return std::string(
      calibrated_model(chip_named("testchip"), c)->kernel(op(attention(1, context))));
}

// The facts name it: it is handed what an exchange brought to a rank, and nothing else.
TEST(KernelChoice, AKernelBehindAnExchangeIsNotHandedTheChoicesOfOtherRanks) {
  constexpr const char* kBehind = "sglang:deepepmoe";
  Calibration c = of_kernels({});
  c.chip = "testchip";
  for (const char* kernel : {"another", kBehind}) {
    Curve curve = curve_of<GroupedGemmForm>(Family::moe_layer, Format::bf16);
    curve.key.kernel = kernel;
    values_of(curve.fitted)[GroupedGemmForm::launch_us] = kernel == kBehind ? 1.0 : 5.0;
    c.curves.push_back(curve);
  }
  const auto kernel = [&](double routed_rows) {
    return std::string(calibrated_model(chip_named("testchip"), c)
                           ->kernel(op(models::GroupedGemm{.rows = 256,
                                                           .experts = 32,
                                                           .active_experts = 30,
                                                           .tokens = 128,
                                                           .routed_rows = routed_rows,
                                                           .n = 4096,
                                                           .k = 7168})));
  };
  EXPECT_EQ(kernel(256), kBehind);
  EXPECT_EQ(kernel(1024), "another");
  prefer(c, {kBehind});
  EXPECT_EQ(kernel(1024), kBehind) << "where no other is left";
}

TEST(KernelChoice, TheFastestAtTheAskedShapeIsTaken) {
  EXPECT_EQ(kernel_of(three_kernels()), "fast");
}

TEST(KernelChoice, OneThatWasMeasuredAtTheShapeComesBeforeOneThatWasNot) {
  Calibration c = three_kernels();
  c.curves[1].ranges = {
      {"sequences", 1, 8}, {"context", 128, 1024}, {"query_rows", 1, 64}, {"kv_heads", 1, 8}};
  EXPECT_EQ(kernel_of(c, 64), "middle");
  EXPECT_EQ(kernel_of(c, 512), "fast");
}

TEST(KernelChoice, APoorCurveStandsBehindABetterOneHoweverFast) {
  Calibration c = three_kernels();
  c.curves[1].held_out.p50 = 0.21;
  EXPECT_EQ(kernel_of(c), "middle");
  c.curves[0].held_out.p50 = c.curves[2].held_out.p50 = 0.3;
  EXPECT_EQ(kernel_of(c), "fast") << "where all are poor, none stands behind";
}

TEST(KernelChoice, WhatWasJustMeasuredComesBeforeWhatItIsBasedOnAndBeforeATransfer) {
  Calibration c = three_kernels();
  c.curves[1].standby = true;
  EXPECT_EQ(kernel_of(c), "middle");
  c.curves[2].borrowed = Borrowed{.from = "other", .added_error = 0.1};
  EXPECT_EQ(kernel_of(c), "slow");
}

TEST(KernelChoice, AUsersPreferenceStandsWhateverItTakesAndIsToldWhatItCosts) {
  Calibration c = three_kernels();
  prefer(c, {"slow"});
  EXPECT_EQ(kernel_of(c), "slow");
  const auto model = calibrated_model(chip_named("testchip"), c);
  const auto asked = op(attention(1, 64));
  const auto warnings = range_warnings(*model, &asked, &asked + 1);
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_THAT(warnings.front(), HasSubstr("the kernel slow takes"));
  EXPECT_THAT(warnings.front(), HasSubstr("times as long as fast would"));

  // Preferred where it was measured: elsewhere the rest choose as ever.
  prefer(c, {"middle"});
  EXPECT_EQ(kernel_of(c), "middle");
  const auto again = calibrated_model(chip_named("testchip"), c);
  EXPECT_TRUE(range_warnings(*again, &asked, &asked + 1).empty()) << "not much slower";
}

// A factor that a resample drew is of the error, not of the kernel.
TEST(KernelChoice, DrawsDoNotChangeIt) {
  Calibration c = three_kernels();
  for (Curve& curve : c.curves) curve.factor = curve.key.kernel == "slow" ? 1e-3 : 1e3;
  EXPECT_EQ(kernel_of(c), "fast");
}

TEST(CalibrationOrder, ATransfersOtherKernelsFollowTheMeasuredOnes) {
  Calibration c = of_kernels({"here"});
  complete(c, of_kernels({"there", "here"}, "there"));
  EXPECT_THAT(kernels_of(c), ElementsAre("here", "there"));
}

TEST(CalibrationOrder, WhatWasMeasuredTogetherStandsBeforeABaseOfTheSameChip) {
  Calibration base = of_kernels({"well_measured"});
  base.curves.back().held_out.by_shape = true;
  base.curves.back().held_out.groups = 40;  // Of more shapes than any kernel of this run.
  Calibration c = of_kernels({"here"});
  order_curves(c);
  complete(c, base);
  EXPECT_THAT(kernels_of(c), ElementsAre("here", "well_measured"));
  order_curves(c);
  EXPECT_THAT(kernels_of(c), ElementsAre("here", "well_measured"));
  EXPECT_EQ(use_of(c, c.curves[1]), Use::based_on);
  prefer(c, {"well_measured"});
  EXPECT_THAT(kernels_of(c), ElementsAre("well_measured", "here"));
  EXPECT_EQ(use_of(c, c.curves[0]), Use::preferred);
  EXPECT_EQ(use_of(c, c.curves[1]), Use::passed);
}

TEST(ShippedMeasurements, FollowTheSchemaOfMeasurements) {
  const test::JsonSchema schema("measurement");
  for (const char* name : {"h200", "h200-peers", "h100", "h100-peers"}) {
    const auto document =
        JsonDocument::read(test::source_path(fmt::format("kernels/measurements/{}.json", name)));
    EXPECT_TRUE(schema.accepts(document.json())) << name << "\n"
                                                 << schema.violations(document.json());
  }
}

TEST(ShippedCalibrations, OfRidgesOwnKernelsUseThemWhereTheyWereMeasured) {
  int calibrations = 0;
  for (const Calibration& c : shipped_calibrations()) {
    if (c.name != "h200-ridge" && c.name != "h100-ridge") continue;
    ++calibrations;
    int own = 0;
    for (const Curve& curve : c.curves) {
      if (curve.key.kernel != "ridge") continue;
      ++own;
      EXPECT_TRUE(use_of(c, curve) == Use::alone || use_of(c, curve) == Use::fastest)
          << c.name << ' ' << curve.key.slot();
    }
    // Attention of three head sizes and MLA in two formats, products, layers, rows.
    EXPECT_EQ(own, 11);
  }
  EXPECT_EQ(calibrations, 2);
}

TEST(ShippedCalibrations, LoadFitTheirSchemaAndNameAShippedChip) {
  const test::JsonSchema schema("calibration");
  for (std::size_t i = 0; i < shipped_calibrations().size(); ++i) {
    const Calibration& c = shipped_calibrations()[i];
    const std::string name = calibration_names()[i];
    EXPECT_EQ(c.name, name);
    EXPECT_FALSE(c.source.empty()) << name;
    const ChipSpec chip = load_chip(c.chip);
    EXPECT_EQ(c.machine.compute_units, static_cast<double>(*chip.compute_units.value));
    for (const Curve& curve : c.curves) {
      const auto info = parameters_of(curve.fitted);
      const auto p = values_of(curve.fitted);
      for (std::size_t j = 0; j < p.size(); ++j) {
        EXPECT_GT(p[j], 0.0) << name << ' ' << curve.key.slot() << ' ' << info[j].name;
        EXPECT_TRUE(std::isfinite(p[j]));
        // Of four shapes, one that is unlike the others is a quarter of all: 28 of 110
        // measurements.
        EXPECT_GT(curve.held_out.measurements == 0 ? 1.0 : curve.held_out.coverage_90,
                  curve.held_out.groups > 5 ? 0.8 : 0.74)
            << name << ' ' << curve.key.slot();
        if (info[j].name == "memory_TBps") {
          EXPECT_LE(p[j], c.machine.memory_TBps * 1.001);
        }
      }
    }
    const auto document = JsonDocument::read(
        test::source_path(fmt::format("hwmodels/data/calibrations/{}.json", name)));
    EXPECT_TRUE(schema.accepts(document.json())) << name << "\n"
                                                 << schema.violations(document.json());
    // Every operator of a decode step is answered.
    const auto model = calibrated_model(chip, c);
    for (const auto& each : one_of_each()) EXPECT_GT(model->time(each).time.value(), 0.0);
  }
  EXPECT_GE(calibration_names().size(), 2U);
}

TEST(CalibratedModel, TakesTheFastestOfManyKernelsWhateverTheirOrder) {
  for (Calibration c : shipped_calibrations()) {
    const ChipSpec chip = load_chip(c.chip);
    for (const bool reversed : {false, true}) {
      if (reversed) std::reverse(c.curves.begin(), c.curves.end());
      const auto curves = usable(c, Family::all_reduce, Format::any);
      const auto model = calibrated_model(chip, c);
      // Also below and above what any kernel was measured on.
      for (double bytes = 64.0; bytes < 1e10; bytes *= 1.37) {
        for (const std::int64_t ranks : {2, 3, 8}) {
          const models::Operator op{
              .name = "sum", .shape = models::Collective{.ranks = ranks, .payload = Bytes{bytes}}};
          const CollectiveForm::Shape shape{.ranks = static_cast<double>(ranks),
                                            .wire_MB = 1e-6 * models::demand(op).wire.value()};
          const Curve* best = nullptr;
          double best_us = std::numeric_limits<double>::infinity();
          for (const bool within : {true, false}) {
            for (const Curve* curve : curves) {
              const double outside = curve->octaves_outside(CollectiveForm::ranged(shape));
              if (within != (outside == 0.0)) continue;
              const double us =
                  curve
                      ->estimate(c.machine, std::get<Fitted<CollectiveForm>>(curve->fitted), shape,
                                 outside)
                      .us;
              if (us < best_us) {
                best = curve;
                best_us = us;
              }
            }
            if (best != nullptr) break;
          }
          if (best == nullptr) continue;
          EXPECT_EQ(model->time(op).time.value(), best_us * 1e-6) << c.name << ", " << bytes;
          EXPECT_EQ(model->kernel(op), best->key.kernel) << c.name << ", " << bytes;
        }
      }
    }
  }
}

}  // namespace
}  // namespace ridge::hw::calibrated
