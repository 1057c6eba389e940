// Times of the forms worked out by hand, with all but a few of their parameters out of the way.
#include "ridge/hwmodels/calibrated/forms.hpp"

#include <algorithm>
#include <string_view>

#include <gtest/gtest.h>

namespace ridge::hw::calibrated {
namespace {

constexpr double kNever = 1e18;  // a rate at which nothing takes time

Machine machine(double units) {
  return {.compute_units = units,
          .memory_TBps = 3.0,
          .bf16_TFLOPps = 900,
          .fp8_TFLOPps = 1800,
          .fp4_TFLOPps = 3600};
}

// No time for anything but what a test sets.
GemmForm::Parameters idle_gemm() {
  GemmForm::Parameters p{};
  for (const auto rate :
       {GemmForm::unit_TFLOPps, GemmForm::unit_TBps, GemmForm::memory_TBps, GemmForm::small_TBps,
        GemmForm::split_TBps, GemmForm::quantize_TBps, GemmForm::quantize_small_TBps,
        GemmForm::small_MB, GemmForm::throttle_us}) {
    p[rate] = kNever;
  }
  return p;
}

double gemm_us(double units, const GemmForm::Parameters& p, const GemmForm::Shape& shape,
               TileMenu menu = TileMenu::library) {
  return GemmForm::time(machine(units), {.menu = menu}, p, shape).us;
}

TEST(GemmForm, ASplitOfKTakesWholeStepsAndWholeWaves) {
  GemmForm::Parameters p = idle_gemm();
  p[GemmForm::step_us] = 1.0;
  p[GemmForm::split_us] = 0.1;
  // One tile of five steps. On two units: split in two, three steps and a tenth; split in four, two
  // waves of two. On one unit a split only adds: five steps.
  const GemmForm::Shape shape{.m = 64, .n = 64, .k = 5 * 128};
  EXPECT_NEAR(gemm_us(2, p, shape), 3.1, 1e-12);
  EXPECT_NEAR(gemm_us(1, p, shape), 5.0, 1e-12);
  // On sixteen, split in eight or more: a step each.
  EXPECT_NEAR(gemm_us(16, p, shape), 1.1, 1e-12);
}

TEST(GemmForm, APartOfATileAndOfAWaveCostsAsMuchAsAWholeOne) {
  GemmForm::Parameters p = idle_gemm();
  p[GemmForm::wave_us] = 1.0;
  p[GemmForm::split_us] = 100.0;
  // The widest tiles, 128 x 256 and 256 x 128, need least waves: 257 x 257 is 3 x 2 of them.
  EXPECT_NEAR(gemm_us(4, p, {.m = 257, .n = 257, .k = 128}), 2.0, 1e-12);
  EXPECT_NEAR(gemm_us(6, p, {.m = 257, .n = 257, .k = 128}), 1.0, 1e-12);
}

TEST(GemmForm, LoadsArithmeticAndLatencyOfAStepRunBesideEachOther) {
  GemmForm::Parameters p = idle_gemm();
  p[GemmForm::split_us] = 100.0;
  p[GemmForm::step_us] = 0.3;
  p[GemmForm::unit_TFLOPps] = 2.0;
  const GemmForm::Shape shape{.m = 64, .n = 64, .k = 128};
  // 2 x 64 x 64 x 128 FLOP at 2 TFLOP/s: 0.524 us, not 0.824.
  EXPECT_NEAR(gemm_us(1, p, shape), 2.0 * 64 * 64 * 128 / 2e6, 1e-12);
  p[GemmForm::step_us] = 0.6;
  EXPECT_NEAR(gemm_us(1, p, shape), 0.6, 1e-12);
}

// With 11 rows of tiles 128 high, eleven columns of 192 are the least traffic of one wave on 132
// units (121 tiles, 320 values a step; 256 x 96 would be 132 tiles of 352). A thirteenth row of
// tiles needs a second wave, in which neighbors share: then 128 x 112 is 2 x 184, less than the 384
// of 256 x 128 in one.
TEST(GemmForm, TheTileOfLeastTrafficIsTakenWhateverItsTime) {
  GemmForm::Parameters p = idle_gemm();
  p[GemmForm::wave_us] = 1.0;
  const auto waves = [&](double m) {
    return gemm_us(132, p, {.m = m, .n = 2048, .k = 4096}, TileMenu::least_traffic);
  };
  EXPECT_NEAR(waves(1281), 1.0, 1e-12);
  EXPECT_NEAR(waves(1536), 1.0, 1e-12);
  EXPECT_NEAR(waves(1537), 2.0, 1e-12);
  EXPECT_NEAR(waves(1792), 1.0, 1e-12);  // 256 x 128: shared tiles of 128 x 128 are no less

  // By its area a tile tells which it is: 128 x 192 at 1,536 rows, 256 x 128 at 1,792.
  p = idle_gemm();
  p[GemmForm::tile_us] = 1.0;
  EXPECT_NEAR(waves(1536), 1.5, 1e-12);
  EXPECT_NEAR(waves(1537), 2 * 112.0 / 128.0, 1e-12);
  EXPECT_NEAR(waves(1792), 2.0, 1e-12);
}

TEST(GemmForm, TilesThatLeaveNoRegistersAreSlowWhereTheyStandAlone) {
  GemmForm::Parameters p = idle_gemm();
  p[GemmForm::unit_TFLOPps] = 2.0 * 128 * 128 * 128 / 1e6;  // a step of 128 x 128 takes 1 us
  const auto step_us = [&](double m) {
    return gemm_us(132, p, {.m = m, .n = 2048, .k = 128 * 32}, TileMenu::least_traffic) / 32;
  };
  EXPECT_NEAR(step_us(1280), 1.25, 1e-9);  // 128 x 160
  EXPECT_NEAR(step_us(1281), 1.50, 1e-9);  // 128 x 192
  p[GemmForm::spill] = 3.0;
  EXPECT_NEAR(step_us(1280), 1.25, 1e-9);
  EXPECT_NEAR(step_us(1281), 4.0 * 1.50, 1e-9);
  EXPECT_NEAR(step_us(1792), 4.0 * 2.0, 1e-9);  // 256 x 128
}

TEST(GemmForm, TilesByRowsAreSmallUpTo256) {
  GemmForm::Parameters p = idle_gemm();
  p[GemmForm::wave_us] = 1.0;
  const auto waves = [&](double m) {
    return gemm_us(16, p, {.m = m, .n = 1024, .k = 128}, TileMenu::by_rows);
  };
  EXPECT_NEAR(waves(64), 1.0, 1e-12);   // 16 tiles of 64 x 64
  EXPECT_NEAR(waves(256), 4.0, 1e-12);  // 64
  EXPECT_NEAR(waves(257), 2.0, 1e-12);  // 24 of 128 x 128
}

TEST(GemmForm, ALastRowOfTilesCostsTheRowsItLacks) {
  GemmForm::Parameters p = idle_gemm();
  p[GemmForm::ragged_us] = 1.0;
  const auto us = [&](double m) {
    return gemm_us(8, p, {.m = m, .n = 1024, .k = 4 * 128}, TileMenu::by_rows);
  };
  EXPECT_NEAR(us(512), 0.0, 1e-12);
  EXPECT_NEAR(us(512 + 32), 4 * 0.75, 1e-12);  // four steps, three quarters of 128 rows
}

// Of a product of one row on four units.
double learned_from(std::string_view feature, double n) {
  const auto at = std::find(GemmForm::kFeatures.begin(), GemmForm::kFeatures.end(), feature);
  return GemmForm::features(machine(4), {}, {.m = 1, .n = n, .k = 64})
      .at(static_cast<std::size_t>(at - GemmForm::kFeatures.begin()));
}

TEST(GemmForm, WhatIsLearnedSeesWhether64AndWhether128DivideTheColumns) {
  EXPECT_DOUBLE_EQ(learned_from("n_fill_64", 2112), 1.0);
  EXPECT_DOUBLE_EQ(learned_from("n_fill_128", 2112), 16.5 / 17.0);
  EXPECT_DOUBLE_EQ(learned_from("n_fill_64", 288), 4.5 / 5.0);
  EXPECT_DOUBLE_EQ(learned_from("n_fill_128", 288), 2.25 / 3.0);
}

TEST(GemmForm, WhatIsLearnedSeesHowFullAWaveOfEachTileIs) {
  EXPECT_DOUBLE_EQ(learned_from("wave_fill_64x64", 288), 5.0 / 8.0);
  EXPECT_DOUBLE_EQ(learned_from("wave_fill_128x128", 288), 3.0 / 4.0);
  EXPECT_DOUBLE_EQ(learned_from("wave_fill_128x256", 288), 2.0 / 4.0);
}

TEST(GroupedGemmForm, EveryExpertWithRowsTakesWholeTiles) {
  GroupedGemmForm::Parameters p{};
  for (const auto rate :
       {GroupedGemmForm::unit_TFLOPps, GroupedGemmForm::unit_TBps, GroupedGemmForm::memory_TBps,
        GroupedGemmForm::row_TBps, GroupedGemmForm::token_TBps, GroupedGemmForm::routed_TBps}) {
    p[rate] = kNever;
  }
  p[GroupedGemmForm::wave_us] = 1.0;
  const GroupedGemmForm::Choice choice{.tile_n = 128, .smallest_tile_m = 128, .persistent = false};
  // Three experts of 129 rows: two tiles each, twice over the 256 columns: 12 tiles on 5 units.
  const GroupedGemmForm::Shape shape{
      .rows = 387, .experts = 8, .active_experts = 3, .n = 256, .k = 128};
  EXPECT_NEAR(GroupedGemmForm::time(machine(5), choice, p, shape).us, 3.0, 1e-12);
  EXPECT_NEAR(GroupedGemmForm::time(machine(12), choice, p, shape).us, 1.0, 1e-12);
}

constexpr ExpertTile kSmall{.rows = 16, .columns = 32, .depth = 64};
constexpr ExpertTile kLarge{.rows = 64, .columns = 64, .depth = 32};
constexpr ExpertTile kTuned{.rows = 128, .columns = 256, .depth = 64};

ExpertTiles tiles_of_experts() {
  return {
      .rule = {{.tokens_per_expert = 1.0, .tile = kSmall}, {.tile = kLarge}},
      .tuned = {{.experts = 8,
                 .intermediate = 512,
                 .tiles = {{.tokens = 0, .tile = kSmall}, {.tokens = 100, .tile = kTuned}}},
                {.experts = 16, .intermediate = 256, .tiles = {{.tokens = 0, .tile = kTuned}}}}};
}

TEST(ExpertTiles, ATableThatWasTunedForTheShapeStandsAboveTheRule) {
  const ExpertTiles tiles = tiles_of_experts();
  const auto columns = [&](double tokens, double experts, double intermediate) {
    return tiles.at(tokens, experts, intermediate).columns;
  };
  EXPECT_EQ(columns(16, 16, 512), 32) << "as many tokens as experts";
  EXPECT_EQ(columns(17, 16, 512), 64);
  EXPECT_EQ(columns(17, 8, 0), 64) << "no layer's product";
  EXPECT_EQ(columns(99, 8, 512), 32);
  EXPECT_EQ(columns(100, 8, 512), 256);
  EXPECT_EQ(columns(1, 16, 256), 256);
  EXPECT_EQ(columns(1, 16, 257), 32);
}

TEST(PaddedTiles, AreAsHighAsTheChoicesForEachExpertHeldWhoeverComputesThem) {
  constexpr PaddedTiles kTiles{.smallest = 8, .largest = 128, .share = 0.5};
  EXPECT_EQ(kTiles.rows(1, 8), 8);
  EXPECT_EQ(kTiles.rows(64 * 8, 8), 32) << "64 choices for each expert: half of 64";
  EXPECT_EQ(kTiles.rows(64 * 8 + 1, 8), 64) << "65: half of 128";
  EXPECT_EQ(kTiles.rows(1e6, 8), 128);
  constexpr PaddedTiles kWhole{.smallest = 8, .largest = 256, .share = 1};
  EXPECT_EQ(kWhole.rows(65, 1), 128);
}

// 8 experts held of 256: of 2,048 choices that the launch is handed for each, 64 fall on them.
TEST(GroupedGemmForm, APaddedTileIsPaidInFull) {
  GroupedGemmForm::Parameters p{};
  for (const auto rate :
       {GroupedGemmForm::unit_TBps, GroupedGemmForm::memory_TBps, GroupedGemmForm::row_TBps,
        GroupedGemmForm::token_TBps, GroupedGemmForm::routed_TBps}) {
    p[rate] = kNever;
  }
  p[GroupedGemmForm::unit_TFLOPps] = 1.0;
  const GroupedGemmForm::Shape shape{.rows = 512,
                                     .routed_rows = 2048 * 8,
                                     .tokens = 2048,
                                     .experts = 8,
                                     .active_experts = 8,
                                     .n = 128,
                                     .k = 128};
  const auto us = [&](double largest) {
    const GroupedGemmForm::Choice choice{.tiles = {.padded = true},
                                         .tile_n = 128,
                                         .padded = {.largest = largest},
                                         .persistent = false};
    return GroupedGemmForm::time(machine(8), choice, p, shape).us;
  };
  EXPECT_NEAR(us(256), 2e-6 * 256 * 128 * 128, 1e-9);
  EXPECT_NEAR(us(64), 2e-6 * 64 * 128 * 128, 1e-9);
}

TEST(GroupedGemmForm, TokensAndTheirChoicesCostWhereverTheyAreComputed) {
  GroupedGemmForm::Parameters p{};
  for (const auto rate :
       {GroupedGemmForm::unit_TFLOPps, GroupedGemmForm::unit_TBps, GroupedGemmForm::memory_TBps,
        GroupedGemmForm::row_TBps, GroupedGemmForm::token_TBps, GroupedGemmForm::routed_TBps}) {
    p[rate] = kNever;
  }
  const GroupedGemmForm::Shape shape{
      .rows = 1, .routed_rows = 8000, .tokens = 1000, .experts = 1, .n = 256, .k = 4096};
  const auto us = [&] { return GroupedGemmForm::time(machine(8), {}, p, shape).us; };
  EXPECT_NEAR(us(), 0.0, 1e-9);
  p[GroupedGemmForm::token_TBps] = 1.0;
  EXPECT_NEAR(us(), 1000 * 4096 * 2e-6, 1e-9) << "a token in two bytes a value, once";
  p[GroupedGemmForm::token_TBps] = kNever;
  p[GroupedGemmForm::routed_TBps] = 1.0;
  EXPECT_NEAR(us(), 8000 * (256 + 4096) * 2e-6, 1e-9) << "each choice";
}

// Three experts of 129 rows and 256 columns in tiles of 64 x 64: 36 of them.
TEST(GroupedGemmForm, AStatedTileIsTakenAndItsBlocksShareLatencyNotWork) {
  const ExpertTiles tiles{.rule = {{.tile = kLarge}}};
  GroupedGemmForm::Parameters p{};
  for (const auto rate :
       {GroupedGemmForm::unit_TFLOPps, GroupedGemmForm::unit_TBps, GroupedGemmForm::memory_TBps,
        GroupedGemmForm::row_TBps, GroupedGemmForm::token_TBps, GroupedGemmForm::routed_TBps}) {
    p[rate] = kNever;
  }
  const GroupedGemmForm::Choice choice{.tiles = {.stated = &tiles}, .persistent = false};
  const GroupedGemmForm::Shape shape{.rows = 387,
                                     .tokens = 387,
                                     .experts = 8,
                                     .active_experts = 3,
                                     .n = 256,
                                     .k = 128,
                                     .profile = {}};
  const auto us = [&](double units) {
    return GroupedGemmForm::time(machine(units), choice, p, shape).us;
  };
  // 228 KB hold three stages of 64 x 32 twice, two bytes each, nine times.
  p[GroupedGemmForm::wave_us] = 1.0;
  EXPECT_NEAR(us(4), 1.0, 1e-12);
  EXPECT_NEAR(us(3), 2.0, 1e-12);
  // Four steps of 32 a tile, of a wave as of a block.
  p[GroupedGemmForm::wave_us] = 0.0;
  p[GroupedGemmForm::step_us] = 1.0;
  EXPECT_NEAR(us(4), 4.0, 1e-12);
  // Work is done one tile after the other, by area: a quarter of 128 x 128.
  p[GroupedGemmForm::step_us] = 0.0;
  p[GroupedGemmForm::tile_us] = 1.0;
  EXPECT_NEAR(us(4), 9 * 0.25, 1e-12);
  EXPECT_NEAR(us(36), 0.25, 1e-12);
}

// 1,000 tokens of 8 KB on 8 ranks: eight copies each, or one for each of four ranks, a rank's own
// eighth of them left out or not.
TEST(ExpertExchangeForm, ATokenTravelsOncePerExpertOrOncePerRank) {
  ExpertExchangeForm::Parameters p{};
  p[ExpertExchangeForm::scale_up_GBps] = 100.0;
  p[ExpertExchangeForm::network_GBps] = p[ExpertExchangeForm::connection_GBps] = kNever;
  const ExpertExchangeForm::Shape shape{.servers = 1,
                                        .ranks_per_server = 8,
                                        .tokens = 1000,
                                        .top_k = 8,
                                        .experts = 64,
                                        .bytes_per_token = 8000,
                                        .ranks_reached = 4};
  const auto us = [&](TokenCopies copies) {
    return ExpertExchangeForm::time(machine(1), {.copies = copies}, p, shape).us;
  };
  EXPECT_NEAR(us(TokenCopies::per_expert), 640.0, 1e-6);
  EXPECT_NEAR(us(TokenCopies::per_rank), 320.0, 1e-6);
  EXPECT_NEAR(us(TokenCopies::per_other_rank), 280.0, 1e-6);
  EXPECT_NEAR(ExpertExchangeForm::ranks_reached_at_random(2, 3), 1.75, 1e-12);
  EXPECT_EQ(ExpertExchangeForm::ranks_reached_at_random(1, 8), 1.0);
}

// Two sequences of 1,000 tokens on average in tiles of 100, each on up to four units of a chip of
// eight: those that work on the longest, of 3,000 tokens, have eight tiles each.
TEST(DecodeAttentionForm, AKernelThatCutsSequencesAlikeIsDoneWhenTheLongestIs) {
  using Form = DecodeAttentionForm;
  Form::Parameters p{};
  for (const auto rate : {Form::block_GBps, Form::block_TFLOPps, Form::combine_TBps,
                          Form::memory_TBps, Form::l2_TBps, Form::row_TBps}) {
    p[rate] = kNever;
  }
  p[Form::l2_MB] = p[Form::softness] = 1.0;
  p[Form::tile_us] = 1.0;
  const auto us = [&](SplitPolicy split, double longest) {
    const Form::Choice choice{.tile_tokens = 100, .tile_rows = {8, 16, 64}, .split = split};
    return Form::time(machine(8), choice, p,
                      {.sequences = 2, .context = 1000, .longest = longest, .query_rows = 8})
        .us;
  };
  EXPECT_NEAR(us(SplitPolicy::narrow, 0), 4.0, 1e-9) << "three splits of ten tiles";
  EXPECT_NEAR(us(SplitPolicy::narrow, 1000), 4.0, 1e-9);
  EXPECT_NEAR(us(SplitPolicy::narrow, 3000), 8.0, 1e-9) << "four splits of thirty";
  EXPECT_NEAR(us(SplitPolicy::efficient, 0), 3.0, 1e-9) << "four splits of ten";
  EXPECT_NEAR(us(SplitPolicy::efficient, 3000), 8.0, 1e-9) << "four splits of thirty";
  for (const SplitPolicy knows : {SplitPolicy::balanced, SplitPolicy::dealt, SplitPolicy::fill}) {
    EXPECT_EQ(us(knows, 3000), us(knows, 0));
  }
}

TEST(CollectiveForm, ARingHasAHopForEveryFurtherRankATreeForEveryDoubling) {
  CollectiveForm::Parameters p{};
  p[CollectiveForm::launch_us] = 5.0;
  p[CollectiveForm::hop_us] = 1.0;
  p[CollectiveForm::low_latency_GBps] = 50.0;
  p[CollectiveForm::protocol_us] = 1e6;
  p[CollectiveForm::bandwidth_GBps] = 1.0;
  const CollectiveForm::Shape shape{.ranks = 8, .wire_MB = 0.1};  // 2 us at 50 GB/s
  EXPECT_NEAR(CollectiveForm::time(machine(1), {.hops_grow_linearly = true}, p, shape).us,
              5.0 + 6.0 + 2.0, 1e-6);
  EXPECT_NEAR(CollectiveForm::time(machine(1), {.hops_grow_linearly = false}, p, shape).us,
              5.0 + 2.0 + 2.0, 1e-6);
}

TEST(CollectiveForm, ShortMessagesToAllPeersAtATimeAreAsLongAsOne) {
  CollectiveForm::Parameters p{};
  p[CollectiveForm::low_latency_GBps] = 50.0;
  p[CollectiveForm::protocol_us] = 1e6;
  p[CollectiveForm::bandwidth_GBps] = 1.0;
  const CollectiveForm::Shape shape{.ranks = 8, .wire_MB = 0.7};
  EXPECT_NEAR(CollectiveForm::time(machine(1), {}, p, shape).us, 14.0, 1e-6);
  EXPECT_NEAR(CollectiveForm::time(machine(1), {.peers_at_a_time = true}, p, shape).us, 2.0, 1e-6);
}

TEST(Format, BytesCountTheirScales) {
  EXPECT_DOUBLE_EQ(weight_bytes_of(Format::nvfp4), 0.5625);
  EXPECT_DOUBLE_EQ(weight_bytes_of(Format::mxfp4_w4a16), 0.53125);
  EXPECT_DOUBLE_EQ(bytes_of(Format::mxfp4_w4a16), 2.0);
  EXPECT_DOUBLE_EQ(bytes_of(Format::mxfp4_w4a8), 1.0);
  EXPECT_DOUBLE_EQ(weight_bytes_of(Format::int4), 0.515625);
  EXPECT_EQ(matrix_bits(Format::nvfp4), 4);
  EXPECT_EQ(matrix_bits(Format::mxfp4_w4a8), 8);
  EXPECT_EQ(matrix_bits(Format::int4), 16);
}

TEST(RoughLog2, IsWithinAHundredthAndRises) {
  double last = -100.0;
  for (double x = 1e-6; x < 1e9; x *= 1.01) {
    EXPECT_NEAR(rough_log2(x), std::log2(x), 0.01) << x;
    EXPECT_GT(rough_log2(x), last) << x;
    last = rough_log2(x);
  }
}

TEST(Pair, IsAnsweredAsEachOfItsNumbers) {
  for (double x = 1e-6; x < 1e9; x *= 1.01) {
    const double y = std::round(x);  // often whole
    EXPECT_EQ(rough_log2(Pair{x, 1.0 / x})[0], rough_log2(x));
    EXPECT_EQ(rough_log2(Pair{x, 1.0 / x})[1], rough_log2(1.0 / x));
    EXPECT_EQ(round_up(Pair{x, y})[0], round_up(x));
    EXPECT_EQ(round_up(Pair{x, y})[1], y);
    EXPECT_EQ(fill(Pair{2.0, x})[1], fill(x));
  }
}

}  // namespace
}  // namespace ridge::hw::calibrated
