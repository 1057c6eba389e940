#include "common/async_copy.cuh"
#include "common/cluster.cuh"
#include "common/device.hpp"
#include "common/dynamic_shared.cuh"
#include "common/launch.cuh"
#include "common/numeric.hpp"
#include "common/shared_layout.hpp"
#include "common/tensor_map.hpp"
#include "common/wgmma.cuh"
#include "device/device.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

// Clusters on the emulated device: what is right passes in every order, and each planted fault is
// found in some.

namespace ridge::kernels {
namespace {

using emulated::Device;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr std::uint64_t kOrders = 24;

/// What the device says of `launch`, or what `result` finds wrong.
std::string outcome_of(std::uint64_t seed, const std::function<void()>& launch,
                       const std::function<std::string()>& result) {
  Device::instance().recover();
  Device::instance().seed(seed);
  launch();
  cudaDeviceSynchronize();
  const std::string failure = Device::instance().failure();
  Device::instance().recover();
  return failure.empty() ? result() : failure;
}

// ---- a pair of CTAs that share what both need

constexpr int kPairTile = 64;  // Rows and columns of a BF16 tile: 128-byte rows.
constexpr std::uint32_t kPairTileBytes = kPairTile * kPairTile * 2;
constexpr int kPairTiles = 6;
constexpr int kPairSlots = 2;
constexpr std::uint32_t kPairBarriers =
    2 * kPairSlots * kPairTileBytes;  // Offset behind the slots.
constexpr std::uint32_t kPairBytes = kPairBarriers + 64;

enum class PairFault {
  kNone,
  kNoFirstSync,
  kNoLastSync,
  kDoesNotWaitForThePeer,
  kCopiesTheOthersHalf,
  kMulticastsToItselfOnly,
  kExpectsItsOwnHalfOnly,
};

/// D[rank] = sum over tiles of A[rank][tile] B[tile]^T. Each of the two CTAs copies one half of
/// every B tile into both.
__global__ void pair_kernel(const __grid_constant__ CUtensorMap a,
                            const __grid_constant__ CUtensorMap b, PairFault fault, float* out) {
  const std::uint32_t origin = shared_address(dynamic_shared_memory());
  const auto slot = [&](int tile) { return origin + 2 * kPairTileBytes * (tile % kPairSlots); };
  const auto full = [&](int tile) { return origin + kPairBarriers + tile % kPairSlots * 8; };
  const auto empty = [&](int tile) { return full(tile) + kPairSlots * 8; };
  const auto round = [](int tile) { return static_cast<std::uint32_t>(tile / kPairSlots) & 1u; };
  const std::uint32_t rank = cluster_rank();
  const bool alone = fault == PairFault::kDoesNotWaitForThePeer;
  if (threadIdx.x == 0) {
    for (int i = 0; i < kPairSlots; ++i) {
      mbarrier_init(full(i), 1);
      mbarrier_init(empty(i), alone ? 4 : 8);
    }
    mbarrier_init_fence();
  }
  if (fault == PairFault::kNoFirstSync) {
    __syncthreads();
  } else {
    cluster_sync();
  }
  if (threadIdx.x == 128) {
    const std::uint32_t half = fault == PairFault::kCopiesTheOthersHalf ? rank ^ 1u : rank;
    const std::uint32_t place = rank * kPairTileBytes / 2;
    const unsigned ranks = fault == PairFault::kMulticastsToItselfOnly ? 1u << rank : 0b11u;
    const std::uint32_t foreign =
        fault == PairFault::kExpectsItsOwnHalfOnly ? 0 : kPairTileBytes / 2;
    for (int tile = 0; tile < kPairTiles; ++tile) {
      mbarrier_wait(empty(tile), round(tile) ^ 1u);
      mbarrier_arrive_expect(full(tile), kPairTileBytes + kPairTileBytes / 2 + foreign);
      tensor_load_2d(slot(tile), &a, full(tile), 0,
                     (static_cast<int>(rank) * kPairTiles + tile) * kPairTile, kEvictFirst);
      tensor_load_3d_multicast(slot(tile) + kPairTileBytes + place, &b, full(tile), 0,
                               static_cast<int>(half) * kPairTile / 2, tile,
                               static_cast<std::uint16_t>(ranks), kEvictNormal);
    }
  } else if (threadIdx.x < 128) {
    float d[kPairTile / 2] = {};
    for (int tile = 0; tile < kPairTiles; ++tile) {
      mbarrier_wait(full(tile), round(tile));
      wgmma_fence();
      for (std::uint32_t k = 0; k < 128; k += 32) {
        Wgmma<WgmmaType::kBf16, kPairTile>::shared(
            d, k_major_descriptor(slot(tile) + k),
            k_major_descriptor(slot(tile) + kPairTileBytes + k), true);
      }
      wgmma_commit();
      wgmma_wait<0>();
      __syncwarp();
      if (threadIdx.x % 32 == 0) {
        for (std::uint32_t there = 0; there < 2; ++there) {
          if (there == rank || !alone) {
            mbarrier_arrive_at(empty(tile), there);
          }
        }
      }
    }
    for (int i = 0; i < kPairTile / 2; ++i) {
      const MatrixIndex index = wgmma_accumulator_index(static_cast<int>(threadIdx.x), i);
      out[(static_cast<int>(rank) * kPairTile + index.row) * kPairTile + index.column] = d[i];
    }
  }
  if (fault != PairFault::kNoLastSync) {
    cluster_sync();
  }
}

/// What came of a fault over many orders, one line each: what the device said, "wrong result" or
/// "right result".
std::string outcomes(PairFault fault) {
  std::vector<std::uint16_t> a;
  std::vector<std::uint16_t> b;
  std::vector<float> want(2 * kPairTile * kPairTile, 0.0f);
  for (int i = 0; i < 2 * kPairTiles * kPairTile * kPairTile; ++i) {
    a.push_back(to_bf16(static_cast<float>(i * 7 % 13 - 6)).bits);
  }
  for (int i = 0; i < kPairTiles * kPairTile * kPairTile; ++i) {
    b.push_back(to_bf16(static_cast<float>(i * 5 % 11 - 5)).bits);
  }
  for (int rank = 0; rank < 2; ++rank) {
    for (int tile = 0; tile < kPairTiles; ++tile) {
      for (int i = 0; i < kPairTile; ++i) {
        for (int j = 0; j < kPairTile; ++j) {
          for (int k = 0; k < kPairTile; ++k) {
            want[(rank * kPairTile + i) * kPairTile + j] +=
                to_float(Bf16{a[((rank * kPairTiles + tile) * kPairTile + i) * kPairTile + k]}) *
                to_float(Bf16{b[(tile * kPairTile + j) * kPairTile + k]});
          }
        }
      }
    }
  }
  const DeviceBuffer<std::uint16_t> device_a(a);
  const DeviceBuffer<std::uint16_t> device_b(b);
  const CUtensorMap map_a = make_tensor_map(CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, device_a.data(),
                                            {kPairTile, 2 * kPairTiles * kPairTile},
                                            {kPairTile * 2}, {kPairTile, kPairTile});
  const CUtensorMap map_b = make_tensor_map(
      CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, device_b.data(), {kPairTile, kPairTile, kPairTiles},
      {kPairTile * 2, kPairTileBytes}, {kPairTile, kPairTile / 2, 1});
  allow_shared_bytes(pair_kernel, kPairBytes);
  std::string all;
  for (std::uint64_t seed = 1; seed <= kOrders; ++seed) {
    const DeviceBuffer<float> out(want.size());
    all += outcome_of(
        seed,
        [&] {
          launch_kernel({.grid = 2, .block = 160, .shared_bytes = kPairBytes, .cluster = 2},
                        pair_kernel, map_a, map_b, fault, out.data());
        },
        [&] { return out.download() == want ? "right result" : "wrong result"; });
    all += "\n";
  }
  return all;
}

std::string of_all_orders(const std::string& outcome) {
  std::string all;
  for (std::uint64_t seed = 1; seed <= kOrders; ++seed) {
    all += outcome + "\n";
  }
  return all;
}

TEST(EmulatedCluster, LetsAPairShareItsTilesInEveryOrder) {
  EXPECT_EQ(outcomes(PairFault::kNone), of_all_orders("right result"));
}

TEST(EmulatedCluster, CatchesACopyToThePeerBeforeItsBarriersAreReady) {
  EXPECT_THAT(
      outcomes(PairFault::kNoFirstSync),
      AllOf(
          HasSubstr("a multicast copy at rank 1, CTA (1, 0, 0): no mbarrier has been initialized"),
          HasSubstr(
              "a multicast copy at rank 0, CTA (0, 0, 0): no cluster_sync since the mbarrier"),
          Not(HasSubstr("right result"))));
}

TEST(EmulatedCluster, CatchesAnEndBeforeThePeerHasDoneWithOnesMemory) {
  EXPECT_THAT(
      outcomes(PairFault::kNoLastSync),
      AllOf(HasSubstr("a CTA ended while an arrival from thread"), HasSubstr("which has ended")));
}

TEST(EmulatedCluster, CatchesACopyIntoASlotThatThePeerStillUses) {
  EXPECT_THAT(outcomes(PairFault::kDoesNotWaitForThePeer), HasSubstr("wrong result"));
}

TEST(EmulatedCluster, CatchesAHalfInTheOthersPlace) {
  EXPECT_EQ(outcomes(PairFault::kCopiesTheOthersHalf), of_all_orders("wrong result"));
}

TEST(EmulatedCluster, CatchesAHalfThatThePeerDoesNotGet) {
  EXPECT_THAT(outcomes(PairFault::kMulticastsToItselfOnly),
              AllOf(HasSubstr("deadlock: CTA (0, 0, 0): "),
                    HasSubstr("128 threads (0 .. 127) wait for the mbarrier"),
                    HasSubstr("0 of 1 arrivals and 4096 bytes to come"),
                    HasSubstr("arrivals and 0 bytes to come; CTA (1, 0, 0): "),
                    Not(HasSubstr("right result"))));
}

TEST(EmulatedCluster, CatchesACopyThatAnotherTookThePlaceOf) {
  EXPECT_THAT(outcomes(PairFault::kExpectsItsOwnHalfOnly),
              AllOf(HasSubstr("lands in phase 1: others have completed"),
                    HasSubstr("bytes more have landed")));
}

// ---- one mechanism at a time

enum class Act {
  kLandsBeforeItIsExpected,
  kReadBeforeItHasLanded,
  kWarpEndsBeforeTheSync,
  kTooFewBytesExpected,
  kNothingExpected,
  kArrivesAtItself,
  kArrivesTooOften,
  kArrivesAndEnds,
  kArrivesAtTheEnded,
  kCopiesToTheEnded,
  kArrivesNowhere,
  kCopiesNowhere,
  kCopiesToNobody,
  kOneThreadStaysAway,
  kOneLaneHasEnded,
  kStaticSharedMemory,
};

constexpr std::uint32_t kBoxBytes = 32 * 128;
constexpr std::uint32_t kActBytes = kBoxBytes + 16;

/// A pair of CTAs of two warps. `map` has boxes of kBoxBytes.
__global__ void act_kernel(Act act, const __grid_constant__ CUtensorMap map, int* out) {
  unsigned char* const shared = dynamic_shared_memory();
  const std::uint32_t at = shared_address(shared);
  const std::uint32_t barrier = at + kBoxBytes;
  const std::uint32_t rank = cluster_rank();
  const bool first = threadIdx.x == 0;
  const auto copy = [&](std::uint16_t ranks) {
    tensor_load_2d_multicast(at, &map, barrier, 0, 0, ranks, kEvictFirst);
  };
  if (first) {
    mbarrier_init(barrier, 1);
    mbarrier_init_fence();
  }
  cluster_sync();
  switch (act) {
    case Act::kLandsBeforeItIsExpected:
    case Act::kTooFewBytesExpected:
      if (rank == 0 && first) {
        mbarrier_arrive_expect(barrier, kBoxBytes);
        copy(0b11);
        mbarrier_wait(barrier, 0);
      }
      cluster_sync();
      if (rank == 1 && first) {
        mbarrier_arrive_expect(barrier, kBoxBytes - (act == Act::kTooFewBytesExpected ? 128u : 0u));
        mbarrier_wait(barrier, 0);
      }
      if (first) {
        out[rank] = shared[kBoxBytes - 1];
      }
      break;
    case Act::kReadBeforeItHasLanded:
      // The old bytes equal the new ones, so that only what they are on the way can be told.
      if (first) {
        shared[kBoxBytes - 1] = 7;
        fence_async_proxy();
      }
      cluster_sync();
      if (rank == 0 && first) {
        copy(0b11);
      }
      cluster_sync();
      if (first) {
        mbarrier_arrive_expect(barrier, kBoxBytes);
        if (rank == 0) {
          mbarrier_wait(barrier, 0);
        }
        out[rank] = shared[kBoxBytes - 1];
        mbarrier_wait(barrier, 0);
      }
      break;
    case Act::kWarpEndsBeforeTheSync:
      if (rank == 1 && threadIdx.x >= 32) {
        return;
      }
      break;
    case Act::kNothingExpected:
      if (rank == 0 && first) {
        mbarrier_arrive_expect(barrier, kBoxBytes);
        copy(0b11);
        mbarrier_wait(barrier, 0);
      }
      break;
    case Act::kArrivesAtItself:
      if (rank == 0) {
        mbarrier_wait(barrier, 0);
      } else if (first) {
        mbarrier_arrive_at(barrier, 1);
      }
      break;
    case Act::kArrivesTooOften:
      if (rank == 0 && first) {
        mbarrier_arrive_expect(barrier, 64);
      }
      cluster_sync();
      if (rank == 1 && first) {
        mbarrier_arrive_at(barrier, 0);
      }
      break;
    case Act::kArrivesAndEnds:
      if (rank == 1 && threadIdx.x >= 32) {
        if (threadIdx.x == 32) {
          mbarrier_arrive_at(barrier, 0);
        }
        return;
      }
      break;
    case Act::kArrivesAtTheEnded:
      if (rank == 1 && first) {
        mbarrier_arrive_at(barrier, 0);
      }
      return;
    case Act::kCopiesToTheEnded:
      if (rank == 1 && first) {
        mbarrier_arrive_expect(barrier, kBoxBytes);
        copy(0b11);
        mbarrier_wait(barrier, 0);
      }
      return;
    case Act::kArrivesNowhere:
      if (first) {
        mbarrier_arrive_at(barrier, 2);
      }
      break;
    case Act::kCopiesNowhere:
      if (first) {
        copy(0b101);
      }
      break;
    case Act::kCopiesToNobody:
      if (first) {
        copy(0);
      }
      break;
    case Act::kOneThreadStaysAway:
      if (rank == 1 && threadIdx.x == 40) {
        mbarrier_wait(barrier, 0);
      }
      break;
    case Act::kOneLaneHasEnded:
      if (rank == 1 && threadIdx.x == 40) {
        return;
      }
      break;
    case Act::kStaticSharedMemory: {
      __shared__ int ranks[64];
      ranks[threadIdx.x] = static_cast<int>(rank);
      __syncthreads();
      out[rank] = ranks[threadIdx.x ^ 32u];
      break;
    }
  }
  cluster_sync();
}

/// What came of it over many orders, one line each: what the device said, or what `out` holds.
std::string outcomes(Act act) {
  const DeviceBuffer<std::uint16_t> data(std::vector<std::uint16_t>(32 * 64, 0x0707));
  const CUtensorMap map =
      make_tensor_map(CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, data.data(), {64, 32}, {128}, {64, 32});
  std::string all;
  for (std::uint64_t seed = 1; seed <= kOrders; ++seed) {
    const DeviceBuffer<int> out(std::vector<int>(2));
    all += outcome_of(
        seed,
        [&] {
          launch_kernel({.grid = 2, .block = 64, .shared_bytes = kActBytes, .cluster = 2},
                        act_kernel, act, map, out.data());
        },
        [&] {
          const std::vector<int> held = out.download();
          return std::to_string(held[0]) + " " + std::to_string(held[1]);
        });
    all += "\n";
  }
  return all;
}

TEST(EmulatedCluster, CountsBytesThatLandBeforeTheyAreExpected) {
  EXPECT_EQ(outcomes(Act::kLandsBeforeItIsExpected), of_all_orders("7 7"));
  EXPECT_THAT(outcomes(Act::kTooFewBytesExpected),
              AllOf(HasSubstr("CTA (1, 0, 0): 128 bytes more have landed"), Not(HasSubstr("7"))));
  EXPECT_THAT(
      outcomes(Act::kNothingExpected),
      AllOf(HasSubstr("CTA (1, 0, 0): 4096 bytes have landed"),
            HasSubstr("CTA (1, 0, 0): a CTA ended while bulk copies"), Not(HasSubstr("0 0"))));
}

TEST(EmulatedCluster, CatchesATileReadInThePeerBeforeItHasLanded) {
  EXPECT_THAT(outcomes(Act::kReadBeforeItHasLanded), AllOf(HasSubstr("7 255"), HasSubstr("7 7")));
}

TEST(EmulatedCluster, CountsArrivalsWhereTheyWereSent) {
  const std::string astray = outcomes(Act::kArrivesAtItself);
  EXPECT_THAT(astray, AllOf(HasSubstr("deadlock: CTA (0, 0, 0): 64 threads (0 .. 63) wait for the "
                                      "mbarrier"),
                            HasSubstr("1 of 1 arrivals and 0 bytes to come; CTA (1, 0, 0): 64 "
                                      "threads (0 .. 63) wait for the cluster's other threads"),
                            Not(HasSubstr("0 0"))));
  EXPECT_THAT(outcomes(Act::kArrivesTooOften),
              AllOf(HasSubstr("whose phase has all of its 1 and waits for 64 bytes"),
                    Not(HasSubstr("0 0"))));
}

TEST(EmulatedCluster, CatchesWhatComesToAnEndedCta) {
  EXPECT_THAT(
      outcomes(Act::kArrivesAtTheEnded),
      AllOf(HasSubstr("CTA (1, 0, 0): an arrival at rank 0, CTA (0, 0, 0), which has ended"),
            HasSubstr("CTA (0, 0, 0): a CTA ended while an arrival from thread 0 of rank 1")));
  EXPECT_THAT(outcomes(Act::kCopiesToTheEnded),
              AllOf(HasSubstr("a multicast copy at rank 0, CTA (0, 0, 0), which has ended"),
                    HasSubstr("CTA (0, 0, 0): a CTA ended while bulk copies")));
}

TEST(EmulatedCluster, ReleasesAtASyncTheArrivalsOfThoseWhoTakePart) {
  EXPECT_THAT(outcomes(Act::kArrivesAndEnds), HasSubstr("an arrival from thread 32 of rank 1"));
}

TEST(EmulatedCluster, RefusesRanksThatDoNotExist) {
  EXPECT_THAT(outcomes(Act::kArrivesNowhere),
              AllOf(HasSubstr("an arrival at rank 2 of a cluster of 2"), Not(HasSubstr("0 0"))));
  EXPECT_THAT(
      outcomes(Act::kCopiesNowhere),
      AllOf(HasSubstr("a multicast copy at rank 2 of a cluster of 2"), Not(HasSubstr("0 0"))));
  EXPECT_THAT(outcomes(Act::kCopiesToNobody), HasSubstr("a multicast copy at no rank"));
}

TEST(EmulatedCluster, SyncsAllThreadsThatHaveNotEnded) {
  EXPECT_EQ(outcomes(Act::kWarpEndsBeforeTheSync), of_all_orders("0 0"));
  EXPECT_THAT(outcomes(Act::kOneThreadStaysAway),
              AllOf(HasSubstr("CTA (0, 0, 0): 64 threads (0 .. 63) wait for the cluster's other "
                              "threads; CTA (1, 0, 0): 63 threads (0 .. 63) wait for the cluster's "
                              "other threads; thread 40 wait for the mbarrier"),
                    Not(HasSubstr("0 0"))));
  EXPECT_THAT(outcomes(Act::kOneLaneHasEnded),
              AllOf(HasSubstr("of CTA (1, 0, 0), of whose warp thread 40 has ended"),
                    Not(HasSubstr("0 0"))));
}

TEST(EmulatedCluster, RefusesStaticSharedMemory) {
  EXPECT_THAT(
      outcomes(Act::kStaticSharedMemory),
      AllOf(HasSubstr("__shared__ variables of a kernel in clusters"), Not(HasSubstr("0 1"))));
}

// ---- stores to another CTA

enum class StoreFault {
  kNone,
  kNotAwaited,
  kStoredBeforeItIsOffered,
  kAwaitedForTheCtaAlone,
  kNoSyncBefore,
  kTooFewBytesExpected,
  kEndsWithoutWaiting,
  kSignalsItsOwnBarrier,
  kToItsOwnAddress,
  kUnaligned,
};

constexpr int kStored = 64;  // Threads, and 16 bytes of each.

/// Each CTA of a pair reads what it has put down itself, then what the other stored in its place.
__global__ void exchange_kernel(StoreFault fault, int* out) {
  unsigned char* const shared = dynamic_shared_memory();
  const std::uint32_t at = shared_address(shared);
  const std::uint32_t offered = at + kStored * 16;
  const std::uint32_t landed = offered + 8;
  const std::uint32_t rank = cluster_rank();
  const std::uint32_t other = rank ^ 1u;
  const int thread = static_cast<int>(threadIdx.x);
  float4* const mine = reinterpret_cast<float4*>(shared) + thread;
  *mine = make_float4(1, 1, 1, 1);
  if (thread == 0) {
    mbarrier_init(offered, kStored / 32);
    mbarrier_init(landed, 1);
    mbarrier_init_fence();
    mbarrier_arrive_expect(landed,
                           kStored * 16 - (fault == StoreFault::kTooFewBytesExpected ? 16u : 0u));
  }
  if (fault == StoreFault::kNoSyncBefore) {
    __syncthreads();
  } else {
    cluster_sync();
  }
  const float own = mine->x;
  __syncwarp();
  if (thread % 32 == 0) {
    mbarrier_arrive_at(offered, other);
  }
  if (fault != StoreFault::kStoredBeforeItIsOffered) {
    mbarrier_wait(offered, 0);
  }
  const std::uint32_t there = address_at(at + static_cast<std::uint32_t>(thread) * 16, other);
  const float value = static_cast<float>(10 + rank);
  store_async(fault == StoreFault::kToItsOwnAddress ? there & 0xffffffu
              : fault == StoreFault::kUnaligned     ? there + 8
                                                    : there,
              make_float4(value, value, value, value),
              address_at(landed, fault == StoreFault::kSignalsItsOwnBarrier ? rank : other));
  if (fault == StoreFault::kEndsWithoutWaiting) {
    return;
  }
  if (fault == StoreFault::kAwaitedForTheCtaAlone) {
    mbarrier_wait(landed, 0);
  } else if (fault != StoreFault::kNotAwaited) {
    mbarrier_wait_in_cluster(landed, 0);
  }
  const float4 theirs = *mine;
  out[rank * kStored + thread] = static_cast<int>(own * 1000 + theirs.x + theirs.w);
  if (fault == StoreFault::kNotAwaited) {
    mbarrier_wait_in_cluster(landed, 0);
  }
}

std::string outcomes(StoreFault fault) {
  std::string all;
  for (std::uint64_t seed = 1; seed <= kOrders; ++seed) {
    const DeviceBuffer<int> out(std::vector<int>(2 * kStored));
    std::vector<int> want(kStored, 1022);
    want.insert(want.end(), kStored, 1020);
    all += outcome_of(
        seed,
        [&] {
          launch_kernel(
              {.grid = 2, .block = kStored, .shared_bytes = kStored * 16 + 16, .cluster = 2},
              exchange_kernel, fault, out.data());
        },
        [&] { return out.download() == want ? "right result" : "wrong result"; });
    all += "\n";
  }
  return all;
}

TEST(EmulatedCluster, StoresInThePeersMemoryInEveryOrder) {
  EXPECT_EQ(outcomes(StoreFault::kNone), of_all_orders("right result"));
}

TEST(EmulatedCluster, CatchesStoresThatAreReadTooSoonOrCameTooSoon) {
  EXPECT_THAT(outcomes(StoreFault::kNotAwaited), HasSubstr("wrong result"));
  EXPECT_THAT(outcomes(StoreFault::kStoredBeforeItIsOffered), HasSubstr("wrong result"));
  EXPECT_THAT(
      outcomes(StoreFault::kAwaitedForTheCtaAlone),
      AllOf(HasSubstr("does not acquire what the cluster stored"), Not(HasSubstr("right result"))));
  EXPECT_THAT(outcomes(StoreFault::kNoSyncBefore),
              AllOf(HasSubstr("an arrival at rank"), Not(HasSubstr("right result"))));
}

TEST(EmulatedCluster, CatchesStoresThatAreNotCountedWhereTheyGo) {
  EXPECT_THAT(
      outcomes(StoreFault::kTooFewBytesExpected),
      AllOf(HasSubstr("lands in phase 1: others have completed"), Not(HasSubstr("right result"))));
  EXPECT_THAT(outcomes(StoreFault::kSignalsItsOwnBarrier),
              AllOf(HasSubstr("addresses of one CTA of the cluster expected"),
                    Not(HasSubstr("right result"))));
  EXPECT_THAT(outcomes(StoreFault::kToItsOwnAddress),
              AllOf(HasSubstr("addresses of one CTA of the cluster expected"),
                    Not(HasSubstr("right result"))));
  EXPECT_THAT(outcomes(StoreFault::kUnaligned),
              AllOf(HasSubstr("their alignment expected"), Not(HasSubstr("right result"))));
}

TEST(EmulatedCluster, CatchesAnEndBeforeWhatThePeerStoresIsThere) {
  EXPECT_THAT(
      outcomes(StoreFault::kEndsWithoutWaiting),
      AllOf(HasSubstr("a CTA ended while bulk copies or stores"), Not(HasSubstr("right result"))));
}

// ---- CTAs at the same time

/// Passes a token around a cluster of four, `rounds` times; everybody who has it puts down its CTA.
__global__ void token_kernel(int rounds, int* length, int* holders) {
  const std::uint32_t barrier = shared_address(dynamic_shared_memory());
  const std::uint32_t rank = cluster_rank();
  if (threadIdx.x == 0) {
    mbarrier_init(barrier, 1);
  }
  cluster_sync();
  if (threadIdx.x == 0) {
    if (rank == 0) {
      mbarrier_arrive(barrier);
    }
    for (int round = 0; round < rounds; ++round) {
      mbarrier_wait(barrier, static_cast<std::uint32_t>(round) & 1u);
      holders[(*length)++] = static_cast<int>(blockIdx.x);
      mbarrier_arrive_at(barrier, (rank + 1) % 4);
    }
  }
  cluster_sync();
}

TEST(EmulatedCluster, RunsItsCtasAtTheSameTime) {
  std::vector<int> want;
  for (int i = 0; i < 20; ++i) {
    want.push_back(i % 4);
  }
  for (std::uint64_t seed = 1; seed <= kOrders; ++seed) {
    Device::instance().seed(seed);
    const DeviceBuffer<int> length(std::vector<int>{0});
    const DeviceBuffer<int> holders(want.size());
    launch_kernel({.grid = 4, .block = 32, .shared_bytes = 8, .cluster = 4}, token_kernel, 5,
                  length.data(), holders.data());
    ASSERT_EQ(holders.download(), want) << seed;
  }
}

/// What each thread takes for its place, before and after others have run.
__global__ void places_kernel(int* ranks, int* changes) {
  const uint3 block = blockIdx;
  const uint3 thread = threadIdx;
  const std::uint32_t rank = cluster_rank();
  int changed = 0;
  for (int i = 0; i < 4; ++i) {
    cluster_sync();
    changed += blockIdx.x != block.x || blockIdx.y != block.y || threadIdx.x != thread.x ||
                       cluster_rank() != rank
                   ? 1
                   : 0;
  }
  const unsigned place = (block.y * gridDim.x + block.x) * blockDim.x + thread.x;
  ranks[place] = static_cast<int>(rank);
  changes[place] = changed;
}

TEST(EmulatedCluster, IsMadeOfCtasSideBySide) {
  std::vector<int> want;
  for (int block = 0; block < 12; ++block) {
    want.insert(want.end(), 32, block % 6 % 3);
  }
  const DeviceBuffer<int> ranks(want.size());
  const DeviceBuffer<int> changes(want.size());
  launch_kernel({.grid = {6, 2}, .block = 32, .cluster = 3}, places_kernel, ranks.data(),
                changes.data());
  EXPECT_EQ(ranks.download(), want);
  EXPECT_EQ(changes.download(), std::vector<int>(want.size(), 0));
}

// ---- launches

__global__ void write_in_pair_kernel(int* data) {
  allow_dependent_launch();
  data[blockIdx.x] = 2;
}

/// Reads what the peer's index holds, after the pair has met.
__global__ void read_in_pair_kernel(const int* data, int* before, int* after) {
  before[blockIdx.x] = data[blockIdx.x];
  cluster_sync();
  wait_for_prerequisites();
  cluster_sync();
  after[blockIdx.x] = data[blockIdx.x ^ 1u];
}

TEST(EmulatedCluster, SeesOldMemoryUntilItHasWaitedForTheLaunchAhead) {
  for (std::uint64_t seed = 1; seed <= kOrders; ++seed) {
    Device::instance().seed(seed);
    const DeviceBuffer<int> data(std::vector<int>{1, 1, 1, 1});
    const DeviceBuffer<int> before(4);
    const DeviceBuffer<int> after(4);
    launch_kernel({.grid = 4, .block = 1}, write_in_pair_kernel, data.data());
    launch_kernel({.grid = 4, .block = 1, .dependent = true, .cluster = 2}, read_in_pair_kernel,
                  data.data(), before.data(), after.data());
    ASSERT_EQ(before.download(), (std::vector{1, 1, 1, 1})) << seed;
    ASSERT_EQ(after.download(), (std::vector{2, 2, 2, 2})) << seed;
  }
}

TEST(EmulatedCluster, IsRefusedWhereItDoesNotDivideTheGridOrIsTooLarge) {
  const DeviceBuffer<int> data(16);
  EXPECT_THROW(
      launch_kernel({.grid = 3, .block = 1, .cluster = 2}, write_in_pair_kernel, data.data()),
      CudaError);
  EXPECT_THROW(
      launch_kernel({.grid = 16, .block = 1, .cluster = 16}, write_in_pair_kernel, data.data()),
      CudaError);
  EXPECT_NO_THROW(
      launch_kernel({.grid = 16, .block = 1, .cluster = 8}, write_in_pair_kernel, data.data()));
  EXPECT_EQ(data.download(), std::vector<int>(16, 2));
}

}  // namespace
}  // namespace ridge::kernels
