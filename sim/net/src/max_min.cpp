#include "ridge/net/max_min.hpp"

#include "ridge/base/error.hpp"

#include <algorithm>
#include <bit>

namespace ridge::net {
namespace {
constexpr double kRising = -1.0;
}

void SharingProblem::clear() {
  capacity.clear();
  first_use.assign(1, 0);
  uses.clear();
}

void MaxMin::index_flows_by_link(const SharingProblem& problem) {
  const std::size_t links = problem.capacity.size();
  loads_.resize(links);
  for (std::size_t link = 0; link < links; ++link) loads_[link] = {problem.capacity[link], 0};
  first_flow_.assign(links + 1, 0);
  for (const auto& use : problem.uses) {
    loads_[use.link].rising += use.weight;
    ++first_flow_[use.link + 1];
  }
  for (std::size_t link = 0; link < links; ++link) first_flow_[link + 1] += first_flow_[link];
  flows_.resize(problem.uses.size());
  for (std::size_t flow = problem.flows(); flow-- > 0;) {
    for (std::uint32_t u = problem.first_use[flow]; u < problem.first_use[flow + 1]; ++u) {
      flows_[--first_flow_[problem.uses[u].link + 1]] = static_cast<std::uint32_t>(flow);
    }
  }
  // Filling each bucket from its end has moved every boundary to the start of its bucket.
  first_flow_.erase(first_flow_.begin());
  first_flow_.push_back(static_cast<std::uint32_t>(flows_.size()));
}

void MaxMin::push(std::uint32_t link, double share) {
  // Positive doubles order like their bits. The link breaks ties, for a deterministic order.
  next_to_fill_.push(
      static_cast<des::Int128>(std::bit_cast<std::uint64_t>(share)) * des::kTwoTo64 + link, link);
}

std::span<const double> MaxMin::solve(const SharingProblem& problem) {
  index_flows_by_link(problem);
  rates_.assign(problem.flows(), kRising);
  next_to_fill_.clear();
  for (std::uint32_t link = 0; link < loads_.size(); ++link) {
    if (loads_[link].rising > 0) {
      push(link, loads_[link].left / static_cast<double>(loads_[link].rising));
    }
  }

  double level = 0.0;
  std::size_t rising = problem.flows();
  while (rising > 0) {
    RIDGE_INVARIANT(!next_to_fill_.empty(), "every flow uses a link");
    const auto [key, link] = next_to_fill_.pop();
    const Load& load = loads_[link];
    if (load.rising == 0) continue;
    const double queued = std::bit_cast<double>(static_cast<std::uint64_t>(key >> 64));
    const double share = load.left / static_cast<double>(load.rising);
    if (share > queued) {
      // Flows that stopped elsewhere have left this link more than it had when it was queued.
      push(link, share);
      continue;
    }
    // The level never falls, but for rounding.
    level = std::max(level, share);
    for (std::uint32_t i = first_flow_[link]; i < first_flow_[link + 1]; ++i) {
      const std::uint32_t flow = flows_[i];
      if (rates_[flow] != kRising) continue;
      rates_[flow] = level;
      --rising;
      for (std::uint32_t u = problem.first_use[flow]; u < problem.first_use[flow + 1]; ++u) {
        const auto& use = problem.uses[u];
        loads_[use.link].left -= level * use.weight;
        loads_[use.link].rising -= use.weight;
      }
    }
  }
  return rates_;
}

}  // namespace ridge::net
