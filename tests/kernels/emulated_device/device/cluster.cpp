#include "cluster.hpp"

#include "error.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace ridge::emulated {
namespace {

/// Has errors say in which CTA they came up.
template <typename Action>
auto naming(const ThreadBlock& block, const Action& action) {
  try {
    return action();
  } catch (const DeviceError& error) {
    throw DeviceError(block.name() + ": " + error.what());
  }
}

}  // namespace

Cluster::Cluster(const Launch& launch, uint3 first, const std::vector<SavedBytes>& written_before,
                 Chance& chance, Fidelity fidelity)
    : chance_(chance) {
  for (unsigned z = 0; z < launch.cluster.z; ++z) {
    for (unsigned y = 0; y < launch.cluster.y; ++y) {
      for (unsigned x = 0; x < launch.cluster.x; ++x) {
        blocks_.emplace_back(launch, uint3{first.x + x, first.y + y, first.z + z}, *this,
                             static_cast<unsigned>(blocks_.size()), written_before, chance,
                             fidelity);
      }
    }
  }
  constexpr unsigned kKeeps[] = {0, 128, 250, 256};
  keep_in_256_ = kKeeps[chance.below(4)];
  has_favorite_ = chance.likely(64);
  turn_ = chance.below(blocks_.size());
}

void Cluster::run_to_prerequisites() {
  run();
}

void Cluster::run_to_end() {
  for (ThreadBlock& block : blocks_) {
    block.meet_prerequisites();
  }
  run();
  if (unfinished() != 0) {
    throw DeviceError(deadlock());
  }
}

bool Cluster::allowed_dependents_early() const {
  for (const ThreadBlock& block : blocks_) {
    if (block.allowed_dependents_early()) {
      return true;
    }
  }
  return false;
}

/// Runs until nothing can happen any more. Threads hand over to each other, so that only those that
/// end come back here.
void Cluster::run() {
  for (Fiber* fiber = advance(); fiber != nullptr;
       fiber = running_ == nullptr ? nullptr : advance()) {
    fiber->run();
    if (failure_ != nullptr) {
      std::rethrow_exception(std::exchange(failure_, nullptr));
    }
  }
}

Fiber* Cluster::next_turn() noexcept {
  try {
    return advance();
  } catch (...) {
    failure_ = std::current_exception();
    return nullptr;
  }
}

/// Ends the slice that ran, and lets things happen until one of them is that a thread runs.
Fiber* Cluster::advance() {
  if (ThreadBlock* const block = std::exchange(running_, nullptr)) {
    naming(*block, [&] { end_slice(*block); });
  }
  Fiber* fiber = nullptr;
  while (fiber == nullptr && step(fiber)) {
  }
  return fiber;
}

void Cluster::end_slice(ThreadBlock& block) {
  block.scheduler().end_slice();
  if (block.ended()) {
    block.require_clean_end();
  }
  // The barrier is that of all threads that have not ended, so that an end too completes it.
  if (!syncing_.empty() && syncing_.size() == unfinished()) {
    end_sync();
  }
}

/// Lets one thing happen, in the CTA whose turn it is or else in another. False if nothing can.
bool Cluster::step(Fiber*& fiber) {
  const std::size_t count = blocks_.size();
  if (count == 1) {
    return step(blocks_.front(), fiber);
  }
  if (!has_favorite_ && !chance_.likely(keep_in_256_)) {
    turn_ = chance_.below(count);
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t chosen = (turn_ + i) % count;
    if (step(blocks_[chosen], fiber)) {
      turn_ = has_favorite_ ? turn_ : chosen;
      return true;
    }
  }
  return false;
}

bool Cluster::step(ThreadBlock& block, Fiber*& fiber) {
  const bool happened = naming(block, [&] { return block.scheduler().step(fiber); });
  if (fiber != nullptr) {
    running_ = &block;
  }
  return happened;
}

unsigned Cluster::unfinished() const {
  unsigned threads = 0;
  for (const ThreadBlock& block : blocks_) {
    threads += block.unfinished();
  }
  return threads;
}

void Cluster::sync(ThreadBlock& block) {
  block.scheduler().pause();
  syncing_.push_back({&block, block.thread()});
  block.scheduler().suspend({"the cluster's other threads"});
}

void Cluster::end_sync() {
  for (const Member& member : syncing_) {
    const Scheduler& scheduler = member.block->scheduler();
    const unsigned warp = member.thread / 32;
    for (unsigned thread = warp * 32; thread < std::min(warp * 32 + 32, scheduler.threads());
         ++thread) {
      if (scheduler.finished(thread)) {
        fail(
            "cluster_sync by thread %u of %s, of whose warp thread %u has ended: all of a warp "
            "must execute it",
            member.thread, member.block->name().c_str(), thread);
      }
    }
  }
  for (ThreadBlock& block : blocks_) {
    block.transaction_barriers().publish();
    if (!block.ended()) {
      at(block.rank(), "an arrival", [this](ThreadBlock& there) {
        there.transaction_barriers().finish_arrivals(
            [this](const TransactionBarriers::Remote& from) {
              return !blocks_[from.rank].scheduler().finished(from.thread);
            });
      });
    }
  }
  for (const Member& member : std::exchange(syncing_, {})) {
    member.block->scheduler().wake(member.thread);
  }
}

void Cluster::at(unsigned rank, const char* what, const std::function<void(ThreadBlock&)>& action) {
  if (rank >= blocks_.size()) {
    fail("%s at rank %u of a cluster of %zu", what, rank, blocks_.size());
  }
  ThreadBlock& block = blocks_[rank];
  if (block.ended()) {
    fail("%s at rank %u, %s, which has ended", what, rank, block.name().c_str());
  }
  try {
    action(block);
  } catch (const DeviceError& error) {
    fail("%s at rank %u, %s: %s", what, rank, block.name().c_str(), error.what());
  }
}

void Cluster::at_each(std::uint16_t ranks, const char* what,
                      const std::function<void(ThreadBlock&)>& action) {
  if (ranks == 0) {
    fail("%s at no rank", what);
  }
  for (unsigned rank = 0; rank < 16; ++rank) {
    if ((ranks >> rank & 1u) != 0) {
      at(rank, what, action);
    }
  }
}

std::string Cluster::deadlock() const {
  if (blocks_.size() == 1) {
    return blocks_.front().name() + ": deadlock: " + blocks_.front().waiting();
  }
  std::string text = "deadlock";
  for (const ThreadBlock& block : blocks_) {
    text += (block.rank() == 0 ? ": " : "; ") + block.name() + ": " +
            (block.ended() ? "ended" : block.waiting());
  }
  return text;
}

}  // namespace ridge::emulated
