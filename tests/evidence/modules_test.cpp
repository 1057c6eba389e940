// Whole attention modules beside the sum of their operators.
#include "ridge/evidence/modules.hpp"

#include "ridge/evidence/kernels.hpp"
#include "ridge/hwmodels/calibrated/measured_modules.hpp"
#include "temporary_file.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::evidence {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// Element-wise kernels take 2 us and stream 1 TB/s; a slow one, of the engine "slow", 12 us.
// Nothing else has a curve: a launch of 2 us and the roofline at 0.7.
constexpr const char* kCurve = R"({
    "family": "elementwise", "kernel": "KERNEL", "choice": {}, "spread": [0.1, 0, 0.1],
    "parameters": {"launch_us": LAUNCH, "memory_TBps": 1},
    "ranges": {"MB": [1e-6, 100]},
    "held_out_error": {"p50": 0.05, "p90": 0.1645, "worst": 0.3, "in_sample_p50": 0.05,
                       "measurements": 100, "groups": 10, "folds": 5, "left_out": "shapes",
                       "draw_sigma": 0.1, "coverage_90": 0.9},
    "outliers": {"count": 0, "worst": []},
    "measurements": [{"file": "seen.csv", "rows": 3}]})";

std::string curve(const std::string& kernel, const std::string& launch_us) {
  std::string text = kCurve;
  text.replace(text.find("KERNEL"), 6, kernel);
  text.replace(text.find("LAUNCH"), 6, launch_us);
  return text;
}

std::string calibration(const std::string& chip) {
  return R"({"name": "mine", "chip": ")" + chip + R"(",
             "machine": {"compute_units": 132, "memory_bandwidth_TBps": 3.35, "bf16_TFLOPps": 989,
                         "fp8_TFLOPps": 1979, "fp4_TFLOPps": 989},
             "source": "made up", "curves": [)" +
         curve("any:k", "2") + "," + curve("slow:k", "12") + "]}";
}

constexpr const char* kSparse =
    "kernel,part,model,kv_dtype,gemm_dtype,heads,index_heads,index_dim,top_k,batch,kv_len,scores,"
    "latency_us\n";
constexpr const char* kBlockSparse =
    "kernel,model,kv_dtype,gemm_dtype,heads,kv_heads,head_dim,index_heads,index_dim,block,"
    "top_blocks,batch,kv_len,latency_us\n";

KernelLedger judged_for(const std::string& chip, const std::string& text) {
  const test::TemporaryFile measured("new.csv", text);
  const test::TemporaryFile made("mine.json", calibration(chip));
  const std::vector<std::string> files = {measured.path()};
  return judge_kernels(read_kernels(files, made.path()));
}
KernelLedger judged(const std::string& text) {
  return judged_for("h800", text);
}

// us of the roofline at 0.7 of 3.35 TB/s, behind a launch.
double read(double bytes) {
  return 2.0 + 1e6 * bytes / (0.7 * 3.35e12);
}
// [1, k] x [k, n], `batch` times.
double product(double n, double k, double batch = 1.0, double bytes = 2.0) {
  return read(batch * (bytes * (n * k + k) + 2.0 * n));
}
// One token's values in BF16, read and written.
double elementwise(double values) {
  return 2.0 + 1e-6 * 4.0 * values;
}

// GLM-5.2's attention behind another layer's choice, 8 of 64 heads, one sequence of 4,096 tokens,
// of which it reads 2,048: hidden 6144, query rank 2048, latent 512 + 64, heads of 192 + 64 and
// 256.
double by_hand(double weight_bytes = 2.0, double cache_bytes = 2.0 * 576) {
  return product(2048 + 576, 6144, 1, weight_bytes) + elementwise(2048 + 512) +
         product(8 * 256, 2048, 1, weight_bytes) + elementwise(9 * 64) +
         product(512, 192, 8, weight_bytes) + read(2048 * cache_bytes + 8 * 2.0 * (576 + 512)) +
         product(256, 512, 8, weight_bytes) + product(6144, 8 * 256, 1, weight_bytes);
}

