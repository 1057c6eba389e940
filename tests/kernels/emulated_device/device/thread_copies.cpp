#include "thread_copies.hpp"

#include "device_memory.hpp"
#include "error.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

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
  open_[thread].push_back({to, static_cast<const std::uint8_t*>(source)});
}

void ThreadCopies::commit(unsigned thread) {
  groups_[thread].push_back(std::exchange(open_[thread], {}));
}

void ThreadCopies::wait(unsigned thread, unsigned pending) {
  std::deque<Group>& groups = groups_[thread];
  while (groups.size() > pending) {
    for (const Copy& copy : groups.front()) {
      std::memcpy(copy.destination, copy.source, kBytes);
    }
    groups.pop_front();
  }
}

bool ThreadCopies::under_way() const {
  const auto has_copies = [](const Group& group) { return !group.empty(); };
  return std::any_of(open_.begin(), open_.end(), has_copies) ||
         std::any_of(groups_.begin(), groups_.end(), [&](const std::deque<Group>& groups) {
           return std::any_of(groups.begin(), groups.end(), has_copies);
         });
}

}  // namespace ridge::emulated
