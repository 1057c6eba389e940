#pragma once

namespace ridge::emulated {

/// With RIDGE_EMULATION_REHEARSAL in the environment no kernel runs: launches are checked and
/// counted, memory is there but nobody fills it, and every launch takes 10 microseconds of a clock
/// that nothing else moves. So all of a measurement but the kernels can be gone through at full
/// size: grids, plans, allocations, uploads, graphs, files. Its times mean nothing.
class Rehearsal {
 public:
  static constexpr double kLaunchUs = 10;

  void launch() { capturing_ ? ++captured_ : ++launches_; }
  /// Whether there was no capture under way.
  bool begin_capture();
  /// The number of launches captured.
  int end_capture();
  void replay(int launches) { launches_ += launches; }
  double clock_us() const { return kLaunchUs * static_cast<double>(launches_); }

 private:
  bool capturing_ = false;
  int captured_ = 0;
  long long launches_ = 0;
};

bool rehearsing();
Rehearsal& rehearsal();

}  // namespace ridge::emulated
