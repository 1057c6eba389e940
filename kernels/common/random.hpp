#pragma once

#include "common/portable.hpp"

#include <cstdint>

/// Counter-based random numbers: element `index` of stream `seed` is a pure function of both, so a
/// device buffer of any size and its host copy agree bit for bit without being transferred.
namespace ridge::kernels {

/// The finaliser of splitmix64 (Steele, Lea, Flood 2014) over a seeded counter.
RIDGE_HOST_DEVICE constexpr std::uint64_t random_bits(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t z = seed * 0xd1342543de82ef95ull + (index + 1) * 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

/// Uniform on [0, 1) with 24 random bits.
RIDGE_HOST_DEVICE constexpr float random_uniform(std::uint64_t seed, std::uint64_t index) {
  return static_cast<float>(random_bits(seed, index) >> 40) * 0x1p-24f;
}

/// Close to a standard normal (the sum of four uniforms: unit variance, support +-3.46). The sum is
/// of integers, so host and device agree to the last bit.
RIDGE_HOST_DEVICE constexpr float random_normal(std::uint64_t seed, std::uint64_t index) {
  const std::uint64_t bits = random_bits(seed, index);
  const auto sum = static_cast<std::int32_t>((bits & 0xffff) + ((bits >> 16) & 0xffff) +
                                             ((bits >> 32) & 0xffff) + (bits >> 48));
  constexpr float kScale = 1.7320508f / 65536.0f;  // Variance of the sum is 4/12 of a full range.
  return static_cast<float>(sum - 131070) * kScale;
}

}  // namespace ridge::kernels
