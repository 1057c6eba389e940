#include "ridge/decode/deployment.hpp"

namespace ridge::decode {

std::optional<UsdPerSecond> Deployment::price() const {
  UsdPerSecond total;
  for (const Pool& pool : pools) {
    if (!pool.price_per_gpu) return std::nullopt;
    total += static_cast<double>(replicas * pool.gpus()) * *pool.price_per_gpu;
  }
  return total;
}

}  // namespace ridge::decode
