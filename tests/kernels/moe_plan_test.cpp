#include "moe/permutation.hpp"
#include "moe/plan.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace ridge::kernels::moe {
namespace {

LayerShape step3(int tokens) {
  return whole_layer(tokens, 7168, 5120, 48, 3, 1);
}
LayerShape deepseek_v3(int tokens) {
  return whole_layer(tokens, 7168, 2048, 256, 8, 1);
}

LayerPlan plan_of(const LayerShape& shape, const Routing& routing, int workers = 132) {
  return plan_layer(shape, permute(shape, draw_routing(shape, routing, 1)).group_offsets, workers);
}

template <int Cluster>
void expect_plan_of_what_the_cursor_hands_out(const LayerShape& shape, const Permutation& p) {
  constexpr int kWorkers = 8;
  const GemmPlan plan = plan_gemm(p.group_offsets, 640, 512, Epilogue::kBf16, kWorkers, Cluster);
  int tiles = 0;
  int full = 0;
  int padded = 0;
  int most_steps = 0;
  for (int worker = 0; worker < kWorkers; ++worker) {
    TileCursor<Cluster> cursor(p.group_offsets.data(), shape.groups(), weight_blocks(640),
                               worker / Cluster, kWorkers / Cluster, worker % Cluster);
    Tile tile;
    int steps = 0;
    while (cursor.next(tile)) {
      ++steps;
      tiles += tile.tokens > 0 ? 1 : 0;
      full += operand_order(tile.tokens) == OperandOrder::kTokensByWeights ? 1 : 0;
      padded += tile.weight_block == 0 ? padded_tokens(tile.tokens) : 0;
    }
    most_steps = std::max(most_steps, steps);
  }
  EXPECT_EQ(plan.tiles, tiles);
  EXPECT_EQ(plan.full_tiles, full);
  EXPECT_EQ(plan.full_tiles + plan.swapped_tiles[0] + plan.swapped_tiles[1] + plan.swapped_tiles[2],
            tiles);
  EXPECT_EQ(plan.padded_rows, padded);
  EXPECT_EQ(plan.waves, most_steps);
}

TEST(MoePlan, CountsTheTilesTheCursorHandsOut) {
  for (const Routing& routing :
       {Routing{RoutingKind::kUniform}, Routing{RoutingKind::kPowerLaw, 1.2},
        Routing{RoutingKind::kHotExpert}})
    for (const int tokens : {0, 1, 64, 65, 500, 3000}) {
      const LayerShape shape = whole_layer(tokens, 512, 384, 16, 2, 1);
      const Permutation p = permute(shape, draw_routing(shape, routing, 8));
      expect_plan_of_what_the_cursor_hands_out<1>(shape, p);
      expect_plan_of_what_the_cursor_hands_out<kPair>(shape, p);
    }
}

// 49 groups have 128 rows on average from 49 x 128 / 4 = 1568 tokens on. A rank that has one of two
// experts has half of the routed rows.
TEST(MoePlan, ThreadBlocksGoInPairsFromAFullTilePerGroupOn) {
  EXPECT_EQ(plan_of(step3(1568), {}).gate_up.cluster, 1);
  EXPECT_EQ(plan_of(step3(1569), {}).gate_up.cluster, kPair);
  EXPECT_EQ(plan_of(step3(8192), {}, 1).down.cluster, 1);
  const LayerShape half = slice(whole_layer(100, 512, 256, 2, 1, 0), 1, 2, 0);
  EXPECT_EQ(half.balanced_rows(), 50.0);
  EXPECT_EQ(half.row_capacity(), 100);
}

// Bytes and FLOP of whole layers, as anyone can count them: 48 + 1 experts of 3 x 7168 x 5120 bytes
// and 128 x (3 + 1) rows of as many multiply-adds, and so on.
TEST(MoePlan, OfStep3ReadsEveryExpertsWeightsOnce) {
  const LayerPlan plan = plan_of(step3(128), {});
  EXPECT_NEAR(plan.compulsory_bytes_read() / 1e9, 49 * 3 * 7168.0 * 5120.0 * 1e-9, 0.005);
  EXPECT_NEAR(plan.flop() / 1e12, 2 * 128 * 4 * 3 * 7168.0 * 5120.0 * 1e-12, 1e-9);
  EXPECT_NEAR(plan_of(step3(8192), {}).flop() / 1e12, 7.22, 0.01);
}

TEST(MoePlan, OfDeepSeekV3ReadsElevenGigabytes) {
  EXPECT_NEAR(plan_of(deepseek_v3(128), {}).compulsory_bytes_read() / 1e9,
              257 * 3 * 7168.0 * 2048.0 * 1e-9, 0.01);
  EXPECT_NEAR(plan_of(deepseek_v3(2048), {}).flop() / 1e12, 1.62, 0.01);
}

TEST(MoePlan, LeavesTheWeightsOfIdleExpertsUnread) {
  const GemmPlan one = plan_gemm(std::array{0, 1, 1, 1}, 256, 128, Epilogue::kFloat, 1);
  const GemmPlan three = plan_gemm(std::array{0, 1, 2, 3}, 256, 128, Epilogue::kFloat, 1);
  EXPECT_EQ(one.active_groups, 1);
  EXPECT_DOUBLE_EQ(3.0 * one.weight_bytes, three.weight_bytes);
}

TEST(MoePlan, FewTokensPerExpertAllSwap) {
  const LayerPlan plan = plan_of(step3(128), {});
  // 8 tokens each for the routed experts; 128 for the shared one, which is a full tile.
  EXPECT_EQ(plan.gate_up.full_tiles, 40);
  EXPECT_EQ(plan.gate_up.swapped_tiles[0], 48 * 40);
  EXPECT_EQ(plan.gate_up.waves, 15);
}

TEST(MoePlan, IssuesNoFewerFlopThanItNeeds) {
  for (const int tokens : {1, 100, 2048, 8192}) {
    const LayerPlan plan = plan_of(step3(tokens), {RoutingKind::kUniform});
    EXPECT_GE(plan.gate_up.issued_flop, plan.gate_up.flop);
    EXPECT_GE(plan.down.issued_flop, plan.down.flop);
  }
  // At 512 tokens per expert padding costs less than a sixth.
  const LayerPlan large = plan_of(step3(8192), {RoutingKind::kUniform});
  EXPECT_LT(large.gate_up.issued_flop, 1.17 * large.gate_up.flop);
}

TEST(MoePlan, TensorParallelSlicesDivideTheWork) {
  const LayerPlan whole = plan_of(step3(2048), {});
  const LayerPlan eighth = plan_of(slice(step3(2048), 8, 1, 0), {});
  EXPECT_DOUBLE_EQ(8 * eighth.flop(), whole.flop());
  EXPECT_DOUBLE_EQ(8 * eighth.gate_up.weight_bytes, whole.gate_up.weight_bytes);
  EXPECT_DOUBLE_EQ(8 * eighth.down.weight_bytes, whole.down.weight_bytes);
}

TEST(MoePlan, ExpertParallelRanksDivideTheRoutedRows) {
  const LayerShape whole = whole_layer(777, 512, 256, 12, 3, 0);
  int rows = 0;
  for (int rank = 0; rank < 3; ++rank)
    rows += plan_of(slice(whole, 1, 3, rank), {RoutingKind::kPowerLaw, 1.01}).gate_up.rows;
  EXPECT_EQ(rows, 777 * 3);
}

TEST(MoePlan, OfNoTokensDoesNothing) {
  const LayerPlan plan = plan_of(step3(0), {});
  EXPECT_EQ(plan.gate_up.tiles, 0);
  EXPECT_EQ(plan.gate_up.waves, 0);
  EXPECT_EQ(plan.flop(), 0.0);
  EXPECT_EQ(plan.moved_bytes(), 0.0);
}

TEST(MoePlan, ExplainsItselfInWords) {
  const std::string text = explain(plan_of(step3(128), {RoutingKind::kPowerLaw, 1.01}), 40.25);
  for (const char* part : {"of 49 local and shared active here; 41.2 expected", "swap-AB", "waves",
                           "padding", "TFLOP", "combine"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " missing in\n" << text;
}

constexpr std::array<std::int32_t, 4> kOffsets{0, 8, 8, 137};
constexpr GemmPlan kPlan = plan_gemm(kOffsets, 512, 256, Epilogue::kSwiglu, 132);
static_assert(kPlan.tiles == 2 * (1 + 2) && kPlan.full_tiles == 2 && kPlan.swapped_tiles[0] == 4);
static_assert(kPlan.padded_rows == 16 + 128 + 16 && kPlan.waves == 1);

}  // namespace
}  // namespace ridge::kernels::moe
