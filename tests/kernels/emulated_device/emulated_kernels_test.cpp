#include "bench/family.hpp"
#include "common/async_copy.cuh"
#include "common/launch.cuh"
#include "common/numeric.hpp"
#include "decode_attention/device_case.hpp"
#include "decode_attention/family.hpp"
#include "decode_attention/launch.hpp"
#include "decode_attention/reference.hpp"
#include "decode_attention/tile_plan.hpp"
#include "device/device.hpp"
#include "moe/family.hpp"

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

// The kernels' own sources on the emulated device: the claims that need more than what
// `ridge-bench-emulated --check` runs.

namespace ridge::kernels {
namespace {

using emulated::Device;

class Imitating {
 public:
  explicit Imitating(emulated::Fidelity fidelity) { Device::instance().imitate(fidelity); }
  ~Imitating() { Device::instance().imitate({}); }
  Imitating(const Imitating&) = delete;
  Imitating& operator=(const Imitating&) = delete;
};

struct AttentionOutputs {
  std::vector<float> output;
  std::vector<float> lse;
};

/// By a number of CTAs or a schedule.
template <typename Division>
AttentionOutputs run_attention(
    const decode::Problem& problem, const decode::HostInputs& inputs, const Division& division,
    decode::Implementation implementation = decode::Implementation::kHopper) {
  const decode::DeviceCase device(problem, inputs);
  const decode::Launch launch(problem, device.arguments, division, implementation);
  launch.run(nullptr);
  return {device.output.download(), device.lse.download()};
}

std::vector<double> as_double(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

class EmulatedAttention : public testing::TestWithParam<decode::KvType> {
 protected:
  double tolerance() const { return GetParam() == decode::KvType::kBf16 ? 1e-3 : 2e-3; }

  decode::Problem problem(std::vector<std::int32_t> lengths, int query_heads, int kv_heads,
                          int head_dim) const {
    decode::Problem made;
    made.kv_lengths = std::move(lengths);
    made.query_heads = query_heads;
    made.kv_heads = kv_heads;
    made.head_dim = head_dim;
    made.kv_type = GetParam();
    return made;
  }

  void expect_close(const decode::Problem& p, int ctas, std::uint64_t seed, float sharpness = 1,
                    decode::Implementation implementation = decode::Implementation::kHopper) {
    const decode::HostInputs inputs = decode::make_inputs(p, seed, {}, sharpness);
    const decode::Result want = decode::reference_attention(p, inputs);
    const AttentionOutputs got = run_attention(p, inputs, ctas, implementation);
    EXPECT_LE(decode::relative_error(as_double(got.output), want.output), tolerance());
    EXPECT_LE(decode::relative_error(as_double(got.lse), want.lse), 1e-5);
  }
};

TEST_P(EmulatedAttention, WritesTheSameBitsInEveryOrder) {
  // One CTA of many short segments and splits: slots are reused, the consumers take turns.
  const decode::Problem p = problem({300, 0, 20, 64, 190, 700}, 32, 2, 64);
  const decode::HostInputs inputs = decode::make_inputs(p, 4);
  const decode::Result want = decode::reference_attention(p, inputs);
  AttentionOutputs first;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    Device::instance().seed(seed);
    const AttentionOutputs got = run_attention(p, inputs, 3);
    ASSERT_LE(decode::relative_error(as_double(got.output), want.output), tolerance()) << seed;
    ASSERT_LE(decode::relative_error(as_double(got.lse), want.lse), 1e-5) << seed;
    if (seed == 1) {
      first = got;
    }
    ASSERT_EQ(std::memcmp(got.output.data(), first.output.data(), got.output.size() * 4), 0);
  }
}

TEST_P(EmulatedAttention, GoesRoundItsRingOfSlotsManyTimes) {
  for (const int head_dim : {64, 128, 256}) {
    const int slots = decode::tile_plan(head_dim, GetParam()).slots;
    // A tile takes two slots, so that every slot is used at least five times. The fewer slots, the
    // sooner a consumer can come to a slot before the last use of it, and the likelier a fault.
    for (std::uint64_t seed = 1; seed <= (head_dim == 256 ? 30 : 3); ++seed) {
      Device::instance().seed(seed);
      expect_close(problem({slots * 5 / 2 * 64 + 9}, 16, 1, head_dim), 1, seed);
    }
  }
}

TEST_P(EmulatedAttention, FencesWhatItStoresForTheMatrixUnit) {
  const Imitating imitating({.proxies = true});
  expect_close(problem({150, 5, 64}, 16, 1, 64), 1, 5);
}

TEST_P(EmulatedAttention, FencesWhatItStoresForTheMatrixUnitInItsWiderInstances) {
  const Imitating imitating({.proxies = true});
  expect_close(problem({150, 5, 64}, 16, 1, 128), 1, 5);
  expect_close(problem({150, 5, 64}, 16, 1, 256), 1, 5);
}

TEST_P(EmulatedAttention, FollowsScoresThatRiseFromTileToTile) {
  // A page of zeros, so of scores 0, then scores of tens of powers of two: whatever was summed of
  // the first pages has to shrink to nothing.
  for (const int head_dim : {64, 128, 256}) {
    const decode::Problem p = problem({640}, 64, 1, head_dim);
    decode::HostInputs inputs = decode::make_inputs(p, 6, {}, 8);
    const std::size_t page_bytes = inputs.key.size() / static_cast<std::size_t>(inputs.cache_pages);
    for (const int tile : {0, 1}) {
      std::memset(
          inputs.key.data() + static_cast<std::size_t>(inputs.block_table[tile]) * page_bytes, 0,
          page_bytes);
    }
    const decode::Result want = decode::reference_attention(p, inputs);
    const AttentionOutputs got = run_attention(p, inputs, 1);
    EXPECT_LE(decode::relative_error(as_double(got.output), want.output), tolerance()) << head_dim;
    EXPECT_LE(decode::relative_error(as_double(got.lse), want.lse), 1e-5) << head_dim;
  }
}

TEST_P(EmulatedAttention, IgnoresNanBeyondTheLengthAndGarbagePagesPastTheEnd) {
  expect_close(problem({5}, 64, 1, 256), 1, 2);
  expect_close(problem({1, 63, 65}, 16, 1, 64), 2, 3);
}

TEST_P(EmulatedAttention, MergesItsTwoConsumersWhicheverHasTheOddTile) {
  // One CTA, so the second and third requests start on the other consumer.
  expect_close(problem({300, 20, 40, 70}, 64, 1, 128), 1, 4);
}

TEST_P(EmulatedAttention, CombinesARequestSplitOverManyCtas) {
  expect_close(problem({700}, 64, 1, 256), 7, 5);
  expect_close(problem({400, 0, 130, 900}, 32, 2, 64), 5, 6);
  // More than 16 parts: a team is a warp. More than 32: a lane looks at more than it holds at once.
  expect_close(problem({20 * 128}, 16, 1, 64), 20, 7);
  expect_close(problem({40 * 128 - 3}, 16, 1, 64), 40, 8);
}

TEST_P(EmulatedAttention, PairsOfThreadBlocksMergeInEveryOrder) {
  // Whole results of pairs, parts of them for the second merge, other work before, a consumer
  // without a tile, and a CTA without any.
  const auto expect_merged = [&](const decode::Problem& p, int ctas, std::uint64_t seeds) {
    const decode::Schedule schedule =
        make_schedule(p, ctas, decode::kSegmentCostTiles, decode::Pairing::kPairs);
    const decode::HostInputs inputs = decode::make_inputs(p, 12);
    const decode::Result want = decode::reference_attention(p, inputs);
    AttentionOutputs first;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
      Device::instance().seed(seed);
      const AttentionOutputs got = run_attention(p, inputs, schedule);
      ASSERT_LE(decode::relative_error(as_double(got.output), want.output), tolerance()) << seed;
      ASSERT_LE(decode::relative_error(as_double(got.lse), want.lse), 1e-5) << seed;
      if (seed == 1) {
        first = got;
      }
      ASSERT_EQ(std::memcmp(got.output.data(), first.output.data(), got.output.size() * 4), 0);
    }
  };
  expect_merged(problem({300, 0, 130}, 32, 2, 64), 5, 4);
  expect_merged(problem({260, 70}, 16, 1, 128), 4, 2);
  expect_merged(problem({257}, 64, 1, 256), 2, 1);
}

TEST_P(EmulatedAttention, RefusesPairsWhereAKernelKnowsNone) {
  const decode::Problem p = problem({260, 70}, 16, 1, 128);
  const decode::HostInputs inputs = decode::make_inputs(p, 12);
  const decode::Schedule pairs =
      make_schedule(p, 4, decode::kSegmentCostTiles, decode::Pairing::kPairs);
  for (const auto other :
       {decode::Implementation::kHopperOneTerm, decode::Implementation::kPortable}) {
    EXPECT_THROW(run_attention(p, inputs, pairs, other), std::invalid_argument);
  }
}

/// By ordinary stores, as the kernel that appends to a cache does.
__global__ void append(std::uint8_t* cache, const std::uint8_t* tokens, std::size_t bytes) {
  allow_dependent_launch();
  for (std::size_t i = threadIdx.x; i < bytes; i += blockDim.x) {
    cache[i] = tokens[i];
  }
}

TEST_P(EmulatedAttention, CopiesWhatTheKernelAheadStoredInTheCache) {
  const decode::Problem p = problem({130, 40}, 16, 1, 64);
  const decode::HostInputs inputs = decode::make_inputs(p, 9);
  decode::DeviceCase device(p, inputs);
  device.value.fill_bytes(0xff);
  const DeviceBuffer<std::uint8_t> tokens(inputs.value);
  const decode::Launch launch(p, device.arguments, 2);
  launch_kernel({.grid = 1, .block = 128}, append, device.value.data(), tokens.data(),
                tokens.bytes());
  launch.run(nullptr);
  RIDGE_CUDA_CHECK(cudaDeviceSynchronize());
  EXPECT_LE(decode::relative_error(as_double(device.output.download()),
                                   decode::reference_attention(p, inputs).output),
            tolerance());
}

TEST_P(EmulatedAttention, YieldsZerosAndMinusInfinityForALengthOfZero) {
  const decode::Problem p = problem({0, 10}, 64, 1, 64);
  const AttentionOutputs got = run_attention(p, decode::make_inputs(p, 7), 2);
  for (int head = 0; head < 64; ++head) {
    EXPECT_EQ(got.lse[head], -INFINITY);
    for (int d = 0; d < 64; ++d) {
      EXPECT_EQ(got.output[head * 64 + d], 0.0f);
    }
  }
}

TEST_P(EmulatedAttention, ServesGroupsSmallerAndLargerThanATile) {
  expect_close(problem({100, 64}, 64, 4, 128), 3, 8);
  expect_close(problem({100, 64}, 128, 1, 64), 3, 9);
  expect_close(problem({100}, 48, 3, 256), 2, 10);
}

TEST_P(EmulatedAttention, ServesGroupsOf17To32HeadsWithProductsAsWide) {
  // Split and merged, consumers with and without a tile, scores that dominate.
  for (const int head_dim : {128, 256}) {
    expect_close(problem({300, 40}, 64, 2, head_dim), 3, 15);
    expect_close(problem({200}, 24, 1, head_dim), 1, 16, 4);
  }
}

// Of four, two and half a tile; on few CTAs, so that a request is split in the middle of a page of
// two tiles, and a CTA reads more pages than a warp fetches the numbers of at a time.
TEST_P(EmulatedAttention, ServesPagesOfOtherSizesThanItsTiles) {
  for (const int page_tokens : {16, 32, 128}) {
    for (const int head_dim : {64, 128}) {
      decode::Problem p = problem({900, 0, 17, 129, 64}, 16, 2, head_dim);
      p.page_tokens = page_tokens;
      for (const int ctas : {1, 5}) expect_close(p, ctas, 11);
      expect_close(p, 3, 11, 1, decode::Implementation::kPortable);
    }
  }
}

TEST_P(EmulatedAttention, StaysAccurateWhenFewTokensDominate) {
  expect_close(problem({333}, 64, 1, 128), 2, 11, 6);
}

INSTANTIATE_TEST_SUITE_P(KvTypes, EmulatedAttention,
                         testing::Values(decode::KvType::kBf16, decode::KvType::kE4m3),
                         [](const auto& type) { return std::string(name(type.param)); });

/// The layer's own check on the first case of the given claim, on few multiprocessors, so that a
/// CTA has several tiles.
bench::CheckReport check_moe_layer(const std::string& claim) {
  bench::DeviceFacts few_multiprocessors;
  few_multiprocessors.sm_count = 3;
  for (const bench::Case& test : moe::layer_cases(bench::Extent::kQuick, few_multiprocessors)) {
    if (test.kernel == "ridge" && test.name.find(claim) != std::string::npos) {
      return moe::check_layer(test, few_multiprocessors);
    }
  }
  return {.message = "no case of that name"};
}

TEST(EmulatedMoeLayer, AgreesWithItsReferencesInEveryOrder) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    Device::instance().seed(seed);
    const bench::CheckReport report = check_moe_layer("every routing");
    EXPECT_TRUE(report.passed) << seed << ": " << report.message;
  }
}

