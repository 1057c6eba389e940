#pragma once

#include "scheduler.hpp"

#include <array>
#include <cstdint>
#include <initializer_list>
#include <list>

namespace ridge::emulated {

/// What a warp does together: shuffles, votes, reductions, __syncwarp, mma.sync. Lanes may come at
/// any time; they go on when all lanes of the mask have come, with the values that all of them
/// brought.
class WarpExchange {
 public:
  /// What every lane brings, a word of all lanes after the other. Nobody writes those of the lanes
  /// that are not in the mask.
  using Values = std::array<std::array<std::uint64_t, 32>, 3>;

  WarpExchange(Scheduler& scheduler, unsigned warp) : scheduler_(scheduler), warp_(warp) {}

  /// `operation` names what this lane executes: the lanes of a mask must agree. `together`, if
  /// there is one, makes of all that was brought what all go on with. The answer holds until the
  /// lane waits again.
  const Values& exchange(unsigned lane, unsigned mask, const char* operation,
                         std::initializer_list<std::uint64_t> words,
                         void (*together)(Values&) = nullptr);

 private:
  struct Meeting {
    unsigned mask = 0;
    const char* operation = nullptr;
    unsigned arrived = 0;
    unsigned left = 0;
    Values values;
  };
  Scheduler& scheduler_;
  unsigned warp_;
  std::list<Meeting> meetings_;
  std::list<Meeting> over_;  ///< To be used again.
};

}  // namespace ridge::emulated
