#pragma once

#include "error.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace ridge::emulated {

/// A CTA's dynamic shared memory, poisoned at first, and its addresses in the shared window.
///
/// The copy engine and the matrix unit see it through the "async proxy": what a thread has written
/// by ordinary stores reaches them only after that thread's fence.proxy.async. With
/// `track_proxies`, every byte that an ordinary store changed remembers the thread until its fence,
/// and the engines see the byte as it was before.
class SharedMemory {
 public:
  /// The first KiB of the window belongs to the system, as on Hopper.
  static constexpr std::uint32_t kFirstAddress = 1024;
  static constexpr std::size_t kLimitBytes = 232448;
  /// NaN in every format of this project.
  static constexpr std::uint8_t kPoison = 0xff;

  SharedMemory(std::size_t bytes, bool track_proxies);

  std::uint8_t* generic() { return bytes_.get(); }
  std::size_t size() const { return size_; }

  /// The shared-window address of a pointer into this memory.
  std::uint32_t address_of(const void* pointer) const;
  /// The memory at [address, address + bytes), as ordinary loads and stores see it.
  std::uint8_t* at(std::uint32_t address, std::size_t bytes);

  /// 16 bytes as the engines see them; `address` is 16-byte aligned.
  const std::uint8_t* engine_read(std::uint32_t address) const;
  /// A write of the copy engine.
  void engine_write(std::uint32_t address, const std::uint8_t* data, std::size_t bytes);
  /// Bytes that a copy under way may change at any moment.
  void engine_poison(std::uint32_t address, std::size_t bytes);

  /// Attributes what has changed since the last call to `thread`. Without tracking, nothing.
  void attribute_writes(unsigned thread);
  /// fence.proxy.async by `thread`, whose writes have been attributed.
  void publish_writes(unsigned thread);

 private:
  static constexpr std::uint16_t kNobody = 0xffff;
  std::size_t offset(std::uint32_t address, std::size_t bytes) const;

  struct Release {
    void operator()(std::uint8_t* bytes) const;
  };
  std::size_t size_;
  std::unique_ptr<std::uint8_t[], Release> bytes_;
  bool track_;
  std::vector<std::uint8_t> attributed_;  ///< As of the last attribution.
  std::vector<std::uint8_t> engine_view_;
  std::vector<std::uint16_t> writer_;  ///< Per byte: who wrote it and has not fenced.
  std::vector<std::vector<std::uint32_t>> unpublished_;  ///< Per thread, offsets.
};

}  // namespace ridge::emulated
