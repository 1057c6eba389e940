#include "copy_engine.hpp"

#include "device_memory.hpp"
#include "error.hpp"
#include "swizzle.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ridge::emulated {
namespace {

/// The L2 policies that createpolicy.fractional makes for a whole stream of accesses.
constexpr std::uint64_t kPolicies[] = {0x1000000000000000ull, 0x12f0000000000000ull,
                                       0x14f0000000000000ull};

}  // namespace

void CopyEngine::issue(Copy copy, std::uint64_t policy) {
  if (std::find(std::begin(kPolicies), std::end(kPolicies), policy) == std::end(kPolicies)) {
    fail("a bulk copy with the unknown L2 policy %#llx", static_cast<unsigned long long>(policy));
  }
  copy.phase = begin(copy.destination, copy.bytes, copy.barrier);
  under_way_.push_back(copy);
}

/// Poisons where something is on its way to; returns the barrier's phase, which it must land in.
std::uint32_t CopyEngine::begin(std::uint32_t destination, std::uint32_t bytes,
                                std::uint32_t barrier) {
  if (!std::exchange(used_, true)) {
    scheduler_.add(*this);
  }
  const std::uint32_t phase = barriers_.phase_for_copies(barrier);
  shared_.engine_poison(destination, bytes);
  return phase;
}

void CopyEngine::store(std::uint32_t destination, const void* data, std::uint32_t barrier) {
  Store store{destination, barrier, 0, {}};
  if (destination % store.data.size() != 0) {
    fail("st.async of 16 bytes to shared %#x: their alignment expected", destination);
  }
  barriers_.expect_cluster_waits(barrier);
  store.phase = begin(destination, static_cast<std::uint32_t>(store.data.size()), barrier);
  std::memcpy(store.data.data(), data, store.data.size());
  stores_under_way_.push_back(store);
}

void CopyEngine::load_bytes(std::uint32_t destination, const void* source, std::uint32_t bytes,
                            std::uint32_t barrier, std::uint64_t policy) {
  if (destination % 16 != 0 || reinterpret_cast<std::uintptr_t>(source) % 16 != 0 ||
      bytes % 16 != 0 || bytes == 0) {
    fail("cp.async.bulk of %u bytes from %p to shared %#x: multiples of 16 expected", bytes, source,
         destination);
  }
  if (!device_memory().contains(source, bytes)) {
    fail("cp.async.bulk of %u bytes from %p leaves its allocation", bytes, source);
  }
  issue({destination, bytes, barrier, 0, static_cast<const std::uint8_t*>(source)}, policy);
}

void CopyEngine::load_box(std::uint32_t destination, const CUtensorMap* map, std::uint32_t barrier,
                          const std::vector<std::int32_t>& at, std::uint64_t policy) {
  Copy copy{destination, 0, barrier};
  copy.map = read_tensor_map(map);
  copy.bytes = copy.map.box_bytes();
  if (copy.map.rank != at.size()) {
    fail("a tensor copy of %zu dimensions through a map of %u", at.size(), unsigned{copy.map.rank});
  }
  if (destination % kSwizzleSpan != 0) {
    fail("a tensor copy to shared %#x: 128-byte alignment expected", destination);
  }
  std::copy(at.begin(), at.end(), copy.at);
  issue(copy, policy);
}

void CopyEngine::step(Chance& chance) {
  const std::size_t chosen = chance.below(under_way_.size() + stores_under_way_.size());
  if (chosen >= under_way_.size()) {
    std::swap(stores_under_way_[chosen - under_way_.size()], stores_under_way_.back());
    const Store store = stores_under_way_.back();
    stores_under_way_.pop_back();
    shared_.engine_write(store.destination, store.data.data(), store.data.size());
    barriers_.complete(store.barrier, static_cast<std::uint32_t>(store.data.size()), store.phase);
    return;
  }
  std::swap(under_way_[chosen], under_way_.back());
  const Copy copy = under_way_.back();
  under_way_.pop_back();
  if (copy.source != nullptr) {
    shared_.engine_write(copy.destination, copy.source, copy.bytes);
  } else {
    land_box(copy);
  }
  barriers_.complete(copy.barrier, copy.bytes, copy.phase);
}

/// The box's elements one after another, innermost dimension first, from `destination` on, every
/// 16-byte piece where the swizzle, if there is one, puts it. Elements outside the tensor are
/// zeros.
void CopyEngine::land_box(const Copy& copy) {
  constexpr std::uint32_t kPiece = 16;
  const TensorMap& map = copy.map;
  const std::uint32_t row_bytes = std::uint32_t{map.box[0]} * map.element_bytes;
  std::int64_t row[TensorMap::kMostDimensions] = {};  // Within the box, dimensions above 0.
  for (std::uint32_t packed = 0; packed < copy.bytes; packed += row_bytes) {
    bool inside = true;
    std::int64_t offset = 0;
    for (int i = 1; i < map.rank; ++i) {
      const std::int64_t index = copy.at[i] + row[i];
      inside = inside && index >= 0 && index < static_cast<std::int64_t>(map.sizes[i]);
      offset += index * static_cast<std::int64_t>(map.strides[i - 1]);
    }
    for (std::uint32_t byte = 0; byte < row_bytes; byte += kPiece) {
      std::uint8_t piece[kPiece] = {};
      for (std::uint32_t e = 0; e < kPiece / map.element_bytes; ++e) {
        const std::int64_t x = copy.at[0] + byte / map.element_bytes + e;
        if (inside && x >= 0 && x < static_cast<std::int64_t>(map.sizes[0])) {
          std::memcpy(piece + e * map.element_bytes, map.address + offset + x * map.element_bytes,
                      map.element_bytes);
        }
      }
      const std::uint32_t to = copy.destination + packed + byte;
      shared_.engine_write(map.swizzles ? swizzled(to) : to, piece, kPiece);
    }
    for (int i = 1; i < map.rank && ++row[i] == map.box[i]; ++i) {
      row[i] = 0;
    }
  }
}

}  // namespace ridge::emulated
