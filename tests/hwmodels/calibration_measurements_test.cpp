// Reading measurements: the columns people bring, and the mistakes in them.
#include "bench/measurement.hpp"
#include "ridge/base/error.hpp"
#include "ridge/hwmodels/calibrated/measurement.hpp"

#include <cmath>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge::hw::calibrated {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

MeasurementSet read_csv(const std::string& text, const std::string& name = "measured.csv") {
  MeasurementSet set;
  read_measurement_csv(text, name, set);
  return set;
}

MeasurementSet read_json(const std::string& text) {
  MeasurementSet set;
  read_measurement_json(text, "bench.json", set);
  return set;
}

template <typename Read>
std::string complaint(Read&& read) {
  try {
    (void)read();
  } catch (const UserError& error) {
    return error.what();
  }
  return "no complaint";
}

template <typename Form>
const typename Form::Shape& only_shape(const MeasurementSet& set) {
  EXPECT_EQ(set.series.size(), 1U);
  return std::get<std::vector<typename Form::Shape>>(set.series.begin()->second.shapes).front();
}

TEST(MeasurementCsv, AttentionCacheHoldsKeysAndValuesOfEveryKvHead) {
  const auto set = read_csv(
      "kernel,batch,kv_len,heads,kv_heads,head_dim,kv_dtype,latency_us\nk,4,1024,32,8,128,fp8,"
      "20\n");
  const auto& shape = only_shape<DecodeAttentionForm>(set);
  EXPECT_EQ(shape.values_per_token, 2 * 8 * 128);
  EXPECT_EQ(shape.bytes_per_value, 1);
  EXPECT_EQ(set.series.begin()->first.head_dim, 128);
}

TEST(MeasurementCsv, LatentAttentionCachesOneLatentForAllHeads) {
  const auto set = read_csv("kv_dtype,heads,batch,kv_len,latency_us\nbf16,128,2,4096,30\n");
  const auto& shape = only_shape<DecodeAttentionForm>(set);
  EXPECT_EQ(shape.values_per_token, 576);
  EXPECT_EQ(shape.qk_dim, 576);
  EXPECT_EQ(shape.v_dim, 512);
  EXPECT_EQ(set.series.begin()->first.family, Family::latent_attention);
}

TEST(MeasurementCsv, FormatStandsInAColumnOrInTheFileName) {
  const std::string text = "m,n,k,latency_us\n16,512,512,5\n";
  EXPECT_EQ(read_csv(text, "runs/gemm_fp8_block.csv").series.begin()->first.format,
            Format::fp8_block);
  EXPECT_EQ(read_csv(text, "gemm_bf16.csv").series.begin()->first.format, Format::bf16);
  EXPECT_THAT(complaint([&] { return read_csv(text, "gemm.csv"); }),
              HasSubstr("the file's name says no format"));
}

TEST(MeasurementCsv, MoeLayerDividesExpertsOverRanksAndWidthOverSlices) {
  const auto set = read_csv(
      "kernel,dtype,tokens,hidden,intermediate,top_k,experts,tp,ep,routing,latency_us\n"
      "k,fp8_block,512,7168,2048,8,256,2,4,balanced,300\n");
  const auto& shape = only_shape<GroupedGemmForm>(set);
  EXPECT_EQ(shape.experts, 64);
  EXPECT_EQ(shape.rows, 512 * 8 / 4);
  EXPECT_EQ(shape.active_experts, 64);
  EXPECT_EQ(shape.routed_rows, 512 * 8);
  EXPECT_EQ(shape.tokens, 512);
  EXPECT_EQ(shape.n, 2 * 1024);
  EXPECT_EQ(shape.k2, 1024);
  EXPECT_EQ(shape.intermediate, 1024);
}

TEST(MeasurementCsv, ExpertsWithoutAGateHaveAFirstProductAsWideAsTheyAre) {
  const auto columns_of_first = [](const std::string& gated) {
    return only_shape<GroupedGemmForm>(
               read_csv("kernel,dtype,tokens,hidden,intermediate,top_k,experts,tp,ep,routing,gated,"
                        "latency_us\nk,bf16,64,2048,512,8,128,1,1,uniform," +
                        gated + ",40\n"))
        .n;
  };
  EXPECT_EQ(columns_of_first(""), 1024);
  EXPECT_EQ(columns_of_first("1"), 1024);
  EXPECT_EQ(columns_of_first("0"), 512);
  EXPECT_THAT(complaint([&] { return columns_of_first("no"); }), HasSubstr("expected 0 or 1"));
}

