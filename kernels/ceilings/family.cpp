#include "ceilings/family.hpp"

namespace ridge::kernels::ceilings {

std::vector<bench::Point> memory_bandwidth_grid(bench::Extent extent,
                                                const bench::DeviceFacts& device) {
  constexpr std::int64_t kMiB = 1 << 20;
  const bool full = extent == bench::Extent::kFull;
  std::vector<bench::Point> points;
  const auto add = [&](const char* kernel, std::int64_t bytes, const char* resident) {
    const bool reads = std::string_view(kernel) != "write";
    const bool writes = std::string_view(kernel) != "read";
    points.push_back(
        {kernel,
         {{"bytes", bytes}, {"resident", std::string(resident)}},
         {reads ? static_cast<double>(bytes) : 0.0, writes ? static_cast<double>(bytes) : 0.0, 0.0},
         bench::Turn::kCeiling});
  };
  const std::vector<std::int64_t> sizes =
      full ? std::vector<std::int64_t>{1, 4, 16, 64, 256, 1024, 4096}
           : std::vector<std::int64_t>{16, 256, 4096};
  for (const char* kernel : {"read", "write", "copy"}) {
    for (const std::int64_t size : sizes) {
      // A copy needs two buffers, each of at least two sets.
      const auto bytes = static_cast<double>(size * kMiB);
      if (2 * bytes * bench::input_sets(bytes, device) < static_cast<double>(device.free_bytes)) {
        add(kernel, size * kMiB, "dram");
      }
    }
    for (const std::int64_t size :
         full ? std::vector<std::int64_t>{1, 4, 8} : std::vector<std::int64_t>{4, 8}) {
      // A copy's two buffers still leave half of it free.
      if (4 * size * kMiB <= static_cast<std::int64_t>(device.l2_bytes)) {
        add(kernel, size * kMiB, "l2");
      }
    }
  }
  return points;
}

std::vector<bench::Point> launch_overhead_grid(bench::Extent, const bench::DeviceFacts& device) {
  std::vector<bench::Point> points;
  for (const char* kernel : {"graph_node", "dependent_launch", "stream_launch"}) {
    for (const std::int64_t ctas : {std::int64_t{1}, std::int64_t{device.sm_count}}) {
      points.push_back({kernel, {{"ctas", ctas}}, {}, bench::Turn::kCeiling});
    }
  }
  return points;
}

bool launch_runs(std::string_view kernel, const bench::Shape&, const bench::DeviceFacts& device) {
  return kernel != "dependent_launch" || device.capability >= 90;
}

std::string explain(const bench::Point& point, const bench::DeviceFacts&) {
  if (point.shape.has("ctas")) {
    return "  a kernel that does nothing\n";
  }
  return "  8 CTAs of 256 threads per SM, 16-byte accesses, 8 in flight per thread\n";
}

std::vector<bench::Case> cases(bench::Extent, const bench::DeviceFacts&) {
  return {};
}

bench::CheckReport nothing_to_check(const bench::Case&, const bench::DeviceFacts&) {
  return {};
}

}  // namespace ridge::kernels::ceilings
