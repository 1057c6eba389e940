#include "thread_copies.hpp"

#include "device_memory.hpp"
#include "error.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace ridge::emulated {
namespace {

constexpr std::size_t kBytes = 16;

}  // namespace

void ThreadCopies::issue(unsigned thread, void* destination, const void* source) {
  const std::uint32_t address = shared_.address_of(destination);
  if (address % kBytes != 0 || reinterpret_cast<std::uintptr_t>(source) % kBytes != 0) {
    fail("cp.async of 16 bytes by thread %u: both addresses must be multiples of 16", thread);
  }
  if (!device_memory().contains(source, kBytes)) {
    fail("cp.async by thread %u reads outside of every allocation", thread);
  }
  std::uint8_t* const to = shared_.at(address, kBytes);
  std::memset(to, SharedMemory::kPoison, kBytes);
  threads_[thread].copies.push_back({to, static_cast<const std::uint8_t*>(source)});
}

void ThreadCopies::commit(unsigned thread) {
  Thread& self = threads_[thread];
  self.group_sizes.push_back(self.copies.size() - self.in_groups);
  self.in_groups = self.copies.size();
}

void ThreadCopies::wait(unsigned thread, unsigned pending) {
  Thread& self = threads_[thread];
  if (self.group_sizes.size() <= pending) {
    return;
  }
  const auto last =
      self.group_sizes.begin() + static_cast<std::ptrdiff_t>(self.group_sizes.size() - pending);
  const std::size_t covered = std::accumulate(self.group_sizes.begin(), last, std::size_t{0});
  const auto end = self.copies.begin() + static_cast<std::ptrdiff_t>(covered);
  for (auto copy = self.copies.begin(); copy != end; ++copy) {
    std::memcpy(copy->destination, copy->source, kBytes);
  }
  self.copies.erase(self.copies.begin(), end);
  self.group_sizes.erase(self.group_sizes.begin(), last);
  self.in_groups -= covered;
}

bool ThreadCopies::under_way() const {
  return std::any_of(threads_.begin(), threads_.end(),
                     [](const Thread& thread) { return !thread.copies.empty(); });
}

}  // namespace ridge::emulated