TEST(MeasurementCsv, SkewedRoutingLoadsTheBusiestRankAboveTheMean) {
  const std::string header =
      "kernel,dtype,tokens,hidden,intermediate,top_k,experts,tp,ep,routing,latency_us\n";
  const auto skewed = read_csv(header + "k,bf16,1024,4096,1024,8,128,1,8,power_law_1.2,300\n");
  const auto even = read_csv(header + "k,bf16,1024,4096,1024,8,128,1,8,balanced,300\n");
  const auto& s = only_shape<GroupedGemmForm>(skewed);
  EXPECT_GT(s.rows, 1.2 * only_shape<GroupedGemmForm>(even).rows);
  double mean = 0;
  for (int c = 0; c < s.profile.classes; ++c) {
    mean += s.profile.load[static_cast<std::size_t>(c)] / s.profile.classes;
    if (c > 0) {
      EXPECT_GE(s.profile.load[static_cast<std::size_t>(c)],
                s.profile.load[static_cast<std::size_t>(c - 1)]);
    }
  }
  EXPECT_NEAR(mean, 1.0, 1e-5);
}

// As aiconfigurator's _generate_power_law_distribution: what is short goes to experts that nobody
// chose, not to the busiest.
TEST(MeasurementCsv, ATokenChoosesAsManyExpertsAsItHasChoices) {
  const std::string header =
      "kernel,dtype,tokens,hidden,intermediate,top_k,experts,tp,ep,routing,latency_us\n";
  const auto alone = only_shape<GroupedGemmForm>(
      read_csv(header + "k,bf16,1,4096,1024,8,128,1,1,power_law_1.2,30\n"));
  EXPECT_NEAR(alone.rows, 8, 1e-9);
  EXPECT_NEAR(alone.active_experts, 8, 1e-9);
  // With 8 choices of 8 experts, however popular they are, no expert gets more than every token.
  const auto few = only_shape<GroupedGemmForm>(
      read_csv(header + "k,bf16,16,4096,1024,8,8,1,8,power_law_1.2,30\n"));
  EXPECT_NEAR(few.rows, 16, 1e-9) << "every expert is chosen by every token";
}

GroupedGemmForm::Shape experts_of_rank(const std::string& row, const std::string& chip = "") {
  MeasurementSet set;
  set.chip = chip;
  read_measurement_csv(
      "kernel,dtype,tokens,hidden,intermediate,top_k,experts,tp,ep,routing,folded,latency_us\n" +
          row + ",300\n",
      "measured.csv", set);
  return only_shape<GroupedGemmForm>(set);
}

TEST(MeasurementCsv, WhereExpertsAreFoldedTheFirstTakesTheChoicesOfOtherRanks) {
  // 16 tokens choose 2 of 8 experts, two of which are here: 4 rows each, of 8 tokens, whose 8 other
  // choices fall to the first.
  const auto even = experts_of_rank("k,bf16,16,4096,1024,2,8,1,4,balanced,1");
  EXPECT_EQ(even.tokens, 8);
  EXPECT_EQ(even.rows, 16);
  EXPECT_EQ(even.routed_rows, 16);
  EXPECT_EQ(even.active_experts, 2);
  ASSERT_EQ(even.profile.classes, 2);
  EXPECT_FLOAT_EQ(even.profile.load[0], 4.0F / 8.0F);
  EXPECT_FLOAT_EQ(even.profile.load[1], 12.0F / 8.0F);
  EXPECT_EQ(experts_of_rank("k,bf16,16,4096,1024,2,8,1,4,balanced,0").rows, 8);
  EXPECT_EQ(experts_of_rank("k,bf16,16,4096,1024,2,8,1,1,balanced,1").rows, 32)
      << "no expert is elsewhere";
  EXPECT_THAT(complaint([] { return experts_of_rank("k,bf16,16,4096,1024,2,8,1,4,balanced,no"); }),
              HasSubstr("folded: expected 0 or 1"));
}

// A router that knows groups moves choices to the first experts of the groups that it takes, which
// the first rank holds.
TEST(MeasurementCsv, ChoicesThatLeaveTheirGroupsFallToTheFirstExperts) {
  const auto rows = [](const std::string& kernel, const std::string& ranks) {
    MeasurementSet set;
    read_measurement_csv(
        "kernel,dtype,tokens,hidden,intermediate,top_k,experts,tp,ep,routing,latency_us\n" +
            kernel + ",nvfp4,4096,7168,2048,8,256,1," + ranks + ",power_law_1.2,300\n",
        "measured.csv", set);
    return only_shape<GroupedGemmForm>(set).rows;
  };
  const std::string grouped = "sglang:sglang_flashinfer_trtllm_moe";
  EXPECT_NEAR(rows(grouped, "1"), 4096 * 8, 1e-6) << "no choice is lost";
  EXPECT_GT(rows(grouped, "32"), 2.0 * rows("another", "32"));
}

TEST(MeasurementCsv, OfASkewedRoutingOnlyTokensThatChoseTheFoldedRankAreHandedToIt) {
  const std::string row = "k,bf16,1024,4096,1024,8,128,1,128,power_law_1.2,";
  const auto folded = experts_of_rank(row + "1");
  const auto alone = experts_of_rank(row + "0");
  EXPECT_EQ(alone.tokens, 1024);
  // One expert is here: as many tokens chose it as it has rows, each with 7 choices elsewhere.
  EXPECT_NEAR(folded.tokens, alone.rows, 1e-9);
  EXPECT_NEAR(folded.rows, 8 * alone.rows, 1e-6);
  EXPECT_EQ(folded.active_experts, 1);
  // Two ranks: all tokens chose the busier one, and all their choices are computed there.
  const auto half = experts_of_rank("k,bf16,1024,4096,1024,8,128,1,2,power_law_1.2,1");
  EXPECT_NEAR(half.tokens, 1024, 1e-9);
  EXPECT_NEAR(half.rows, 8192, 1e-6);
}

