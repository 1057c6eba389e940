#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace ridge::emulated {

/// A piece of device memory as it was at some time.
struct SavedBytes {
  std::uint8_t* at;
  std::vector<std::uint8_t> bytes;
};

/// All allocations of the device. Fresh memory is poisoned with 0xff bytes: NaN, and negative
/// indices; in a rehearsal it is left alone, so that only what the host uploads takes room.
class DeviceMemory {
 public:
  static constexpr std::size_t kAlignment = 256;

  void* allocate(std::size_t bytes);
  /// False if `pointer` is not the start of an allocation.
  bool release(void* pointer);
  std::size_t used() const { return used_; }
  /// Whether [pointer, pointer + bytes) lies within one allocation.
  bool contains(const void* pointer, std::size_t bytes) const;

  /// Everything, for `changed_since`.
  std::vector<SavedBytes> snapshot() const;
  /// The runs of bytes that differ from `before`, as they were then.
  static std::vector<SavedBytes> changed_since(const std::vector<SavedBytes>& before);

 private:
  struct Release {
    std::size_t bytes;
    void operator()(std::uint8_t* start) const;
  };
  struct Allocation {
    std::size_t bytes;
    std::unique_ptr<std::uint8_t[], Release> storage;
  };
  std::map<std::uintptr_t, Allocation> allocations_;
  std::size_t used_ = 0;
};

DeviceMemory& device_memory();

}  // namespace ridge::emulated
