#include "ridge/hwmodels/calibrated/collective.hpp"

#include <cmath>
#include <utility>

namespace ridge::hw::calibrated {

std::span<const ParameterInfo> CollectiveForm::parameters() {
  static constexpr std::array<ParameterInfo, kParameterCount> kInfo = {{
      {"launch_us", "launch and synchronization of two ranks", 0.5, 5.0, 100.0, Role::launch},
      {"hop_us", "each further hop of the algorithm", 1e-3, 1.0, 50.0},
      {"low_latency_GBps", "bandwidth of the protocol for short messages", 1.0, 60.0, 1000.0,
       Role::scale_up_rate},
      {"protocol_us", "what the protocol for long messages costs more to start", 0.1, 8.0, 200.0},
      {"bandwidth_GBps", "bandwidth of long messages, each rank and direction", 1.0, 300.0, 1000.0,
       Role::scale_up_rate},
      {"few_ranks", "slowdown among few ranks, as 1 + few_ranks / (ranks - 1)", 1e-3, 0.3, 3.0},
      {"softness", "how gradually the protocols change over", 1e-3, 0.2, 1.0, Role::overlap},
  }};
  return kInfo;
}

Facts<CollectiveForm::Choice> CollectiveForm::facts(const CurveKey& /*key*/) {
  std::vector<Choice> all;
  for (const bool linear : {false, true}) {
    for (const bool at_a_time : {false, true}) {
      all.push_back({.hops_grow_linearly = linear, .peers_at_a_time = at_a_time});
    }
  }
  return {.choices = std::move(all)};
}

Estimate CollectiveForm::time(const Machine& /*machine*/, const Choice& choice, const Parameters& p,
                              const Shape& s) {
  if (s.ranks <= 1.0) return {};
  const double hops = choice.hops_grow_linearly ? s.ranks - 2.0 : std::log2(s.ranks) - 1.0;
  const double fixed = p[launch_us] + p[hop_us] * std::max(hops, 0.0);
  const double KB = 1e3 * s.wire_MB;
  const double crowd = 1.0 + p[few_ranks] / (s.ranks - 1.0);
  const double short_KB = choice.peers_at_a_time ? KB / (s.ranks - 1.0) : KB;
  const double wire = soft_min(short_KB / p[low_latency_GBps],
                               p[protocol_us] + KB * crowd / p[bandwidth_GBps], p[softness]);
  return {.us = fixed + wire, .bound = fixed > wire ? Resource::launch : Resource::link};
}

}  // namespace ridge::hw::calibrated