TEST(MeasurementCsv, WhetherExpertsAreFoldedMayDependOnTheChip) {
  const std::string row = "sglang:sglang_fused_moe_triton,bf16,16,4096,1024,2,16,1,4,balanced,";
  EXPECT_EQ(experts_of_rank(row, "a100").rows, 16);
  EXPECT_EQ(experts_of_rank(row, "h100").rows, 8);
}

TEST(MeasurementCsv, ACollectivesBytesAreThoseThatARankSends) {
  const auto wire_MB = [](const std::string& row) {
    const auto set = read_csv("collective,gpus,elements_2_bytes_each,latency_us\n" + row + ",30\n");
    return only_shape<CollectiveForm>(set).wire_MB;
  };
  EXPECT_NEAR(wire_MB("all_reduce,8,1000000"), 2 * 7.0 / 8 * 2, 1e-12);
  EXPECT_NEAR(wire_MB("alltoall,4,1000000"), 3.0 / 4 * 2, 1e-12);
}

TEST(MeasurementCsv, AnEnginesAllReduceIsAKernelOfItsOwnAndALaunchFromTheHostIsNot) {
  const auto set = read_csv(
      "kernel,gpus,bytes,dtype,latency_us\n"
      "engine:custom_graph,4,1000000,bfloat16,12\nengine:custom_eager,4,1000000,bfloat16,40\n");
  EXPECT_NEAR(only_shape<CollectiveForm>(set).wire_MB, 2 * 3.0 / 4, 1e-12);
  EXPECT_EQ(set.series.begin()->first.family, Family::all_reduce);
  EXPECT_EQ(set.series.begin()->first.kernel, "engine:custom_graph");
  EXPECT_EQ(set.skipped.at("all-reduces launched without a CUDA graph"), 1U);
}

TEST(MeasurementCsv, AnUnknownNumberFormatLeavesItsRowsAsideNotTheFile) {
  const auto set =
      read_csv("dtype,m,n,k,latency_us\nnvfp4,16,512,512,5\nfp6,16,512,512,5\nfp6,32,512,512,5\n");
  const auto& shape = only_shape<GemmForm>(set);
  EXPECT_DOUBLE_EQ(shape.weight_bytes, 0.5625);
  EXPECT_DOUBLE_EQ(shape.input_bytes, 0.5625);
  EXPECT_EQ(set.skipped.at("products in \"fp6\""), 2U);
}

TEST(MeasurementCsv, OfMixedFormatsTheWeightsAreNarrowerThanTheInput) {
  const auto set = read_csv(
      "kernel,dtype,tokens,hidden,intermediate,top_k,experts,tp,ep,routing,latency_us\n"
      "k,mxfp4_w4a16,512,2880,2880,4,128,1,1,balanced,300\n");
  const auto& shape = only_shape<GroupedGemmForm>(set);
  EXPECT_DOUBLE_EQ(shape.weight_bytes, 0.53125);
  EXPECT_DOUBLE_EQ(shape.input_bytes, 2.0);
}

TEST(MeasurementCsv, OfSparseAttentionThePartsAreReadAndTheModulesKeptApart) {
  const std::string header =
      "kernel,part,model,kv_dtype,gemm_dtype,heads,index_heads,index_dim,top_k,batch,kv_len,scores,"
      "latency_us\n";
  const auto scores = read_csv(header + "k,index_logits,m,fp8,,0,32,128,2048,4,9000,,5\n");
  const auto& index = only_shape<DecodeAttentionForm>(scores);
  EXPECT_EQ(scores.series.begin()->first.family, Family::index_scores);
  EXPECT_EQ(index.context, 9000);
  EXPECT_EQ(index.query_rows, 32);
  EXPECT_EQ(index.values_per_token, 128);
  EXPECT_EQ(index.v_dim, 0);

  const auto sparse = read_csv(header + "k,attention,m,bfloat16,,64,0,0,2048,4,9000,,5\n");
  EXPECT_EQ(sparse.series.begin()->first.family, Family::sparse_latent_attention);
  EXPECT_EQ(only_shape<DecodeAttentionForm>(sparse).context, 2048) << "those that were chosen";

  const auto chosen = read_csv(header + "k,top_k,m,,,0,32,128,2048,4,9000,top_last,5\n" +
                               "k,top_k,m,,,0,32,128,2048,4,9000,flat,9\n");
  EXPECT_NEAR(only_shape<ElementwiseForm>(chosen).MB, 4e-6 * 4 * (9000 + 2048), 1e-12);
  EXPECT_EQ(chosen.skipped.at("top-k of scores that are all equal"), 1U);

  const auto modules =
      read_csv(header +
               "e:k,module,m,fp8,fp8_block,16,64,128,2048,4,9000,,90\n"
               "e:k,module_shared_index,m,bfloat16,nvfp4,8,64,128,2048,2,128,,30\n");
  EXPECT_TRUE(modules.series.empty());
  ASSERT_EQ(modules.modules.size(), 2U);
  const MeasuredModule& whole = modules.modules[0];
  EXPECT_EQ(whole.kind, MeasuredModule::Kind::sparse_latent);
  EXPECT_EQ(whole.kernel, "e:k");
  EXPECT_EQ(whole.model, "m");
  EXPECT_EQ(whole.products, Format::fp8_block);
  EXPECT_EQ(whole.cache, Format::fp8);
  EXPECT_EQ(whole.dimensions.heads, 16);
  EXPECT_EQ(whole.dimensions.index_heads, 64);
  EXPECT_EQ(whole.dimensions.index_dim, 128);
  EXPECT_EQ(whole.dimensions.top_k, 2048);
  EXPECT_EQ(whole.batch, 4);
  EXPECT_EQ(whole.kv_len, 9000);
  EXPECT_EQ(whole.us, 90);
  EXPECT_EQ(whole.origin.line, 2U);
  EXPECT_EQ(modules.modules[1].kind, MeasuredModule::Kind::sparse_latent_reusing);
  EXPECT_EQ(modules.modules[1].products, Format::nvfp4);
}