TEST(Modules, AreTheSumOfTheOperatorsOfTheirModelOnOneGpu) {
  const double us = by_hand();
  const KernelLedger ledger = judged(
      kSparse +
      fmt::format("e:k,module_shared_index,glm-5.2,bfloat16,bfloat16,8,32,128,2048,1,4096,,{}\n",
                  us) +
      fmt::format("e:k,module_shared_index,glm-5.2,bfloat16,bfloat16,8,32,128,2048,1,4096,,{}\n",
                  us / 1.25));
  EXPECT_TRUE(ledger.rows.empty());
  EXPECT_TRUE(ledger.notes.empty());
  ASSERT_EQ(ledger.modules.size(), 1U);
  const ModuleJudgment& row = ledger.modules[0];
  EXPECT_EQ(row.measurements, 2);
  EXPECT_NEAR(row.worst, 0.25, 1e-9);
  EXPECT_NEAR(row.bias, 0.125, 1e-9);
  EXPECT_NEAR(row.p50, 0.125, 1e-9);
  EXPECT_NEAR(row.off_us, 0.5 * (us - us / 1.25), 1e-9);
  EXPECT_EQ(row.preferred, "");
  EXPECT_THAT(row.operators, SizeIs(8)) << "without the norm ahead of it";
  EXPECT_EQ(row.operators[0].name, "q_down_kv");
  EXPECT_NEAR(row.operators[0].us, product(2048 + 576, 6144), 1e-9);
  EXPECT_NEAR(row.operators[0].share, product(2048 + 576, 6144) / us, 1e-9);
  EXPECT_EQ(row.operators[0].basis, hw::Basis::no_curve);
  EXPECT_THAT(row.where(), ::testing::StartsWith("q_down_kv "));
}

TEST(Modules, AreAskedInTheirNumberFormats) {
  // 512 values of one byte with 16 of scales, and 64 of two.
  const KernelLedger ledger =
      judged(kSparse +
             fmt::format("e:k,module_shared_index,glm-5.2,fp8,fp8_block,8,32,128,2048,1,4096,,{}\n",
                         by_hand(1.0, 512 + 16 + 128)));
  ASSERT_EQ(ledger.modules.size(), 1U);
  EXPECT_NEAR(ledger.modules[0].bias, 0.0, 1e-9);
  EXPECT_EQ(ledger.modules[0].what(), "module_shared_index of glm-5.2, fp8_block, cache fp8");
}

TEST(Modules, AreOfModelsHoweverTablesWriteThem) {
  const auto bias = [](const char* model) {
    const KernelLedger ledger = judged(
        kSparse + fmt::format("e:k,module,{},fp8,fp8_block,8,32,128,2048,1,4096,,100\n", model));
    return ledger.modules.size() == 1 ? ledger.modules[0].bias : 0.0;
  };
  for (const auto& [written, name] : {std::pair{"zai-org/GLM-5-FP8", "glm-5"},
                                      {"zai-org/GLM-5.2", "glm-5.2"},
                                      {"GLM-5.3-Flash", "glm-5.3-flash"}}) {
    EXPECT_NE(bias(name), 0.0) << name;
    EXPECT_EQ(bias(written), bias(name)) << written;
  }
}

TEST(Modules, AreTimedByTheirEnginesOwnKernelsWhereThereAreSome) {
  const std::string row =
      "module_shared_index,glm-5.2,bfloat16,bfloat16,8,32,128,2048,1,4096,,100\n";
  const KernelLedger ledger = judged(kSparse + ("slow:attention," + row + "e:k," + row));
  ASSERT_EQ(ledger.modules.size(), 2U);
  const auto of = [&](const std::string& kernel) {
    return *std::find_if(ledger.modules.begin(), ledger.modules.end(),
                         [&](const auto& each) { return each.kernel == kernel; });
  };
  EXPECT_EQ(of("slow:attention").preferred, "slow:*");
  EXPECT_NEAR(of("slow:attention").off_us, by_hand() + 8 * 10.0 - 100.0, 1e-9)
      << "each of eight launches takes 10 us longer";
  EXPECT_NEAR(of("e:k").off_us, by_hand() - 100.0, 1e-9);
}

TEST(Modules, AreTimedByTheKernelsThatTheyAreKnownToCall) {
  EXPECT_THAT(hw::calibrated::kernels_of_module("vllm:FLASHMLA_SPARSE"),
              ElementsAre("sglang:flash_mla_sparse_fwd", "vllm:*"));
  EXPECT_THAT(hw::calibrated::kernels_of_module("sglang:sglang_dsa_skip_indexer_fa3"),
              ElementsAre("sglang:flash_attention", "sglang:*"));
  EXPECT_THAT(hw::calibrated::kernels_of_module("vllm:anything"), ElementsAre("vllm:*"));

  const std::string row =
      "module_shared_index,glm-5.2,bfloat16,bfloat16,8,32,128,2048,1,4096,,100\n";
  const test::TemporaryFile measured("new.csv", kSparse + ("vllm:FLASHMLA_SPARSE," + row));
  std::string text = calibration("h800");
  text.replace(text.find("slow:k"), 6, "sglang:flash_mla_sparse_fwd");
  const test::TemporaryFile made("mine.json", text);
  const std::vector<std::string> files = {measured.path()};
  const KernelLedger ledger = judge_kernels(read_kernels(files, made.path()));
  ASSERT_EQ(ledger.modules.size(), 1U);
  EXPECT_EQ(ledger.modules[0].preferred, "sglang:flash_mla_sparse_fwd");
  EXPECT_NEAR(ledger.modules[0].off_us, by_hand() + 8 * 10.0 - 100.0, 1e-9);
}

