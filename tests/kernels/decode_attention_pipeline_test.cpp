#include "common/random.hpp"
#include "decode_attention/tile_plan.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace ridge::kernels::decode {
namespace {

/// An mbarrier as PTX defines it: a phase completes when the expected arrivals and bytes are in,
/// and a wait on a parity passes once the phase of that parity is over.
class Barrier {
 public:
  explicit Barrier(int arrivals) : expected_(arrivals), pending_(arrivals) {}
  void arrive() {
    ASSERT_GT(pending_, 0) << "more arrivals than the phase expects";
    --pending_;
    complete();
  }
  void arrive_expect(int bytes) {
    bytes_ += bytes;
    arrive();
  }
  void landed(int bytes) {
    bytes_ -= bytes;
    complete();
  }
  bool passed(std::uint32_t parity) const { return (phase_ & 1u) != parity; }

 private:
  void complete() {
    if (pending_ == 0 && bytes_ == 0) {
      ++phase_;
      pending_ = expected_;
    }
  }
  int expected_;
  int pending_;
  int bytes_ = 0;
  std::uint32_t phase_ = 0;
};

/// The kernel's protocol, one actor per producer, copy in flight and consumer warp, stepped in
/// random order. A slot holds the number of the tile that landed in it, -1 while a copy is under
/// way.
class Protocol {
 public:
  Protocol(std::uint32_t slots, std::vector<int> segment_tiles, std::uint64_t seed)
      : slots_(slots),
        segments_(std::move(segment_tiles)),
        seed_(seed),
        full_(slots, Barrier(1)),
        empty_(slots, Barrier(4)),
        content_(slots, -1) {
    for (int consumer = 0; consumer < kConsumers; ++consumer) {
      std::vector<std::uint32_t> mine;
      std::uint32_t base = 0;
      for (const int tiles : segments_) {
        // The kernel's own loop over a segment.
        for (int tile = consumer_of(base + consumer); tile < tiles; tile += kConsumers) {
          EXPECT_EQ(consumer_of(base + tile), consumer);
          mine.push_back(2 * (base + tile));
          mine.push_back(2 * (base + tile) + 1);
        }
        base += tiles;
      }
      for (int warp = 0; warp < 4; ++warp) {
        warps_.push_back({mine, 0});
      }
      total_ = 2 * base;
    }
  }

  /// Whether every warp got its tiles and no other's; false is a deadlock or a slot overwritten or
  /// read too early.
  bool run() {
    std::uint64_t step = 0;
    int idle = 0;
    while (idle < 2000) {
      const std::uint64_t actor = random_bits(seed_, step++) % (warps_.size() + 2);
      const bool moved = actor < warps_.size()    ? consume(warps_[actor])
                         : actor == warps_.size() ? produce()
                                                  : land(step);
      idle = moved ? 0 : idle + 1;
    }
    for (const Warp& warp : warps_) {
      if (warp.next != warp.tiles.size()) {
        return false;
      }
    }
    return issued_ == total_ && !wrong_bytes_;
  }

 private:
  struct Warp {
    std::vector<std::uint32_t> tiles;
    std::size_t next;
  };

  /// K and V tiles are numbered in the order of their issue: K0 V0 K1 V1 ...
  pipeline::RingPosition position(std::uint32_t n) const {
    return tile_position(n / 2, n % 2 == 0 ? Tensor::kKey : Tensor::kValue, slots_);
  }

  bool produce() {
    if (issued_ == total_) {
      return false;
    }
    const pipeline::RingPosition at = position(issued_);
    if (!empty_[at.slot].passed(at.empty_parity)) {
      return false;
    }
    full_[at.slot].arrive_expect(1);
    content_[at.slot] = -1;
    in_flight_.push_back(issued_++);
    return true;
  }

  bool land(std::uint64_t step) {
    if (in_flight_.empty()) {
      return false;
    }
    const std::size_t which = random_bits(seed_ + 1, step) % in_flight_.size();
    const std::uint32_t n = in_flight_[which];
    in_flight_.erase(in_flight_.begin() + static_cast<std::ptrdiff_t>(which));
    const pipeline::RingPosition at = position(n);
    content_[at.slot] = static_cast<int>(n);
    full_[at.slot].landed(1);
    return true;
  }