TEST(MeasurementCsv, PartsByKernelsThatEnginesDoNotDecodeWithAreLeftAside) {
  const std::string sparse =
      "kernel,part,model,kv_dtype,gemm_dtype,heads,index_heads,index_dim,top_k,batch,kv_len,scores,"
      "latency_us\n";
  const auto set =
      read_csv(sparse +
               "sglang:deep_gemm.fp8_mqa_logits,index_logits,m,fp8,,0,32,128,2048,4,9000,,5\n"
               "sglang:deep_gemm.fp8_paged_mqa_logits,index_logits,m,fp8,,0,32,128,2048,4,900,,6\n"
               "vllm:deep_gemm.fp8_mqa_logits,index_logits,m,fp8,,0,32,128,2048,4,9000,,7\n");
  EXPECT_EQ(only_shape<DecodeAttentionForm>(set).context, 900) << "of the paged kernel";
  EXPECT_EQ(set.series.begin()->first.kernel, "sglang:deep_gemm.fp8_paged_mqa_logits");
  EXPECT_THAT(
      set.left_aside(),
      ElementsAre("1 measurements are left aside, since no curve is made of them: "
                  "\"index_logits\" by sglang:deep_gemm.fp8_mqa_logits, a kernel for prompts",
                  "1 measurements are left aside, since no curve is made of them: "
                  "\"index_logits\" by vllm:deep_gemm.fp8_mqa_logits, a kernel for prompts"));

  const auto compressed = read_csv(
      "kernel,part,model,ratio,kv_dtype,gemm_dtype,heads,index_heads,index_dim,top_k,window,batch,"
      "kv_len,cache_shared,scores,latency_us\n"
      "k:deep_gemm.fp8_mqa_logits,index_logits,m,4,fp8,,0,64,128,512,0,1,129,0,,3\n");
  EXPECT_TRUE(compressed.series.empty());
}

TEST(MeasurementCsv, WholeModulesOfTheOtherTablesTellTheirDimensions) {
  const auto compressed = read_csv(
      "kernel,part,model,ratio,kv_dtype,gemm_dtype,heads,index_heads,index_dim,top_k,window,batch,"
      "kv_len,cache_shared,scores,latency_us\n"
      "k,csa_module,m,4,fp8,bfloat16,8,64,128,512,128,1,129,0,,75\n"
      "k,hca_module,m,128,fp8,bfloat16,8,0,128,0,128,1,129,0,,60\n"
      "k,hca_module,m,128,fp8,bfloat16,8,0,128,0,128,1,129,1,,60\n");
  ASSERT_EQ(compressed.modules.size(), 2U) << "not where all sequences share one cache";
  EXPECT_EQ(compressed.modules[0].kind, MeasuredModule::Kind::compressed_sparse);
  EXPECT_EQ(compressed.modules[1].kind, MeasuredModule::Kind::compressed);
  EXPECT_EQ(compressed.modules[1].dimensions.ratio, 128);
  EXPECT_EQ(compressed.modules[0].dimensions.window, 128);
  EXPECT_EQ(compressed.modules[0].dimensions.top_k, 512);

  const auto blocks = read_csv(
      "kernel,model,kv_dtype,gemm_dtype,heads,kv_heads,head_dim,index_heads,index_dim,block,"
      "top_blocks,batch,kv_len,latency_us\nk,m,bfloat16,bfloat16,8,1,96,2,128,64,16,4,900,50\n");
  ASSERT_EQ(blocks.modules.size(), 1U);
  const auto& dimensions = blocks.modules[0].dimensions;
  EXPECT_EQ(blocks.modules[0].kind, MeasuredModule::Kind::block_sparse);
  EXPECT_EQ(dimensions.kv_heads, 1);
  EXPECT_EQ(dimensions.head_dim, 96);
  EXPECT_EQ(dimensions.index_heads, 2);
  EXPECT_EQ(dimensions.block, 64);
  EXPECT_EQ(dimensions.top_k, 16);
}

