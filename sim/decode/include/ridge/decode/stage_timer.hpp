// How long each slot of a step graph takes for the batch at hand, from the operators it launches.
#pragma once

#include "ridge/base/quantity.hpp"
#include "ridge/decode/deployment.hpp"
#include "ridge/decode/expert_load.hpp"
#include "ridge/decode/step_graph.hpp"
#include "ridge/models/operator.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace ridge::decode {

// The requests of one group (GPUs that share a cache) in one micro-batch.
struct GroupBatch {
  std::int64_t requests = 0;
  std::int64_t cached_tokens = 0;  // of all its requests
  friend bool operator==(const GroupBatch&, const GroupBatch&) = default;
};

// A GPU that is slower than its kind: its kernels take `factor` times as long.
struct SlowGpu {
  std::uint32_t pool = 0;
  std::uint32_t instance = 0;
  std::uint32_t gpu = 0;
  double factor = 1.0;
};

// The times of one step. Ranks are the GPUs of an instance, or its attention groups.
struct StepTimes {
  std::vector<double> rank_seconds;   // of slot s: [first_rank(s), first_rank(s + 1))
  std::vector<des::SimTime> slowest;  // per slot: what the stage takes without jitter
  std::vector<double> rank_sum;       // per slot: seconds, over its ranks
  std::vector<double> payload_bytes;  // per slot: network between instances, whole instances
};

class StageTimer {
 public:
  // The deployment and the graph must outlive the timer.
  StageTimer(const Deployment& deployment, const StepGraph& graph,
             const ExpertPopularity& popularity, std::vector<SlowGpu> slow_gpus,
             std::uint64_t seed);

  // groups: the batches of a replica's groups, instance by instance. Allocates only on the first
  // use of `times`.
  void time(std::span<const GroupBatch> groups, StepTimes& times);

  [[nodiscard]] std::span<const double> ranks(const StepTimes& times, SlotId slot) const {
    return {times.rank_seconds.data() + first_rank_[slot],
            first_rank_[slot + 1] - first_rank_[slot]};
  }
  // A message between instances on idle links.
  [[nodiscard]] Seconds message_time(const Slot& slot, double payload_bytes) const;

 private:
  void time_attention(const Slot& slot, std::span<const GroupBatch> groups,
                      std::span<double> ranks);
  void time_ffn(const Slot& slot, double tokens, std::span<double> ranks);
  void time_head(const Slot& slot, std::span<const GroupBatch> groups, std::span<double> ranks);
  [[nodiscard]] Seconds collective_time(const Slot& slot, double tokens, double busiest) const;
  [[nodiscard]] Seconds total(const hw::KernelModel& kernels) const;

  const Deployment& deployment_;
  const StepGraph& graph_;
  std::vector<SlowGpu> slow_gpus_;
  std::vector<std::vector<RankLoad>>
      loads_;  // per layer (one if layers do not differ), per EP rank
  bool uniform_;
  std::vector<std::size_t> first_rank_;
  models::OperatorList scratch_;
};

}  // namespace ridge::decode
