#include "gemm/family.hpp"

#include <set>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

namespace ridge::kernels::gemm {
namespace {

const bench::DeviceFacts kDevice{132, 50ull << 20, 80'000'000'000ull, 78'000'000'000ull};

TEST(DenseGemmWork, CountsBytesAndFlopAsByHand) {
  const bench::Work bf16 = Problem{64, 2560, 7168, Dtype::kBf16}.work();
  EXPECT_EQ(bf16.bytes_read, 2.0 * (64 * 7168 + 2560 * 7168));
  EXPECT_EQ(bf16.bytes_written, 2.0 * 64 * 2560);
  EXPECT_EQ(bf16.flop, 2.0 * 64 * 2560 * 7168);
  const bench::Work fp8 = Problem{64, 2560, 7168, Dtype::kFp8Block}.work();
  // A scale per 128 inputs of a token, and per 128 x 128 of the weights.
  EXPECT_EQ(fp8.bytes_read, 64.0 * 7168 + 2560.0 * 7168 + 4 * (64 * 56 + 20 * 56));
}

TEST(DenseGemmGrid, MeasuresTheMatrixRateBeforeWhatIsComparedWithIt) {
  const auto points = grid(bench::Extent::kQuick, kDevice);
  for (const bench::Point& point : points) {
    EXPECT_EQ(point.turn == bench::Turn::kCeiling, point.shape.word("role") == "square");
  }
}

TEST(DenseGemmGrid, CoversTheProjectionsOfAllThreeAttentionsInBothTypes) {
  std::set<std::string> seen;
  for (const bench::Point& point : grid(bench::Extent::kFull, kDevice)) {
    EXPECT_NO_THROW(problem_from(point.shape));
    seen.insert(point.shape.word("role") + " " + point.shape.word("dtype"));
  }
  for (const char* role :
       {"mfa_qkv_down", "mfa_q_up", "mfa_output", "mla_qkv_down", "mla_q_up", "mla_output",
        "gqa_qkv", "gqa_output", "shared_gate_up", "shared_down"}) {
    EXPECT_TRUE(seen.count(std::string(role) + " bf16")) << role;
    EXPECT_TRUE(seen.count(std::string(role) + " fp8_block")) << role;
  }
}

TEST(DenseGemm, RunsWhereTheLibraryHasTheFormat) {
  const auto at = [](const char* dtype, int capability) {
    bench::DeviceFacts device = kDevice;
    device.capability = capability;
    const bench::Shape shape{{"m", std::int64_t{64}},
                             {"n", std::int64_t{128}},
                             {"k", std::int64_t{128}},
                             {"dtype", std::string(dtype)},
                             {"role", std::string("x")}};
    return runs("cublaslt", shape, device);
  };
  EXPECT_TRUE(at("bf16", 80) && at("bf16", 120));
  EXPECT_FALSE(at("fp8", 86));
  EXPECT_TRUE(at("fp8", 89) && at("fp8", 90) && at("fp8", 100));
  EXPECT_TRUE(at("fp8_block", 90));
  EXPECT_FALSE(at("fp8_block", 89) || at("fp8_block", 100));
}

TEST(DenseGemm, RefusesShapesTheScalesDoNotFit) {
  using I = std::int64_t;
  EXPECT_THROW(problem_from({{"m", I{1}},
                             {"n", I{128}},
                             {"k", I{100}},
                             {"dtype", std::string("bf16")},
                             {"role", std::string("x")}}),
               std::invalid_argument);
  EXPECT_THROW(problem_from({{"m", I{1}},
                             {"n", I{128}},
                             {"k", I{128}},
                             {"dtype", std::string("int4")},
                             {"role", std::string("x")}}),
               std::invalid_argument);
}

}  // namespace
}  // namespace ridge::kernels::gemm