TEST(MeasurementCsv, WholeModulesAreLeftAsideByWhoFitsCurvesAndSaidSo) {
  const auto set = read_csv(
      "kernel,part,model,kv_dtype,gemm_dtype,heads,index_heads,index_dim,top_k,batch,kv_len,scores,"
      "latency_us\ne:k,module,m,fp8,fp6,16,64,128,2048,4,9000,,90\n"
      "e:k,module,m,fp8,fp8,16,64,128,2048,4,9000,,90\n"
      "e:k,module,,fp8,fp8,16,64,128,2048,4,9000,,90\n");
  EXPECT_EQ(set.rows(), 0U);
  EXPECT_EQ(set.skipped.at("whole modules with products in \"fp6\""), 1U);
  EXPECT_EQ(set.skipped.at("whole modules of e:k without \"model\""), 1U);
  EXPECT_THAT(set.left_aside(), Contains(HasSubstr("whole modules of e:k")).Times(2));
  EXPECT_THAT(set.left_aside(false), Contains(HasSubstr("whole modules of e:k")).Times(1));
}

TEST(MeasurementCsv, CellsOfWholeModulesThatAreNoNumbersAreErrorsByLine) {
  const std::string header =
      "kernel,part,model,kv_dtype,gemm_dtype,heads,index_heads,index_dim,top_k,batch,kv_len,scores,"
      "latency_us\nk,module,m,fp8,fp8,16,64,128,2048,4,9000,,90\n";
  const auto said = [&](const std::string& row) {
    return complaint([&] { return read_csv(header + row, "x.csv"); });
  };
  EXPECT_THAT(said("k,module,m,fp8,fp8,0,64,128,2048,4,9000,,90\n"),
              HasSubstr("x.csv: line 3: heads: expected a positive number, got \"0\""));
  EXPECT_THAT(said("k,module,m,fp8,fp8,8.5,64,128,2048,4,9000,,90\n"),
              HasSubstr("x.csv: line 3: heads: expected a whole number up to 1e+09, got \"8.5\""));
  EXPECT_THAT(said("k,module,m,fp8,fp8,8,64,128,1e30,4,9000,,90\n"),
              HasSubstr("x.csv: line 3: top_k: expected a whole number"));
  EXPECT_THAT(said("k,module,m,fp8,fp8,8,64,128,2048,many,9000,,90\n"),
              HasSubstr("x.csv: line 3: batch: expected a positive number, got \"many\""));
  EXPECT_THAT(said("k,module,m,fp8,fp8,8,64,128,2048,4,,,90\n"),
              HasSubstr("x.csv: line 3: kv_len: expected a positive number, got \"\""));
  EXPECT_THAT(said("k,module,m,fp8,fp8,8,64,128,2048,4,9000,,-1\n"),
              HasSubstr("x.csv: line 3: latency_us: expected a positive number, got \"-1\""));
}

TEST(MeasurementCsv, ALinearAttentionsStateIsReadAndWritten) {
  const auto set = read_csv(
      "kernel,kind,op,batch,tokens_per_sequence,k_heads,k_dim,v_heads,v_dim,conv_width,state_dtype,"
      "latency_us\nk,gdn,state,8,1,16,128,32,128,4,float32,9\nk,gdn,conv,8,1,16,128,32,128,4,,2\n"
      "k,gdn,state,8,4,16,128,32,128,4,float32,20\n");
  EXPECT_EQ(set.series.begin()->first.family, Family::gated_delta_state);
  EXPECT_NEAR(only_shape<ElementwiseForm>(set).MB, 2e-6 * 8 * 32 * 128 * 128 * 4, 1e-9);
  EXPECT_EQ(set.skipped.size(), 2U);
}

TEST(MeasurementCsv, AnExchangeWithinOneLinkDomainIsOfOneServerHoweverManyTrays) {
  const std::string header =
      "kernel,phase,dtype,gpus,nodes,hidden,top_k,experts,tokens_per_gpu,latency_us\n";
  const auto domain =
      read_csv(header + "lib:NVLinkOneSided,dispatch,nvfp4,32,8,7168,8,256,64,20\n");
  EXPECT_EQ(only_shape<ExpertExchangeForm>(domain).servers, 1);
  EXPECT_EQ(only_shape<ExpertExchangeForm>(domain).ranks_per_server, 32);
  EXPECT_DOUBLE_EQ(only_shape<ExpertExchangeForm>(domain).bytes_per_token, 7168 * 0.5625);
  const auto servers = read_csv(header + "lib:deepep_ll,combine,,16,2,7168,8,256,64,20\n");
  EXPECT_EQ(only_shape<ExpertExchangeForm>(servers).servers, 2);
  EXPECT_EQ(only_shape<ExpertExchangeForm>(servers).ranks_per_server, 8);
  EXPECT_DOUBLE_EQ(only_shape<ExpertExchangeForm>(servers).bytes_per_token, 7168 * 2.0);
  // Balanced routing on 32 ranks; at random 1 - (15/16)^8 of 16.
  EXPECT_EQ(only_shape<ExpertExchangeForm>(domain).ranks_reached, 8);
  EXPECT_NEAR(only_shape<ExpertExchangeForm>(servers).ranks_reached, 6.452, 1e-3);
}

