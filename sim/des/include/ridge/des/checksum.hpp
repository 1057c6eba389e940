// The fingerprint of a run.
#pragma once

#include <bit>
#include <cstdint>

namespace ridge::des {

// A running 64-bit hash of a sequence of words: the fingerprint of a run.
//
// Integer arithmetic only, so that it is the same in every build and on every machine of one
// byte order. It detects accidents; it does not resist an adversary.
class Checksum {
 public:
  constexpr void add(std::uint64_t word) {
    // Folding the high half down before multiplying lets every input bit reach every output
    // bit within two words. Constants: the fractional bits of the golden ratio and of sqrt(3).
    word *= 0x9e3779b97f4a7c15u;
    word ^= word >> 32;
    state_ = (std::rotl(state_, 27) ^ word) * 0xbb67ae8584caa73bu;
  }

  [[nodiscard]] constexpr std::uint64_t value() const {
    std::uint64_t hash = state_;
    hash ^= hash >> 33;
    hash *= 0x9e3779b97f4a7c15u;
    hash ^= hash >> 29;
    return hash;
  }

  friend constexpr bool operator==(const Checksum&, const Checksum&) = default;

 private:
  std::uint64_t state_ = 0x6a09e667f3bcc908u;
};

}  // namespace ridge::des
