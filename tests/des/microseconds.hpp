// Times that tests of the event core speak of.
#pragma once

#include "ridge/des/sim_time.hpp"

#include <cstdint>

namespace ridge::des {

[[nodiscard]] inline SimTime us(std::int64_t n) {
  return SimTime::from_microseconds(n);
}

}  // namespace ridge::des
