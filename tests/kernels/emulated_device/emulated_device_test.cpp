#include "common/async_copy.cuh"
#include "common/device.hpp"
#include "common/dynamic_shared.cuh"
#include "common/launch.cuh"
#include "common/numeric.hpp"
#include "common/shared_layout.hpp"
#include "common/tensor_map.hpp"
#include "common/wgmma.cuh"
#include "device/device.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

// The emulated device must let a right kernel through in every order, and catch what the hardware
// would punish: each test plants one fault.

namespace ridge::kernels {
namespace {

using emulated::Device;
using testing::HasSubstr;
using testing::Not;

constexpr int kTile = 64;  // Rows and columns of a BF16 tile: 128-byte rows.
constexpr std::uint32_t kTileBytes = kTile * kTile * 2;
constexpr int kTiles = 6;
constexpr int kSlots = 2;
constexpr std::uint32_t kBarriers = 2 * kSlots * kTileBytes;  // Offset behind the slots.
constexpr std::uint32_t kPipelineBytes = kBarriers + 64;

enum class Fault {
  kNone,
  kConsumerDoesNotWait,
  kConsumerWaitsForTheOtherParity,
  kProducerDoesNotWait,
  kSlotReleasedBeforeTheWait,
  kTooFewBytesExpected,
  kTooManyBytesExpected,
  kAccumulatorsReadBeforeTheWait,
  kNoMatrixFence,
  kEveryThreadArrives,
  kBarriersNotFenced,
  kOneWarpSkipsAnInstruction,
  kAccumulatorChangedInFlight,
  kMisplacedDescriptor,
};

/// sum over tiles of A[tile] B[tile]^T: one producer thread, one consumer warpgroup.
__global__ void pipeline_kernel(const __grid_constant__ CUtensorMap a,
                                const __grid_constant__ CUtensorMap b, Fault fault, float* out) {
  const std::uint32_t origin = shared_address(dynamic_shared_memory());
  const auto slot = [&](int tile) { return origin + 2 * kTileBytes * (tile % kSlots); };
  const auto full = [&](int tile) { return origin + kBarriers + tile % kSlots * 8; };
  const auto empty = [&](int tile) { return full(tile) + kSlots * 8; };
  const auto round = [](int tile) { return static_cast<std::uint32_t>(tile / kSlots) & 1u; };
  if (threadIdx.x == 0) {
    for (int i = 0; i < kSlots; ++i) {
      mbarrier_init(full(i), 1);
      mbarrier_init(empty(i), 4);
    }
    if (fault != Fault::kBarriersNotFenced) {
      mbarrier_init_fence();
    }
  }
  __syncthreads();
  if (threadIdx.x >= 128) {
    for (int tile = 0; threadIdx.x == 128 && tile < kTiles; ++tile) {
      if (fault != Fault::kProducerDoesNotWait) {
        mbarrier_wait(empty(tile), round(tile) ^ 1u);
      }
      const std::uint32_t wrong = fault == Fault::kTooFewBytesExpected    ? -128u
                                  : fault == Fault::kTooManyBytesExpected ? 128u
                                                                          : 0u;
      mbarrier_arrive_expect(full(tile), 2 * kTileBytes + wrong);
      tensor_load_2d(slot(tile), &a, full(tile), 0, tile * kTile, kEvictFirst);
      tensor_load_2d(slot(tile) + kTileBytes, &b, full(tile), 0, tile * kTile, kEvictNormal);
    }
    return;
  }
  float d[kTile / 2] = {};
  const auto release = [&](int tile) {
    __syncwarp();
    if (threadIdx.x % 32 == 0 || fault == Fault::kEveryThreadArrives) {
      mbarrier_arrive(empty(tile));
    }
  };
  for (int tile = 0; tile < kTiles; ++tile) {
    if (fault != Fault::kConsumerDoesNotWait) {
      mbarrier_wait(full(tile), fault == Fault::kConsumerWaitsForTheOtherParity ? round(tile) ^ 1u
                                                                                : round(tile));
    }
    if (fault != Fault::kNoMatrixFence) {
      wgmma_fence();
    }
    const std::uint32_t at = slot(tile) + (fault == Fault::kMisplacedDescriptor ? 128 : 0);
    for (std::uint32_t k = 0; k < 128; k += 32) {
      if (fault == Fault::kOneWarpSkipsAnInstruction && tile == 3 && k == 32 &&
          threadIdx.x / 32 == 2) {
        continue;
      }
      Wgmma<WgmmaType::kBf16, kTile>::shared(d, k_major_descriptor(at + k),
                                             k_major_descriptor(at + kTileBytes + k), true);
    }
    wgmma_commit();
    if (fault == Fault::kSlotReleasedBeforeTheWait) {
      release(tile);
    }
    if (fault == Fault::kAccumulatorChangedInFlight) {
      d[5] += 1.0f;
    }
    if (fault != Fault::kAccumulatorsReadBeforeTheWait) {
      wgmma_wait<0>();
    }
    if (fault != Fault::kSlotReleasedBeforeTheWait) {
      release(tile);
    }
  }
  for (int i = 0; i < kTile / 2; ++i) {
    const MatrixIndex index = wgmma_accumulator_index(static_cast<int>(threadIdx.x), i);
    out[index.row * kTile + index.column] = d[i];
  }
}

/// What came of a kernel: "" if its result was right, else what the device said, or "wrong result".
std::string run_pipeline(Fault fault, std::uint64_t seed) {
  std::vector<std::uint16_t> a;
  std::vector<std::uint16_t> b;
  std::vector<float> want(kTile * kTile, 0.0f);
  for (int i = 0; i < kTiles * kTile * kTile; ++i) {
    a.push_back(to_bf16(static_cast<float>(i * 7 % 13 - 6)).bits);
    b.push_back(to_bf16(static_cast<float>(i * 5 % 11 - 5)).bits);
  }
  for (int tile = 0; tile < kTiles; ++tile) {
    for (int i = 0; i < kTile; ++i) {
      for (int j = 0; j < kTile; ++j) {
        for (int k = 0; k < kTile; ++k) {
          want[i * kTile + j] += to_float(Bf16{a[(tile * kTile + i) * kTile + k]}) *
                                 to_float(Bf16{b[(tile * kTile + j) * kTile + k]});
        }
      }
    }
  }
  Device::instance().recover();
  Device::instance().seed(seed);
  const DeviceBuffer<std::uint16_t> device_a(a);
  const DeviceBuffer<std::uint16_t> device_b(b);
  const DeviceBuffer<float> out(want.size());
  const auto map = [](const DeviceBuffer<std::uint16_t>& matrix) {
    return make_tensor_map(CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, matrix.data(), {kTile, kTiles * kTile},
                           {kTile * 2}, {kTile, kTile});
  };
  allow_shared_bytes(pipeline_kernel, kPipelineBytes);
  launch_kernel({.grid = 1, .block = 160, .shared_bytes = kPipelineBytes}, pipeline_kernel,
                map(device_a), map(device_b), fault, out.data());
  if (cudaDeviceSynchronize() != cudaSuccess) {
    const std::string failure = Device::instance().failure();
    Device::instance().recover();
    return failure;
  }
  return out.download() == want ? "" : "wrong result";
}

/// All that a fault led to over many orders, one line each.
std::string outcomes(Fault fault) {
  std::string all;
  for (std::uint64_t seed = 1; seed <= 24; ++seed) {
    const std::string outcome = run_pipeline(fault, seed);
    all += outcome.empty() ? "right result\n" : outcome + "\n";
  }
  return all;
}

TEST(EmulatedDevice, LetsARightPipelineThroughInEveryOrder) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    ASSERT_EQ(run_pipeline(Fault::kNone, seed), "") << seed;
  }
}

