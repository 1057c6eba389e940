// Random numbers that are the same on every machine and standard library: xoshiro256++ seeded by
// SplitMix64, with independent streams, and our own distributions.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace ridge {

// The stream of a consumer that has a name and no number.
[[nodiscard]] std::uint64_t stream_of(std::string_view name);

class Random {
 public:
  // Streams of one seed are independent: give each consumer (a GPU's jitter, the arrivals) its own
  // number, and what one draws does not move the others.
  explicit Random(std::uint64_t seed, std::uint64_t stream = 0);

  std::uint64_t next() {
    const std::uint64_t result = rotl(state_[0] + state_[3], 23) + state_[0];
    const std::uint64_t t = state_[1] << 17U;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotl(state_[3], 45);
    return result;
  }
  // In [0, 1), 53 bits.
  double uniform() { return static_cast<double>(next() >> 11U) * 0x1.0p-53; }
  // In [0, bound), unbiased. bound > 0.
  std::uint64_t below(std::uint64_t bound);
  // Mean 1.
  double exponential();
  // Mean 0, variance 1.
  double normal();
  // Median 1, standard deviation `sigma` of the logarithm.
  double lognormal(double sigma);

 private:
  static std::uint64_t rotl(std::uint64_t x, unsigned k) { return (x << k) | (x >> (64U - k)); }

  std::array<std::uint64_t, 4> state_;
};

}  // namespace ridge
