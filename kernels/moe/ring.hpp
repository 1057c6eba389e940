#pragma once

#include "common/portable.hpp"

#include <cstdint>

namespace ridge::kernels::moe {

/// Position in a ring of `kStages` shared-memory stages, each guarded by two mbarriers: `full`
/// (the copies have landed) and `empty` (its readers are done). The producer and every consumer
/// carry one of their own and advance it once per stage used, across tiles.
template <int kStages>
struct Ring {
  int stage = 0;
  std::uint32_t round = 0;  ///< Parity of the number of times round the ring.

  RIDGE_HOST_DEVICE constexpr void advance() {
    if (++stage == kStages) {
      stage = 0;
      round ^= 1u;
    }
  }

  /// Parity with which a consumer waits for `full`.
  [[nodiscard]] RIDGE_HOST_DEVICE constexpr std::uint32_t full_parity() const { return round; }
  /// Parity with which the producer waits for `empty`: a fresh barrier counts as having completed
  /// the phase before its first, so that the first round does not wait.
  [[nodiscard]] RIDGE_HOST_DEVICE constexpr std::uint32_t empty_parity() const {
    return round ^ 1u;
  }
};

}  // namespace ridge::kernels::moe
