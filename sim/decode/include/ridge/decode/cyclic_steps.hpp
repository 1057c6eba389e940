// How long the steps of a deployment take under Schedule::cyclic, for many batches and many kernel
// models, without a simulation: the maximum cycle ratio of its step graph, as cyclic_step_time()
// gives it, with all that does not depend on the batch prepared once.
#pragma once

#include "ridge/base/quantity.hpp"
#include "ridge/decode/simulation.hpp"

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace ridge::decode {

// The kernel models of each pool, the seed of what is drawn (which experts tokens choose), and what
// a step takes beside its kernels: nothing: as the deployment has it.
struct KernelDraw {
  std::vector<std::shared_ptr<const hw::KernelModel>> kernels;
  std::uint64_t seed = 1;
  std::optional<Seconds> step_overhead{};
};

// How long the work of one replica's micro-batches takes under one draw.
struct ReplicaTimes {
  std::vector<double> picoseconds;
};

// What one micro-batch asks of everybody in a step, in seconds.
struct MicroBatchWork {
  std::vector<double> resources;  // as the graph numbers them
  std::vector<double> senders;    // per instance, through the pools: its NICs, sending
  std::vector<double> receivers;
  double longest_path = 0;  // never waiting
  // Of kernels (and collectives that keep them waiting), by what they do: seconds x GPUs, each
  // until the slowest GPU of its instance is done.
  std::array<double, kStages> gpu_seconds{};
};

// A deployment whose closed loop is steady and without jitter, on NetworkModel::ports. One thread
// at a time.
class CyclicSteps {
 public:
  // Throws UserError for a deployment that its strategy cannot run, or another workload; its batch
  // does not matter, nor whether it fits in memory.
  CyclicSteps(SimulationInput input, std::vector<KernelDraw> draws);
  ~CyclicSteps();

  // Each replica's times under a draw, with as many requests of this many cached tokens in each
  // group and micro-batch. Of a deployment of one replica, `micro_batches` may name how many of the
  // first ones are asked for: work() may then be asked of them alone.
  [[nodiscard]] std::vector<ReplicaTimes> times(
      std::size_t draw, std::int64_t requests, std::int64_t context,
      std::optional<std::size_t> micro_batches = std::nullopt);

  [[nodiscard]] MicroBatchWork work(const ReplicaTimes& times, std::size_t micro_batch) const;
  // What no rotation is faster than: the busiest server's work, and the longest path.
  [[nodiscard]] Seconds floor(const ReplicaTimes& times) const;

  // The step of each of these in the long run. They are taken in sets of as many as the deployment
  // has replicas; a set keeps the rotation that is best for its first, and is infinitely long where
  // that takes longer than `limit`.
  [[nodiscard]] std::vector<Seconds> step_times(std::span<const ReplicaTimes> all,
                                                Seconds limit = Seconds{
                                                    std::numeric_limits<double>::infinity()});

  [[nodiscard]] const StepGraph& graph() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ridge::decode
