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

}  // namespace ridge::decode
