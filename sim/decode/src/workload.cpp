#include "ridge/decode/workload.hpp"

#include <algorithm>
#include <cmath>

namespace ridge::decode {

std::int64_t LengthDistribution::sample(Random& random) const {
  switch (kind) {
    case Kind::fixed:
      return static_cast<std::int64_t>(tokens);
    case Kind::uniform:
      return static_cast<std::int64_t>(min) +
             static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(max - min) + 1));
    case Kind::lognormal:
      break;
  }
  return static_cast<std::int64_t>(
      std::clamp(std::round(tokens * random.lognormal(sigma)), min, max));
}

double LengthDistribution::mean() const {
  switch (kind) {
    case Kind::fixed:
      return std::floor(tokens);
    case Kind::uniform:
      return 0.5 * (std::floor(min) + std::floor(max));
    case Kind::lognormal:
      break;
  }
  if (sigma == 0.0) return std::clamp(tokens, min, max);
  // What lies beyond the bounds counts as they do.
  const auto below = [](double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); };
  const double least = std::log(min / tokens) / sigma;
  const double most = std::log(max / tokens) / sigma;
  return min * below(least) + max * below(-most) +
         tokens * std::exp(0.5 * sigma * sigma) * (below(most - sigma) - below(least - sigma));
}

}  // namespace ridge::decode
