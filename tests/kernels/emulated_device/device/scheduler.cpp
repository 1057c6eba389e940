#include "scheduler.hpp"

#include "error.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <utility>

namespace ridge::emulated {
namespace {

/// Fibers without a job. Making one maps a stack, which is slow; most CUDA threads never suspend
/// and leave theirs as they found it.
std::vector<std::unique_ptr<Fiber>>& idle_fibers() {
  static std::vector<std::unique_ptr<Fiber>> pool;
  return pool;
}

std::unique_ptr<Fiber> take_fiber() {
  auto& pool = idle_fibers();
  if (pool.empty()) {
    return std::make_unique<Fiber>();
  }
  std::unique_ptr<Fiber> fiber = std::move(pool.back());
  pool.pop_back();
  return fiber;
}

}  // namespace

Temper Temper::draw(Chance& chance) {
  constexpr unsigned kYields[] = {0, 2, 32, 128};
  constexpr unsigned kEngines[] = {0, 1, 16, 128, 240};
  return {kYields[chance.below(4)], kEngines[chance.below(5)], chance.likely(128),
          chance.likely(128), chance.likely(64)};
}

std::string WaitReason::text() const {
  char buffer[160];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  std::snprintf(buffer, sizeof(buffer), format, first, second);
#pragma GCC diagnostic pop
  return buffer;
}

Scheduler::Scheduler(unsigned threads, Chance& chance, Temper temper, Turns& turns)
    : chance_(chance), temper_(temper), turns_(turns), threads_(threads), unfinished_(threads) {
  for (unsigned warp = 0; warp * 32 < threads; ++warp) {
    warp_rank_.push_back(static_cast<unsigned>(chance.below(4)));
  }
}

void Scheduler::start(std::function<void()> body) {
  job_ = [this, body = std::move(body)] {
    try {
      body();
    } catch (const Fiber::Abandoned&) {
      throw;
    } catch (...) {
      failure_ = std::current_exception();
    }
  };
  ready_.reserve(threads());
  for (unsigned thread = 0; thread < threads(); ++thread) {
    ready_.push_back(thread);
  }
}

bool Scheduler::step(Fiber*& fiber) {
  if (unfinished_ == 0) {
    return false;
  }
  if (ready_.empty()) {
    return step_engine();
  }
  if (temper_.engine_in_256 == 0 || !chance_.likely(temper_.engine_in_256) || !step_engine()) {
    fiber = &begin_slice(pick());
  }
  return true;
}

/// The thread to run next, taken off the list of ready ones.
unsigned Scheduler::pick() {
  std::size_t chosen = temper_.newest_first && chance_.likely(200) ? ready_.size() - 1
                                                                   : chance_.below(ready_.size());
  if (temper_.favorites) {
    for (int i = 0; i < 3; ++i) {
      const std::size_t other = chance_.below(ready_.size());
      if (warp_rank_[ready_[other] / 32] < warp_rank_[ready_[chosen] / 32]) {
        chosen = other;
      }
    }
  }
  std::swap(ready_[chosen], ready_.back());
  const unsigned thread = ready_.back();
  ready_.pop_back();
  return thread;
}

bool Scheduler::step_engine() {
  if (engines_.empty()) {
    return false;
  }
  const std::size_t count = engines_.size();
  const std::size_t first = chance_.below(count);
  for (std::size_t i = 0; i < count; ++i) {
    Engine& engine = *engines_[temper_.newest_engine_first ? count - 1 - i : (first + i) % count];
    if (engine.has_work()) {
      engine.step(chance_);
      return true;
    }
  }
  return false;
}

Fiber& Scheduler::begin_slice(unsigned index) {
  Thread& thread = threads_[index];
  self_ = index;
  enter_(index);
  if (thread.fiber == nullptr) {
    thread.fiber = take_fiber();
    thread.fiber->take(job_);
  }
  return *thread.fiber;
}

void Scheduler::end_slice() {
  Thread& thread = threads_[self_];
  if (leave_) {
    leave_(self_);
  }
  if (thread.fiber->finished()) {
    idle_fibers().push_back(std::move(thread.fiber));
    thread.finished = true;
    --unfinished_;
  }
  if (failure_) {
    std::rethrow_exception(failure_);
  }
}

void Scheduler::suspend(WaitReason reason) {
  Thread& thread = threads_[self_];
  thread.reason = reason;
  Fiber* const next = turns_.next_turn();
  if (next != thread.fiber.get()) {
    thread.fiber->suspend(next);
  }
}

void Scheduler::pause() {
  if (temper_.yield_in_256 != 0 && chance_.likely(temper_.yield_in_256)) {
    ready_.push_back(self_);
    suspend({"its turn"});
  }
}

void Scheduler::wake(unsigned thread) {
  ready_.push_back(thread);
}

std::string Scheduler::waiting() const {
  std::map<std::string, std::vector<unsigned>> reasons;
  for (unsigned thread = 0; thread < threads(); ++thread) {
    if (!threads_[thread].finished) {
      reasons[threads_[thread].reason.text()].push_back(thread);
    }
  }
  std::string text;
  for (const auto& [reason, waiting] : reasons) {
    text += text.empty() ? "" : "; ";
    text += waiting.size() == 1
                ? "thread " + std::to_string(waiting.front())
                : std::to_string(waiting.size()) + " threads (" + std::to_string(waiting.front()) +
                      " .. " + std::to_string(waiting.back()) + ")";
    text += " wait for " + reason;
  }
  return text;
}

}  // namespace ridge::emulated
