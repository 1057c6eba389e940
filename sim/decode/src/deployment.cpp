#include "ridge/decode/deployment.hpp"

#include "ridge/base/error.hpp"

namespace ridge::decode {

std::uint32_t Deployment::index_of(Role role) const {
  for (std::uint32_t i = 0; i < pools.size(); ++i) {
    if (pools[i].roles.has(role)) return i;
  }
  throw InvariantError("no pool of a deployment has a role that its strategy needs");
}

std::optional<UsdPerSecond> Deployment::price() const {
  UsdPerSecond total;
  for (const Pool& pool : pools) {
    if (!pool.price_per_gpu) return std::nullopt;
    total += static_cast<double>(replicas * pool.gpus()) * *pool.price_per_gpu;
  }
  return total;
}

}  // namespace ridge::decode