// What experts computed in is no format of what they send back, and its rows are of one shape.
TEST(MeasurementCsv, ACombineSendsBF16UnlessItIsItselfOfFewBits) {
  const auto set = read_csv(
      "kernel,phase,dtype,gpus,nodes,hidden,top_k,experts,tokens_per_gpu,latency_us\n"
      "k,combine,bfloat16,8,1,7168,8,256,64,20\nk,combine,fp8,8,1,7168,8,256,64,20\n"
      "k,combine,nvfp4,8,1,7168,8,256,64,20\nk,combine,fp4,8,1,7168,8,256,64,15\n");
  const Series& series = set.series.begin()->second;
  const auto& shapes = std::get<std::vector<ExpertExchangeForm::Shape>>(series.shapes);
  ASSERT_EQ(shapes.size(), 4U);
  for (const std::size_t full : {0U, 1U, 2U}) {
    EXPECT_DOUBLE_EQ(shapes[full].bytes_per_token, 7168 * 2.0);
    EXPECT_EQ(series.shape_group[full], series.shape_group[0]);
  }
  EXPECT_DOUBLE_EQ(shapes[3].bytes_per_token, 7168 * 0.5625);
  EXPECT_NE(series.shape_group[3], series.shape_group[0]);
}

TEST(MeasurementCsv, CollectorsTablesAreReadByTheirOwnColumns) {
  const auto gemm = read_csv(
      "framework,version,device,op_name,kernel_source,gemm_dtype,m,n,k,latency\n"
      "SGLang,0.5,X,gemm,deep_gemm,fp8_block,16,512,1024,0.0125\n");
  EXPECT_EQ(only_shape<GemmForm>(gemm).k, 1024);
  EXPECT_EQ(gemm.series.begin()->first.kernel, "sglang:deep_gemm");
  EXPECT_EQ(gemm.series.begin()->first.format, Format::fp8_block);
  EXPECT_DOUBLE_EQ(gemm.series.begin()->second.us.front(), 12.5);
  EXPECT_EQ(gemm.device(), "X");

  const auto layer = read_csv(
      "framework,version,device,op_name,kernel_source,moe_dtype,num_tokens,hidden_size,inter_size,"
      "topk,num_experts,moe_tp_size,moe_ep_size,distribution,latency\n"
      "TRTLLM,1,X,moe,k,bfloat16,64,2048,512,8,128,2,1,balanced,0.5\n");
  EXPECT_EQ(only_shape<GroupedGemmForm>(layer).k2, 256);

  const std::string attention =
      "framework,version,device,op_name,kernel_source,batch_size,isl,num_heads,num_key_value_heads,"
      "head_dim,beam_width,attn_dtype,kv_cache_dtype,step,window_size,latency\n";
  const auto decode =
      read_csv(attention +
               "VLLM,1,X,generation_attention,fa,4,1,32,8,128,1,bfloat16,fp8,1023,0,"
               "0.02\n"
               "VLLM,1,X,generation_attention,fa,4,1,32,8,128,1,bfloat16,fp8,1023,128,"
               "0.01\n"
               "VLLM,1,X,context_attention,fa,4,512,32,8,128,1,bfloat16,fp8,0,0,1\n");
  EXPECT_EQ(only_shape<DecodeAttentionForm>(decode).context, 1024);
  EXPECT_EQ(decode.series.begin()->second.us.size(), 1U);
  EXPECT_EQ(decode.skipped.at("attention over a window"), 1U);
  EXPECT_EQ(decode.skipped.at("context_attention"), 1U);
  EXPECT_THAT(
      complaint([&] {
        return read_csv(attention +
                        "VLLM,1,X,generation_attention,fa,4,1,32,8,128,1,b,fp8,1023,0,no\n");
      }),
      HasSubstr("latency_us: expected a positive number, got \"no\""));
  EXPECT_THAT(complaint([&] {
                return read_csv(attention +
                                "VLLM,1,X,generation_attention,fa,4,1,32,8,128,1,b,fp8,?,0,1\n");
              }),
              HasSubstr("kv_len: expected a positive number, got \"?\""));
  EXPECT_THAT(
      complaint([&] {
        return read_csv("kernel_source,gemm_dtype,m,n,k,strange,latency\nk,bf16,1,2,3,4,5\n");
      }),
      HasSubstr("unknown strange"));
}

TEST(MeasurementCsv, UnknownColumnsAreNamedWithTheNearestKind) {
  EXPECT_THAT(complaint([] { return read_csv("m,n,k,color,latency_ms\n1,2,3,4,5\n", "x.csv"); }),
              AllOf(HasSubstr("x.csv: line 1"), HasSubstr("GEMM"), HasSubstr("missing latency_us"),
                    HasSubstr("unknown color, latency_ms")));
}