TEST(EmulatedMoeLayer, PairsOfThreadBlocksAgreeInEveryOrder) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    Device::instance().seed(seed);
    const bench::CheckReport report =
        check_moe_layer(seed == 1 ? "full and narrow tiles for thread blocks in pairs"
                                  : "a pair of thread blocks shares their weights");
    EXPECT_TRUE(report.passed) << seed << ": " << report.message;
  }
}

TEST(EmulatedMoeLayer, NeedsNoProxyFenceForItsOwnStagingMemory) {
  const Imitating imitating({.proxies = true});
  for (const char* const claim : {"one narrow tile", "a full tile", "two full tiles"}) {
    const bench::CheckReport report = check_moe_layer(claim);
    EXPECT_TRUE(report.passed) << report.message;
  }
}

TEST(EmulatedMoeLayer, StaysWithinItsTolerancesWithTheMatrixUnitsOwnSums) {
  const Imitating imitating({.fp8_sums = true});
  for (const char* const claim : {"a full tile", "every routing"}) {
    const bench::CheckReport report = check_moe_layer(claim);
    EXPECT_TRUE(report.passed) << report.message;
    EXPECT_GT(report.relative_error, 1e-6);  // Exact sums would give less: the imitation is on.
  }
}

}  // namespace
}  // namespace ridge::kernels
