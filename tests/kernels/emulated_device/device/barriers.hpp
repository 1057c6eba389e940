#pragma once

#include "scheduler.hpp"
#include "shared_memory.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <vector>

namespace ridge::emulated {

/// mbarrier objects. Source: PTX ISA 8.7, "Parallel Synchronization and Communication
/// Instructions: mbarrier".
class TransactionBarriers {
 public:
  TransactionBarriers(Scheduler& scheduler, SharedMemory& shared)
      : scheduler_(scheduler), shared_(shared) {}

  void init(std::uint32_t address, std::uint32_t arrivals);
  /// Makes this thread's new barriers known to the copy engine.
  void fence_init();
  void arrive(std::uint32_t address, std::uint32_t expected_bytes = 0);
  void wait(std::uint32_t address, std::uint32_t parity);

  /// Whether the copy engine may signal it, or an error.
  void require_for_copies(std::uint32_t address);
  /// The copy engine's complete_tx.
  void complete(std::uint32_t address, std::uint32_t bytes);

  /// State of every barrier that somebody waits for, for a message.
  std::string waited_for() const;

 private:
  struct Barrier {
    std::uint32_t arrivals = 0;
    std::uint32_t pending = 0;
    std::int64_t bytes = 0;
    std::uint32_t phase = 0;
    unsigned initialized_by = 0;
    bool fenced = false;
    std::vector<unsigned> waiting;
  };
  Barrier& find(std::uint32_t address);
  void settle(Barrier& barrier);

  Scheduler& scheduler_;
  SharedMemory& shared_;
  std::map<std::uint32_t, Barrier> barriers_;
};

/// bar.sync: the CTA's 16 numbered barriers.
class NumberedBarriers {
 public:
  explicit NumberedBarriers(Scheduler& scheduler) : scheduler_(scheduler) {}
  void sync(int id, int threads);

 private:
  struct Barrier {
    int expected = 0;
    std::vector<unsigned> waiting;
  };
  Scheduler& scheduler_;
  std::array<Barrier, 16> barriers_;
};

}  // namespace ridge::emulated
