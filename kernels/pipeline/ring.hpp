#pragma once

#include "common/portable.hpp"

#include <cstdint>

/// The vocabulary of every kernel here that overlaps copies with matrix work: a producer fills the
/// slots of a ring in turn, consumers read them and hand them back. Two barriers guard a slot:
/// `full` (its bytes have landed) and `empty` (its readers are done).
///
/// The same, with one slot, is a mailbox between two groups of consumers: `full` says that the
/// message is written, `empty` that it has been read.
namespace ridge::kernels::pipeline {

/// A use of a slot. A consumer waits on `full` with `full_parity`; the producer waits on `empty`
/// with `empty_parity`, which lets the first use of a slot through: a fresh barrier counts as
/// having completed the phase before its first.
struct RingPosition {
  std::uint32_t slot = 0;
  std::uint32_t full_parity = 0;
  std::uint32_t empty_parity = 1;
};

/// The `use`-th use of a ring whose slots are taken in turn.
RIDGE_HOST_DEVICE constexpr RingPosition ring_position(std::uint32_t use, std::uint32_t slots) {
  const std::uint32_t round = use / slots;
  return {use % slots, round & 1u, (round & 1u) ^ 1u};
}

/// The uses one after another, without a division: producer and consumers each carry one.
template <int kSlots>
class RingCursor {
 public:
  [[nodiscard]] RIDGE_HOST_DEVICE constexpr std::uint32_t slot() const { return at_.slot; }
  [[nodiscard]] RIDGE_HOST_DEVICE constexpr const RingPosition& position() const { return at_; }

  RIDGE_HOST_DEVICE constexpr void advance() {
    if (++at_.slot == kSlots) {
      at_.slot = 0;
      at_.full_parity ^= 1u;
      at_.empty_parity ^= 1u;
    }
  }

 private:
  RingPosition at_;
};

}  // namespace ridge::kernels::pipeline