TEST(MeasurementCsv, LatenciesThatAreNotPositiveNumbersAreErrorsByLine) {
  for (const char* bad : {"0", "-3", "nan", "inf", "fast", "", "5us"}) {
    const std::string text =
        fmt::format("dtype,m,n,k,latency_us\nbf16,1,2,3,4\nbf16,1,2,3,{}\n", bad);
    EXPECT_THAT(complaint([&] { return read_csv(text, "x.csv"); }),
                AllOf(HasSubstr("x.csv: line 3: latency_us: expected a positive number"),
                      HasSubstr(fmt::format("got \"{}\"", bad))));
  }
}

TEST(MeasurementCsv, EveryBadLineIsToldNotOnlyTheFirst) {
  const std::string said = complaint(
      [] { return read_csv("dtype,m,n,k,latency_us\nbf16,0,2,3,4\nbf16,1,2,3,-1\n", "x.csv"); });
  EXPECT_THAT(said, AllOf(HasSubstr("line 2: m"), HasSubstr("line 3: latency_us")));
}

TEST(MeasurementCsv, RaggedRowsAndEmptyFilesAreRefused) {
  EXPECT_THAT(complaint([] { return read_csv("dtype,m,n,k,latency_us\nbf16,1,2\n"); }),
              HasSubstr("3 cells under 5 columns"));
  EXPECT_THAT(complaint([] { return read_csv(""); }), HasSubstr("empty"));
  EXPECT_THAT(complaint([] { return read_csv("dtype,m,n,k,latency_us\n"); }),
              HasSubstr("no measurements"));
}

TEST(MeasurementCsv, TwoDevicesInOneFileOrTwoAreRefused) {
  EXPECT_THAT(complaint([] {
                return read_csv("dtype,m,n,k,device,latency_us\nbf16,1,2,3,A,4\nbf16,1,2,3,B,4\n");
              }),
              HasSubstr("measurements of A and of B"));
  MeasurementSet set;
  read_measurement_csv("dtype,m,n,k,device,latency_us\nbf16,1,2,3,A,4\n", "a.csv", set);
  read_measurement_csv("dtype,m,n,k,device,latency_us\nbf16,1,2,3,B,4\n", "b.csv", set);
  EXPECT_THAT(complaint([&] { return set.device(); }),
              AllOf(HasSubstr("a.csv was measured on A"), HasSubstr("b.csv on B")));
}

constexpr const char* kBench = R"({
  "format": "ridge-measurement", "format_version": 1, "tool": "t", "command": "c",
  "date_utc": "2025-01-01T00:00:00Z", "software": {},
  "device": {"name": "Some Device", "uuid": "", "compute_capability": "9.0", "sm_count": 132,
             "l2_bytes": 1, "memory_bytes": 1},
  "clocks": {"first": null, "last": null}, "timing": {"method": "m", "statistic": "s"},
  "points": [
    {"family": "decode_attention", "kernel": "ridge",
     "shape": {"batch": 64, "context_tokens": 8192, "kv_lengths": "equal", "query_heads": 64,
               "kv_heads": 1, "head_dim": 256, "kv_dtype": "fp8_e4m3"},
     "bytes_read": 1, "bytes_written": 1, "flop": 1, "median_us": 100, "p10_us": 99,
     "p90_us": 101, "samples": 50},
    {"family": "decode_attention", "kernel": "ridge",
     "shape": {"batch": 64, "context_tokens": 8192, "kv_lengths": "equal", "query_heads": 64,
               "kv_heads": 1, "head_dim": 256, "kv_dtype": "fp8_e4m3", "page_tokens": 16},
     "bytes_read": 1, "bytes_written": 1, "flop": 1, "median_us": 200, "p10_us": 199,
     "p90_us": 201, "samples": 50},
    {"family": "latent_attention", "kernel": "ridge",
     "shape": {"batch": 64, "context_tokens": 8192, "kv_lengths": "equal", "query_heads": 128,
               "kv_rank": 512, "rope_dim": 64, "kv_dtype": "bf16"},
     "bytes_read": 1, "bytes_written": 1, "flop": 1, "median_us": 200, "p10_us": 199,
     "p90_us": 201, "samples": 50},
    {"family": "latent_attention", "kernel": "ridge",
     "shape": {"batch": 64, "context_tokens": 8192, "kv_lengths": "equal", "query_heads": 128,
               "kv_rank": 512, "rope_dim": 64, "kv_dtype": "fp8_e4m3", "token_bytes": 656},
     "bytes_read": 1, "bytes_written": 1, "flop": 1, "median_us": 150, "p10_us": 149,
     "p90_us": 151, "samples": 50},
    {"family": "grouped_gemm", "kernel": "ridge",
     "shape": {"projection": "down", "tokens": 128, "hidden": 7168, "intermediate": 2048,
               "experts": 256, "local_experts": 32, "top_k": 8, "shared_experts": 1,
               "routing": "balanced"},
     "bytes_read": 1, "bytes_written": 1, "flop": 1, "median_us": 100, "p10_us": 99,
     "p90_us": 101, "samples": 50},
    {"family": "launch_overhead", "kernel": "graph_node", "shape": {"ctas": 1},
     "bytes_read": 0, "bytes_written": 0, "flop": 0, "median_us": 2, "p10_us": 2, "p90_us": 2,
     "samples": 50}
  ]})";

