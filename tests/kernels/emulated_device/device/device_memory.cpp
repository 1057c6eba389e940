#include "device_memory.hpp"

#include "rehearsal.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include <sys/mman.h>

namespace ridge::emulated {

void DeviceMemory::Release::operator()(std::uint8_t* start) const {
  munmap(start, bytes);
}

void* DeviceMemory::allocate(std::size_t bytes) {
  void* const start = mmap(nullptr, std::max<std::size_t>(bytes, 1), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) {
    throw std::bad_alloc();
  }
  if (!rehearsing()) {
    std::memset(start, 0xff, bytes);
  }
  auto* const first = static_cast<std::uint8_t*>(start);
  allocations_.insert_or_assign(
      reinterpret_cast<std::uintptr_t>(start),
      Allocation{bytes, {first, Release{std::max<std::size_t>(bytes, 1)}}});
  used_ += bytes;
  return start;
}

bool DeviceMemory::release(void* pointer) {
  const auto found = allocations_.find(reinterpret_cast<std::uintptr_t>(pointer));
  if (found == allocations_.end()) {
    return false;
  }
  used_ -= found->second.bytes;
  allocations_.erase(found);
  return true;
}

bool DeviceMemory::contains(const void* pointer, std::size_t bytes) const {
  const auto at = reinterpret_cast<std::uintptr_t>(pointer);
  auto after = allocations_.upper_bound(at);
  if (after == allocations_.begin()) {
    return false;
  }
  const auto& [start, allocation] = *std::prev(after);
  return at + bytes <= start + allocation.bytes;
}

std::vector<SavedBytes> DeviceMemory::snapshot() const {
  std::vector<SavedBytes> all;
  for (const auto& [start, allocation] : allocations_) {
    std::uint8_t* const bytes = allocation.storage.get();
    all.push_back({bytes, {bytes, bytes + allocation.bytes}});
  }
  return all;
}

std::vector<SavedBytes> DeviceMemory::changed_since(const std::vector<SavedBytes>& before) {
  constexpr std::size_t kBlock = 256;
  std::vector<SavedBytes> changed;
  for (const SavedBytes& old : before) {
    bool in_run = false;
    for (std::size_t block = 0; block < old.bytes.size(); block += kBlock) {
      const std::size_t bytes = std::min(kBlock, old.bytes.size() - block);
      if (std::memcmp(old.at + block, old.bytes.data() + block, bytes) == 0) {
        in_run = false;
        continue;
      }
      if (!in_run) {
        changed.push_back({old.at + block, {}});
        in_run = true;
      }
      std::vector<std::uint8_t>& run = changed.back().bytes;
      run.insert(run.end(), old.bytes.begin() + static_cast<std::ptrdiff_t>(block),
                 old.bytes.begin() + static_cast<std::ptrdiff_t>(block + bytes));
    }
  }
  return changed;
}

DeviceMemory& device_memory() {
  // Never destroyed: buffers of static duration are freed after whatever was made later.
  static auto& memory = *new DeviceMemory;
  return memory;
}

}  // namespace ridge::emulated