  bool consume(Warp& warp) {
    if (warp.next == warp.tiles.size()) {
      return false;
    }
    const std::uint32_t n = warp.tiles[warp.next];
    const pipeline::RingPosition at = position(n);
    if (!full_[at.slot].passed(at.full_parity)) {
      return false;
    }
    wrong_bytes_ = wrong_bytes_ || content_[at.slot] != static_cast<int>(n);
    empty_[at.slot].arrive();
    ++warp.next;
    return true;
  }

  std::uint32_t slots_;
  std::vector<int> segments_;
  std::uint64_t seed_;
  std::vector<Barrier> full_;
  std::vector<Barrier> empty_;
  std::vector<int> content_;
  std::vector<Warp> warps_;
  std::vector<std::uint32_t> in_flight_;
  std::uint32_t issued_ = 0;
  std::uint32_t total_ = 0;
  bool wrong_bytes_ = false;
};

TEST(TileRing, EveryWarpSeesItsTilesInAnyInterleavingWithoutDeadlock) {
  for (const std::uint32_t slots : {2u, 4u, 6u, 8u, 12u, 22u, 24u}) {
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
      const std::vector<int> segments = {1,
                                         0,
                                         static_cast<int>(random_bits(seed, 1) % 30),
                                         static_cast<int>(random_bits(seed, 2) % 9),
                                         2,
                                         1};
      EXPECT_TRUE(Protocol(slots, segments, seed).run()) << slots << " slots, seed " << seed;
    }
  }
}

TEST(TilePlan, EveryInstanceFitsSharedMemoryAndKeepsSwizzledTilesAligned) {
  for (const int dim : {64, 128, 256}) {
    for (const KvType type : {KvType::kBf16, KvType::kE4m3}) {
      const TilePlan plan = tile_plan(dim, type);
      EXPECT_LE(plan.total_bytes, kSharedLimitBytes);
      EXPECT_GE(plan.slots, 4) << "K and V of both consumers must be in flight";
      EXPECT_EQ(plan.slots % 2, 0);
      EXPECT_EQ(plan.query_offset % 1024, 0u);
      EXPECT_EQ(plan.operand_offset % 1024, 0u);
      EXPECT_EQ(plan.slot_offset % 1024, 0u);
      EXPECT_EQ(plan.slot_bytes % 1024, 0u);
      EXPECT_EQ(plan.barrier_offset % 8, 0u);
      // The hand-over between consumers takes two rounds through the query tile.
      EXPECT_EQ(plan.query_bytes, 64u * dim * sizeof(float) / 2);
    }
  }
}

TEST(TilePlan, TheMfaInstanceIsTheOneDesignedFor) {
  const TilePlan plan = tile_plan(256, KvType::kBf16);
  EXPECT_EQ(plan.query_bytes, 32u << 10);
  EXPECT_EQ(plan.slot_bytes, 32u << 10);
  EXPECT_EQ(plan.slots, 6);  // Three K and V pairs.
}

TEST(ConversionStores, AreConflictFreeAndCoverTheOperandOnce) {
  for (const std::uint32_t dim : {64u, 128u, 256u}) {
    const std::uint32_t per_row = dim / 16;
    std::vector<int> written(kTileTokens * dim * 2 / 16, 0);
    for (std::uint32_t i = 0; i < kTileTokens * per_row; i += 8) {
      // Eight consecutive lanes store 16 bytes each in one phase.
      unsigned first_banks = 0;
      unsigned second_banks = 0;
      for (std::uint32_t lane = 0; lane < 8; ++lane) {
        const std::uint32_t at = i + lane;
        const ConversionStore store = conversion_store(at / per_row, at % per_row);
        first_banks |= 1u << (store.first_piece % 128 / 16);
        second_banks |= 1u << (store.second_piece % 128 / 16);
        ++written[store.first_piece / 16];
        ++written[store.second_piece / 16];
        const std::uint32_t low = store.high_first ? store.second_piece : store.first_piece;
        EXPECT_EQ(low, panel_offset(kTileTokens, at / per_row, at % per_row * 32));
      }
      EXPECT_EQ(first_banks, 0xffu) << dim;
      EXPECT_EQ(second_banks, 0xffu) << dim;
    }
    for (const int count : written) {
      EXPECT_EQ(count, 1);
    }
  }
}

}  // namespace
}  // namespace ridge::kernels::decode
