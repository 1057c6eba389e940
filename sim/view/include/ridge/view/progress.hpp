// A progress bar on standard error for work that takes a while; silent where standard error is no
// terminal, and for work that is over at once.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

namespace ridge::view {

class Progress {
 public:
  Progress(std::string what, std::uint64_t total);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();  // clears the bar

  // From any thread.
  void add(std::uint64_t done);
  // From one thread at a time: so much is done in all.
  void reach(std::uint64_t done);

 private:
  void draw();

  const std::string what_;
  const std::uint64_t total_;
  const bool shown_;
  const std::chrono::steady_clock::time_point start_;
  std::atomic<std::uint64_t> done_{0};
  std::atomic<std::int64_t> next_draw_ms_{500};
  std::mutex drawing_;
  bool drawn_ = false;
};

}  // namespace ridge::view
