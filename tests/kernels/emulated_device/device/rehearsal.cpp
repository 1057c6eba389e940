#include "rehearsal.hpp"

#include <cstdlib>

namespace ridge::emulated {

bool Rehearsal::begin_capture() {
  const bool first = !capturing_;
  capturing_ = true;
  captured_ = 0;
  return first;
}

int Rehearsal::end_capture() {
  capturing_ = false;
  return captured_;
}

bool rehearsing() {
  static const bool asked = std::getenv("RIDGE_EMULATION_REHEARSAL") != nullptr;
  return asked;
}

Rehearsal& rehearsal() {
  static auto& instance = *new Rehearsal;  // As device_memory().
  return instance;
}

}  // namespace ridge::emulated