TEST(EmulatedDevice, SameSeedSameOutcome) {
  EXPECT_EQ(outcomes(Fault::kProducerDoesNotWait), outcomes(Fault::kProducerDoesNotWait));
}

TEST(EmulatedDevice, CatchesAConsumerThatDoesNotWaitForItsTile) {
  EXPECT_THAT(outcomes(Fault::kConsumerDoesNotWait), HasSubstr("wrong result"));
}

TEST(EmulatedDevice, CatchesAWaitForTheWrongParity) {
  EXPECT_THAT(outcomes(Fault::kConsumerWaitsForTheOtherParity), Not(HasSubstr("right result")));
}

TEST(EmulatedDevice, CatchesAProducerThatOverwritesASlotInUse) {
  EXPECT_THAT(outcomes(Fault::kProducerDoesNotWait), Not(HasSubstr("right result")));
}

TEST(EmulatedDevice, CatchesASlotReleasedWhileItsMatrixInstructionsAreUnderWay) {
  EXPECT_THAT(outcomes(Fault::kSlotReleasedBeforeTheWait), HasSubstr("wrong result"));
}

TEST(EmulatedDevice, CatchesTooFewExpectedBytes) {
  EXPECT_THAT(outcomes(Fault::kTooFewBytesExpected), HasSubstr("128 bytes more have landed"));
}