TEST(Modules, HaveTheirIndexerWhereTheTableSaysSo) {
  const KernelLedger ledger =
      judged(std::string(kSparse) + "e:k,module,glm-5,fp8,fp8,8,32,128,2048,1,4096,,100\n");
  ASSERT_EQ(ledger.modules.size(), 1U);
  EXPECT_THAT(ledger.modules[0].operators, SizeIs(14));
}

TEST(Modules, OfCompressedAttentionAreOfTheirRatioAndWithoutTheStreamsAroundThem) {
  constexpr const char* kHeader =
      "kernel,part,model,ratio,kv_dtype,gemm_dtype,heads,index_heads,index_dim,top_k,window,batch,"
      "kv_len,cache_shared,scores,latency_us\n";
  const KernelLedger ledger =
      judged(std::string(kHeader) +
             "e:k,hca_module,deepseek-v4-flash,128,fp8,bfloat16,8,0,128,0,128,1,129,0,,60\n"
             "e:k,csa_module,deepseek-v4-pro,4,fp8,bfloat16,16,64,128,1024,128,1,129,0,,75\n"
             "e:k,csa_module,deepseek-v4-pro,8,fp8,bfloat16,16,64,128,1024,128,1,129,0,,75\n");
  ASSERT_EQ(ledger.modules.size(), 2U);
  EXPECT_THAT(ledger.modules[0].operators, SizeIs(15));
  EXPECT_THAT(ledger.modules[1].operators, SizeIs(9)) << "without an indexer, nor streams to mix";
  EXPECT_THAT(ledger.notes, ElementsAre(HasSubstr("deepseek-v4-pro has no such attention as "
                                                  "csa_module")));
}

TEST(Modules, OfBlocksCountTheIndexHeadsOfTheTable) {
  // One KV head on the GPU, and one index head or all four.
  const std::string row = "minimax-m3,bfloat16,bfloat16,8,1,128,{},128,128,16,1,8192,100\n";
  const KernelLedger ledger =
      judged(std::string(kBlockSparse) + "cut:k," + fmt::format(fmt::runtime(row), 1) + "whole:k," +
             fmt::format(fmt::runtime(row), 4));
  ASSERT_EQ(ledger.modules.size(), 2U);
  const auto us = [&](const ModuleJudgment& module) {
    return std::find_if(module.operators.begin(), module.operators.end(),
                        [](const auto& op) { return op.name == "index_qk"; })
        ->us;
  };
  EXPECT_NEAR(us(ledger.modules[0]), product(2 * 128, 6144), 1e-9);
  EXPECT_NEAR(us(ledger.modules[1]), product(5 * 128, 6144), 1e-9);
}

TEST(Modules, ThatRidgeCannotAskForAreToldWithTheReason) {
  const KernelLedger ledger =
      judged(std::string(kSparse) + "e:k,module,glm-9,fp8,fp8,8,32,128,2048,1,4096,,100\n" +
             "e:k,module,glm-9,fp8,fp8,16,32,128,2048,1,4096,,100\n"
             "e:k,module,glm-5,fp8,fp8,128,32,128,2048,1,4096,,100\n"
             "e:k,module,glm-5,fp8,fp8,24,32,128,2048,1,4096,,100\n"
             "e:k,module,glm-5,fp8,fp8,8,32,128,512,1,4096,,100\n"
             "e:k,module,glm-5,fp8,mxfp4_w4a16,8,32,128,512,1,4096,,100\n"
             "e:k,module,minimax-m3,fp8,fp8,8,32,128,2048,1,4096,,100\n");
  EXPECT_TRUE(ledger.modules.empty());
  EXPECT_THAT(
      ledger.notes,
      AllOf(SizeIs(6),
            Contains(HasSubstr("whole modules not asked: 2: no model called \"glm-9\" ships")),
            Contains(HasSubstr("128 heads on one GPU, of 64 that glm-5 has")),
            Contains(HasSubstr("24 heads on one GPU, of 64")),
            Contains(HasSubstr("glm-5 with 512 chosen, and not 2048")),
            Contains(HasSubstr("products in mxfp4_w4a16 over a cache in fp8")),
            Contains(HasSubstr("minimax-m3 has no such attention as module"))));
}