TEST(MeasurementJson, ReadsTheBenchmarksPointsAndTellsWhatItLeavesAside) {
  const auto set = read_json(kBench);
  EXPECT_EQ(set.device(), "Some Device");
  EXPECT_EQ(set.rows(), 4U);
  EXPECT_EQ(set.skipped.at("the benchmark's family \"launch_overhead\""), 1U);
  EXPECT_EQ(set.skipped.at("the benchmark's family \"decode_attention\""), 1U);  // other pages
  const CurveKey latent{.family = Family::latent_attention,
                        .format = Format::bf16,
                        .head_dim = 576,
                        .kernel = "ridge"};
  const auto& page =
      std::get<std::vector<DecodeAttentionForm::Shape>>(set.series.at(latent).shapes).front();
  EXPECT_EQ(page.v_dim, 512);
  EXPECT_EQ(page.values_per_token, 576);
  CurveKey coded = latent;
  coded.format = Format::fp8;
  const auto& record =
      std::get<std::vector<DecodeAttentionForm::Shape>>(set.series.at(coded).shapes).front();
  EXPECT_EQ(record.values_per_token * record.bytes_per_value, 656);
  EXPECT_EQ(record.qk_dim, 576);
  const CurveKey attention{.family = Family::decode_attention,
                           .format = Format::fp8,
                           .head_dim = 256,
                           .kernel = "ridge"};
  ASSERT_TRUE(set.series.contains(attention));
  const CurveKey down{
      .family = Family::grouped_gemm, .format = Format::fp8_block, .kernel = "ridge"};
  const auto& shape =
      std::get<std::vector<GroupedGemmForm::Shape>>(set.series.at(down).shapes).front();
  EXPECT_EQ(shape.experts, 33) << "the shared expert is one more";
  EXPECT_EQ(shape.rows, 128 * 8 / 8 + 128);
  EXPECT_EQ(shape.k, 2048);
}

TEST(MeasurementJson, AFileOfAnotherKindIsOneMistakeAndNotOnePerKey) {
  EXPECT_EQ(complaint([] { return read_json(R"({"name": "step-3", "layers": [], "hidden": 1})"); }),
            "bench.json: /format: expected \"ridge-measurement\", as ridge-bench writes "
            "measurements, got none; measurements of other tools are read as CSV");
  EXPECT_THAT(complaint([] { return read_json(R"({"format": "trace", "points": 3})"); }),
              AllOf(HasSubstr("got \"trace\""), Not(HasSubstr("\n"))));
  EXPECT_THAT(complaint([] { return read_json("[]"); }), HasSubstr("got none"));
}

TEST(MeasurementJson, NamesThePointerOfAMistake) {
  std::string text = kBench;
  text.replace(text.find("\"median_us\": 100"), 16, "\"median_us\": 0.0");
  EXPECT_THAT(complaint([&] { return read_json(text); }),
              HasSubstr("bench.json: /points/0/median_us"));
  text = kBench;
  text.replace(text.find("\"format_version\": 1"), 19, "\"format_version\": 9");
  EXPECT_THAT(complaint([&] { return read_json(text); }), HasSubstr("/format_version"));
}

// The table of keys owns the format; the benchmark, which builds without it, keeps to it.
TEST(MeasurementJson, ReadsWhatTheBenchmarkWrites) {
  namespace bench = kernels::bench;
  bench::Header header;
  header.command = "ridge-bench";
  header.date_utc = "2025-01-02T03:04:05Z";
  header.device = {"A device", "GPU-0", 9, 0, 132, 52428800, 85899345920ULL, 1980, 2619, 5120};
  header.clocks_first = bench::Clocks{1755, 2619};
  header.wrong = {{"a claim", "error 2 of 1e-3"}};
  header.missing = {{"a point", "the run was stopped"}};
  const bench::Point point{
      "ridge", {{"tokens", std::int64_t{64}}, {"hidden", std::int64_t{8}}}, {}};
  std::string text = bench::measurement_json(
      header, {bench::point_json("rms_norm_quantize", point, {51.5, 50.25, 53, 40, {1755, 2619}})});
  const auto set = read_json(text);
  EXPECT_EQ(set.device(), "A device");
  EXPECT_EQ(set.rows(), 1U);
  text.replace(text.find("\"samples\""), 9, "\"sampled\"");
  text.replace(text.find("\"sm_count\": 132"), 15, "\"sm_count\": 0.5");
  EXPECT_THAT(complaint([&] { return read_json(text); }),
              AllOf(HasSubstr("/device/sm_count"), HasSubstr("/points/0: unknown key \"sampled\""),
                    HasSubstr("missing key \"samples\"")));
}

}  // namespace
}  // namespace ridge::hw::calibrated
