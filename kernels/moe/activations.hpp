#pragma once

#include "common/numeric.hpp"
#include "common/portable.hpp"
#include "common/random.hpp"

#include <cstdint>

namespace ridge::kernels::moe {

/// Of the tokens that are checked and of those that are timed.
inline constexpr std::uint64_t kTokenSeed = 12;

/// Token activations as a norm leaves them, [tokens][hidden] BF16: near a standard normal, with one
/// channel in 64 eight times larger, so that scale blocks differ.
RIDGE_HOST_DEVICE constexpr Bf16 random_activation(std::uint64_t seed, std::uint64_t index,
                                                   int hidden) {
  const std::uint64_t channel = index % static_cast<std::uint64_t>(hidden);
  const float outlier = random_bits(seed, ~channel) % 64 == 0 ? 8.0f : 1.0f;
  return to_bf16(random_normal(seed, index) * outlier);
}

}  // namespace ridge::kernels::moe
