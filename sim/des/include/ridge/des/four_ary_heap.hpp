// The priority queue behind the event queue and the waiting lines of resources.
#pragma once

#include "ridge/des/int128.hpp"

#include <cstddef>
#include <new>
#include <type_traits>
#include <vector>

namespace ridge::des {

// A min-heap of trivially copyable payloads under 128-bit keys, four children to a node.
//
// Half as deep as a binary heap, and the four children of a node start on a cache line. Which
// child is smallest is computed, not branched on: the outcome is a coin toss that no branch
// predictor learns. Keys that tie come out in no particular order; callers put a sequence
// number into the key. Keys must be below the largest Int128, which marks unused slots.
template <class Payload>
class FourAryHeap {
  static_assert(std::is_trivially_copyable_v<Payload>, "payloads are moved by plain copy");

 public:
  struct Entry {
    Int128 key = kUnused;
    Payload payload{};
  };

  [[nodiscard]] bool empty() const { return end_ == kRoot; }
  [[nodiscard]] std::size_t size() const { return end_ - kRoot; }
  // The entry with the smallest key. The heap must not be empty.
  [[nodiscard]] const Entry& top() const { return slots_[kRoot]; }

  void reserve(std::size_t entries) {
    const std::size_t slots = (kRoot + entries + 3) / 4 * 4;
    if (slots > slots_.size()) slots_.resize(slots);
  }

  void clear() {
    slots_.assign(slots_.size(), Entry{});
    end_ = kRoot;
  }

  // Allocates only when the heap grows beyond its largest size so far.
  void push(Int128 key, const Payload& payload) {
    if (end_ >= slots_.size()) reserve(2 * size() + 5);
    sift_up(end_++, key, payload);
  }

  // Removes and returns the entry with the smallest key. The heap must not be empty.
  Entry pop() {
    Entry* const slots = slots_.data();
    const Entry smallest = slots[kRoot];
    const Entry last = slots[--end_];
    slots[end_].key = kUnused;
    if (end_ == kRoot) return smallest;

    // The last entry almost always belongs back at the bottom. Sinking the hole all the way and
    // then lifting that entry saves a comparison, and a branch, on each level.
    std::size_t hole = kRoot;
    for (std::size_t child = first_child(hole); child < end_; child = first_child(hole)) {
      prefetch_children_of_four(slots, child);
      const std::size_t smallest_child = smallest_of_four(slots, child);
      slots[hole] = slots[smallest_child];
      hole = smallest_child;
    }
    sift_up(hole, last.key, last.payload);
    return smallest;
  }

 private:
  static constexpr Int128 kUnused = kLargestInt128;
  // The root sits in slot 3, so that every group of four siblings starts at a multiple of 4.
  static constexpr std::size_t kRoot = 3;
  static constexpr std::size_t first_child(std::size_t slot) { return 4 * (slot - 2); }
  static constexpr std::size_t parent(std::size_t slot) { return slot / 4 + 2; }

  template <class T>
  struct CacheLineAllocator {
    using value_type = T;
    CacheLineAllocator() = default;
    template <class U>
    CacheLineAllocator(const CacheLineAllocator<U>&) {}
    T* allocate(std::size_t n) {
      return static_cast<T*>(::operator new (n * sizeof(T), std::align_val_t{64}));
    }
    void deallocate(T* p, std::size_t) { ::operator delete (p, std::align_val_t{64}); }
    friend bool operator==(const CacheLineAllocator&, const CacheLineAllocator&) { return true; }
  };

  // Unused slots hold the largest key, so that a last group of fewer than four needs no care.
  static std::size_t smallest_of_four(const Entry* slots, std::size_t first) {
    const std::size_t left =
        first + static_cast<std::size_t>(slots[first + 1].key < slots[first].key);
    const std::size_t right =
        first + 2 + static_cast<std::size_t>(slots[first + 3].key < slots[first + 2].key);
    const std::size_t right_wins = 0 - static_cast<std::size_t>(slots[right].key < slots[left].key);
    return left ^ ((left ^ right) & right_wins);
  }

  // Beyond 100,000 entries the next level is not in the cache, and which group of it is wanted is
  // known only after the comparisons: fetch all four meanwhile. Worth a third at 1,000,000.
  static void prefetch_children_of_four(const Entry* slots, std::size_t first) {
    const Entry* const next = slots + first_child(first);
    for (std::size_t sibling = 0; sibling < 4; ++sibling) __builtin_prefetch(next + 4 * sibling);
  }

  void sift_up(std::size_t slot, Int128 key, const Payload& payload) {
    Entry* const slots = slots_.data();
    while (slot != kRoot && key < slots[parent(slot)].key) {
      slots[slot] = slots[parent(slot)];
      slot = parent(slot);
    }
    slots[slot].key = key;
    slots[slot].payload = payload;
  }

  std::vector<Entry, CacheLineAllocator<Entry>> slots_;
  std::size_t end_ = kRoot;
};

}  // namespace ridge::des