TEST(EmulatedDevice, ReportsWhoWaitsForWhatInADeadlock) {
  const std::string outcome = run_pipeline(Fault::kTooManyBytesExpected, 1);
  EXPECT_THAT(outcome, HasSubstr("deadlock: 128 threads (0 .. 127) wait for the mbarrier"));
  EXPECT_THAT(outcome, HasSubstr("0 of 1 arrivals and 128 bytes to come"));
}

TEST(EmulatedDevice, CatchesAccumulatorsReadBeforeTheWait) {
  EXPECT_THAT(outcomes(Fault::kAccumulatorsReadBeforeTheWait),
              HasSubstr("no wgmma.wait_group covered"));
}

TEST(EmulatedDevice, CatchesAnAccumulatorChangedInFlight) {
  EXPECT_THAT(outcomes(Fault::kAccumulatorChangedInFlight),
              HasSubstr("was written while a wgmma was under way"));
}

TEST(EmulatedDevice, CatchesAMissingMatrixFence) {
  EXPECT_THAT(outcomes(Fault::kNoMatrixFence), HasSubstr("without a wgmma.fence"));
}

TEST(EmulatedDevice, CatchesArrivalsOfThreadsWhereOnlyWarpsAreCounted) {
  EXPECT_THAT(outcomes(Fault::kEveryThreadArrives), Not(HasSubstr("right result")));
}

TEST(EmulatedDevice, CatchesBarriersThatTheCopyEngineWasNotToldOf) {
  EXPECT_THAT(outcomes(Fault::kBarriersNotFenced), HasSubstr("initialization was not fenced"));
}

TEST(EmulatedDevice, CatchesAWarpThatLeavesItsWarpgroup) {
  EXPECT_THAT(outcomes(Fault::kOneWarpSkipsAnInstruction),
              HasSubstr("issued different matrix instructions"));
}

TEST(EmulatedDevice, CatchesADescriptorThatDoesNotStartASwizzlePattern) {
  EXPECT_THAT(outcomes(Fault::kMisplacedDescriptor), HasSubstr("multiple of 1024"));
}

// ---- ordinary stores that the matrix unit reads

enum class Publication { kRight, kNoFence, kOneThreadFences, kNoBarrier };

/// D = A A^T of a tile that the threads write themselves.
__global__ void written_operand_kernel(const std::uint16_t* a, Publication publication,
                                       float* out) {
  unsigned char* const tile = dynamic_shared_memory();
  for (int i = static_cast<int>(threadIdx.x); i < kTile * 8; i += 128) {
    *reinterpret_cast<uint4*>(tile + panel_offset(kTile, i / 8, i % 8 * 16)) =
        *reinterpret_cast<const uint4*>(a + i * 8);
  }
  if (publication != Publication::kNoFence &&
      (publication != Publication::kOneThreadFences || threadIdx.x == 0)) {
    fence_async_proxy();
  }
  if (publication != Publication::kNoBarrier) {
    named_barrier(1, 128);
  }
  float d[kTile / 2];
  wgmma_fence();
  for (std::uint32_t k = 0; k < 128; k += 32) {
    const std::uint64_t operand = k_major_descriptor(shared_address(tile) + k);
    Wgmma<WgmmaType::kBf16, kTile>::shared(d, operand, operand, k != 0);
  }
  wgmma_commit();
  wgmma_wait<0>();
  for (int i = 0; i < kTile / 2; ++i) {
    const MatrixIndex index = wgmma_accumulator_index(static_cast<int>(threadIdx.x), i);
    out[index.row * kTile + index.column] = d[i];
  }
}

