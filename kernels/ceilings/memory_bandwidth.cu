#include "ceilings/family.hpp"
#include "common/fill.hpp"
#include "common/launch.cuh"

#include <algorithm>
#include <memory>
#include <vector>

namespace ridge::kernels::ceilings {
namespace {

constexpr int kThreads = 256;
constexpr int kCtasPerSm = 8;
constexpr int kInFlight = 8;

/// `words` is a multiple of kThreads * kInFlight; a CTA takes whole blocks of that many words, so
/// that all accesses of a thread are independent and in flight together.
__global__ void __launch_bounds__(kThreads)
    read_kernel(const uint4* data, std::size_t words, uint4* sink) {
  uint4 sum = make_uint4(0, 0, 0, 0);
  for (std::size_t block = blockIdx.x; block < words / (kThreads * kInFlight); block += gridDim.x) {
    const uint4* at = data + block * kThreads * kInFlight + threadIdx.x;
    uint4 loaded[kInFlight];
#pragma unroll
    for (int i = 0; i < kInFlight; ++i) {
      loaded[i] = __ldcs(at + i * kThreads);
    }
#pragma unroll
    for (int i = 0; i < kInFlight; ++i) {
      sum.x ^= loaded[i].x;
      sum.y ^= loaded[i].y;
      sum.z ^= loaded[i].z;
      sum.w ^= loaded[i].w;
    }
  }
  // Never true for random data, but the compiler cannot know, so it must load everything.
  if ((sum.x & sum.y & sum.z & sum.w) == 0xffffffffu) {
    *sink = sum;
  }
}

__global__ void __launch_bounds__(kThreads)
    write_kernel(uint4* data, std::size_t words, unsigned value) {
  for (std::size_t block = blockIdx.x; block < words / (kThreads * kInFlight); block += gridDim.x) {
    uint4* at = data + block * kThreads * kInFlight + threadIdx.x;
#pragma unroll
    for (int i = 0; i < kInFlight; ++i) {
      at[i * kThreads] = make_uint4(value, threadIdx.x, i, static_cast<unsigned>(block));
    }
  }
}

__global__ void __launch_bounds__(kThreads)
    copy_kernel(const uint4* from, uint4* to, std::size_t words) {
  for (std::size_t block = blockIdx.x; block < words / (kThreads * kInFlight); block += gridDim.x) {
    const std::size_t at = block * kThreads * kInFlight + threadIdx.x;
    uint4 loaded[kInFlight];
#pragma unroll
    for (int i = 0; i < kInFlight; ++i) {
      loaded[i] = from[at + i * kThreads];
    }
#pragma unroll
    for (int i = 0; i < kInFlight; ++i) {
      to[at + i * kThreads] = loaded[i];
    }
  }
}

class BandwidthWorkload : public bench::Workload {
 public:
  BandwidthWorkload(const bench::Point& point, const bench::DeviceFacts& facts)
      : kernel_(point.kernel) {
    const auto bytes = static_cast<std::uint64_t>(point.shape.integer("bytes"));
    words_ = bytes / sizeof(uint4);
    sets_ = point.shape.word("resident") == "l2"
                ? 1
                : bench::input_sets(static_cast<double>(bytes), facts);
    from_ = DeviceBuffer<uint4>(words_ * sets_);
    fill_normal(from_.data(), from_.bytes() / sizeof(float), Element::kFloat, 11);
    if (kernel_ == "copy") {
      to_ = DeviceBuffer<uint4>(words_ * sets_);
    }
    sink_ = DeviceBuffer<uint4>(1);
    const std::size_t blocks = words_ / (kThreads * kInFlight);
    grid_ = static_cast<unsigned>(
        std::min<std::size_t>(blocks, static_cast<std::size_t>(facts.sm_count) * kCtasPerSm));
    RIDGE_CUDA_CHECK(cudaDeviceSynchronize());
  }

  int sets() const override { return sets_; }

  void launch(int set, bench::Stream stream) override {
    uint4* from = from_.data() + words_ * set;
    const LaunchShape shape{.grid = grid_, .block = kThreads, .stream = stream};
    if (kernel_ == "read") {
      launch_kernel(shape, read_kernel, from, words_, sink_.data());
    } else if (kernel_ == "write") {
      launch_kernel(shape, write_kernel, from, words_, static_cast<unsigned>(set));
    } else {
      launch_kernel(shape, copy_kernel, from, to_.data() + words_ * set, words_);
    }
  }

 private:
  std::string kernel_;
  std::size_t words_ = 0;
  int sets_ = 1;
  unsigned grid_ = 1;
  DeviceBuffer<uint4> from_;
  DeviceBuffer<uint4> to_;
  DeviceBuffer<uint4> sink_;
};

std::unique_ptr<bench::Workload> prepare_copies(const bench::Point& point,
                                                const bench::DeviceFacts& facts) {
  return std::make_unique<BandwidthWorkload>(point, facts);
}

}  // namespace

const bench::Family& memory_bandwidth_family() {
  static const bench::Family family = {
      .name = "memory_bandwidth",
      .summary = "ceilings: read, write and copy rates against size",
      .instance_fields = {},
      .grid = memory_bandwidth_grid,
      .explain = explain,
      .cases = cases,
      .check = nothing_to_check,
      .prepare = prepare_copies,
  };
  return family;
}

}  // namespace ridge::kernels::ceilings
