#include "bench/family.hpp"
#include "decode_attention/device_case.hpp"
#include "decode_attention/family.hpp"
#include "decode_attention/launch.hpp"
#include "decode_attention/reference.hpp"
#include "device/device.hpp"

#include <cmath>
#include <cstdint>
#include <cstring>
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

void expect_right(int batch, int context, Lengths lengths, int query_heads, int multiprocessors,
                  KvType type = KvType::kBf16, const char* kernel = "ridge", double most = 1e-3) {
  bench::DeviceFacts facts;
  facts.sm_count = multiprocessors;
  const bench::CheckReport report = latent_attention_family().check(
      {kernel, "", make_latent_shape(batch, context, lengths, query_heads, type)}, facts);
  EXPECT_TRUE(report.passed) << report.message;
  EXPECT_LE(report.relative_error, most);
}

class EmulatedLatentAttentionOf : public testing::TestWithParam<KvType> {};

TEST_P(EmulatedLatentAttentionOf, EqualsTheReferenceInEveryOrder) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    Device::instance().seed(seed);
    SCOPED_TRACE(seed);
    // One CTA: nine tiles through two slots, four segments.
    expect_right(4, 100, Lengths::kRagged, 16, 1, GetParam());
  }
}

TEST_P(EmulatedLatentAttentionOf, YieldsZerosAndMinusInfinityForALengthOfZero) {
  expect_right(3, 0, Lengths::kEqual, 64, 2, GetParam());
}

TEST_P(EmulatedLatentAttentionOf, FencesWhatItStoresForTheMatrixUnitAndTheCopyEngine) {
  Device::instance().imitate({.proxies = true});
  expect_right(1, 2 * 64 + 5, Lengths::kEqual, 64, 1, GetParam());
  Device::instance().imitate({});
}

INSTANTIATE_TEST_SUITE_P(EveryCache, EmulatedLatentAttentionOf,
                         testing::Values(KvType::kBf16, KvType::kE4m3),
                         [](const auto& cache) { return std::string(name(cache.param)); });

// What becomes of the sums is the same code for either cache.

TEST(EmulatedLatentAttention, CombinesARequestSplitOverManyCtas) {
  expect_right(1, 5 * 64 + 17, Lengths::kEqual, 64, 4);
}

TEST(EmulatedLatentAttention, ServesTwoRowBlocksAndRowsThatAreNotUsed) {
  expect_right(1, 130, Lengths::kEqual, 128, 2);
  expect_right(2, 70, Lengths::kEqual, 96, 3);
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