// Of a chip of one's own the kernels are judged, and the modules wait for its file.
TEST(Modules, OfAChipThatDoesNotShipAreNotAskedAndCounted) {
  const KernelLedger ledger = judged_for(
      "mychip",
      std::string(kSparse) +
          "e:k,attention,glm-5.2,bfloat16,,64,0,0,2048,4,9000,,5\n"
          "e:k,module_shared_index,glm-5.2,bfloat16,bfloat16,8,32,128,2048,1,4096,,100\n");
  EXPECT_THAT(ledger.rows, SizeIs(1));
  EXPECT_TRUE(ledger.modules.empty());
  EXPECT_THAT(ledger.notes,
              Contains(HasSubstr("1 whole modules not asked: the chip mychip does not "
                                 "ship (--chip takes its file)")));
}

TEST(Modules, ThatWereLaunchedFromTheHostAreLeftOutAndCounted) {
  const std::string rest = "fp8,fp8,8,32,128,2048,1024,129,,900\n";
  const KernelLedger ledger =
      judged(kSparse + ("sglang:sglang_dsa_indexer_x,module,glm-5," + rest) +
             "sglang:sglang_dsa_indexer_x,module,glm-5,fp8,fp8,8,32,128,2048,512,129,,200\n" +
             "vllm:x,module,glm-5," + rest);
  EXPECT_THAT(ledger.modules, SizeIs(2));
  EXPECT_THAT(ledger.notes, ElementsAre(HasSubstr("whole modules not asked: 1: launched from "
                                                  "the host, without a CUDA graph")));
  // Chips with less memory have graphs of fewer sequences.
  hw::calibrated::MeasuredModule module{.kernel = "sglang:sglang_dsa_indexer_x", .batch = 512};
  EXPECT_TRUE(hw::calibrated::ran_without_graph(module, "h100"));
  EXPECT_FALSE(hw::calibrated::ran_without_graph(module, "b200"));
  module.batch = 256;
  EXPECT_FALSE(hw::calibrated::ran_without_graph(module, "h100"));
}

TEST(Modules, StandInEveryFormBesideTheKernels) {
  const KernelLedger ledger =
      judged(std::string(kSparse) +
             "e:k,attention,glm-5.2,bfloat16,,64,0,0,2048,4,9000,,5\n"
             "e:k,module_shared_index,glm-5.2,bfloat16,bfloat16,8,32,128,2048,1,4096,,10\n");
  ASSERT_EQ(ledger.rows.size(), 1U);
  const std::string table = render(ledger, view::OutputFormat::table);
  EXPECT_THAT(table, HasSubstr("module_shared_index of glm-5.2, bf16, cache"));
  EXPECT_THAT(table, HasSubstr(ledger.modules[0].where()));
  const std::string page = kernels_page(ledger, "ridge reproduce --page p.md");
  EXPECT_THAT(page,
              AllOf(HasSubstr("    ridge reproduce --page p.md\n"),
                    HasSubstr("| sparse_latent_attention bf16 head_dim 576 | e:k | no curve |"),
                    HasSubstr(fmt::format("| e:k | 1 | {0:.1f} % | {0:.1f} % | {0:+.1f} %",
                                          100.0 * ledger.modules[0].bias)),
                    HasSubstr("\n- sparse_latent_attention bf16 head_dim 576: mine has")));
  const auto json = nlohmann::json::parse(render(ledger, view::OutputFormat::json));
  const auto& module = json["modules"][0];
  EXPECT_EQ(module["part"], "module_shared_index");
  EXPECT_TRUE(module["preferred"].is_null());
  EXPECT_NEAR(module["off_us"].get<double>(), by_hand() - 10.0, 1e-9);
  EXPECT_EQ(module["operators"].size(), 8U);
  EXPECT_EQ(module["operators"][0]["basis"], "no curve");
  const std::string csv = render(ledger, view::OutputFormat::csv);
  const auto columns = [&](std::size_t line) {
    std::size_t begin = 0;
    for (; line > 0; --line) begin = csv.find('\n', begin) + 1;
    const std::string text = csv.substr(begin, csv.find('\n', begin) - begin);
    return std::count(text.begin(), text.end(), ',') -
           2 * (text.find('"') == std::string::npos ? 0 : 1);
  };
  EXPECT_EQ(columns(1), columns(0));
  EXPECT_EQ(columns(2), columns(0));
  EXPECT_THAT(csv, HasSubstr("\nmodule_shared_index,bf16,,e:k,,1,"));
}

}  // namespace
}  // namespace ridge::evidence
