#include "routing_load.hpp"

#include "ridge/base/random.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <vector>

namespace ridge::hw::calibrated {

namespace {

using Loads = std::vector<double>;  // rows of each expert

// Tokens choose among experts so that the popularity of an expert is a draw from a power law, as
// aiconfigurator's collector generates it: between 1 and 0.8 x tokens where rows outnumber experts,
// between 0.01 and 2 else.
Loads power_law_loads(double tokens, double rows, std::size_t experts, double exponent,
                      Random& random) {
  const double low = rows > static_cast<double>(experts) ? 1.0 : 0.01;
  const double high = rows > static_cast<double>(experts) ? 0.8 * tokens : 2.0;
  const double power = 1.0 - exponent;
  Loads load(experts);
  for (double& x : load) {
    const double u = random.uniform();
    x = std::pow((std::pow(high, power) - std::pow(low, power)) * u + std::pow(low, power),
                 1.0 / power);
  }
  const double scale = rows / std::accumulate(load.begin(), load.end(), 0.0);
  double placed = 0.0;
  for (double& x : load) {
    x = std::round(std::min(x * scale, tokens));
    placed += x;
  }
  // Rounding leaves a few rows over or short; the busiest experts take or give them.
  std::sort(load.begin(), load.end(), std::greater<>());
  for (std::size_t i = 0; placed < rows; i = (i + 1) % experts, placed += 1.0) load[i] += 1.0;
  for (std::size_t i = 0; placed > rows; i = (i + 1) % experts) {
    if (load[i] > 0.0) {
      load[i] -= 1.0;
      placed -= 1.0;
    }
  }
  for (std::size_t i = experts; i > 1; --i) std::swap(load[i - 1], load[random.below(i)]);
  return load;
}

Loads uniform_loads(double rows, std::size_t experts, Random& random) {
  Loads load(experts);
  for (double placed = 0.0; placed < rows; placed += 1.0) load[random.below(experts)] += 1.0;
  return load;
}

// The experts of the rank with the most rows.
Loads busiest(const Loads& load, std::size_t held) {
  std::size_t best = 0;
  double most = -1.0;
  for (std::size_t first = 0; first + held <= load.size(); first += held) {
    const auto begin = load.begin() + static_cast<std::ptrdiff_t>(first);
    const double sum = std::accumulate(begin, begin + static_cast<std::ptrdiff_t>(held), 0.0);
    if (sum > most) {
      most = sum;
      best = first;
    }
  }
  const auto begin = load.begin() + static_cast<std::ptrdiff_t>(best);
  return {begin, begin + static_cast<std::ptrdiff_t>(held)};
}

BusiestRank balanced_load(double rows, std::size_t experts, std::size_t held) {
  const double ranks = static_cast<double>(experts) / static_cast<double>(held);
  const double each = std::floor(rows / static_cast<double>(experts));
  const double left = rows - each * static_cast<double>(experts);
  const double here = std::min(std::ceil(left / ranks), static_cast<double>(held));
  BusiestRank result;
  result.rows = each * static_cast<double>(held) + here;
  result.active_experts = each > 0.0 ? static_cast<double>(held) : here;
  return result;
}

}  // namespace

std::optional<ExpertChoice> expert_choice_of(std::string_view name) {
  if (name == "balanced") return ExpertChoice{.kind = ExpertChoice::Kind::balanced};
  if (name == "uniform") return ExpertChoice{.kind = ExpertChoice::Kind::uniform};
  constexpr std::string_view kPrefix = "power_law_";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  ExpertChoice routing{.kind = ExpertChoice::Kind::power_law};
  const std::string_view digits = name.substr(kPrefix.size());
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), routing.exponent);
  if (error != std::errc{} || end != digits.data() + digits.size() || routing.exponent <= 0.0 ||
      routing.exponent == 1.0) {
    return std::nullopt;
  }
  return routing;
}

BusiestRank busiest_rank(double tokens, double top_k, double experts, double expert_parallel,
                         const ExpertChoice& routing) {
  const auto count = static_cast<std::size_t>(experts);
  const std::size_t held =
      std::max<std::size_t>(1, count / static_cast<std::size_t>(expert_parallel));
  const double rows = tokens * top_k;
  if (routing.kind == ExpertChoice::Kind::balanced) return balanced_load(rows, count, held);

  constexpr std::uint64_t kDraws = 6;
  std::vector<Loads> active(kDraws);
  BusiestRank mean;
  for (std::uint64_t draw = 0; draw < kDraws; ++draw) {
    Random random(draw);
    const Loads all = routing.kind == ExpertChoice::Kind::uniform
                          ? uniform_loads(rows, count, random)
                          : power_law_loads(tokens, rows, count, routing.exponent, random);
    for (const double x : busiest(all, held)) {
      if (x > 0.0) active[draw].push_back(x);
      mean.rows += x / static_cast<double>(kDraws);
    }
    std::sort(active[draw].begin(), active[draw].end());
    mean.active_experts += static_cast<double>(active[draw].size()) / static_cast<double>(kDraws);
  }
  mean.rows = std::max(mean.rows, 1.0);
  mean.active_experts = std::max(mean.active_experts, 1.0);

  LoadProfile& profile = mean.profile;
  profile.classes = static_cast<std::uint8_t>(
      std::min(static_cast<double>(LoadProfile::kClasses), std::floor(mean.active_experts)));
  std::array<double, LoadProfile::kClasses> load{};
  double total = 0.0;
  for (const Loads& draw : active) {
    for (std::size_t c = 0; c < profile.classes && !draw.empty(); ++c) {
      // The mean of the c-th share of the sorted loads; a share may hold part of an expert.
      const double width = static_cast<double>(draw.size()) / profile.classes;
      const auto first = static_cast<std::size_t>(static_cast<double>(c) * width);
      const auto last = std::max(
          first + 1, static_cast<std::size_t>(std::lround(static_cast<double>(c + 1) * width)));
      double sum = 0.0;
      const std::size_t end = std::min(last, draw.size());
      for (std::size_t i = first; i < end; ++i) sum += draw[i];
      load[c] += sum / static_cast<double>(std::max<std::size_t>(1, end - first));
    }
  }
  for (std::size_t c = 0; c < profile.classes; ++c) total += load[c];
  for (std::size_t c = 0; c < profile.classes; ++c) {
    profile.load[c] = static_cast<float>(load[c] * profile.classes / total);
  }
  return mean;
}

}  // namespace ridge::hw::calibrated
