// What kernels' sources state is not fitted, and the form does with it what the kernels do.
#include "ridge/hwmodels/calibrated/kernel_facts.hpp"

#include "decode_attention/tile_plan.hpp"
#include "json_schema.hpp"
#include "ridge/base/error.hpp"
#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/hwmodels/calibrated/expert_exchange.hpp"
#include "shipped_calibrations.hpp"
#include "source_tree.hpp"

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::hw::calibrated {
namespace {

using Form = DecodeAttentionForm;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr Machine kMachine132{.compute_units = 132,
                              .memory_TBps = 3.35,
                              .bf16_TFLOPps = 989,
                              .fp8_TFLOPps = 1979,
                              .fp4_TFLOPps = 989};

Form::Parameters parameters() {
  Form::Parameters p{};
  for (std::size_t j = 0; j < p.size(); ++j) p[j] = Form::parameters()[j].initial;
  return p;
}

double time_us(const Form::Choice& choice, const Form::Shape& shape) {
  return Form::time(kMachine132, choice, parameters(), shape).us;
}

Form::Shape latent(double sequences, double context, double rows) {
  return {.sequences = sequences,
          .context = context,
          .query_rows = rows,
          .kv_heads = 1,
          .qk_dim = 576,
          .v_dim = 512,
          .values_per_token = 576,
          .bytes_per_value = 2};
}

TEST(KernelFacts, TheShippedFileFitsItsSchema) {
  const auto document =
      JsonDocument::read(test::source_path("hwmodels/data/kernels/decode_attention.json"));
  EXPECT_EQ(test::JsonSchema("attention-kernels").violations(document.json()), "");
}

TEST(KernelFacts, TilesOfExpertsAreTunedByChipAndTheFileFitsItsSchema) {
  const auto document =
      JsonDocument::read(test::source_path("hwmodels/data/kernels/expert_tiles.json"));
  EXPECT_EQ(test::JsonSchema("expert-tiles").violations(document.json()), "");
  const auto& facts = document.json().at("expert_tiles").at(0);
  const CurveKey key{.family = Family::moe_layer,
                     .format = Format::bf16,
                     .kernel = facts.at("kernels").at(0).get<std::string>()};
  const auto& tuned = facts.at("tuned").at(0);
  const auto chip = tuned.at("chip").get<std::string>();
  const auto& last = tuned.at("tiles").back();
  const auto columns = [&](const ExpertTiles* tiles, double tokens) {
    return tiles
        ->at(tokens, tuned.at("experts").get<double>(), tuned.at("intermediate").get<double>())
        .columns;
  };
  EXPECT_EQ(columns(stated_expert_tiles(key, chip), last.at(0).get<double>()),
            last.at(2).get<double>());
  EXPECT_EQ(columns(stated_expert_tiles(key, "another"), 1e6),
            facts.at("rule").back().at("columns").get<double>());
  const auto choices = GroupedGemmForm::facts(key, chip).choices;
  EXPECT_THAT(choices, SizeIs(2)) << "blocks that take tiles as they finish, or whole waves";
  EXPECT_THAT(choices, Each(Field(&GroupedGemmForm::Choice::tiles,
                                  TileSource{.stated = stated_expert_tiles(key, chip)})));
  EXPECT_EQ(stated_expert_tiles({.family = Family::moe_layer, .kernel = "another"}, chip), nullptr);
  EXPECT_THAT(GroupedGemmForm::facts({.family = Family::moe_layer}, chip).choices,
              SizeIs(2 * 3 * 3));
}

TEST(KernelFacts, ThatATokenTravelsToEachExpertIsKnownOfDeepEPAlone) {
  const auto choices = [](const std::string& kernel) {
    return ExpertExchangeForm::facts({.family = Family::expert_dispatch, .kernel = kernel}).choices;
  };
  for (const char* kernel : {"", "lib:deepep_ll"}) {
    ASSERT_THAT(choices(kernel), SizeIs(1));
    EXPECT_EQ(choices(kernel)[0].copies, TokenCopies::per_expert);
  }
  EXPECT_THAT(choices("lib:another"), SizeIs(3));
}

TEST(KernelFacts, HowLayersWereMeasuredNamesKernelsThatACalibrationHas) {
  // A name that nobody bears would have no effect, and nobody would notice.
  std::map<std::string, std::set<std::string>> kernels;  // By chip; of any under no name.
  for (const Calibration& calibration : shipped_calibrations()) {
    for (const Curve& curve : calibration.curves) {
      kernels[calibration.chip].insert(curve.key.kernel);
      kernels[""].insert(curve.key.kernel);
    }
  }
  const auto document =
      JsonDocument::read(test::source_path("hwmodels/data/kernels/measured_experts.json"));
  int named = 0;
  for (const char* list :
       {"without_gate", "folded", "grouped", "tuned_by_trial", "behind_an_exchange"}) {
    for (const auto& layers : document.json().at(list)) {
      for (const std::string& chip : layers.value("chips", std::vector<std::string>{""})) {
        for (const auto& kernel : layers.at("kernels")) {
          EXPECT_TRUE(kernels[chip].contains(kernel.get<std::string>()))
              << kernel << " on " << chip;
          ++named;
        }
      }
    }
  }
  EXPECT_GE(named, 15);
}

TEST(KernelFacts, HowLayersWereMeasuredIsAsListedAndTheFileFitsItsSchema) {
  const auto document =
      JsonDocument::read(test::source_path("hwmodels/data/kernels/measured_experts.json"));
  EXPECT_EQ(test::JsonSchema("measured-experts").violations(document.json()), "");
  const auto& stated = document.json().at("without_gate").at(1);
  const auto kernel = stated.at("kernels").at(0).get<std::string>();
  const MeasuredExperts layer{.kernel = kernel,
                              .experts = stated.at("experts").get<double>(),
                              .top_k = stated.at("top_k").get<double>(),
                              .intermediate = stated.at("intermediate").get<double>()};
  const auto but = [&](auto&& change) {
    MeasuredExperts other = layer;
    change(other);
    return experts_have_gate(other, "");
  };
  EXPECT_FALSE(experts_have_gate(layer, ""));
  EXPECT_TRUE(but([](MeasuredExperts& other) { other.intermediate += 1.0; }));
  EXPECT_TRUE(but([](MeasuredExperts& other) { other.top_k += 1.0; }));
  EXPECT_TRUE(but([](MeasuredExperts& other) { other.experts += 1.0; }));
  EXPECT_TRUE(but([](MeasuredExperts& other) { other.kernel = "another"; }));
}

TEST(KernelFacts, WhatIsStatedOfSomeChipsHoldsOnThemAlone) {
  const MeasuredExperts layer{
      .kernel = "sglang:sglang_fused_moe_triton", .experts = 128, .top_k = 6, .intermediate = 1856};
  EXPECT_FALSE(experts_have_gate(layer, "l40s"));
  EXPECT_TRUE(experts_have_gate(layer, "a100"));
  EXPECT_TRUE(experts_have_gate(layer, "")) << "unknown, so that the rule holds";
  EXPECT_TRUE(experts_are_folded(layer, "a100"));
  EXPECT_FALSE(experts_are_folded(layer, "l40s"));
}

TEST(KernelFacts, TokensChooseInGroupsWhereItSaysSo) {
  const MeasuredExperts layer{.kernel = "sglang:sglang_fused_moe_triton",
                              .hidden = 7168,
                              .experts = 256,
                              .top_k = 8,
                              .intermediate = 2048};
  EXPECT_EQ(groups_of_experts(layer, "h100"), (ExpertGroups{.groups = 8, .chosen = 4}));
  EXPECT_EQ(groups_of_experts(layer, "a100"), ExpertGroups{});
  MeasuredExperts other = layer;
  other.hidden = 6144;
  EXPECT_EQ(groups_of_experts(other, "h100"), ExpertGroups{});
}

TEST(KernelFacts, PaddedTilesAreStatedByKernelAndFormat) {
  const CurveKey key{.family = Family::moe_layer,
                     .format = Format::nvfp4,
                     .kernel = "sglang:sglang_flashinfer_trtllm_moe"};
  EXPECT_THAT(padded_expert_tiles(key),
              ElementsAre(PaddedTiles{.smallest = 8, .largest = 128, .share = 0.5}));
  for (const GroupedGemmForm::Choice& choice : GroupedGemmForm::facts(key, "").choices) {
    EXPECT_TRUE(choice.tiles.padded);
  }
  CurveKey tuned = key;
  tuned.format = Format::mxfp4_w4a8;
  tuned.kernel = "trtllm:moe_torch_flow";
  EXPECT_THAT(padded_expert_tiles(tuned), SizeIs(9)) << "what the tuner took is tried";
  tuned.kernel = "another";
  EXPECT_THAT(padded_expert_tiles(tuned), IsEmpty());
}

TEST(KernelFacts, ATrialChoseTheKernelsThatAreListed) {
  EXPECT_TRUE(tuned_by_trial("trtllm:moe_torch_flow_cutlass"));
  EXPECT_FALSE(tuned_by_trial("trtllm:deepgemm"));
}

TEST(KernelFacts, AStatedTileIsTheOnlyOneTried) {
  const auto facts = Form::facts({.family = Family::decode_attention,
                                  .format = Format::bf16,
                                  .head_dim = 256,
                                  .kernel = "sglang:fa3"});
  ASSERT_THAT(facts.choices, SizeIs(1));
  EXPECT_EQ(facts.choices[0].tile_rows, (std::array<double, 3>{128, 0, 0}));
  EXPECT_EQ(facts.choices[0].tile_tokens, 80);
  EXPECT_EQ(facts.choices[0].split, SplitPolicy::balanced);
  EXPECT_DOUBLE_EQ(facts.matrix_share, 0.75);
}

TEST(KernelFacts, OurOwnKernelsTilesAreThoseOfItsPlan) {
  for (const auto& [family, head_dim, format] :
       {std::tuple{Family::decode_attention, 64, Format::bf16},
        {Family::decode_attention, 256, Format::bf16},
        {Family::decode_attention, 128, Format::fp8},
        {Family::latent_attention, 576, Format::bf16},
        {Family::latent_attention, 576, Format::fp8}}) {
    const auto facts =
        Form::facts({.family = family, .format = format, .head_dim = head_dim, .kernel = "ridge"});
    ASSERT_THAT(facts.choices, Each(Field(&Form::Choice::split, SplitPolicy::dealt)));
    for (const Form::Choice& choice : facts.choices) {
      EXPECT_EQ(choice.tile_rows, (std::array<double, 3>{kernels::decode::kTileRows, 0, 0}));
      EXPECT_EQ(choice.tile_tokens, kernels::decode::kTileTokens);
    }
  }
}

TEST(KernelFacts, WhatIsNotStatedIsStillTried) {
  const auto facts = Form::facts({.family = Family::decode_attention,
                                  .format = Format::bf16,
                                  .head_dim = 128,
                                  .kernel = "flashinfer/fa3"});
  EXPECT_GT(facts.choices.size(), 5U);
  EXPECT_THAT(facts.choices,
              Each(Field(&Form::Choice::tile_rows, std::array<double, 3>{16, 64, 128})));
}

TEST(KernelFacts, AmperesKernelIsStatedInFull) {
  const auto facts = Form::facts({.family = Family::decode_attention,
                                  .format = Format::bf16,
                                  .head_dim = 128,
                                  .kernel = "flash_attention_2"});
  ASSERT_THAT(facts.choices, SizeIs(1));
  EXPECT_EQ(facts.choices[0].split, SplitPolicy::efficient);
  EXPECT_EQ(facts.choices[0].resident_blocks, 2);
}

TEST(KernelFacts, AnUnknownKernelIsFittedFreely) {
  const CurveKey key{.family = Family::decode_attention,
                     .format = Format::bf16,
                     .head_dim = 128,
                     .kernel = "nobody's"};
  // Two ways to split, seven tile lengths, two tile heights.
  EXPECT_THAT(Form::facts(key).choices, SizeIs(2 * 7 * 2));
  EXPECT_EQ(Form::facts(key).matrix_share, 1.0);
}

TEST(KernelFacts, TileHeightsMustRise) {
  for (const char* text : {"[64, 64]", "[128, 64]", "[]", "[1, 2, 3, 4]", "[0]"}) {
    const JsonDocument document = JsonDocument::parse(text, "x.json");
    Diagnostics diagnostics;
    const JsonContext context{.file = "x.json", .diagnostics = &diagnostics};
    std::array<double, 3> rows{};
    read_tile_rows(JsonNode(document.json(), context), rows);
    EXPECT_FALSE(diagnostics.ok()) << text;
  }
}

TEST(AttentionTiles, AGroupTakesTheFirstHeightThatHoldsIt) {
  const Form::Choice choice{.tile_rows = {16, 64, 128}};
  for (const auto& [group, height] : {std::pair{1.0, 16.0},
                                      {16.0, 16.0},
                                      {17.0, 64.0},
                                      {64.0, 64.0},
                                      {65.0, 128.0},
                                      {300.0, 128.0}}) {
    EXPECT_EQ(Form::tile_height(choice, group), height) << group;
  }
}

TEST(KernelFacts, BlackwellsLatentAttentionIsStatedOfItsChipsAlone) {
  const CurveKey key{.family = Family::latent_attention,
                     .format = Format::bf16,
                     .head_dim = 576,
                     .kernel = "trtllm:default"};
  const auto stated = Form::facts(key, "b200").choices;
  EXPECT_THAT(stated, SizeIs(3)) << "how many tiles a split has is tried";
  EXPECT_THAT(stated, Each(Field(&Form::Choice::split, SplitPolicy::narrow)));
  for (const Form::Choice& choice : Form::facts(key, "h100").choices) {
    EXPECT_NE(choice.split, SplitPolicy::narrow);
  }
}

// By hand from FlashInfer's selectMlaGenerationKernel, on its 148 units.
TEST(AttentionTiles, NarrowOnesAreForFewHeadsOrLittleContext) {
  const Form::Choice choice{.tile_rows = {8, 16, 64}, .split = SplitPolicy::narrow};
  const auto rows = [&](double sequences, double group, double context) {
    return Form::narrow_tiles(148, choice, sequences, group, context).rows;
  };
  EXPECT_EQ(rows(512, 8, 1e5), 8);
  EXPECT_EQ(rows(512, 9, 1e5), 16);
  EXPECT_EQ(rows(512, 32, 1e5), 16);
  EXPECT_EQ(rows(512, 64, 1e5), 64);
  // 8 sequences of 64 heads: 32 blocks, 4 splits of each.
  EXPECT_EQ(rows(8, 64, 4096), 16) << "1,024 tokens a split";
  EXPECT_EQ(rows(8, 64, 4097), 64);
  EXPECT_EQ(rows(38, 64, 512), 64) << "152 blocks on 148 units";
  EXPECT_TRUE(Form::narrow_tiles(148, choice, 512, 128, 1e5).paired);
  EXPECT_FALSE(Form::narrow_tiles(148, choice, 512, 64, 1e5).paired);
  EXPECT_FALSE(Form::narrow_tiles(148, choice, 1, 128, 1024).paired);
}

TEST(AttentionTiles, NarrowOnesReadFromMemoryOnceAndFromL2EachForItself) {
  const Form::Choice choice{.tile_rows = {8, 16, 64}, .split = SplitPolicy::narrow};
  Form::Parameters p = parameters();
  p[Form::memory_TBps] = 4.0;
  p[Form::l2_TBps] = 6.0;
  p[Form::l2_MB] = 1.0;
  p[Form::block_TFLOPps] = 1e9;
  p[Form::block_GBps] = 1e9;
  p[Form::row_TBps] = 1e9;
  p[Form::tile_us] = 1e-9;
  p[Form::block_us] = 1e-9;
  p[Form::softness] = 1e-9;
  p[Form::sequence_us] = 1e-9;
  const auto us = [&](double heads) {
    const double both = Form::time(kMachine132, choice, p, latent(512, 16384, heads)).us;
    return both - Form::time(kMachine132, choice, p, latent(512, 8192, heads)).us;
  };
  EXPECT_NEAR(us(32) / us(16), 2.0 / 6.0 / (1.0 / 4.0), 1e-6);
  EXPECT_NEAR(us(64), us(16), 1e-6 * us(16));
  EXPECT_NEAR(us(128), us(16), 1e-6 * us(16)) << "two blocks share a reading";
}

TEST(AttentionTiles, AHalfFilledTileCostsAsMuchArithmeticAsAFullOne) {
  const Form::Choice choice{.tile_rows = {128, 0, 0}};
  Form::Parameters p = parameters();
  p[Form::block_TFLOPps] = 0.5;  // arithmetic decides
  p[Form::row_TBps] = 1e9;
  p[Form::combine_TBps] = 1e9;
  const auto us = [&](double rows) {
    return Form::time(kMachine132, choice, p, latent(64, 8192, rows)).us;
  };
  EXPECT_NEAR(us(64), us(128), 1e-3 * us(128));
  EXPECT_GT(us(129), 1.8 * us(128));
}

TEST(AttentionTiles, CopiesHideBehindArithmeticWithinATile) {
  const Form::Choice choice{.tile_rows = {64, 0, 0}, .split = SplitPolicy::dealt};
  Form::Parameters p = parameters();
  p[Form::block_TFLOPps] = 0.5;
  const double hidden = Form::time(kMachine132, choice, p, latent(64, 8192, 64)).us;
  p[Form::block_GBps] *= 0.8;
  EXPECT_DOUBLE_EQ(Form::time(kMachine132, choice, p, latent(64, 8192, 64)).us, hidden);
}

// 84 requests on 132 units: FlashAttention's scheduler cuts each sequence in two.
TEST(AttentionSplits, BalancedSplitsLeaveATenthOfSlack) {
  const Form::Choice choice{.tile_tokens = 80, .tile_rows = {128, 0, 0}};
  const double tiles = std::ceil(4096.0 / 80.0);
  for (const auto& [sequences, splits] :
       {std::pair{64.0, 2.0}, {84.0, 2.0}, {110.0, 2.0}, {120.0, 1.0}, {128.0, 1.0}}) {
    EXPECT_EQ(Form::cut(kMachine132, choice, sequences, 1, tiles).splits, splits) << sequences;
  }
}

// FlashAttention-2's heuristic, computed by hand from its source: 108 units, 4 blocks a sequence,
// 16 tiles each. From 87 blocks on (0.8 of 108) one split.
TEST(AttentionSplits, EfficientOnesAreTheFewestThatLeaveLittleIdle) {
  constexpr Machine kAmpere{.compute_units = 108,
                            .memory_TBps = 2.0,
                            .bf16_TFLOPps = 312,
                            .fp8_TFLOPps = 624,
                            .fp4_TFLOPps = 312};
  const Form::Choice choice{
      .tile_tokens = 128, .tile_rows = {64, 0, 0}, .split = SplitPolicy::efficient};
  for (const auto& [sequences, splits] : {std::pair{1.0, 16.0},
                                          {7.0, 3.0},   // 84 of 108 in use; at best 448 of 540
                                          {13.0, 2.0},  // 104 of 108
                                          {21.0, 6.0},  // 504 of 540; fewer leave 22 % idle
                                          {22.0, 1.0},  // 88 of 108
                                          {27.0, 1.0}}) {
    EXPECT_EQ(Form::cut(kAmpere, choice, sequences, 4, 16).splits, splits) << sequences;
  }
}

TEST(AttentionSplits, FilledOnesUseTheRoomForSeveralBlocks) {
  Form::Choice choice{.tile_tokens = 128, .tile_rows = {64, 0, 0}, .split = SplitPolicy::fill};
  EXPECT_EQ(Form::cut(kMachine132, choice, 64, 1, 64).splits, 2.0);
  choice.resident_blocks = 2;
  EXPECT_EQ(Form::cut(kMachine132, choice, 64, 1, 64).splits, 4.0);
}

TEST(AttentionBlocks, ThatShareAUnitHideEachOthersLatencyNotEachOthersWork) {
  Form::Choice one{.tile_tokens = 64, .tile_rows = {64, 0, 0}, .min_tiles = 1e6};
  Form::Choice two = one;
  two.resident_blocks = 2;
  Form::Parameters p = parameters();
  p[Form::memory_TBps] = 1e6;  // only the blocks' own time counts
  p[Form::l2_TBps] = 1e6;
  p[Form::softness] = 1e-9;
  p[Form::block_us] = 1e-9;
  const auto us = [&](const Form::Choice& choice, double sequences) {
    return Form::time(kMachine132, choice, p, latent(sequences, 64 * 100, 64)).us;
  };
  const double rest = us(one, 0.0);
  // A latency far longer than the work: two blocks take as long as one.
  p[Form::tile_us] = 100.0;
  EXPECT_NEAR(us(one, 264) / us(one, 132), 2.0, 0.1);
  EXPECT_NEAR(us(two, 264) / us(two, 132), 1.0, 0.1);
  EXPECT_DOUBLE_EQ(us(two, 132), us(one, 132));
  // No latency: twice the work takes twice as long, however it is held.
  p[Form::tile_us] = 1e-9;
  EXPECT_NEAR(us(two, 264), us(one, 264), 1e-6 * us(one, 264));
  EXPECT_GT(us(two, 264), rest);
}

TEST(AttentionCache, OnlyOneThatComesFromMemoryPaysForTheFirstBytes) {
  const Form::Choice choice{};
  Form::Parameters p = parameters();
  const auto added = [&](double context) {
    const double before = Form::time(kMachine132, choice, p, latent(16, context, 64)).us;
    Form::Parameters colder = p;
    colder[Form::cold_us] += 10.0;
    return Form::time(kMachine132, choice, colder, latent(16, context, 64)).us - before;
  };
  EXPECT_NEAR(added(256), 0.0, 1e-3) << "5 MB stay in L2";
  EXPECT_NEAR(added(65536), 10.0, 1e-3) << "1.2 GB do not";
}

TEST(AttentionSplits, EachOneMoreTakesLongerToMerge) {
  Form::Parameters p = parameters();
  p[Form::combine_TBps] = 1e9;
  const Form::Choice choice{};
  const Form::Shape shape = latent(4, 8192, 64);
  const double splits = Form::cut(kMachine132, choice, 4, 1, 64).splits;
  ASSERT_GT(splits, 2.0);
  const double before = Form::time(kMachine132, choice, p, shape).us;
  p[Form::split_us] += 1.0;
  EXPECT_NEAR(Form::time(kMachine132, choice, p, shape).us - before, splits, 1e-9);
}

TEST(AttentionSplits, DealtTilesLeaveNoUnitBehind) {
  const Form::Choice choice{
      .tile_tokens = 64, .tile_rows = {64, 0, 0}, .split = SplitPolicy::dealt};
  for (double sequences = 1; sequences <= 512; sequences += 1) {
    const double tiles = 128;
    const auto cut = Form::cut(kMachine132, choice, sequences, 2, tiles);
    const double parts = 66;  // two row tiles each
    EXPECT_GE(cut.tiles * parts, sequences * tiles - 1e-9) << "all tiles are dealt";
    // No more than the seams, a payload's rounding and one seam's worth above an even share.
    EXPECT_LE(cut.tiles, sequences * tiles / parts + 5.0 * sequences / parts + 11.0) << sequences;
  }
}

TEST(AttentionSplits, MoreDealtSequencesNeverTakeLess) {
  const Form::Choice choice{
      .tile_tokens = 64, .tile_rows = {64, 0, 0}, .split = SplitPolicy::dealt};
  double last = 0.0;
  for (double sequences = 66; sequences <= 1024; sequences += 33) {
    const double us = time_us(choice, latent(sequences, 4096, 128));
    EXPECT_GE(us, last) << sequences;
    last = us;
  }
}

}  // namespace
}  // namespace ridge::hw::calibrated
