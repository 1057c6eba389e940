#pragma once

#include "shared_memory.hpp"

#include <cstdint>
#include <deque>
#include <vector>

namespace ridge::emulated {

/// cp.async: every thread's own copies of 16 bytes, in groups. The bytes are NaN from the copy's
/// issue until the thread's wait covers its group: the latest that the hardware could bring them.
class ThreadCopies {
 public:
  ThreadCopies(SharedMemory& shared, unsigned threads)
      : shared_(shared), open_(threads), groups_(threads) {}

  void issue(unsigned thread, void* destination, const void* source);
  void commit(unsigned thread);
  void wait(unsigned thread, unsigned pending);
  bool under_way() const;

 private:
  struct Copy {
    std::uint8_t* destination;
    const std::uint8_t* source;
  };
  using Group = std::vector<Copy>;
  SharedMemory& shared_;
  std::vector<Group> open_;                ///< Per thread: issued and not committed.
  std::vector<std::deque<Group>> groups_;  ///< Per thread, oldest first.
};

}  // namespace ridge::emulated