/// How many of 20 orders gave the right result.
int right_results(Publication publication) {
  std::vector<std::uint16_t> a;
  for (int i = 0; i < kTile * kTile; ++i) {
    a.push_back(to_bf16(static_cast<float>(i * 7 % 13 - 6)).bits);
  }
  const DeviceBuffer<std::uint16_t> device_a(a);
  Device::instance().imitate({.proxies = true});
  int right = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Device::instance().seed(seed);
    const DeviceBuffer<float> out(kTile * kTile);
    launch_kernel({.grid = 1, .block = 128, .shared_bytes = kTileBytes}, written_operand_kernel,
                  device_a.data(), publication, out.data());
    const std::vector<float> got = out.download();
    bool equal = true;
    for (int i = 0; i < kTile; ++i) {
      for (int j = 0; j < kTile; ++j) {
        float want = 0;
        for (int k = 0; k < kTile; ++k) {
          want += to_float(Bf16{a[i * kTile + k]}) * to_float(Bf16{a[j * kTile + k]});
        }
        equal = equal && got[i * kTile + j] == want;
      }
    }
    right += equal ? 1 : 0;
  }
  Device::instance().imitate({});
  return right;
}

TEST(EmulatedDevice, ShowsFencedStoresToTheMatrixUnit) {
  EXPECT_EQ(right_results(Publication::kRight), 20);
}

TEST(EmulatedDevice, CatchesAMissingProxyFence) {
  EXPECT_EQ(right_results(Publication::kNoFence), 0);
}

TEST(EmulatedDevice, CatchesAProxyFenceByOneThreadForTheStoresOfAll) {
  EXPECT_EQ(right_results(Publication::kOneThreadFences), 0);
}

TEST(EmulatedDevice, CatchesAWarpThatDoesNotWaitForTheOthersStores) {
  EXPECT_LT(right_results(Publication::kNoBarrier), 20);
}

// ---- dependent launches

__global__ void write_kernel(int* data, int value) {
  allow_dependent_launch();
  data[blockIdx.x] = value;
}

__global__ void read_kernel(const int* data, int* copy, bool wait_first, bool wait_later) {
  if (wait_first) {
    wait_for_prerequisites();
  }
  const int value = data[blockIdx.x];
  if (wait_later) {
    wait_for_prerequisites();
  }
  copy[blockIdx.x] = value;
}

std::vector<int> read_after_write(bool wait_first, bool wait_later) {
  DeviceBuffer<int> data(std::vector<int>{1, 1, 1});
  const DeviceBuffer<int> copy(3);
  launch_kernel({.grid = 3, .block = 1}, write_kernel, data.data(), 2);
  launch_kernel({.grid = 3, .block = 1, .dependent = true}, read_kernel, data.data(), copy.data(),
                wait_first, wait_later);
  return copy.download();
}

TEST(EmulatedDevice, ShowsADependentLaunchOldMemoryUntilItHasWaited) {
  EXPECT_EQ(read_after_write(true, false), (std::vector{2, 2, 2}));
  EXPECT_EQ(read_after_write(false, true), (std::vector{1, 1, 1}));
  EXPECT_EQ(read_after_write(false, false), (std::vector{1, 1, 1}));
}

__global__ void write_many_kernel(unsigned char* data) {
  allow_dependent_launch();
  data[threadIdx.x] = 7;
}

__global__ void copy_kernel(const unsigned char* data, int* first, bool fence) {
  const std::uint32_t at = shared_address(dynamic_shared_memory());
  if (threadIdx.x == 0) {
    mbarrier_init(at + 1024, 1);
    mbarrier_init_fence();
    wait_for_prerequisites();
    if (fence) {
      fence_async_proxy_global();
    }
    mbarrier_arrive_expect(at + 1024, 64);
    bulk_load(at, data, 64, at + 1024, kEvictFirst);
    mbarrier_wait(at + 1024, 0);
    *first = dynamic_shared_memory()[0];
  }
}

std::string copy_after_write(bool fence) {
  const DeviceBuffer<unsigned char> data(64);
  const DeviceBuffer<int> first(1);
  launch_kernel({.grid = 1, .block = 64}, write_many_kernel, data.data());
  launch_kernel({.grid = 1, .block = 32, .shared_bytes = 2048, .dependent = true}, copy_kernel,
                data.data(), first.data(), fence);
  cudaDeviceSynchronize();
  const std::string failure = Device::instance().failure();
  Device::instance().recover();
  return failure.empty() ? std::to_string(first.download()[0]) : failure;
}

