#include "interrupt.hpp"

#include <csignal>

namespace ridge::tools {
namespace {

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler raises it");

}  // namespace

const std::atomic<bool>& stop_on_interrupt() {
  std::signal(SIGINT, [](int) { interrupted.store(true, std::memory_order_relaxed); });
  return interrupted;
}

void interrupt_as_usual() {
  std::signal(SIGINT, SIG_DFL);
}

}  // namespace ridge::tools
