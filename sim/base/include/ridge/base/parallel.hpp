// Numbered pieces of work on several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace ridge {

// Threads where nobody says how many: one for each processor.
[[nodiscard]] inline unsigned usual_threads() {
  return std::max(1U, std::thread::hardware_concurrency());
}

// Calls make_worker() once on each thread, and what it returns with every number below `count`, in
// rising order of number. A worker returns false to end the whole. Of the exceptions thrown, the
// one of the lowest number is rethrown, whatever the number of threads: all lower numbers were
// handed out before it, and are finished.
template <typename MakeWorker>
void parallel_for(unsigned threads, std::size_t count, MakeWorker&& make_worker) {
  std::atomic<std::size_t> next{0};
  std::atomic<bool> ended{false};
  std::mutex failure_mutex;
  std::exception_ptr failure;
  std::size_t failed_at = count;
  const auto loop = [&] {
    std::size_t item = 0;
    try {
      auto work = make_worker();
      while (!ended.load(std::memory_order_relaxed)) {
        item = next.fetch_add(1, std::memory_order_relaxed);
        if (item >= count) return;
        if (!work(item)) ended = true;
      }
    } catch (...) {
      ended = true;
      const std::lock_guard lock(failure_mutex);
      if (!failure || item < failed_at) {
        failure = std::current_exception();
        failed_at = item;
      }
    }
  };
  const auto wanted = std::min<std::size_t>(threads, count);
  std::vector<std::jthread> others;
  for (std::size_t i = 1; i < wanted; ++i) others.emplace_back(loop);
  loop();
  others.clear();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace ridge
