#include "shared_memory.hpp"

#include <algorithm>
#include <cstring>
#include <new>

namespace ridge::emulated {
namespace {

constexpr std::align_val_t kAlignment{1024};

}  // namespace

void SharedMemory::Release::operator()(std::uint8_t* bytes) const {
  ::operator delete(bytes, kAlignment);
}

SharedMemory::SharedMemory(std::size_t bytes, bool track_proxies)
    : size_(bytes),
      bytes_(
          static_cast<std::uint8_t*>(::operator new(std::max<std::size_t>(bytes, 1), kAlignment))),
      track_(track_proxies) {
  if (bytes > kLimitBytes) {
    fail("%zu bytes of dynamic shared memory; a CTA can have %zu", bytes, kLimitBytes);
  }
  std::memset(bytes_.get(), kPoison, bytes);
  if (track_) {
    attributed_.assign(bytes, kPoison);
    engine_view_.assign(bytes, kPoison);
    writer_.assign(bytes, kNobody);
    unpublished_.resize(1024);
  }
}

std::uint32_t SharedMemory::address_of(const void* pointer) const {
  const auto* const at = static_cast<const std::uint8_t*>(pointer);
  if (at < bytes_.get() || at > bytes_.get() + size_) {
    fail("the shared address of a pointer outside the CTA's dynamic shared memory");
  }
  return kFirstAddress + static_cast<std::uint32_t>(at - bytes_.get());
}

std::size_t SharedMemory::offset(std::uint32_t address, std::size_t bytes) const {
  if (address < kFirstAddress || address - kFirstAddress + bytes > size_) {
    fail("shared memory at %#x .. %#zx, outside the CTA's %#x .. %#zx", address, address + bytes,
         kFirstAddress, kFirstAddress + size_);
  }
  return address - kFirstAddress;
}

std::uint8_t* SharedMemory::at(std::uint32_t address, std::size_t bytes) {
  return bytes_.get() + offset(address, bytes);
}

const std::uint8_t* SharedMemory::engine_read(std::uint32_t address) const {
  const std::size_t from = offset(address, 16);
  return track_ ? engine_view_.data() + from : bytes_.get() + from;
}

void SharedMemory::engine_write(std::uint32_t address, const std::uint8_t* data,
                                std::size_t bytes) {
  const std::size_t to = offset(address, bytes);
  std::memcpy(bytes_.get() + to, data, bytes);
  if (track_) {
    for (std::size_t i = to; i < to + bytes; ++i) {
      if (writer_[i] != kNobody) {
        fail(
            "a bulk copy lands at shared %#zx, which thread %u wrote before without a "
            "fence.proxy.async since",
            i + kFirstAddress, unsigned{writer_[i]});
      }
    }
    std::memcpy(attributed_.data() + to, data, bytes);
    std::memcpy(engine_view_.data() + to, data, bytes);
  }
}

void SharedMemory::engine_poison(std::uint32_t address, std::size_t bytes) {
  const std::vector<std::uint8_t> poison(bytes, kPoison);
  engine_write(address, poison.data(), bytes);
}

void SharedMemory::attribute_writes(unsigned thread) {
  if (!track_) {
    return;
  }
  constexpr std::size_t kBlock = 4096;
  for (std::size_t block = 0; block < size_; block += kBlock) {
    const std::size_t end = std::min(block + kBlock, size_);
    if (std::memcmp(bytes_.get() + block, attributed_.data() + block, end - block) == 0) {
      continue;
    }
    for (std::size_t i = block; i < end; ++i) {
      if (bytes_[i] != attributed_[i]) {
        attributed_[i] = bytes_[i];
        writer_[i] = static_cast<std::uint16_t>(thread);
        unpublished_[thread].push_back(static_cast<std::uint32_t>(i));
      }
    }
  }
}

void SharedMemory::publish_writes(unsigned thread) {
  if (!track_) {
    return;
  }
  for (const std::uint32_t i : unpublished_[thread]) {
    if (writer_[i] == thread) {
      engine_view_[i] = bytes_[i];
      writer_[i] = kNobody;
    }
  }
  unpublished_[thread].clear();
}

}  // namespace ridge::emulated