TEST(EmulatedDevice, WantsAProxyFenceBeforeCopyingWhatTheLaunchAheadStored) {
  EXPECT_EQ(copy_after_write(true), "7");
  EXPECT_THAT(copy_after_write(false), HasSubstr("without a fence.proxy.async.global"));
}

// ---- the other rules

enum class Misuse {
  kBarrierCounts,
  kRegisters,
  kMask,
  kNobodyArrives,
  kOverwrittenBarrier,
  kCopyPastTheEnd,
  kMisalignedCopy,
  kLeavesBeforeTheCopyLands,
  kNoTensorMap,
  kUninitializedBarrier,
};

__global__ void misuse_kernel(Misuse misuse, const unsigned char* data, std::size_t bytes) {
  unsigned char* const shared = dynamic_shared_memory();
  const std::uint32_t at = shared_address(shared);
  const std::uint32_t barrier = at + 1024;
  const bool first = threadIdx.x == 0;
  if (first && misuse != Misuse::kUninitializedBarrier) {
    mbarrier_init(barrier, 1);
    mbarrier_init_fence();
  }
  __syncthreads();
  switch (misuse) {
    case Misuse::kBarrierCounts:
      named_barrier(1, threadIdx.x < 32 ? 64 : 96);
      break;
    case Misuse::kRegisters:
      register_budget_increase<256>();
      break;
    case Misuse::kMask:
      __shfl_xor_sync(0xffffu, 1, 1);
      break;
    case Misuse::kNobodyArrives:
    case Misuse::kUninitializedBarrier:
      mbarrier_wait(barrier, 0);
      break;
    case Misuse::kOverwrittenBarrier:
      if (first) {
        shared[1024] = 0;
        mbarrier_arrive(barrier);
      }
      break;
    case Misuse::kCopyPastTheEnd:
      if (first) bulk_load(at, data + bytes - 64, 128, barrier, kEvictFirst);
      break;
    case Misuse::kMisalignedCopy:
      if (first) bulk_load(at, data + 8, 64, barrier, kEvictFirst);
      break;
    case Misuse::kLeavesBeforeTheCopyLands:
      if (first) {
        mbarrier_arrive_expect(barrier, 64);
        bulk_load(at, data, 64, barrier, kEvictFirst);
      }
      break;
    case Misuse::kNoTensorMap:
      if (first) {
        alignas(64) const CUtensorMap none{};
        tensor_load_2d(at, &none, barrier, 0, 0, kEvictFirst);
      }
      break;
  }
}

std::string failure_of(Misuse misuse) {
  std::string failures;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    Device::instance().recover();
    Device::instance().seed(seed);
    const DeviceBuffer<unsigned char> data(512);
    launch_kernel({.grid = 1, .block = 96, .shared_bytes = 2048}, misuse_kernel, misuse,
                  data.data(), data.size());
    cudaDeviceSynchronize();
    failures += Device::instance().failure() + "\n";
    Device::instance().recover();
  }
  return failures;
}

TEST(EmulatedDevice, NamesWhatAKernelDidWrong) {
  EXPECT_THAT(failure_of(Misuse::kBarrierCounts), HasSubstr("barrier 1: thread"));
  EXPECT_THAT(failure_of(Misuse::kRegisters), HasSubstr("setmaxnreg.inc to 256 registers"));
  EXPECT_THAT(failure_of(Misuse::kMask), HasSubstr("is not in its own mask"));
  EXPECT_THAT(failure_of(Misuse::kNobodyArrives), HasSubstr("1 of 1 arrivals"));
  EXPECT_THAT(failure_of(Misuse::kUninitializedBarrier), HasSubstr("no mbarrier"));
  EXPECT_THAT(failure_of(Misuse::kOverwrittenBarrier), HasSubstr("has been overwritten"));
  EXPECT_THAT(failure_of(Misuse::kCopyPastTheEnd), HasSubstr("leaves its allocation"));
  EXPECT_THAT(failure_of(Misuse::kMisalignedCopy), HasSubstr("multiples of 16"));
  EXPECT_THAT(failure_of(Misuse::kLeavesBeforeTheCopyLands), HasSubstr("ended while bulk copies"));
  EXPECT_THAT(failure_of(Misuse::kNoTensorMap), HasSubstr("not an encoded tensor map"));
}

