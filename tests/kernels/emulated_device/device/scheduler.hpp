#pragma once

#include "chance.hpp"
#include "fiber.hpp"

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace ridge::emulated {

/// How one CTA's open choices are made. Every CTA draws another temper, so that a run meets copies
/// that land at once and copies that land when everybody waits for them, warps that run far ahead
/// and warps that starve.
struct Temper {
  unsigned yield_in_256 = 0;   ///< How readily a thread pauses at an instruction that could let it.
  unsigned engine_in_256 = 0;  ///< How readily copies land and matrix instructions execute.
  /// Which engine's turn it is: anybody's, or always that of the one that has been at work for the
  /// shortest time, so that copies, which come first, wait until all matrix work is done.
  bool newest_engine_first = false;
  bool favorites = false;     ///< Some warps are served before others.
  bool newest_first = false;  ///< Whoever was woken last runs next.

  static Temper draw(Chance& chance);
};

/// What happens beside the threads: copies that land, matrix instructions that execute.
class Engine {
 public:
  virtual ~Engine() = default;
  /// Whether there is something that could happen now.
  virtual bool has_work() const = 0;
  /// Lets one such thing happen.
  virtual void step(Chance& chance) = 0;
};

/// A reason to wait, as a printf format for two numbers.
struct WaitReason {
  const char* format = "";
  unsigned first = 0;
  unsigned second = 0;

  bool operator==(const WaitReason&) const = default;
  std::string text() const;
};

/// Who says what comes next when a thread has stopped.
class Turns {
 public:
  virtual ~Turns() = default;
  /// The thread to run next, after everything that comes before it has happened, or nullptr if
  /// there is none, or something went wrong.
  virtual Fiber* next_turn() noexcept = 0;
};

/// Runs the threads of a CTA as fibers, one at a time, in a random order.
class Scheduler {
 public:
  Scheduler(unsigned threads, Chance& chance, Temper temper, Turns& turns);

  /// Has `engine` polled from now on.
  void add(Engine& engine) { engines_.push_back(&engine); }
  /// Called with a thread's number before it runs, and, if somebody wants to know, after it has run
  /// for a while.
  void on_enter(std::function<void(unsigned)> enter) { enter_ = std::move(enter); }
  void on_leave(std::function<void(unsigned)> leave) { leave_ = std::move(leave); }

  /// Has every thread run `body`, a slice at a time.
  void start(std::function<void()> body);
  /// Lets one thing happen: an engine does something, or a thread's slice begins, which is then to
  /// be run as `fiber`. False if nothing can, since all threads have finished or wait.
  bool step(Fiber*& fiber);
  /// Ends the slice of the thread that ran, which waits now or has finished. Rethrows what it
  /// threw.
  void end_slice();

  /// Who waits for what, for a message about a deadlock.
  std::string waiting() const;

  // ---- from within a thread
  unsigned self() const { return self_; }
  /// Stops this thread until somebody wakes it.
  void suspend(WaitReason reason);
  /// An instruction at which other threads may come first.
  void pause();

  // ---- from anywhere
  void wake(unsigned thread);
  bool finished(unsigned thread) const { return threads_[thread].finished; }
  unsigned unfinished() const { return unfinished_; }
  unsigned threads() const { return static_cast<unsigned>(threads_.size()); }

 private:
  struct Thread {
    std::unique_ptr<Fiber> fiber;  // While it is under way.
    bool finished = false;
    WaitReason reason;
  };
  unsigned pick();
  bool step_engine();
  Fiber& begin_slice(unsigned thread);

  Chance& chance_;
  Temper temper_;
  Turns& turns_;
  std::vector<Thread> threads_;
  std::vector<unsigned> ready_;
  std::vector<Engine*> engines_;
  std::vector<unsigned> warp_rank_;
  std::function<void(unsigned)> enter_;
  std::function<void(unsigned)> leave_;
  std::function<void()> job_;
  std::exception_ptr failure_;
  unsigned self_ = 0;
  unsigned unfinished_ = 0;
};

}  // namespace ridge::emulated
