// Collectives within a scale-up domain: a launch, a latency per hop, and the faster of a
// low-latency and a high-bandwidth protocol (an alpha-beta model with two protocols).
#pragma once

#include "ridge/hwmodels/calibrated/form.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace ridge::hw::calibrated {

struct CollectiveForm {
  struct Shape {
    using Form = CollectiveForm;
    double ranks = 2;
    double wire_MB = 0;  // sent by each rank
  };

  // What a range is kept for.
  static constexpr std::array<std::string_view, 2> kRanges = {"ranks", "wire_MB"};
  [[nodiscard]] static std::array<double, kRanges.size()> ranged(const Shape& s) {
    return {s.ranks, s.wire_MB};
  }

  struct Choice {
    bool hops_grow_linearly = false;  // ranks - 1 hops (a ring), against log2(ranks) (a tree)
    // Short messages to all peers at a time, each as long as one of them, against one after
    // another.
    bool peers_at_a_time = false;
    friend bool operator==(const Choice&, const Choice&) = default;
  };
  template <typename C, typename Visit>
  static void choice_fields(C& choice, Visit&& visit) {
    visit("hops_grow_linearly", choice.hops_grow_linearly);
    visit("peers_at_a_time", choice.peers_at_a_time);
  }

  enum Index : std::uint8_t {
    launch_us,
    hop_us,
    low_latency_GBps,
    protocol_us,
    bandwidth_GBps,
    few_ranks,
    softness,
    kParameterCount
  };
  using Parameters = std::array<double, kParameterCount>;

  [[nodiscard]] static std::span<const ParameterInfo> parameters();
  [[nodiscard]] static Facts<Choice> facts(const CurveKey& key);
  [[nodiscard]] static Estimate time(const Machine& machine, const Choice& choice,
                                     const Parameters& p, const Shape& s);

  // Of the learned residual.
  static constexpr std::array<std::string_view, 2> kFeatures = {"ranks", "log2_wire_MB"};
  [[nodiscard]] static std::array<double, kFeatures.size()> features(const Machine& /*machine*/,
                                                                     const Choice& /*choice*/,
                                                                     const Shape& s) {
    return {s.ranks, rough_log2(std::max(s.wire_MB, 1e-9))};
  }
};

}  // namespace ridge::hw::calibrated