TEST(EmulatedDevice, AnswersLaterCallsWithTheErrorOfAFailedKernel) {
  const DeviceBuffer<unsigned char> data(512);
  launch_kernel({.grid = 1, .block = 96, .shared_bytes = 2048}, misuse_kernel,
                Misuse::kNobodyArrives, data.data(), data.size());
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchFailure);
  EXPECT_THROW(data.download(), CudaError);
  Device::instance().recover();
}

TEST(EmulatedDevice, RefusesWhatTheDriverRefuses) {
  const DeviceBuffer<std::uint16_t> matrix(64 * 100);
  using Numbers = std::vector<std::uint64_t>;
  using Box = std::vector<std::uint32_t>;
  const auto encode = [&](const void* address, const Numbers& sizes, const Numbers& strides,
                          const Box& box) {
    return make_tensor_map(CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, address, sizes, strides, box);
  };
  EXPECT_NO_THROW(encode(matrix.data(), {64, 100}, {128}, {64, 64}));
  EXPECT_THROW(encode(matrix.data() + 1, {64, 90}, {128}, {64, 64}), CudaError);
  EXPECT_THROW(encode(matrix.data(), {64, 101}, {128}, {64, 64}), CudaError);
  EXPECT_THROW(encode(matrix.data(), {60, 100}, {120}, {60, 64}), CudaError);
  EXPECT_THROW(encode(matrix.data(), {64, 100}, {128}, {128, 64}), CudaError);
  EXPECT_THROW(encode(matrix.data(), {64, 100}, {128}, {64, 257}), CudaError);
  EXPECT_THROW(encode(matrix.data(), {64, 0}, {128}, {64, 64}), CudaError);
}

/// A box of four floats of eight rows, as it lies in shared memory.
__global__ void unswizzled_kernel(const __grid_constant__ CUtensorMap map, float* out) {
  unsigned char* const shared = dynamic_shared_memory();
  const std::uint32_t barrier = shared_address(shared + 512);
  if (threadIdx.x == 0) {
    mbarrier_init(barrier, 1);
    mbarrier_init_fence();
    mbarrier_arrive_expect(barrier, 128);
    tensor_load_2d(shared_address(shared), &map, barrier, 0, 1, kEvictFirst);
  }
  __syncthreads();
  mbarrier_wait(barrier, 0);
  out[threadIdx.x] = reinterpret_cast<const float*>(shared)[threadIdx.x];
}

TEST(EmulatedDevice, LandsABoxWithoutSwizzleRowAfterRow) {
  std::vector<float> rows(9 * 12);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i] = static_cast<float>(i);
  }
  const DeviceBuffer<float> device(rows);
  const DeviceBuffer<float> out(32);
  const auto encode = [&](const std::vector<std::uint32_t>& box) {
    return make_tensor_map(CU_TENSOR_MAP_DATA_TYPE_FLOAT32, device.data() + 4, {4, 9}, {48}, box,
                           CU_TENSOR_MAP_SWIZZLE_NONE);
  };
  launch_kernel({.grid = 1, .block = 32, .shared_bytes = 1024}, unswizzled_kernel, encode({4, 8}),
                out.data());
  RIDGE_CUDA_CHECK(cudaDeviceSynchronize());
  const std::vector<float> landed = out.download();
  for (std::size_t i = 0; i < 32; ++i) {
    EXPECT_EQ(landed[i], rows[(1 + i / 4) * 12 + 4 + i % 4]);
  }
  EXPECT_NO_THROW(encode({256, 8}));
  EXPECT_THROW(encode({257, 8}), CudaError);
  EXPECT_THROW(encode({2, 8}), CudaError);  // Not a multiple of 16 bytes.
}

TEST(EmulatedDevice, RefusesMoreSharedMemoryThanWasAllowedOrExists) {
  const LaunchShape shape{.grid = 1, .block = 32, .shared_bytes = 50'000};
  EXPECT_THROW(launch_kernel(shape, write_kernel, nullptr, 0), CudaError);
  EXPECT_THROW(allow_shared_bytes(write_kernel, 232'449), CudaError);
}

}  // namespace
}  // namespace ridge::kernels
