// A kind of connection between chips, as a transfer sees it.
#pragma once

#include "ridge/base/quantity.hpp"

#include <string>

namespace ridge::hw {

// Both directions are independent; figures are per direction.
struct LinkSpec {
  BytesPerSecond bandwidth;  // of the wire
  Seconds latency;           // of an empty message, software included
  double efficiency = 1.0;   // of large messages, over the wire's bandwidth
  std::string source;

  [[nodiscard]] Seconds time(Bytes payload) const {
    return latency + payload / (bandwidth * efficiency);
  }
};

}  // namespace ridge::hw
