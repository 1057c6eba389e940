#pragma once

#include "shared_memory.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ridge::emulated {

/// cp.async: every thread's own copies of 16 bytes, in groups. The bytes are NaN from the copy's
/// issue until the thread's wait covers its group: the latest that the hardware could bring them.
class ThreadCopies {
 public:
  ThreadCopies(SharedMemory& shared, unsigned threads) : shared_(shared), threads_(threads) {}

  void issue(unsigned thread, void* destination, const void* source);
  void commit(unsigned thread);
  void wait(unsigned thread, unsigned pending);
  bool under_way() const;

 private:
  struct Copy {
    std::uint8_t* destination;
    const std::uint8_t* source;
  };
  struct Thread {
    std::vector<Copy> copies;              ///< Oldest first; those behind the last group are open.
    std::vector<std::size_t> group_sizes;  ///< Of the copies' first.
    std::size_t in_groups = 0;             ///< Their sum.
  };
  SharedMemory& shared_;
  std::vector<Thread> threads_;
};

}  // namespace ridge::emulated
