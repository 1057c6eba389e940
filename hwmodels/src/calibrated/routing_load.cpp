#include "routing_load.hpp"

#include "ridge/base/random.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <utility>
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

// The first expert of the rank with the most rows.
std::size_t busiest(const Loads& load, std::size_t held) {
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
  return best;
}

// How many tokens chose an expert of [first, first + held), as aiconfigurator's collector deals
// experts out (_assign_experts_from_counts): the busiest expert to the first so many tokens, the
// next to those after them, and from the last token on to the first again.
double tokens_choosing(const Loads& load, std::size_t first, std::size_t held, double tokens) {
  std::vector<std::size_t> order(load.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return load[a] > load[b]; });
  std::vector<std::pair<double, double>> chosen_by;  // tokens from, to
  double dealt = 0.0;
  for (const std::size_t expert : order) {
    const double from = std::fmod(dealt, tokens);
    const double to = from + load[expert];
    dealt += load[expert];
    if (expert < first || expert >= first + held) continue;
    chosen_by.emplace_back(from, std::min(to, tokens));
    if (to > tokens) chosen_by.emplace_back(0.0, to - tokens);
  }
  std::sort(chosen_by.begin(), chosen_by.end());
  double count = 0.0;
  double counted_to = 0.0;
  for (const auto& [from, to] : chosen_by) {
    count += std::max(0.0, to - std::max(from, counted_to));
    counted_to = std::max(counted_to, to);
  }
  return count;
}

BusiestRank balanced_load(double tokens, double top_k, std::size_t experts, std::size_t held,
                          bool folded) {
  const double rows = tokens * top_k;
  const double ranks = static_cast<double>(experts) / static_cast<double>(held);
  const double each = std::floor(rows / static_cast<double>(experts));
  const double left = rows - each * static_cast<double>(experts);
  const double here = std::min(std::ceil(left / ranks), static_cast<double>(held));
  BusiestRank result;
  result.tokens = tokens;
  result.rows = each * static_cast<double>(held) + here;
  result.active_experts = each > 0.0 ? static_cast<double>(held) : here;
  if (!folded) return result;
  // A token's choices stand as far apart as they can.
  const double own = result.rows;
  result.tokens = std::min(tokens, own);
  result.rows = result.tokens * top_k;
  LoadProfile& profile = result.profile;
  profile.classes = static_cast<std::uint8_t>(
      std::min(static_cast<double>(LoadProfile::kClasses), std::floor(result.active_experts)));
  for (std::uint8_t c = 0; c < profile.classes; ++c) {
    const double fell_to_first = c + 1 == profile.classes ? result.rows - own : 0.0;
    profile.load[c] = static_cast<float>((own + profile.classes * fell_to_first) / result.rows);
  }
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
                         const ExpertChoice& routing, bool folded) {
  const auto count = static_cast<std::size_t>(experts);
  const std::size_t held =
      std::max<std::size_t>(1, count / static_cast<std::size_t>(expert_parallel));
  const double rows = tokens * top_k;
  const bool falls = folded && held < count;
  if (routing.kind == ExpertChoice::Kind::balanced) {
    return balanced_load(tokens, top_k, count, held, falls);
  }

  constexpr std::uint64_t kDraws = 6;
  std::vector<Loads> active(kDraws);
  BusiestRank mean;
  for (std::uint64_t draw = 0; draw < kDraws; ++draw) {
    Random random(draw);
    const Loads all = routing.kind == ExpertChoice::Kind::uniform
                          ? uniform_loads(rows, count, random)
                          : power_law_loads(tokens, rows, count, routing.exponent, random);
    const std::size_t first = busiest(all, held);
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(first);
    Loads here(begin, begin + static_cast<std::ptrdiff_t>(held));
    double handed = tokens;
    if (falls) {
      handed = tokens_choosing(all, first, held, tokens);
      here.front() += handed * top_k - std::accumulate(here.begin(), here.end(), 0.0);
    }
    mean.tokens += handed;
    for (const double x : here) {
      if (x > 0.0) active[draw].push_back(x);
      mean.rows += x / static_cast<double>(kDraws);
    }
    std::sort(active[draw].begin(), active[draw].end());
    mean.active_experts += static_cast<double>(active[draw].size()) / static_cast<double>(kDraws);
  }
  mean.tokens /= static_cast<double>(kDraws);
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
