#include "ceilings/family.hpp"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace ridge::kernels::ceilings {
namespace {

const bench::DeviceFacts kDevice{132, 50ull << 20, 80'000'000'000ull, 78'000'000'000ull};

TEST(MemoryBandwidthGrid, CountsACopyTwiceAndTheRestOnce) {
  std::set<std::string> kernels;
  for (const bench::Point& point : memory_bandwidth_grid(bench::Extent::kFull, kDevice)) {
    const auto bytes = static_cast<double>(point.shape.integer("bytes"));
    EXPECT_EQ(point.work.bytes_read, point.kernel == "write" ? 0 : bytes);
    EXPECT_EQ(point.work.bytes_written, point.kernel == "read" ? 0 : bytes);
    kernels.insert(point.kernel + " " + point.shape.word("resident"));
    // The kernels move whole blocks of 256 threads x 8 x 16 bytes.
    EXPECT_EQ(point.shape.integer("bytes") % (256 * 8 * 16), 0);
  }
  EXPECT_EQ(kernels.size(), 6u);
}

TEST(MemoryBandwidthGrid, KeepsL2ResidentBuffersWellInsideTheL2) {
  for (const bench::Point& point : memory_bandwidth_grid(bench::Extent::kFull, kDevice)) {
    if (point.shape.word("resident") == "l2") {
      EXPECT_LE(2 * point.shape.integer("bytes"), static_cast<std::int64_t>(kDevice.l2_bytes));
    }
  }
}

TEST(LaunchOverheadGrid, AsksOneCtaAndAFullChip) {
  std::set<std::int64_t> ctas;
  for (const bench::Point& point : launch_overhead_grid(bench::Extent::kQuick, kDevice)) {
    ctas.insert(point.shape.integer("ctas"));
  }
  EXPECT_EQ(ctas, (std::set<std::int64_t>{1, 132}));
}

}  // namespace
}  // namespace ridge::kernels::ceilings
