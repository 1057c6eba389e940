#include "ridge/view/progress.hpp"

#include "ridge/view/terminal.hpp"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

namespace ridge::view {

Progress::Progress(std::string what, std::uint64_t total)
    : what_(std::move(what)),
      total_(std::max<std::uint64_t>(total, 1)),
      shown_(::isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()) {}

Progress::~Progress() {
  if (drawn_) fmt::print(stderr, "\r\033[K");
}

void Progress::add(std::uint64_t done) {
  done_.fetch_add(done, std::memory_order_relaxed);
  if (!shown_) return;
  const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(
                           std::chrono::steady_clock::now() - start_)
                           .count();
  auto due = next_draw_ms_.load(std::memory_order_relaxed);
  if (elapsed < due ||
      !next_draw_ms_.compare_exchange_strong(due, elapsed + 100, std::memory_order_relaxed)) {
    return;
  }
  draw();
}

void Progress::reach(std::uint64_t done) {
  const auto before = done_.load(std::memory_order_relaxed);
  if (done > before) add(done - before);
}

void Progress::draw() {
  const std::lock_guard lock(drawing_);
  const double share = std::min(1.0, static_cast<double>(done_.load(std::memory_order_relaxed)) /
                                         static_cast<double>(total_));
  const double elapsed =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const std::string rest = fmt::format(" {:3.0f} %  {:.0f} s left", share * 100.0,
                                       share > 0.0 ? elapsed / share - elapsed : 0.0);
  // One column is left free: some terminals go to the next line when the last is written.
  const std::size_t room = error_width() - 1;
  constexpr std::size_t kBrackets = 3;
  constexpr std::size_t kNarrowestBar = 10;
  constexpr std::size_t kWidestBar = 30;
  std::string what = what_;
  const std::size_t name_room = room - std::min(room, rest.size() + kBrackets + kNarrowestBar);
  if (what.size() > name_room)
    what = what.substr(0, name_room - std::min<std::size_t>(name_room, 3)) + "...";
  const std::size_t bar =
      std::min(kWidestBar, room - std::min(room, what.size() + rest.size() + kBrackets));
  const auto filled = static_cast<std::size_t>(share * static_cast<double>(bar));
  fmt::print(stderr, "\r\033[K{} [{:#<{}}{:.<{}}]{}", what, "", filled, "", bar - filled, rest);
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace ridge::view
