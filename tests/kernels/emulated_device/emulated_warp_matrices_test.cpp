#include "common/cp_async.cuh"
#include "common/device.hpp"
#include "common/dynamic_shared.cuh"
#include "common/launch.cuh"
#include "common/numeric.hpp"
#include "common/warp_mma.cuh"
#include "device/device.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

// cp.async, ldmatrix and mma.sync on the emulated device: a product by way of all three is right,
// and each fault that the hardware would punish is caught.

namespace ridge::kernels {
namespace {

using emulated::Device;
using testing::HasSubstr;

enum class MatrixFault { kNone, kNoWait, kNoBarrier, kOneGroupTooFew, kUnalignedRow };

/// out = A B^T of BF16 A [16][16] and B [8][16], by one warp; A comes in the first group of copies,
/// B in the second. With two warps, the second multiplies what the first has copied.
__global__ void product_kernel(const Bf16* a, const Bf16* b, float* out, MatrixFault fault) {
  unsigned char* const shared = dynamic_shared_memory();
  const unsigned lane = threadIdx.x % 32;
  if (threadIdx.x < 32) {
    cp_async_16(shared + lane * 16, reinterpret_cast<const unsigned char*>(a) + lane * 16);
    cp_async_commit();
    if (lane < 16) {
      cp_async_16(shared + 512 + lane * 16, reinterpret_cast<const unsigned char*>(b) + lane * 16);
    }
    cp_async_commit();
    if (fault == MatrixFault::kOneGroupTooFew) {
      cp_async_wait<1>();
    } else if (fault != MatrixFault::kNoWait) {
      cp_async_wait<0>();
    }
  }
  if (fault != MatrixFault::kNoBarrier) {
    __syncthreads();
  }
  if (threadIdx.x >= 32) {
    std::uint32_t left[4];
    std::uint32_t right[4];
    load_matrices(left, shared + lane % 16 * 32 + lane / 16 * 16);
    load_matrices(right, shared + 512 + lane % 8 * 32 + lane / 8 % 2 * 16 +
                             (fault == MatrixFault::kUnalignedRow ? 8 : 0));
    float d[4] = {};
    warp_mma<MmaType::kBf16>(d, left, right[0], right[1]);
    for (unsigned i = 0; i < 4; ++i) {
      out[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = d[i];
    }
  }
  if (fault == MatrixFault::kOneGroupTooFew && threadIdx.x < 32) {
    cp_async_wait<0>();
  }
}

/// The largest error; NaN counts as infinite. Throws what the device complains of.
double error_of(MatrixFault fault) {
  Device::instance().recover();
  std::vector<Bf16> a(256);
  std::vector<Bf16> b(128);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = to_bf16(std::sin(static_cast<float>(i)));
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = to_bf16(std::cos(static_cast<float>(3 * i)));
  const DeviceBuffer<Bf16> device_a(a);
  const DeviceBuffer<Bf16> device_b(b);
  DeviceBuffer<float> out(128);
  launch_kernel({.grid = 1, .block = 64, .shared_bytes = 1024}, product_kernel, device_a.data(),
                device_b.data(), out.data(), fault);
  const std::vector<float> got = out.download();
  double worst = 0;
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      double want = 0;
      for (int k = 0; k < 16; ++k) {
        want += double{to_float(a[row * 16 + k])} * to_float(b[column * 16 + k]);
      }
      const double error = std::abs(got[row * 8 + column] - want);
      worst = std::max(worst, std::isnan(error) ? INFINITY : error);
    }
  }
  return worst;
}

std::string complaint(MatrixFault fault) {
  try {
    error_of(fault);
  } catch (const CudaError& error) {
    Device::instance().recover();
    return error.what();
  }
  return "";
}

double worst_of_20_orders(MatrixFault fault) {
  double worst = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Device::instance().seed(seed);
    worst = std::max(worst, error_of(fault));
  }
  return worst;
}

TEST(EmulatedWarpMatrices, MultiplyWhatWasCopied) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Device::instance().seed(seed);
    EXPECT_LE(error_of(MatrixFault::kNone), 1e-6);
  }
}

TEST(EmulatedWarpMatrices, ShowNanWhereAWaitCoversAGroupTooFew) {
  EXPECT_EQ(worst_of_20_orders(MatrixFault::kOneGroupTooFew), INFINITY);
}

TEST(EmulatedWarpMatrices, CatchCopiesThatNobodyWaitedFor) {
  EXPECT_THAT(complaint(MatrixFault::kNoWait), HasSubstr("cp.async copies that no wait covered"));
}

TEST(EmulatedWarpMatrices, CatchAReaderThatAnotherThreadsWaitDoesNotCover) {
  EXPECT_EQ(worst_of_20_orders(MatrixFault::kNoBarrier), INFINITY);
}

TEST(EmulatedWarpMatrices, CatchAnUnalignedRow) {
  EXPECT_THAT(complaint(MatrixFault::kUnalignedRow), HasSubstr("not aligned to 16 bytes"));
}

}  // namespace
}  // namespace ridge::kernels
