#pragma once

namespace ridge::emulated {

/// What the device imitates at a price in time. Off unless a test asks for it.
struct Fidelity {
  /// Ordinary stores to shared memory reach the engines only after a proxy fence.
  bool proxies = false;
  /// The matrix unit sums E4M3 products as Hopper does: aligned to the largest summand of an
  /// instruction and truncated to 14 bits, the leading one included (arXiv 2412.19437, section
  /// 3.5.2).
  bool fp8_sums = false;
};

}  // namespace ridge::emulated
