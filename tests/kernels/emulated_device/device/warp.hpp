#pragma once

#include "scheduler.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <list>

namespace ridge::emulated {

/// What a warp does together: shuffles, votes, reductions, __syncwarp. Lanes may come at any time;
/// they go on when all lanes of the mask have come, with the values that all of them brought.
class WarpExchange {
 public:
  using Values = std::array<std::uint64_t, 32>;

  WarpExchange(Scheduler& scheduler, unsigned warp) : scheduler_(scheduler), warp_(warp) {}

  /// `operation` names what this lane executes: the lanes of a mask must agree.
  Values exchange(unsigned lane, unsigned mask, const char* operation, std::uint64_t value);

 private:
  struct Meeting {
    unsigned mask;
    const char* operation;
    unsigned arrived = 0;
    unsigned left = 0;
    Values values{};
  };
  Scheduler& scheduler_;
  unsigned warp_;
  std::list<Meeting> meetings_;
};

}  // namespace ridge::emulated
