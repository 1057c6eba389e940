#include "bench/family.hpp"
#include "decode_attention/family.hpp"
#include "device/device.hpp"

#include <cstdint>

#include <gtest/gtest.h>

// The MLA kernel's own source on the emulated device, by the family's check: output and log-sum-exp
// against the double reference, NaN beyond the lengths, garbage pages past the end, poisoned
// outputs, the same bits twice. Few multiprocessors make a CTA reuse its slots and walk over
// several segments.

namespace ridge::kernels::decode {
namespace {

using emulated::Device;

void expect_right(int batch, int context, Lengths lengths, int query_heads, int multiprocessors) {
  bench::DeviceFacts facts;
  facts.sm_count = multiprocessors;
  const bench::CheckReport report = latent_attention_family().check(
      {"ridge", "", make_latent_shape(batch, context, lengths, query_heads)}, facts);
  EXPECT_TRUE(report.passed) << report.message;
  EXPECT_LE(report.relative_error, 1e-3);
}

TEST(EmulatedLatentAttention, EqualsTheReferenceInEveryOrder) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    Device::instance().seed(seed);
    SCOPED_TRACE(seed);
    // One CTA: nine tiles through two slots, four segments.
    expect_right(4, 100, Lengths::kRagged, 16, 1);
  }
}

TEST(EmulatedLatentAttention, CombinesARequestSplitOverManyCtas) {
  expect_right(1, 5 * 64 + 17, Lengths::kEqual, 64, 4);
}

TEST(EmulatedLatentAttention, ServesTwoRowBlocksAndRowsThatAreNotUsed) {
  expect_right(1, 130, Lengths::kEqual, 128, 2);
  expect_right(2, 70, Lengths::kEqual, 96, 3);
}

TEST(EmulatedLatentAttention, YieldsZerosAndMinusInfinityForALengthOfZero) {
  expect_right(3, 0, Lengths::kEqual, 64, 2);
}

TEST(EmulatedLatentAttention, FencesWhatItStoresForTheMatrixUnitAndTheCopyEngine) {
  Device::instance().imitate({.proxies = true});
  expect_right(1, 2 * 64 + 5, Lengths::kEqual, 64, 1);
  Device::instance().imitate({});
}

}  // namespace
}  // namespace ridge::kernels::decode
