#include "common/random.hpp"
#include "moe/schedule.hpp"
#include "pipeline/ring.hpp"

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace ridge::kernels::moe {
namespace {

constexpr int kStages = 4;
constexpr int kWarps = 8;

/// An mbarrier as PTX defines it: a phase completes when all arrivals of it have come and no bytes
/// are outstanding; waiting on a parity succeeds when the phase of that parity is over.
struct Barrier {
  int expected;
  int pending = expected;
  int bytes = 0;
  std::uint32_t phase = 0;

  void settle() {
    if (pending != 0 || bytes != 0) return;
    phase ^= 1u;
    pending = expected;
  }
  void arrive() {
    --pending;
    settle();
  }
  void arrive_expect(int more) {
    bytes += more;
    arrive();
  }
  void complete(int done) {
    bytes -= done;
    settle();
  }
  bool passed(std::uint32_t parity) const { return (phase & 1u) != parity; }
};

/// One thread block's copies and matrix warps, taking steps in a random order.
class Pipeline {
 public:
  Pipeline(const std::vector<int>& offsets, int weight_blocks, int k_blocks, std::uint64_t seed)
      : k_blocks_(k_blocks), seed_(seed) {
    TileCursor<1> cursor(offsets.data(), static_cast<int>(offsets.size()) - 1, weight_blocks, 1, 3,
                         0);
    Tile tile;
    while (cursor.next(tile))
      for (int block = 0; block < k_blocks_; ++block) work_.emplace_back(tile, block);
  }

  /// Runs to the end; false if nobody can take a step before it.
  bool run() {
    std::uint64_t steps = 0;
    int idle = 0;
    while (!finished()) {
      const auto actor = static_cast<int>(random_bits(seed_, steps++) % (kWarps + 2));
      const bool moved = actor == kWarps       ? produce()
                         : actor == kWarps + 1 ? land_copy()
                                               : consume(actor);
      idle = moved ? 0 : idle + 1;
      if (idle > 10000) return false;
    }
    return true;
  }

 private:
  using Work = std::pair<Tile, int>;

  bool finished() const {
    for (const std::size_t position : consumed_)
      if (position != work_.size()) return false;
    return true;
  }

  bool produce() {
    if (produced_ == work_.size()) return false;
    const auto stage = static_cast<std::size_t>(producer_.slot());
    if (!empty_[stage].passed(producer_.position().empty_parity)) return false;
    for (const bool reading : readers_[stage]) EXPECT_FALSE(reading) << "overwrites a stage in use";
    full_[stage].arrive_expect(2);
    // Two copies per stage, which land whenever they do.
    in_flight_.push_back(stage);
    in_flight_.push_back(stage);
    contents_[stage] = work_[produced_++];
    readers_[stage].fill(true);
    producer_.advance();
    return true;
  }

  bool land_copy() {
    if (in_flight_.empty()) return false;
    const std::size_t which = random_bits(seed_ + 1, landed_++) % in_flight_.size();
    full_[in_flight_[which]].complete(1);
    in_flight_.erase(in_flight_.begin() + static_cast<std::ptrdiff_t>(which));
    return true;
  }

  bool consume(int warp) {
    const auto w = static_cast<std::size_t>(warp);
    if (consumed_[w] == work_.size()) return false;
    const auto stage = static_cast<std::size_t>(consumers_[w].slot());
    if (!full_[stage].passed(consumers_[w].position().full_parity)) return false;
    EXPECT_EQ(contents_[stage], work_[consumed_[w]]) << "reads another tile's stage";
    ++consumed_[w];
    readers_[stage][w] = false;
    empty_[stage].arrive();
    consumers_[w].advance();
    return true;
  }

  int k_blocks_;
  std::uint64_t seed_;
  std::vector<Work> work_;
  pipeline::RingCursor<kStages> producer_;
  std::array<pipeline::RingCursor<kStages>, kWarps> consumers_{};
  std::array<Barrier, kStages> full_{{{1}, {1}, {1}, {1}}};
  std::array<Barrier, kStages> empty_{{{kWarps}, {kWarps}, {kWarps}, {kWarps}}};
  std::array<Work, kStages> contents_{};
  std::array<std::array<bool, kWarps>, kStages> readers_{};
  std::vector<std::size_t> in_flight_;
  std::size_t produced_ = 0;
  std::array<std::size_t, kWarps> consumed_{};
  std::uint64_t landed_ = 0;
};

TEST(MoeRing, NeverDeadlocksAndNeverReusesAStageInUse) {
  const std::vector<std::vector<int>> routings{
      {0, 0, 0, 0}, {0, 1, 1, 5}, {0, 130, 130, 400}, {0, 64, 129, 1000}};
  for (const std::vector<int>& offsets : routings)
    for (const int k_blocks : {1, 3, 4, 5, 56})
      for (std::uint64_t seed = 0; seed < 2; ++seed)
        EXPECT_TRUE(Pipeline(offsets, 3, k_blocks, seed).run()) << "deadlock";
}

}  // namespace
}  // namespace ridge::kernels::moe
