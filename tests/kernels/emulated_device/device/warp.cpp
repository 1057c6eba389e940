#include "warp.hpp"

#include "error.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace ridge::emulated {

WarpExchange::Values WarpExchange::exchange(unsigned lane, unsigned mask, const char* operation,
                                            std::uint64_t value) {
  const unsigned self = 1u << lane;
  if ((mask & self) == 0) {
    fail("%s: lane %u is not in its own mask %#x", operation, lane, mask);
  }
  auto meeting = std::find_if(meetings_.begin(), meetings_.end(), [&](const Meeting& m) {
    return (m.mask & mask) != 0 && m.arrived != m.mask;
  });
  if (meeting == meetings_.end()) {
    meetings_.push_back({mask, operation});
    meeting = std::prev(meetings_.end());
  }
  if (meeting->mask != mask || std::strcmp(meeting->operation, operation) != 0) {
    fail("lane %u of warp %u executes %s with mask %#x while other lanes execute %s with mask %#x",
         lane, warp_, operation, mask, meeting->operation, meeting->mask);
  }
  meeting->values[lane] = value;
  meeting->arrived |= self;
  if (meeting->arrived != mask) {
    scheduler_.suspend({"the other lanes of warp %u (mask %#x)", warp_, mask});
  } else {
    for (unsigned other = 0; other < 32; ++other) {
      if ((mask >> other & 1u) != 0 && other != lane) {
        scheduler_.wake(warp_ * 32 + other);
      }
    }
  }
  const Values values = meeting->values;
  meeting->left |= self;
  if (meeting->left == mask) {
    meetings_.erase(meeting);
  }
  return values;
}

}  // namespace ridge::emulated
