#include "bench/comparison.hpp"

#include <algorithm>
#include <cstdio>

namespace ridge::kernels::bench {
namespace {

std::string key(std::string_view family, const Point& point) {
  return std::string(family) + " " + point.shape.to_string();
}

template <typename... Values>
std::string text(const char* format, Values... values) {
  char buffer[128];
  std::snprintf(buffer, sizeof(buffer), format, values...);
  return buffer;
}

}  // namespace

void Comparison::note(std::string_view family, const Point& point, const Timing& timing) {
  if (family == "memory_bandwidth" && point.kernel == "read" &&
      point.shape.word("resident") == "dram" &&
      point.work.bytes_read >= 4 * static_cast<double>(device_.l2_bytes)) {
    read_TBps_ = std::max(read_TBps_, point.work.bytes_read / timing.median_us * 1e-6);
  }
  if (family == "dense_gemm") {
    double& best = matrix_TFLOPs_[point.shape.word("dtype")];
    best = std::max(best, point.work.flop / timing.median_us * 1e-6);
  }
  others_us_[key(family, point)][point.kernel] = timing.median_us;
}

std::string Comparison::line(std::string_view family, const Point& point,
                             const Timing& timing) const {
  const double bytes = point.work.bytes_read + point.work.bytes_written;
  std::string line = text("%.1f us", timing.median_us);
  if (bytes > 0) {
    line += text("  %.2f TB/s", bytes / timing.median_us * 1e-6);
  }
  if (point.work.flop > 0) {
    line += text("  %.0f TFLOP/s", point.work.flop / timing.median_us * 1e-6);
  }
  if (read_TBps_ > 0 && point.work.bytes_read > 0) {
    line += text("  %.0f%% of read bandwidth",
                 point.work.bytes_read / timing.median_us * 1e-6 / read_TBps_ * 100);
  }
  const auto peak = matrix_TFLOPs_.find("bf16");
  if (peak != matrix_TFLOPs_.end() && point.work.flop > 0) {
    line += text("  %.0f%% of the BF16 matrix rate",
                 point.work.flop / timing.median_us * 1e-6 / peak->second * 100);
  }
  if (const auto others = others_us_.find(key(family, point)); others != others_us_.end()) {
    for (const auto& [kernel, us] : others->second) {
      if (kernel != point.kernel) {
        line += text("  %.2fx %s", us / timing.median_us, kernel.c_str());
      }
    }
  }
  return line;
}

}  // namespace ridge::kernels::bench
