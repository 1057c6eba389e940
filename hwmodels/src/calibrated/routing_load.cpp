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

// One row more, or less, for one expert of each rank in turn, until `count` have been dealt: more
// for the least loaded of the experts that not every token has chosen, less for the busiest.
void deal(Loads& load, std::size_t held, double count, bool more, double tokens) {
  using Entry = std::pair<double, std::size_t>;  // what comes first, the expert
  std::vector<std::vector<Entry>> heaps(load.size() / held);
  const auto first = std::greater<>();
  for (std::size_t rank = 0; rank < heaps.size(); ++rank) {
    for (std::size_t e = rank * held; e < (rank + 1) * held; ++e) {
      if (more ? load[e] < tokens : load[e] > 0.0) {
        heaps[rank].emplace_back(more ? load[e] : -load[e], e);
      }
    }
    std::make_heap(heaps[rank].begin(), heaps[rank].end(), first);
  }
  bool dealt = true;
  while (count > 0.0 && std::exchange(dealt, false)) {
    for (std::vector<Entry>& heap : heaps) {
      if (heap.empty() || count <= 0.0) continue;
      std::pop_heap(heap.begin(), heap.end(), first);
      auto& [key, expert] = heap.back();
      load[expert] += more ? 1.0 : -1.0;
      key += 1.0;
      count -= 1.0;
      dealt = true;
      const bool full = more ? load[expert] >= tokens : load[expert] <= 0.0;
      if (full) {
        heap.pop_back();
      } else {
        std::push_heap(heap.begin(), heap.end(), first);
      }
    }
  }
}

// Tokens choose among experts so that the popularity of an expert is a draw from a power law, as
// aiconfigurator's collector generates it (_generate_power_law_distribution in collector/helper.py,
// commit 095f58a5): between 1 and 0.8 x tokens where rows outnumber experts, between 0.01 and 2
// else; at most every token, and what is over or short is dealt from rank to rank.
Loads power_law_loads(double tokens, double rows, std::size_t experts, std::size_t held,
                      double exponent, Random& random) {
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
    x = std::min(std::round(x * scale), tokens);
    placed += x;
  }
  if (held * (experts / held) != experts) held = experts;  // no ranks to speak of
  deal(load, held, std::abs(rows - placed), placed < rows, tokens);
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

// What becomes of choices that were drawn without regard to groups, as aiconfigurator's collector
// hands them to a router that knows groups (n_group): experts are dealt to tokens as
// in tokens_choosing(), and all that a token chose weigh alike. So a group is worth how many of its
// experts it chose, at most two; of equal groups and experts the first are taken, as FlashInfer's
// RoutingKernelTopK.cuh does.
Loads in_groups(const Loads& load, std::size_t tokens, std::size_t top_k,
                const ExpertGroups& groups) {
  std::vector<std::size_t> order(load.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return load[a] > load[b]; });
  std::vector<std::size_t> dealt;
  dealt.reserve(tokens * top_k);
  for (const std::size_t expert : order) {
    dealt.insert(dealt.end(), static_cast<std::size_t>(load[expert]), expert);
  }
  const auto count = static_cast<std::size_t>(groups.groups);
  const std::size_t size = load.size() / count;
  Loads result(load.size());
  std::vector<std::size_t> own(count);
  std::vector<std::size_t> best(count);
  std::vector<bool> is_chosen(load.size());
  for (std::size_t token = 0; token < tokens; ++token) {
    std::fill(own.begin(), own.end(), 0);
    for (std::size_t i = token; i < dealt.size(); i += tokens) {
      is_chosen[dealt[i]] = true;
      ++own[dealt[i] / size];
    }
    std::iota(best.begin(), best.end(), std::size_t{0});
    std::stable_sort(best.begin(), best.end(), [&](std::size_t a, std::size_t b) {
      return std::min<std::size_t>(own[a], 2) > std::min<std::size_t>(own[b], 2);
    });
    const auto last = best.begin() + static_cast<std::ptrdiff_t>(groups.chosen);
    std::sort(best.begin(), last);
    std::size_t left = top_k;
    for (std::size_t i = token; i < dealt.size(); i += tokens) {
      if (std::find(best.begin(), last, dealt[i] / size) == last) continue;
      result[dealt[i]] += 1.0;
      --left;
    }
    for (auto group = best.begin(); group != last && left > 0; ++group) {
      for (std::size_t e = *group * size; e < (*group + 1) * size && left > 0; ++e) {
        if (is_chosen[e]) continue;
        result[e] += 1.0;
        --left;
      }
    }
    for (std::size_t i = token; i < dealt.size(); i += tokens) is_chosen[dealt[i]] = false;
  }
  return result;
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
                         const ExpertChoice& routing, bool folded, const ExpertGroups& groups) {
  const auto count = static_cast<std::size_t>(experts);
  const std::size_t held =
      std::max<std::size_t>(1, count / static_cast<std::size_t>(expert_parallel));
  const double rows = tokens * top_k;
  const bool falls = folded && held < count;
  if (routing.kind == ExpertChoice::Kind::balanced) {
    return balanced_load(tokens, top_k, count, held, falls);
  }

  constexpr std::uint64_t kDraws = 24;
  std::vector<Loads> active(kDraws);
  BusiestRank mean;
  for (std::uint64_t draw = 0; draw < kDraws; ++draw) {
    Random random(draw);
    Loads all = routing.kind == ExpertChoice::Kind::uniform
                    ? uniform_loads(rows, count, random)
                    : power_law_loads(tokens, rows, count, held, routing.exponent, random);
    std::size_t first = busiest(all, held);
    if (groups.groups > 1 && routing.kind == ExpertChoice::Kind::power_law) {
      // The collector makes the busiest rank the first, and measures that.
      std::swap_ranges(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(held),
                       all.begin() + static_cast<std::ptrdiff_t>(std::exchange(first, 0)));
      all =
          in_groups(all, static_cast<std::size_t>(tokens), static_cast<std::size_t>(top_k), groups);
    }
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
