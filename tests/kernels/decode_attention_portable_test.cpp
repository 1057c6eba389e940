#include "common/numeric.hpp"
#include "decode_attention/family.hpp"
#include "decode_attention/portable_plan.hpp"

#include <set>

#include <gtest/gtest.h>

namespace ridge::kernels::decode {
namespace {

TEST(PortablePlan, FitsTheSharedMemoryOfEveryChipFromAmpereOn) {
  for (const int head_dim : {64, 128, 256}) {
    for (const KvType type : {KvType::kBf16, KvType::kE4m3}) {
      const PortablePlan plan = portable_plan(head_dim, type);
      EXPECT_LE(plan.total_bytes, 99u * 1024) << head_dim;
      EXPECT_EQ(kTileTokens % plan.tile_tokens, 0);
      EXPECT_EQ(plan.slot_offset % 16, 0u);
    }
  }
}

TEST(PortablePlan, PutsEveryPieceSomewhereElseAndEightRowsOnDistinctBanks) {
  for (const int head_dim : {64, 128, 256}) {
    std::set<std::uint32_t> seen;
    const auto pieces = static_cast<std::uint32_t>(head_dim) / 8;
    for (std::uint32_t row = 0; row < 64; ++row) {
      for (std::uint32_t piece = 0; piece < pieces; ++piece) {
        const std::uint32_t at = portable_offset(head_dim, row, piece);
        EXPECT_LT(at, 64 * pieces * 16);
        EXPECT_TRUE(seen.insert(at).second);
      }
    }
    for (std::uint32_t piece = 0; piece < pieces; ++piece) {
      std::set<std::uint32_t> banks;
      for (std::uint32_t row = 8; row < 16; ++row) {
        banks.insert(portable_offset(head_dim, row, piece) % 128);
      }
      EXPECT_EQ(banks.size(), 8u);
    }
  }
}

TEST(PortableConversion, IsExactForEveryCodeThatIsANumber) {
  for (std::uint32_t code = 0; code < 256; ++code) {
    if ((code & 0x7f) == 0x7f) {
      continue;  // NaN
    }
    const std::uint32_t other = 255 - code == 0x7f || 255 - code == 0xff ? 0 : 255 - code;
    const std::uint32_t pair = e4m3_pair_as_f16(code | other << 16);
    const auto value = [](std::uint32_t bits) {
      return to_float(F16{static_cast<std::uint16_t>(bits)}) * kE4m3AsF16Scale;
    };
    EXPECT_EQ(value(pair & 0xffff), to_float(E4m3{static_cast<std::uint8_t>(code)})) << code;
    EXPECT_EQ(value(pair >> 16), to_float(E4m3{static_cast<std::uint8_t>(other)})) << other;
  }
}

TEST(Capability, ChoosesWhatADeviceCanRun) {
  const auto at = [](const char* kernel, int capability) {
    return runs(kernel, {}, {.sm_count = 100, .capability = capability});
  };
  for (const int capability : {80, 86, 89, 100, 120, 200}) {
    EXPECT_TRUE(at("portable", capability) && at("simple", capability)) << capability;
    EXPECT_FALSE(at("ridge", capability) || at("ridge_one_term", capability)) << capability;
  }
  EXPECT_TRUE(at("ridge", 90) && at("ridge_one_term", 90) && at("portable", 90));
  EXPECT_FALSE(at("portable", 75));
  // One that serves a part of the shapes.
  const auto seesaw = [](const bench::Shape& shape, int capability) {
    return runs("ridge_seesaw", shape, {.sm_count = 100, .capability = capability});
  };
  const bench::Shape mla = make_latent_shape(1, 64, Lengths::kEqual, 64);
  EXPECT_TRUE(seesaw(mla, 90));
  EXPECT_FALSE(seesaw(mla, 100));
  EXPECT_FALSE(seesaw(make_latent_shape(1, 64, Lengths::kEqual, 64, KvType::kE4m3), 90));
  EXPECT_FALSE(seesaw(make_shape(1, 64, Lengths::kEqual, 64, 1, 256, KvType::kBf16), 90));
}

TEST(Grid, ChecksPairsOfThreadBlocksOnWhatIsDoneByPairs) {
  const bench::DeviceFacts device{.sm_count = 132, .capability = 90};
  int by_pairs = 0;
  for (const bench::Case& test : cases(bench::Extent::kQuick, device)) {
    const bool paired =
        make_best_schedule(problem_from(test.shape), device.sm_count).pairing == Pairing::kPairs;
    by_pairs += paired && test.kernel == "ridge" ? 1 : 0;
    if (test.name.find("pair") != std::string::npos) {
      EXPECT_TRUE(paired) << test.name;
    }
  }
  EXPECT_GE(by_pairs, 6);
}

TEST(Grid, GivesADeviceWithoutTheHopperKernelThePortableOneEverywhere) {
  bench::DeviceFacts device{.sm_count = 108,
                            .l2_bytes = 40ull << 20,
                            .memory_bytes = 80'000'000'000ull,
                            .free_bytes = 78'000'000'000ull,
                            .capability = 80};
  const auto count = [&](const char* kernel) {
    int points = 0;
    for (const bench::Point& point : grid(bench::Extent::kQuick, device)) {
      points += point.kernel == kernel ? 1 : 0;
    }
    return points;
  };
  EXPECT_EQ(count("portable"), count("ridge"));
  device.capability = 90;
  EXPECT_GT(count("portable"), 10);
  EXPECT_LT(count("portable"), 30);
}

}  // namespace
}  // namespace ridge::kernels::decode
