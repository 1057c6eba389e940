#include "common/numeric.hpp"
#include "decode_attention/family.hpp"
#include "decode_attention/latent_plan.hpp"
#include "decode_attention/reference.hpp"
#include "decode_attention/seesaw_plan.hpp"
#include "support/hopper_emulation.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace ridge::kernels::decode {
namespace {

constexpr LatentPlan kPlan = latent_plan(KvType::kBf16);
constexpr LatentPlan kCodedPlan = latent_plan(KvType::kE4m3);
constexpr KvType kTypes[] = {KvType::kBf16, KvType::kE4m3};
const bench::DeviceFacts kDevice{132, 50ull << 20, 80'000'000'000ull, 78'000'000'000ull};

Problem mla(std::vector<std::int32_t> lengths, int query_heads, KvType type = KvType::kBf16) {
  Problem problem;
  problem.kv_type = type;
  problem.kv_lengths = std::move(lengths);
  problem.query_heads = query_heads;
  problem.head_dim = 576;
  problem.rope_dim = 64;
  return problem;
}

TEST(LatentPlan, FitsSharedMemoryWithoutOverlapAndKeepsSwizzledTilesAligned) {
  for (const KvType type : kTypes) {
    const LatentPlan plan = latent_plan(type);
    EXPECT_EQ(plan.query_bytes, 73'728u);
    EXPECT_EQ(plan.slot_bytes, 73'728u);
    EXPECT_EQ(plan.slots, 2);
    EXPECT_LE(plan.total_bytes, kSharedLimitBytes);
    EXPECT_EQ(plan.query_offset % 1024, 0u);
    EXPECT_EQ(plan.slot_offset % 1024, 0u);
    EXPECT_EQ(plan.slot_bytes % 1024, 0u);
    EXPECT_EQ(plan.weight_offset % 16, 0u);
    EXPECT_EQ(plan.full_offset % 8, 0u);
    const bool coded = type == KvType::kE4m3;
    const std::uint32_t slots = plan.slots;
    const std::pair<std::uint32_t, std::uint32_t> regions[] = {
        {plan.query_offset, plan.query_bytes},
        {plan.slot_offset, slots * plan.slot_bytes},
        {plan.weight_offset, kLatentWeightBytes},
        {plan.row_offset, kTileRows * 4},
        {plan.full_offset, slots * (coded ? 1 : 9) * 8},
        {plan.landed_offset, coded ? slots * 5 * 8 : 0},
        {plan.scaled_offset, coded ? slots * 8 : 0},
        {plan.empty_offset, slots * 8},
        {plan.message_ready_offset, 8},
        {plan.message_read_offset, 8}};
    std::uint32_t end = 0;
    for (const auto& [offset, bytes] : regions) {
      EXPECT_EQ(offset, end);
      end = offset + bytes;
    }
    EXPECT_LE(end + kSwizzleAtomBytes, plan.total_bytes);
  }
}

TEST(LatentPlan, HasNoRoomForASecondTileOfPBesideTwoSlots) {
  // Why P's second term lies in the slot, and why codes are expanded where they land.
  EXPECT_GT(kPlan.total_bytes + kLatentWeightBytes, kSharedLimitBytes);
  EXPECT_GT(kCodedPlan.total_bytes + kCodedPlan.landing_bytes, kSharedLimitBytes);
}

TEST(LatentPlan, SharesAllRegistersOfAnSmAmongItsWarpgroups) {
  for (const KvType type : kTypes) {
    const LatentRegisters each = latent_registers(type);
    EXPECT_EQ(128 * (kValueWarpgroups * each.value + each.score + each.producer), 65'536);
  }
  EXPECT_EQ(kLatentThreads, 512);
}

/// What lies at every 16 bytes of a panel of 64 tokens x 128 codes as its copy leaves it: token x 8
/// + sixteenth of the token's codes.
std::vector<int> landed_panel() {
  std::vector<int> at(kLatentPanelBytes / 16, -1);
  for (int token = 0; token < kTileTokens; ++token) {
    for (int sixteenth = 0; sixteenth < 8; ++sixteenth) {
      at[emulation::swizzled(token * 128 + sixteenth * 16) / 16] = token * 8 + sixteenth;
    }
  }
  return at;
}

TEST(CodedLatentPlan, EveryGroupOfTokensIsOneWarps) {
  std::multiset<int> groups;
  for (int warp = 0; warp < kExpanderWarps + kScoreWarps; ++warp) {
    const WarpGroups mine = groups_of(warp);
    int count = 0;
    for (int group = mine.first; group < mine.end; group += mine.step) {
      groups.insert(group);
      ++count;
    }
    EXPECT_LE(count, most_groups(warp >= kExpanderWarps));
    EXPECT_GE(count, 1);
  }
  EXPECT_EQ(groups.size(), std::size_t{kGroups});
  EXPECT_EQ(std::set<int>(groups.begin(), groups.end()).size(), std::size_t{kGroups});
}

TEST(CodedLatentPlan, EveryCodeIsExpandedOnceToItsPlaceAndNoneIsOverwrittenBefore) {
  const auto elements = [](int token, int d) {  // As F16, where the matrix unit looks for it.
    return emulation::swizzled(d / 64 * kLatentPanelBytes + token * 128 + d % 64 * 2);
  };
  std::vector<int> slot(kCodedPlan.slot_bytes / 16, -1);  // By 16 bytes: codes, or -1.
  const std::vector<int> panel = landed_panel();
  for (int block = 0; block < kLatentScales; ++block) {
    for (std::size_t i = 0; i < panel.size(); ++i) {
      slot.at(code_panel_offset(block) / 16 + i) = block * 512 + panel[i];
    }
  }
  EXPECT_EQ(code_panel_offset(kLatentScales), kRopePanelOffset);
  EXPECT_LE(kScaleLandingOffset + kScaleLandingBytes, code_panel_offset(0));
  std::set<std::size_t> written;
  // Group by group, the other groups' codes still there: any order of warps is as good.
  for (int group = 0; group < kGroups; ++group) {
    std::vector<std::size_t> stores;
    for (int lane = 0; lane < 32; ++lane) {
      const int token = group * kGroupTokens + lane / 8;
      const int sixteenth = lane % 8;
      const ConversionStore store = conversion_store(token, sixteenth);
      for (int block = 0; block < kLatentScales; ++block) {
        // What is read are the codes of the token, which nobody has overwritten.
        ASSERT_EQ(
            slot.at((code_panel_offset(block) + panel_offset(kTileTokens, token, sixteenth * 16)) /
                    16),
            block * 512 + token * 8 + sixteenth);
        // What is written are 16 values in a row, the first eight of them first or last.
        const int d = block * 128 + sixteenth * 16;
        const std::uint32_t first = store.first_piece + block * kExpandedBlockBytes;
        const std::uint32_t second = store.second_piece + block * kExpandedBlockBytes;
        ASSERT_EQ(store.high_first ? second : first, elements(token, d));
        ASSERT_EQ(store.high_first ? first : second, elements(token, d + 8));
        stores.push_back(elements(token, d));
        stores.push_back(elements(token, d + 8));
      }
    }
    for (const std::size_t at : stores) {
      EXPECT_TRUE(written.insert(at).second);
      slot.at(at / 16) = -1;  // Only now: a group's codes are all read before it is written.
      // What lies where the scales were waits for all warps, as those of the scores do.
      if (at >= kScaleLandingOffset && at < kScaleLandingOffset + kScaleLandingBytes) {
        EXPECT_GE(group, kGroups - kScoreGroups);
      }
    }
  }
  EXPECT_EQ(written.size() * 16, kRopePanelOffset);
}

TEST(CodedLatentPlan, NoLoadOrStoreOfAnExpansionMeetsABankTwice) {
  // 16 bytes a lane are served for eight lanes at a time, those of a token.
  for (int token = 0; token < kTileTokens; ++token) {
    std::set<std::uint32_t> loads;
    std::set<std::uint32_t> stores[2];
    for (int sixteenth = 0; sixteenth < 8; ++sixteenth) {
      loads.insert(panel_offset(kTileTokens, token, sixteenth * 16) % 128 / 16);
      const ConversionStore store = conversion_store(token, sixteenth);
      stores[0].insert(store.first_piece % 128 / 16);
      stores[1].insert(store.second_piece % 128 / 16);
    }
    EXPECT_EQ(loads.size(), 8u);
    EXPECT_EQ(stores[0].size(), 8u);
    EXPECT_EQ(stores[1].size(), 8u);
  }
}

/// Offsets of all elements of a slot as copies write them: a panel of 64 tokens x 64 values each.
std::vector<std::vector<std::size_t>> slot_elements() {
  std::vector<std::vector<std::size_t>> at(kTileTokens, std::vector<std::size_t>(kLatentKeyDim));
  for (std::size_t token = 0; token < kTileTokens; ++token) {
    for (std::size_t d = 0; d < kLatentKeyDim; ++d) {
      at[token][d] = emulation::swizzled(d / 64 * kLatentPanelBytes + token * 128 + d % 64 * 2);
    }
  }
  return at;
}

TEST(LatentPlan, CopiesAndScoresAddressEveryByteOfASlotOnce) {
  const auto elements = slot_elements();
  std::set<std::size_t> copied;
  for (const auto& token : elements) {
    copied.insert(token.begin(), token.end());
  }
  EXPECT_EQ(copied.size(), kPlan.slot_bytes / 2);
  EXPECT_EQ(*copied.rbegin(), kPlan.slot_bytes - 2);

  std::multiset<std::size_t> read;
  for (std::uint32_t k = 0; k < kLatentKeyDim / 16; ++k) {
    const emulation::Descriptor keys(k_major_descriptor(head_dim_step(k)));
    for (std::size_t token = 0; token < kTileTokens; ++token) {
      for (std::size_t i = 0; i < 16; ++i) {
        const std::size_t at = emulation::k_major_address(keys, token, i, 2);
        ASSERT_EQ(at, elements[token][std::size_t{k} * 16 + i]);
        read.insert(at);
      }
    }
  }
  EXPECT_EQ(read.size(), copied.size());
  EXPECT_TRUE(std::equal(read.begin(), read.end(), copied.begin()));
}

TEST(LatentPlan, TheValueWarpgroupsReadTheFirst512ElementsOfEveryTokenOnceBetweenThem) {
  const auto elements = slot_elements();
  std::multiset<std::size_t> read;
  for (int block = 0; block < kValueWarpgroups * kLatentBlocks; ++block) {
    const int first_column = block * kLatentColumns;
    for (std::uint32_t k = 0; k < kTileTokens / 16; ++k) {
      const emulation::Descriptor values(mn_major_descriptor(
          first_column / 64 * kLatentPanelBytes + token_step(k), kLatentPanelBytes));
      for (std::size_t i = 0; i < 16; ++i) {
        for (int n = 0; n < kLatentColumns; ++n) {
          const std::size_t at = emulation::mn_major_address(values, i, n);
          ASSERT_EQ(at, elements[std::size_t{k} * 16 + i][first_column + n]);
          // The second term of P is written where no value is.
          ASSERT_LT(at, kSecondWeightOffset);
          read.insert(at);
        }
      }
    }
  }
  EXPECT_EQ(read.size(), std::size_t{kTileTokens} * kLatentRank);
  EXPECT_EQ(std::set<std::size_t>(read.begin(), read.end()).size(), read.size());
  EXPECT_EQ(kSecondWeightOffset + kLatentWeightBytes, kPlan.slot_bytes);
}

TEST(LatentPlan, HandsEveryElementOfPToTheThreadThatMultipliesIt) {
  std::set<std::uint32_t> pieces;
  for (std::uint32_t thread = 0; thread < 128; ++thread) {
    for (std::uint32_t k = 0; k < kTileTokens / 16; ++k) {
      EXPECT_LE(weight_fragment(k, thread) + 16, kLatentWeightBytes);
      pieces.insert(weight_fragment(k, thread) / 16);
    }
    for (int i = 0; i < kTileTokens / 2; ++i) {
      const MatrixIndex score = wgmma_accumulator_index(static_cast<int>(thread), i);
      const FragmentSlot slot = accumulator_as_a(i);
      const MatrixIndex weight =
          wgmma_a_register_index(static_cast<int>(thread), slot.index, slot.half);
      EXPECT_EQ(weight.row, score.row);
      EXPECT_EQ(slot.step * 16 + weight.column, score.column);
    }
  }
  EXPECT_EQ(pieces.size(), 512u);
}

TEST(LatentPlan, EveryUseOfASlotHasAPhaseOfItsOwn) {
  for (std::uint32_t tile = 0; tile < 20; ++tile) {
    const pipeline::RingPosition now = pipeline::ring_position(tile, kPlan.slots);
    const pipeline::RingPosition next = pipeline::ring_position(tile + kPlan.slots, kPlan.slots);
    EXPECT_EQ(now.slot, next.slot);
    EXPECT_NE(now.full_parity, next.full_parity);
    EXPECT_NE(now.empty_parity, next.empty_parity);
    EXPECT_NE(now.slot, pipeline::ring_position(tile + 1, kPlan.slots).slot);
  }
  // The first use of a slot, and the first message, wait for nobody: a fresh barrier lets parity 1
  // through.
  EXPECT_EQ(pipeline::ring_position(0, kPlan.slots).empty_parity, 1u);
  EXPECT_EQ(message_position(0).empty_parity, 1u);
}

TEST(SeesawPlan, FitsSharedMemoryWithoutOverlapAndKeepsSwizzledTilesAligned) {
  constexpr SeesawPlan kSeesaw = seesaw_plan();
  const std::pair<std::uint32_t, std::uint32_t> regions[] = {
      {kSeesaw.query_offset, 64 * 512 * 2}, {kSeesaw.slot_offset, 2 * 64 * 576 * 2},
      {kSeesaw.weight_offset, 64 * 64 * 2}, {kSeesaw.largest_offset, 2 * 64 * 4},
      {kSeesaw.sum_offset, 2 * 64 * 4},     {kSeesaw.full_offset, 2 * 9 * 8},
      {kSeesaw.empty_offset, 2 * 5 * 8},    {kSeesaw.message_offset, 2 * 8}};
  std::uint32_t end = 0;
  for (const auto& [offset, bytes] : regions) {
    EXPECT_EQ(offset, end);
    end = offset + bytes;
  }
  EXPECT_EQ(end + kSwizzleAtomBytes, kSeesaw.total_bytes);
  EXPECT_LE(kSeesaw.total_bytes, kSharedLimitBytes);
  EXPECT_EQ(kSeesaw.slot_offset % kSwizzleAtomBytes, 0u);
  EXPECT_EQ(kSeesaw.slot_bytes % kSwizzleAtomBytes, 0u);
  // And its registers: 65,536 for all threads.
  EXPECT_LE(128 * (kSeesawWarpgroups * kConsumerRegisters + kProducerRegisters), 65'536);
}

TEST(SeesawPlan, EveryPanelIsOfOnePartAndTheOwnersColumnsComeFirst) {
  for (int owner = 0; owner < kSeesawWarpgroups; ++owner) {
    std::vector<int> columns;
    for (int i = 0; i < kSeesawValueParts; ++i) {
      columns.push_back(seesaw_part(owner, i) * kSeesawPartPanels * 64);
    }
    EXPECT_EQ(columns,
              owner == 0 ? (std::vector{0, 128, 256, 384}) : (std::vector{256, 384, 0, 128}));
  }
  EXPECT_EQ(kSeesawValueParts * kSeesawPartPanels, kSeesawRotaryPanel);
  EXPECT_EQ(kSeesawRotaryPanel + 1, kLatentPanels);
}

TEST(SeesawPlan, ATilesSlotIsItsOwnersAndEveryUseHasAPhaseOfItsOwn) {
  for (std::uint32_t tile = 0; tile < 20; ++tile) {
    EXPECT_EQ(seesaw_position(tile).slot, tile % 2);
    EXPECT_EQ(seesaw_position(tile).full_parity, tile / 2 % 2);
    EXPECT_EQ(seesaw_position(tile).empty_parity, 1 - tile / 2 % 2);
  }
}

TEST(LatentProblem, CountsBytesAndFlopAsByHand) {
  // A token is 576 x 2 B = 1152 B, and 128 heads x (576 + 512) x 2 = 278,528 FLOP.
  const bench::Work work = mla(std::vector<std::int32_t>(64, 8192), 128).work();
  const double tokens = 64.0 * 8192;
  EXPECT_EQ(work.bytes_read, tokens * 1152 + 64 * 128 * 576 * 2);
  EXPECT_EQ(work.bytes_written, 64 * 128 * 512 * 2 + 64 * 128 * 4);
  EXPECT_EQ(work.flop, tokens * 278528);
}

TEST(CodedLatentProblem, CountsBytesAndFlopAsByHand) {
  // A token is 512 codes, 4 floats and 64 BF16: 512 + 16 + 128 = 656 B.
  const bench::Work work = mla(std::vector<std::int32_t>(64, 8192), 128, KvType::kE4m3).work();
  const double tokens = 64.0 * 8192;
  EXPECT_EQ(work.bytes_read, tokens * 656 + 64 * 128 * 576 * 2);
  EXPECT_EQ(work.flop, tokens * 278528);
  const Problem one = mla({640}, 128, KvType::kE4m3);
  const LaunchPlan plan = launch_plan(one, make_schedule(one, 4));
  EXPECT_EQ(plan.fetched_bytes, 2.0 * 640 * 656);
  // P in F16 needs no second term.
  EXPECT_EQ(plan.issued_flop, 640.0 * 128 * (576 + 512) * 2);
}

TEST(LatentProblem, RefusesOtherRanksHeadsAndTypes) {
  EXPECT_NO_THROW(mla({100}, 128).validate());
  const auto refused = [](auto&& change) {
    Problem problem = mla({100}, 128);
    change(problem);
    EXPECT_THROW(problem.validate(), std::invalid_argument);
  };
  refused([](Problem& p) { p.head_dim = 320; });
  refused([](Problem& p) { p.rope_dim = 32; });
  refused([](Problem& p) { p.rope_dim = 0; });
  refused([](Problem& p) { p.rope_dim = -64; });
  refused([](Problem& p) { p.kv_heads = 2; });
  refused([](Problem& p) { p.query_heads = 129; });
}

TEST(LatentProblem, RoundTripsThroughTheBenchsFields) {
  const bench::Shape shape = make_latent_shape(4, 100, Lengths::kEqual, 128);
  EXPECT_EQ(shape.to_string(),
            "batch=4 context_tokens=100 kv_lengths=equal query_heads=128 kv_rank=512 rope_dim=64 "
            "kv_dtype=bf16");
  const Problem problem = problem_from(shape);
  EXPECT_EQ(problem.kv_lengths, std::vector<std::int32_t>(4, 100));
  EXPECT_EQ(problem.kv_heads, 1);
  EXPECT_EQ(problem.head_dim, 576);
  EXPECT_EQ(problem.value_dim(), 512);
}

TEST(CodedLatentProblem, SaysInTheBenchsFieldsHowATokenIsKept) {
  const bench::Shape shape = make_latent_shape(4, 100, Lengths::kEqual, 128, KvType::kE4m3);
  EXPECT_EQ(shape.to_string(),
            "batch=4 context_tokens=100 kv_lengths=equal query_heads=128 kv_rank=512 rope_dim=64 "
            "kv_dtype=fp8_e4m3 token_bytes=656");
  EXPECT_TRUE(problem_from(shape).coded_latent());
  std::vector<bench::Shape::Field> fields = shape.fields();
  fields.back().value = std::int64_t{576};  // One scale for all: not what the kernel reads.
  EXPECT_THROW(problem_from(bench::Shape(fields)), std::invalid_argument);
}

TEST(LatentReference, EqualsGivingTheHeadOfTheKeysAsValues) {
  // The same problem told without the latent: keys of 576 = 9 x 64, values spelled out.
  const Problem problem = mla({130, 1, 77}, 16);
  const HostInputs inputs = make_inputs(problem, 3);
  EXPECT_TRUE(inputs.value.empty());
  const Result result = reference_attention(problem, inputs);
  ASSERT_EQ(result.output.size(), 3u * 16 * 512);
  for (int request = 0; request < 3; ++request) {
    const auto element = [&](int token, int d) {
      const long page = inputs.block_table[request * inputs.block_table_stride + token / 64];
      const long index = (page * 64 + token % 64) * 576 + d;
      return static_cast<long double>(to_float(Bf16{
          static_cast<std::uint16_t>(inputs.key[2 * index] + 256 * inputs.key[2 * index + 1])}));
    };
    for (const int head : {0, 15}) {
      std::vector<long double> numerator(512, 0);
      long double denominator = 0;
      for (int token = 0; token < problem.kv_lengths[request]; ++token) {
        long double score = 0;
        for (int d = 0; d < 576; ++d) {
          score +=
              to_float(Bf16{inputs.query[(request * 16 + head) * 576 + d]}) * element(token, d);
        }
        const long double weight = std::exp(score * inputs.softmax_scale);
        denominator += weight;
        for (int d = 0; d < 512; ++d) {
          numerator[d] += weight * element(token, d);
        }
      }
      EXPECT_NEAR(result.lse[request * 16 + head], static_cast<double>(std::log(denominator)),
                  1e-12);
      for (int d = 0; d < 512; ++d) {
        EXPECT_NEAR(result.output[(request * 16 + head) * 512 + d],
                    static_cast<double>(numerator[d] / denominator), 1e-12);
      }
    }
  }
}

TEST(CodedLatentReference, ReadsCodesScalesAndRotaryPartWhereTheFormatHasThem) {
  const Problem problem = mla({70}, 16, KvType::kE4m3);
  const HostInputs inputs = make_inputs(problem, 5);
  ASSERT_EQ(inputs.key.size(), static_cast<std::size_t>(inputs.cache_pages) * 64 * 656);
  const auto bytes_of = [&](int token) {
    return inputs.key.data() + (inputs.block_table[token / 64] * 64 + token % 64) * 656;
  };
  const auto element = [&](int token, int d) {
    const std::uint8_t* const row = bytes_of(token);
    if (d >= 512) {
      const std::uint8_t* const at = row + 528 + (d - 512) * 2;
      return static_cast<long double>(
          to_float(Bf16{static_cast<std::uint16_t>(at[0] + 256 * at[1])}));
    }
    float scale = 0;
    std::memcpy(&scale, row + 512 + d / 128 * 4, 4);
    return static_cast<long double>(to_float(E4m3{row[d]})) * scale;
  };
  const Result result = reference_attention(problem, inputs);
  std::vector<long double> numerator(512, 0);
  long double denominator = 0;
  std::set<float> scales;
  for (int token = 0; token < 70; ++token) {
    long double score = 0;
    for (int d = 0; d < 576; ++d) {
      score += to_float(Bf16{inputs.query[576 + d]}) * element(token, d);  // Head 1.
    }
    const long double weight = std::exp(score * inputs.softmax_scale);
    denominator += weight;
    for (int d = 0; d < 512; ++d) {
      numerator[d] += weight * element(token, d);
    }
    for (int block = 0; block < 4; ++block) {
      float scale = 0;
      std::memcpy(&scale, bytes_of(token) + 512 + block * 4, 4);
      scales.insert(scale);
      // Quantized as by a serving system: the largest of the 128 has the largest code.
      EXPECT_EQ(
          *std::max_element(bytes_of(token) + block * 128, bytes_of(token) + block * 128 + 128,
                            [](auto a, auto b) { return (a & 0x7f) < (b & 0x7f); }) &
              0x7f,
          0x7e);
    }
  }
  EXPECT_EQ(scales.size(), 70u * 4);  // One taken for another shows.
  EXPECT_NEAR(result.lse[1], static_cast<double>(std::log(denominator)), 1e-12);
  for (int d = 0; d < 512; ++d) {
    EXPECT_NEAR(result.output[512 + d], static_cast<double>(numerator[d] / denominator), 1e-12);
  }
  // Nobody may look behind the length: all of it is NaN there.
  EXPECT_TRUE(std::isnan(static_cast<double>(element(70, 0))));
  EXPECT_TRUE(std::isnan(static_cast<double>(element(127, 575))));
}

TEST(LatentLaunchPlan, StreamsTheLatentOncePer64HeadsAndMultipliesTheValuesTwice) {
  const Problem problem = mla({640}, 128);
  const LaunchPlan plan = launch_plan(problem, make_schedule(problem, 4));
  EXPECT_EQ(plan.fetched_bytes, 2.0 * 640 * 1152);
  // Q K^T over 576 once, P V over 512 twice: see value_passes.
  EXPECT_EQ(plan.issued_flop, 640.0 * 128 * (576 + 2 * 512) * 2);
  EXPECT_EQ(plan.partial_bytes, 2.0 * 4 * 64 * 513 * 4);
  EXPECT_TRUE(one_term("ridge_seesaw") && one_term("ridge_one_term"));
  EXPECT_FALSE(one_term("ridge"));
}

TEST(LatentGrid, HoldsEverySplitOfTheHeadsFrom1KTo32KAndOnlyProblemsTheKernelCovers) {
  for (const bench::Extent extent : {bench::Extent::kQuick, bench::Extent::kFull}) {
    std::set<std::pair<std::string, std::int64_t>> heads;
    std::set<std::int64_t> contexts;
    for (const bench::Point& point : latent_grid(extent, kDevice)) {
      EXPECT_NO_THROW(problem_from(point.shape));
      EXPECT_GT(point.work.bytes_read, 0);
      heads.insert({point.shape.word("kv_dtype"), point.shape.integer("query_heads")});
      contexts.insert(point.shape.integer("context_tokens"));
    }
    EXPECT_EQ(heads.size(), 2u * 4);
    EXPECT_TRUE(heads.contains({"bf16", 16}));
    EXPECT_TRUE(heads.contains({"fp8_e4m3", 128}));
    EXPECT_TRUE(contexts.count(8192));
    if (extent == bench::Extent::kFull) {
      EXPECT_EQ(*contexts.begin(), 1024);
      EXPECT_EQ(*contexts.rbegin(), 32768);
    }
    for (const bench::Case& test : latent_cases(extent, kDevice)) {
      EXPECT_NO_THROW(problem_from(test.shape)) << test.name;
    }
  }
  EXPECT_NE(explain_latent(latent_grid(bench::Extent::kQuick, kDevice).front(), kDevice)
                .find("64 tokens x 576, of which 512 are the value; 2 slots of 72 KiB"),
            std::string::npos);
  EXPECT_NE(explain_latent(latent_grid(bench::Extent::kQuick, kDevice).back(), kDevice)
                .find("2 slots of 72 KiB, where 41 land; 225 of 227 KiB"),
            std::string::npos);
}

TEST(LatentGrid, MeasuresTheSeesawBesideWhatItWouldTakeThePlaceOfAndChecksItFirst) {
  std::set<std::pair<std::int64_t, std::int64_t>> shapes;
  std::string kernel = "ridge_seesaw";
  for (const bench::Point& point : latent_grid(bench::Extent::kNew, kDevice)) {
    EXPECT_NE(point.kernel, kernel);  // In turns.
    kernel = point.kernel;
    EXPECT_EQ(point.shape.integer("batch"), 64);
    EXPECT_GT(point.work.flop, 0);
    shapes.insert({point.shape.integer("query_heads"), point.shape.integer("context_tokens")});
  }
  EXPECT_EQ(kernel, "ridge_seesaw");
  EXPECT_EQ(shapes,
            (std::set<std::pair<std::int64_t, std::int64_t>>{
                {64, 2048}, {64, 8192}, {64, 32768}, {128, 2048}, {128, 8192}, {128, 32768}}));
  for (const bench::Case& test : latent_cases(bench::Extent::kFull, kDevice)) {
    EXPECT_EQ(test.is_new, test.kernel == "ridge_seesaw");
    EXPECT_TRUE(test.kernel != "ridge_seesaw" || test.shape.word("kv_dtype") == "bf16");
  }
  const auto point = latent_grid(bench::Extent::kNew, kDevice)[1];
  EXPECT_NE(explain_latent(point, kDevice).find("2 slots of 72 KiB, free in 5 parts; 218 of 227"),
            std::string::npos)
      << explain_latent(point, kDevice);
}

TEST(LatentGrid, ShrinksToTheMemoryThatIsFree) {
  const bench::DeviceFacts small{132, 50ull << 20, 8'000'000'000ull, 1'000'000'000ull};
  for (const bench::Point& point : latent_grid(bench::Extent::kFull, small)) {
    EXPECT_LT(point.work.bytes_read, 0.4e9);
  }
}

}  // namespace
}  // namespace ridge::kernels::decode
