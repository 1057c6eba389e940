// Streams of randomness, so that one consumer's draws do not move another's.
#pragma once

#include <cstdint>

namespace ridge::decode {

enum RandomStream : std::uint64_t {
  kArrivals = 1,
  kLengths = 2,
  kDrafting = 3,
  kNetwork = 4,
  kFirstServer = 16,
  kExpertChoices = 1ULL << 32U,
};

}  // namespace ridge::decode
