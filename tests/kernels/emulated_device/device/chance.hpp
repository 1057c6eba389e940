#pragma once

#include <cstdint>

namespace ridge::emulated {

/// The seeded generator behind every order that real hardware leaves open (splitmix64).
class Chance {
 public:
  explicit Chance(std::uint64_t seed) : state_(seed) {}

  std::uint64_t bits() {
    state_ += 0x9e3779b97f4a7c15ull;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }

  /// Uniform on 0 .. bound - 1.
  std::size_t below(std::size_t bound) {
    return static_cast<std::size_t>((bits() >> 32) * bound >> 32);
  }

  /// True `in_256` times of 256.
  bool likely(unsigned in_256) { return (bits() >> 56) < in_256; }

 private:
  std::uint64_t state_;
};

}  // namespace ridge::emulated
