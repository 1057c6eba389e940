#include "ridge/des/four_ary_heap.hpp"

#include <cstdint>
#include <map>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace ridge::des {
namespace {

RC_GTEST_PROP(FourAryHeap, ComesOutInKeyOrderWhateverWentInAndWhen, ()) {
  // Few distinct keys collide in their upper halves; the lower half makes them distinct.
  FourAryHeap<std::uint32_t> heap;
  std::map<Int128, std::uint32_t> reference;
  const auto moves = *rc::gen::container<std::vector<int>>(rc::gen::inRange(-6, 10));
  std::uint32_t serial = 0;
  for (const int move : moves) {
    if (move < 0) {
      if (reference.empty()) continue;
      const auto entry = heap.pop();
      RC_ASSERT(entry.key == reference.begin()->first);
      RC_ASSERT(entry.payload == reference.begin()->second);
      reference.erase(reference.begin());
    } else {
      const Int128 key = (static_cast<Int128>(move - 4) << 64) + (serial * 2654435761U);
      heap.push(key, serial);
      reference.emplace(key, serial);
      ++serial;
    }
    RC_ASSERT(heap.size() == reference.size());
    if (!reference.empty()) RC_ASSERT(heap.top().payload == reference.begin()->second);
  }
}

TEST(FourAryHeap, DrainsInOrderAtEverySizeOfTheLastGroup) {
  for (int size = 0; size < 100; ++size) {
    FourAryHeap<int> heap;
    for (int i = 0; i < size; ++i) heap.push((i * 37) % 101, i);
    Int128 previous = -1;
    for (int i = 0; i < size; ++i) {
      const auto entry = heap.pop();
      EXPECT_GT(entry.key, previous);
      previous = entry.key;
    }
    EXPECT_TRUE(heap.empty());
  }
}

TEST(FourAryHeap, IsEmptyAndUsableAfterClear) {
  FourAryHeap<int> heap;
  for (int i = 0; i < 9; ++i) heap.push(i, i);
  heap.clear();
  EXPECT_TRUE(heap.empty());
  heap.push(20, 20);
  heap.push(10, 10);
  EXPECT_EQ(heap.pop().payload, 10);
  EXPECT_EQ(heap.pop().payload, 20);
}

}  // namespace
}  // namespace ridge::des
