#include "warp.hpp"

#include "error.hpp"

#include <algorithm>
#include <cstring>

namespace ridge::emulated {
namespace {

bool same(const char* a, const char* b) {
  return a == b || std::strcmp(a, b) == 0;
}

}  // namespace

const WarpExchange::Values& WarpExchange::exchange(unsigned lane, unsigned mask,
                                                   const char* operation,
                                                   std::initializer_list<std::uint64_t> words,
                                                   void (*together)(Values&)) {
  const unsigned self = 1u << lane;
  if ((mask & self) == 0) {
    fail("%s: lane %u is not in its own mask %#x", operation, lane, mask);
  }
  auto meeting = std::find_if(meetings_.begin(), meetings_.end(), [&](const Meeting& m) {
    return (m.mask & mask) != 0 && m.arrived != m.mask;
  });
  if (meeting == meetings_.end()) {
    if (over_.empty()) {
      over_.emplace_back();
    }
    meetings_.splice(meetings_.end(), over_, over_.begin());
    meeting = std::prev(meetings_.end());
    meeting->mask = mask;
    meeting->operation = operation;
    meeting->arrived = 0;
    meeting->left = 0;
  }
  if (meeting->mask != mask || !same(meeting->operation, operation)) {
    fail("lane %u of warp %u executes %s with mask %#x while other lanes execute %s with mask %#x",
         lane, warp_, operation, mask, meeting->operation, meeting->mask);
  }
  auto word = meeting->values.begin();
  for (const std::uint64_t value : words) {
    (*word++)[lane] = value;
  }
  meeting->arrived |= self;
  if (meeting->arrived != mask) {
    scheduler_.suspend({"the other lanes of warp %u (mask %#x)", warp_, mask});
  } else {
    if (together != nullptr) {
      together(meeting->values);
    }
    for (unsigned other = 0; other < 32; ++other) {
      if ((mask >> other & 1u) != 0 && other != lane) {
        scheduler_.wake(warp_ * 32 + other);
      }
    }
  }
  meeting->left |= self;
  if (meeting->left == mask) {
    over_.splice(over_.begin(), meetings_, meeting);
  }
  return meeting->values;
}

}  // namespace ridge::emulated
