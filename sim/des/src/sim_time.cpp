#include "ridge/des/sim_time.hpp"

#include "ridge/base/error.hpp"

#include <fmt/format.h>

namespace ridge::des {

SimTime SimTime::refuse(Seconds duration) {
  throw InvariantError(fmt::format(
      "{} s is not a simulated time: it must be a number of at most 106 days", duration.value()));
}

}  // namespace ridge::des
