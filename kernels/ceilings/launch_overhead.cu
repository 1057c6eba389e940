#include "ceilings/family.hpp"
#include "common/async_copy.cuh"
#include "common/launch.cuh"

#include <memory>

namespace ridge::kernels::ceilings {
namespace {

__global__ void empty_kernel() {}

/// Lets its successor start at once, and itself waits for its predecessor, as a real kernel of a
/// chain of programmatic dependents would before it touches data.
__global__ void empty_dependent_kernel() {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
  allow_dependent_launch();
  wait_for_prerequisites();
#endif
}

class LaunchWorkload : public bench::Workload {
 public:
  explicit LaunchWorkload(const bench::Point& point)
      : kernel_(point.kernel), ctas_(static_cast<unsigned>(point.shape.integer("ctas"))) {}

  /// A chain long enough that the graph's own launch vanishes.
  int sets() const override { return 200; }
  bool in_graph() const override { return kernel_ != "stream_launch"; }

  void launch(int, bench::Stream stream) override {
    const bool dependent = kernel_ == "dependent_launch";
    launch_kernel({.grid = ctas_, .block = 128, .stream = stream, .dependent = dependent},
                  dependent ? empty_dependent_kernel : empty_kernel);
  }

 private:
  std::string kernel_;
  unsigned ctas_;
};

std::unique_ptr<bench::Workload> prepare_launches(const bench::Point& point,
                                                  const bench::DeviceFacts&) {
  return std::make_unique<LaunchWorkload>(point);
}

}  // namespace

const bench::Family& launch_overhead_family() {
  static const bench::Family family = {
      .name = "launch_overhead",
      .summary = "ceilings: what an empty kernel costs",
      .instance_fields = {},
      .grid = launch_overhead_grid,
      .explain = explain,
      .cases = cases,
      .check = nothing_to_check,
      .prepare = prepare_launches,
      .runs = launch_runs,
  };
  return family;
}

}  // namespace ridge::kernels::ceilings
