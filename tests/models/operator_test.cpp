// What one launch asks of a machine, counted by hand.
#include "ridge/models/operator.hpp"

#include <gtest/gtest.h>

namespace ridge::models {
namespace {

TEST(Demand, OfDecodeAttentionIsItsCacheOnceAndTwoProductsOverIt) {
  const Demand d = demand(DecodeAttention{.sequences = 3,
                                          .context = 1000,
                                          .queries_per_sequence = 2,
                                          .query_heads = 8,
                                          .kv_heads = 2,
                                          .qk_dim = 64,
                                          .v_dim = 32,
                                          .cache_values_per_token = 2 * (64 + 32),
                                          .cache = Precision::fp8,
                                          .compute = Precision::fp8,
                                          .activations = Precision::bf16});
  EXPECT_EQ(d.flop.value(), 2.0 * (3 * 2) * 8 * (64 + 32) * 1000);
  EXPECT_EQ(d.compute, Precision::fp8);
  // Two queries of a sequence share one reading.
  EXPECT_EQ(d.cache_read.value(), 3.0 * 1000 * 192);
  // Whoever makes the new keys appends them.
  EXPECT_EQ(d.cache_written.value(), 0.0);
  EXPECT_EQ(d.activations_read.value(), 3.0 * 2 * 8 * 64 * 2);
  EXPECT_EQ(d.activations_written.value(), 3.0 * 2 * 8 * 32 * 2);
  EXPECT_EQ(d.weights.value(), 0.0);
}

TEST(Demand, OfATopKReadsEveryScoreAndWritesAnIndexForEachOfTheChosen) {
  const Demand d = demand(TopK{.rows = 6, .candidates = 5000, .chosen = 2048});
  EXPECT_EQ(d.activations_read.value(), 6.0 * 5000 * 4);
  EXPECT_EQ(d.activations_written.value(), 6.0 * 2048 * 4);
}

TEST(Kernel, OfAnOperatorIsThatOfItsKindWhateverItsShape) {
  const auto kernel = [](const Shape& shape) { return name_of(Operator{.shape = shape}.kernel()); };
  EXPECT_EQ(kernel(DecodeAttention{}), "grouped_attention");
  EXPECT_EQ(kernel(DecodeAttention{.kind = DecodeAttention::Kind::latent}), "latent_attention");
  EXPECT_EQ(kernel(DecodeAttention{.kind = DecodeAttention::Kind::sparse_latent}),
            "sparse_latent_attention");
  EXPECT_EQ(kernel(DecodeAttention{.kind = DecodeAttention::Kind::compressed_sparse}),
            "compressed_sparse_attention");
  EXPECT_EQ(kernel(DecodeAttention{.kind = DecodeAttention::Kind::compressed}),
            "compressed_attention");
  EXPECT_EQ(kernel(DecodeAttention{.kind = DecodeAttention::Kind::block_sparse}),
            "block_sparse_attention");
  EXPECT_EQ(kernel(DecodeAttention{.kind = DecodeAttention::Kind::index_scores}), "index_scores");
  EXPECT_EQ(kernel(StateUpdate{.kind = StateUpdate::Kind::kimi_delta}), "kimi_delta_state");
  EXPECT_EQ(kernel(TopK{}), "top_k");
  EXPECT_EQ(kernel(Gemm{}), "gemm");
  EXPECT_EQ(kernel(GroupedGemm{}), "grouped_gemm");
  EXPECT_EQ(kernel(Elementwise{.kind = Elementwise::Kind::expert_combination}),
            "expert_combination");
  EXPECT_EQ(kernel(Collective{.kind = Collective::Kind::reduce_scatter}), "reduce_scatter");
  EXPECT_EQ(kernel(PointToPoint{}), "point_to_point");
}

TEST(Kernel, OfAnAllToAllIsAnExchangeWithExpertsWhereItSaysHowManyCopiesItIs) {
  Collective exchange{.kind = Collective::Kind::all_to_all};
  const auto kernel = [&] { return Operator{.shape = exchange}.kernel(); };
  EXPECT_EQ(kernel(), Kernel::all_to_all);
  exchange.copies = 64;
  EXPECT_EQ(kernel(), Kernel::expert_dispatch);
  exchange.returning = true;
  EXPECT_EQ(kernel(), Kernel::expert_combine);
}

TEST(Demand, OfAStateUpdateReadsAndWritesTheWholeState) {
  const Demand d = demand(StateUpdate{.sequences = 5,
                                      .queries_per_sequence = 1,
                                      .heads = 4,
                                      .key_dim = 16,
                                      .value_dim = 8,
                                      .flop_per_state_value = 7,
                                      .state = Precision::fp32,
                                      .compute = Precision::bf16});
  EXPECT_EQ(d.cache_read.value(), 5.0 * 4 * 16 * 8 * 4);
  EXPECT_EQ(d.cache_written, d.cache_read);
  EXPECT_EQ(d.flop.value(), 5.0 * 4 * 16 * 8 * 7);
}

TEST(Demand, OfAGemmReadsItsWeightsOnceWhateverTheBatch) {
  Gemm gemm{.m = 1,
            .n = 300,
            .k = 200,
            .batch = 2,
            .weights = Precision::fp8,
            .compute = Precision::fp8,
            .input = Precision::fp8,
            .output = Precision::bf16};
  const Demand one = demand(gemm);
  gemm.m = 64;
  const Demand many = demand(gemm);
  EXPECT_EQ(one.weights.value(), 2.0 * 300 * 200);
  EXPECT_EQ(many.weights, one.weights);
  EXPECT_EQ(one.flop.value(), 2.0 * 2 * 300 * 200);
  EXPECT_EQ(many.flop, 64.0 * one.flop);
  EXPECT_EQ(many.activations_read.value(), 2.0 * 64 * 200);
  EXPECT_EQ(many.activations_written.value(), 2.0 * 64 * 300 * 2);
}

TEST(Demand, OfAGroupedGemmReadsOnlyTheExpertsThatGotARow) {
  const Demand d = demand(GroupedGemm{.rows = 12,
                                      .experts = 8,
                                      .active_experts = 5.5,
                                      .n = 100,
                                      .k = 50,
                                      .weights = Precision::int4,
                                      .compute = Precision::bf16,
                                      .input = Precision::bf16,
                                      .output = Precision::bf16});
  EXPECT_EQ(d.weights.value(), 5.5 * 100 * 50 * 0.5);
  EXPECT_EQ(d.flop.value(), 2.0 * 12 * 100 * 50);
  EXPECT_EQ(d.activations_read.value(), 12.0 * 50 * 2);
  EXPECT_EQ(d.activations_written.value(), 12.0 * 100 * 2);
}

TEST(Demand, OfACollectiveIsTheLeastThatAnyAlgorithmSends) {
  const auto wire = [](Collective::Kind kind, std::int64_t ranks) {
    return demand(Collective{.kind = kind, .ranks = ranks, .payload = Bytes{800}}).wire.value();
  };
  EXPECT_EQ(wire(Collective::Kind::all_gather, 8), 700.0);
  EXPECT_EQ(wire(Collective::Kind::reduce_scatter, 8), 700.0);
  EXPECT_EQ(wire(Collective::Kind::all_reduce, 8), 1400.0);
  EXPECT_EQ(wire(Collective::Kind::all_to_all, 4), 600.0);
  EXPECT_EQ(wire(Collective::Kind::all_reduce, 1), 0.0);
  EXPECT_EQ(demand(PointToPoint{.payload = Bytes{800}}).wire.value(), 800.0);
}

TEST(Demand, SumsWhatGoesToAndFromMemory) {
  Demand d;
  d.weights = Bytes{1};
  d.cache_read = Bytes{2};
  d.activations_read = Bytes{4};
  d.cache_written = Bytes{8};
  d.activations_written = Bytes{16};
  d.wire = Bytes{32};
  EXPECT_EQ(d.read().value(), 7.0);
  EXPECT_EQ(d.written().value(), 24.0);
  EXPECT_EQ(d.memory().value(), 31.0);
}

TEST(Precision, StorageOfOneValue) {
  EXPECT_EQ(bytes_per_value(Precision::fp32).value(), 4.0);
  EXPECT_EQ(bytes_per_value(Precision::bf16).value(), 2.0);
  EXPECT_EQ(bytes_per_value(Precision::fp8).value(), 1.0);
  EXPECT_EQ(bytes_per_value(Precision::int8).value(), 1.0);
  EXPECT_EQ(bytes_per_value(Precision::fp4).value(), 0.5);
  EXPECT_EQ(bytes_per_value(Precision::int4).value(), 0.5);
}

TEST(OperatorList, HoldsWhatALayerLaunchesAndNoMore) {
  OperatorList list;
  for (int i = 0; i < 40; ++i) list.add("gemm", Part::ffn, Gemm{});
  EXPECT_EQ(list.size(), 40U);
  EXPECT_THROW(list.add("gemm", Part::ffn, Gemm{}), InvariantError);
  list.clear();
  EXPECT_EQ(list.begin(), list.end());
}

}  // namespace
}  // namespace ridge::models
