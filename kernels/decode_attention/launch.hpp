#pragma once

#include "common/device.hpp"
#include "decode_attention/arguments.hpp"
#include "decode_attention/schedule.hpp"

#include <vector>

#include <cuda_runtime.h>

namespace ridge::kernels::decode {

/// A kernel made ready for one problem: schedule and scratch memory on the device, tensor
/// maps encoded. `run` is a pure enqueue and may be captured in a graph.
class Launch {
 public:
  /// `arguments` names the tensors; its schedule and scratch fields are filled in here. Throws
  /// std::invalid_argument where the implementation does not serve the problem.
  Launch(const Problem& problem, const Arguments& arguments, int max_ctas,
         Implementation implementation = Implementation::kHopper);
  /// By a schedule of the problem's. Throws std::invalid_argument on one by pairs for what knows
  /// none: MLA, and all but kHopper.
  Launch(const Problem& problem, const Arguments& arguments, Schedule schedule,
         Implementation implementation = Implementation::kHopper);

  /// Enqueues the launch; `block_table`, if given, takes the place of the one in the arguments.
  void run(cudaStream_t stream, const std::int32_t* block_table = nullptr) const;

  const Schedule& schedule() const { return schedule_; }

 private:
  void run_hopper(const Arguments& arguments, int ctas, cudaStream_t stream) const;

  Implementation implementation_;
  int head_dim_;
  int value_dim_;
  bool latent_;
  KvType kv_type_;
  Schedule schedule_;
  int most_partials_ = 0;
  Arguments arguments_;
  CacheMaps maps_{};
  CodedLatentMaps coded_maps_{};
  DeviceBuffer<Segment> segments_;
  DeviceBuffer<std::int32_t> cta_begin_;
  DeviceBuffer<Merge> merges_;
  DeviceBuffer<float> partial_output_;
  DeviceBuffer<float> partial_lse_;
};

}  // namespace ridge::kernels::decode
