#include "ridge/des/engine.hpp"

#include "ridge/base/error.hpp"

#include <fmt/format.h>

namespace ridge::des::detail {

void refuse_event(SimTime time, SimTime now) {
  if (time == SimTime::never()) {
    throw InvariantError("an event at the end of time (106 days): a sum of times overflowed");
  }
  throw InvariantError(fmt::format("an event at {} s, before the present {} s",
                                   time.seconds().value(), now.seconds().value()));
}

}  // namespace ridge::des::detail
