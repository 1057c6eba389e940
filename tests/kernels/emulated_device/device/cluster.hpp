#pragma once

#include "thread_block.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <string>
#include <vector>

namespace ridge::emulated {

/// The CTAs of a cluster, which run at the same time: whose turn it is, is drawn. What a launch
/// without clusters has is clusters of one CTA. Source: PTX ISA 8.7, "Cluster of Cooperative Thread
/// Arrays", "barrier.cluster", "mapa".
class Cluster : public Turns {
 public:
  /// `first` is the index of the CTA of rank 0.
  Cluster(const Launch& launch, uint3 first, const std::vector<SavedBytes>& written_before,
          Chance& chance, Fidelity fidelity);

  /// Runs until all threads have ended or wait for the kernels before this one.
  void run_to_prerequisites();
  /// Runs to the end. Throws DeviceError, also when threads wait for each other.
  void run_to_end();
  /// See Turns.
  Fiber* next_turn() noexcept override;
  bool allowed_dependents_early() const;
  std::size_t size() const { return blocks_.size(); }

  // ---- what the threads use
  /// barrier.cluster, arrive and wait, by the running thread, of `block`.
  void sync(ThreadBlock& block);
  /// Does something at the CTA of a rank, or at each whose bit is set; an error, about `what`, if
  /// there is no such CTA or it has ended.
  void at(unsigned rank, const char* what, const std::function<void(ThreadBlock&)>& action);
  void at_each(std::uint16_t ranks, const char* what,
               const std::function<void(ThreadBlock&)>& action);

 private:
  struct Member {
    ThreadBlock* block;
    unsigned thread;
  };
  void run();
  Fiber* advance();
  bool step(Fiber*& fiber);
  bool step(ThreadBlock& block, Fiber*& fiber);
  void end_slice(ThreadBlock& block);
  unsigned unfinished() const;
  void end_sync();
  std::string deadlock() const;

  Chance& chance_;
  std::deque<ThreadBlock> blocks_;  ///< By rank.
  // How turns are given: with every step anew or seldom, and to anybody or always to the same one
  // first, so that a CTA meets others that are ahead or behind as far as they can be.
  unsigned keep_in_256_;
  bool has_favorite_;
  std::size_t turn_;
  std::vector<Member> syncing_;
  ThreadBlock* running_ = nullptr;  ///< Of the thread whose slice has not been ended.
  std::exception_ptr failure_;
};

}  // namespace ridge::emulated
