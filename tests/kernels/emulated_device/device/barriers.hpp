#pragma once

#include "scheduler.hpp"
#include "shared_memory.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace ridge::emulated {

/// Of whose stores a wait makes sure: the CTA's or the whole cluster's.
enum class Scope { kCta, kCluster };

/// The mbarrier objects of a CTA. Arrivals from other CTAs of its cluster come at random times
/// after they were issued. Source: PTX ISA 8.7, "Parallel Synchronization and Communication
/// Instructions: mbarrier".
class TransactionBarriers : public Engine {
 public:
  /// A thread of another CTA of the cluster.
  struct Remote {
    unsigned rank;
    unsigned thread;
  };

  TransactionBarriers(Scheduler& scheduler, SharedMemory& shared)
      : scheduler_(scheduler), shared_(shared) {}

  void init(std::uint32_t address, std::uint32_t arrivals);
  /// Makes this thread's new barriers known to the copy engine.
  void fence_init();
  void arrive(std::uint32_t address, std::uint32_t expected_bytes = 0);
  void arrive_remotely(std::uint32_t address, Remote from);
  void wait(std::uint32_t address, std::uint32_t parity, Scope scope = Scope::kCta);

  bool has_work() const override { return !under_way_.empty(); }
  void step(Chance& chance) override;
  /// Ends the way of all arrivals from threads that `released` picks, as their release at a barrier
  /// of the cluster does.
  void finish_arrivals(const std::function<bool(const Remote&)>& released);

  /// All threads of the cluster have met: its CTAs know each other's barriers.
  void publish();
  /// An error if another CTA need not know of the barrier.
  void require_published(std::uint32_t address);

  /// The phase that a copy issued now must complete in; an error if the copy engine may not signal
  /// the barrier.
  std::uint32_t phase_for_copies(std::uint32_t address);
  /// Other CTAs store what this barrier stands for, so that who waits must do it for the cluster.
  void expect_cluster_waits(std::uint32_t address) { find(address).stored_remotely = true; }
  /// The copy engine's complete_tx for a copy issued in `phase`.
  void complete(std::uint32_t address, std::uint32_t bytes, std::uint32_t phase);

  /// An error if something is amiss when the CTA ends.
  void require_clean_end() const;
  /// State of every barrier that somebody waits for, for a message.
  std::string waited_for() const;

 private:
  struct Barrier {
    std::uint32_t arrivals = 0;
    std::uint32_t pending = 0;
    /// To come. Negative while copies have landed that an arrival of this phase, still pending,
    /// will expect.
    std::int64_t bytes = 0;
    std::uint32_t phase = 0;
    unsigned initialized_by = 0;
    bool fenced = false;
    bool published = false;
    bool stored_remotely = false;
    std::vector<unsigned> waiting;
  };
  struct Arrival {
    std::uint32_t address;
    Remote from;
  };
  Barrier& find(std::uint32_t address);
  void count_arrival(std::uint32_t address, std::uint32_t expected_bytes);
  void settle(std::uint32_t address, Barrier& barrier);

  Scheduler& scheduler_;
  SharedMemory& shared_;
  std::map<std::uint32_t, Barrier> barriers_;
  std::vector<Arrival> under_way_;
  bool used_remotely_ = false;
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
