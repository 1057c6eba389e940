#pragma once

#include "barriers.hpp"
#include "copy_engine.hpp"
#include "device_memory.hpp"
#include "fidelity.hpp"
#include "matrix_unit.hpp"
#include "scheduler.hpp"
#include "shared_memory.hpp"
#include "thread_copies.hpp"
#include "warp.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <vector_types.h>

namespace ridge::emulated {

/// A launch, ready to run.
struct Launch {
  dim3 grid;
  dim3 block;
  dim3 cluster;  ///< CTAs of a cluster; divides the grid.
  std::size_t shared_bytes = 0;
  bool dependent = false;        ///< A programmatic dependent of the launch before it.
  std::function<void()> kernel;  ///< Calls the kernel with its arguments, as one thread.
};

class Cluster;

/// One CTA of a launch under way, with everything that its threads can ask the hardware for.
class ThreadBlock {
 public:
  /// `rank` is its place in `cluster`; `written_before` are the pieces of memory that the launches
  /// it depends on have written.
  ThreadBlock(const Launch& launch, uint3 index, Cluster& cluster, unsigned rank,
              const std::vector<SavedBytes>& written_before, Chance& chance, Fidelity fidelity);
  ~ThreadBlock();
  ThreadBlock(const ThreadBlock&) = delete;
  ThreadBlock& operator=(const ThreadBlock&) = delete;

  /// The CTA whose thread is running.
  static ThreadBlock& current();

  /// Lets go on who waits for the kernels before this one.
  void meet_prerequisites();
  /// Threads that have not ended.
  unsigned unfinished() const { return scheduler_.unfinished(); }
  bool ended() const { return unfinished() == 0; }
  /// An error if something is under way that its end should have waited for.
  void require_clean_end() const;

  unsigned rank() const { return rank_; }
  /// For messages.
  std::string name() const;
  /// Who waits for what, for a message about a deadlock.
  std::string waiting() const;

  // ---- what the threads use; `thread` numbers are linear
  unsigned thread() const { return scheduler_.self(); }
  unsigned lane() const { return thread() % 32; }
  Cluster& cluster() { return cluster_; }
  Scheduler& scheduler() { return scheduler_; }
  SharedMemory& shared() { return shared_; }
  TransactionBarriers& transaction_barriers() { return transaction_barriers_; }
  NumberedBarriers& numbered_barriers() { return numbered_barriers_; }
  CopyEngine& copies() { return copies_; }
  ThreadCopies& thread_copies() { return thread_copies_; }
  MatrixUnit& matrix_unit();
  WarpExchange& warp() { return warps_[thread() / 32]; }

  void sync_threads();
  /// fence.proxy.async on shared memory by the running thread.
  void fence_async_proxy();
  /// setmaxnreg.
  void set_registers(unsigned per_thread, bool increase);
  /// griddepcontrol.
  void allow_dependents();
  void wait_for_prerequisites();
  /// fence.proxy.async.global by the running thread.
  void fence_async_proxy_global();
  /// An error if a bulk copy that the running thread issues now need not see what the launches
  /// before this one stored at [from, from + bytes).
  void require_visible_to_copies(const void* from, std::uint64_t bytes) const;
  /// Whether a thread let dependents start before it had waited for its own prerequisites: then
  /// those may run beside kernels further back.
  bool allowed_dependents_early() const { return allowed_dependents_early_; }

 private:
  const Launch& launch_;
  uint3 index_;
  Cluster& cluster_;
  unsigned rank_;
  const std::vector<SavedBytes>& written_before_;
  Scheduler scheduler_;
  SharedMemory shared_;
  TransactionBarriers transaction_barriers_;
  NumberedBarriers numbered_barriers_;
  CopyEngine copies_;
  ThreadCopies thread_copies_;
  bool fp8_sums_;
  std::vector<std::unique_ptr<MatrixUnit>> matrix_units_;  ///< Per warp, where it has used its.
  std::vector<WarpExchange> warps_;
  std::vector<uint3> indices_;  ///< Per thread: its threadIdx.

  std::vector<unsigned> warp_registers_;  ///< Per thread of each warp.
  unsigned free_registers_ = 0;
  std::vector<unsigned> waiting_for_registers_;
  std::vector<unsigned> registers_set_;  ///< Per thread: how many times.
  std::vector<unsigned> warp_registers_set_;

  bool prerequisites_done_ = false;
  std::vector<unsigned> waiting_for_prerequisites_;
  std::vector<bool> waited_;
  std::vector<bool> fenced_global_;
  bool allowed_dependents_early_ = false;
};

}  // namespace ridge::emulated
