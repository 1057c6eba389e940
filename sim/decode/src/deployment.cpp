#include "ridge/decode/deployment.hpp"

#include "ridge/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ridge::decode {

std::string_view name_of(MessagePath path) {
  return path == MessagePath::nics ? "NICs" : "scale-up links";
}

hw::ChipSpec Pool::whole_chip() const {
  const hw::ChipSpec& chip = kernels->chip();
  if (communication_units == 0) return chip;
  return hw::with_compute_units(chip, *chip.compute_units.value + communication_units);
}

Seconds AllReduceWay::time(Bytes buffer) const {
  constexpr double kFirst = 64.0;
  const double step = std::max(0.0, std::log2(std::max(kFirst, buffer.value()) / kFirst));
  const auto below = static_cast<std::size_t>(step);
  const double between = step - static_cast<double>(below);
  if (!measured.empty()) {
    if (below + 1 >= measured.size()) {
      return measured.back() * std::exp2(step - static_cast<double>(measured.size() - 1));
    }
    // Along a straight line in the logarithms of both.
    return measured[below] * std::pow(measured[below + 1] / measured[below], between);
  }
  const auto share_at = [&](std::size_t i) { return i < ramp.size() ? ramp[i] : 1.0; };
  const double share = std::lerp(share_at(below), share_at(below + 1), between);
  return overhead + buffer / (share * bandwidth);
}

double mean_of_the_last(std::int64_t gpus) {
  if (gpus <= 1) return 0.0;
  // The integral of x over the density of the largest, n phi(x) Phi(x)^(n-1): by steps so small
  // that the sum is exact to 12 digits.
  constexpr double kStep = 1.0 / 64.0;
  constexpr double kFar = 10.0;
  const auto n = static_cast<double>(gpus);
  double sum = 0.0;
  for (double x = -kFar; x <= kFar; x += kStep) {
    const double density = std::exp(-0.5 * x * x) / std::sqrt(2.0 * std::numbers::pi);
    const double below = 0.5 * std::erfc(-x / std::numbers::sqrt2);
    sum += x * n * density * std::pow(below, n - 1.0) * kStep;
  }
  return sum;
}

Seconds Deployment::waiting_for_hosts() const {
  const Pool& with_requests = pool(Role::attention);
  const std::int64_t meet = one_pool() ? with_requests.gpus_per_instance : with_requests.gpus();
  return step_overhead + execution.host_stagger.value_or(Seconds{}) * mean_of_the_last(meet);
}

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

double output_width(const Deployment& d, std::size_t attention_block) {
  const models::AttentionKind& kind = d.model.attentions[attention_block].kind;
  if (std::holds_alternative<models::NoAttention>(kind)) return 0.0;
  models::OperatorList operators;
  models::attention_operators(d.model.attentions[attention_block], d.model.precisions,
                              d.model.hidden, {.sequences = 1.0, .context = 1.0},
                              {.tensor_parallel = d.attention_tensor_parallel},
                              models::MlaCount::absorbed, operators);
  for (const models::Operator& op : operators) {
    if (op.purpose != models::Purpose::output_projection) continue;
    return static_cast<double>(std::get<models::Gemm>(op.shape).k);
  }
  throw InvariantError("an attention block has no output projection");
}

}  // namespace ridge::decode
