#pragma once

#include "device_memory.hpp"
#include "thread_block.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <cuda_runtime.h>

namespace ridge::emulated {

/// The device behind the CUDA runtime calls: work is queued, and runs when the host waits for it.
class Device {
 public:
  static Device& instance();

  /// Chooses all orders from now on. First taken from the environment, RIDGE_EMULATION_SEED.
  void seed(std::uint64_t seed) { chance_ = Chance(seed); }
  /// From the next launch that runs on. RIDGE_EMULATION_FP8_SUMS in the environment, whatever its
  /// value, asks for that part at the start.
  void imitate(Fidelity fidelity) { fidelity_ = fidelity; }

  /// The dynamic shared memory that a kernel may use, 48 KiB unless raised.
  void allow_shared_bytes(const void* kernel, std::size_t bytes) { allowed_[kernel] = bytes; }
  std::size_t allowed_shared_bytes(const void* kernel) const;

  void enqueue(Launch launch);
  void enqueue(std::function<void()> host_operation);
  /// Runs everything enqueued. What goes wrong is kept as the error of this and all later calls, as
  /// a real device does.
  cudaError_t synchronize();

  /// What a kernel did wrong, or "".
  const std::string& failure() const { return failure_; }
  /// Forgets a failure, which a real device does not.
  void recover();

 private:
  Device();
  struct Operation {
    Launch launch;  ///< With an empty `kernel`, `host` is meant.
    std::function<void()> host;
  };
  void run(const Launch& launch, bool next_is_dependent);

  Chance chance_;
  Fidelity fidelity_;
  std::map<const void*, std::size_t> allowed_;
  std::deque<Operation> queue_;
  /// What a dependent launch may still see in place of the results of the launches before it.
  std::vector<SavedBytes> stale_;
  std::uint64_t launches_ = 0;
  std::string failure_;
};

}  // namespace ridge::emulated
