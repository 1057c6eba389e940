#include "bench/family.hpp"
#include "decode_attention/device_case.hpp"
#include "decode_attention/family.hpp"
#include "decode_attention/launch.hpp"
#include "decode_attention/reference.hpp"
#include "device/device.hpp"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

// The MLA kernel's own source on the emulated device, by the family's check: output and log-sum-exp
// against the double reference, NaN beyond the lengths, garbage pages past the end, poisoned
// outputs, the same bits twice. Few multiprocessors make a CTA reuse its slots and walk over
// several segments.

namespace ridge::kernels::decode {
namespace {

using emulated::Device;

/// A kernel, and how far off it may be: P in one BF16 term is by 1.3e-3.
struct Choice {
  const char* kernel;
  KvType type;
  double most;
};
constexpr Choice kChoices[] = {{"ridge", KvType::kBf16, 1e-3},
                               {"ridge", KvType::kE4m3, 1e-3},
                               {"ridge_seesaw", KvType::kBf16, 1.5e-3}};

class EmulatedLatentAttentionOf : public testing::TestWithParam<Choice> {
 protected:
  static void expect_right(int batch, int context, Lengths lengths, int query_heads,
                           int multiprocessors) {
    const Choice& choice = GetParam();
    bench::DeviceFacts facts;
    facts.sm_count = multiprocessors;
    const bench::CheckReport report = latent_attention_family().check(
        {choice.kernel, "", make_latent_shape(batch, context, lengths, query_heads, choice.type)},
        facts);
    EXPECT_TRUE(report.passed) << report.message;
    EXPECT_LE(report.relative_error, choice.most);
  }
};

TEST_P(EmulatedLatentAttentionOf, EqualsTheReferenceInEveryOrder) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    Device::instance().seed(seed);
    SCOPED_TRACE(seed);
    // One CTA: nine tiles through two slots, four segments.
    expect_right(4, 100, Lengths::kRagged, 16, 1);
  }
}

TEST_P(EmulatedLatentAttentionOf, BeginsASegmentInEitherSlot) {
  expect_right(3, 3 * 64, Lengths::kEqual, 16, 1);
  expect_right(3, 64, Lengths::kEqual, 16, 1);
}

TEST_P(EmulatedLatentAttentionOf, YieldsZerosAndMinusInfinityForALengthOfZero) {
  expect_right(3, 0, Lengths::kEqual, 64, 2);
}

TEST_P(EmulatedLatentAttentionOf, FencesWhatItStoresForTheMatrixUnitAndTheCopyEngine) {
  Device::instance().imitate({.proxies = true});
  expect_right(1, 2 * 64 + 5, Lengths::kEqual, 64, 1);
  expect_right(3, 64 + 5, Lengths::kEqual, 64, 1);
  Device::instance().imitate({});
}

TEST_P(EmulatedLatentAttentionOf, CombinesARequestSplitOverManyCtas) {
  expect_right(1, 5 * 64 + 17, Lengths::kEqual, 64, 4);
}

TEST_P(EmulatedLatentAttentionOf, ServesTwoRowBlocksAndRowsThatAreNotUsed) {
  expect_right(1, 130, Lengths::kEqual, 128, 2);
  expect_right(2, 70, Lengths::kEqual, 96, 3);
}

INSTANTIATE_TEST_SUITE_P(EveryCache, EmulatedLatentAttentionOf, testing::ValuesIn(kChoices),
                         [](const auto& choice) {
                           return std::string(choice.param.kernel) + "_" +
                                  std::string(name(choice.param.type));
                         });

TEST(EmulatedSeesawAttention, ServesNothingButMlaOverBf16) {
  Problem problem;
  problem.kv_lengths = {10};
  problem.query_heads = 16;
  for (const bool coded : {true, false}) {
    problem.head_dim = coded ? kLatentRank + kLatentRopeDim : 128;
    problem.rope_dim = coded ? kLatentRopeDim : 0;
    problem.kv_type = coded ? KvType::kE4m3 : KvType::kBf16;
    const DeviceCase device(problem, make_inputs(problem, 1));
    EXPECT_THROW(Launch(problem, device.arguments, 1, Implementation::kHopperSeesaw),
                 std::invalid_argument);
  }
}

TEST(EmulatedCodedLatentAttention, IsExactButForPWhereScalesArePowersOfTwo) {
  // F16 holds every code times a power of two: what is left is the rounding of P to F16.
  Problem problem;
  problem.kv_lengths = {150};
  problem.query_heads = 16;
  problem.head_dim = kLatentRank + kLatentRopeDim;
  problem.rope_dim = kLatentRopeDim;
  problem.kv_type = KvType::kE4m3;
  HostInputs inputs = make_inputs(problem, 11);
  for (std::size_t token = 0; token < inputs.key.size(); token += kCodedTokenBytes) {
    float scales[kLatentScales];
    std::memcpy(scales, inputs.key.data() + token + kCodedScalesOffset, sizeof(scales));
    for (float& scale : scales) {
      scale = std::exp2(std::round(std::log2(scale)));
    }
    std::memcpy(inputs.key.data() + token + kCodedScalesOffset, scales, sizeof(scales));
  }
  const Result want = reference_attention(problem, inputs);
  const DeviceCase device(problem, inputs);
  Launch(problem, device.arguments, 1).run(nullptr);
  const std::vector<float> output = device.output.download();
  const std::vector<float> lse = device.lse.download();
  EXPECT_LE(relative_error({output.begin(), output.end()}, want.output), 2.5e-4);
  EXPECT_LE(relative_error({lse.begin(), lse.end()}, want.lse), 1e-6);
}

}  // namespace
}  // namespace ridge::kernels::decode
