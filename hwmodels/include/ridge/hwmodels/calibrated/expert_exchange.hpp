// Dispatch and combine of wide expert parallelism (DeepEP's low-latency kernels): messages to
// experts on this server over the scale-up link, to others over the network card.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/hwmodels/calibrated/form.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace ridge::hw::calibrated {

// How often a token travels.
enum class TokenCopies : std::uint8_t {
  per_expert,      // to each of its experts, as DeepEP's low-latency kernels send it
  per_rank,        // once to each rank that holds any of them, its own as well
  per_other_rank,  // the same, but what stays on the rank is not copied
};
[[nodiscard]] std::span<const Named<TokenCopies>> copies_names();

struct ExpertExchangeForm {
  struct Shape {
    using Form = ExpertExchangeForm;
    double servers = 1;
    double ranks_per_server = 8;
    double tokens = 1;  // of this rank
    double top_k = 1;
    double experts = 1;          // of the whole layer
    double bytes_per_token = 1;  // one message: activations and their scales
    double ranks_reached = 1;    // by a token, its own rank included where it has an expert there
  };

  // Ranks that hold any of a token's experts, where it chooses at random.
  [[nodiscard]] static double ranks_reached_at_random(double ranks, double top_k);

  // What a range is kept for.
  static constexpr std::array<std::string_view, 5> kRanges = {"servers", "tokens", "top_k",
                                                              "experts", "bytes_per_token"};
  [[nodiscard]] static std::array<double, kRanges.size()> ranged(const Shape& s) {
    return {s.servers, s.tokens, s.top_k, s.experts, s.bytes_per_token};
  }

  struct Choice {
    TokenCopies copies = TokenCopies::per_expert;
    friend bool operator==(const Choice&, const Choice&) = default;
  };
  template <typename C, typename Visit>
  static void choice_fields(C& choice, Visit&& visit) {
    visit("copies", choice.copies, copies_names());
  }

  enum Index : std::uint8_t {
    launch_us,
    server_us,
    expert_us,
    message_ns,
    scale_up_GBps,
    network_GBps,
    connection_GBps,
    softness,
    kParameterCount
  };
  using Parameters = std::array<double, kParameterCount>;

  [[nodiscard]] static std::span<const ParameterInfo> parameters();
  [[nodiscard]] static Facts<Choice> facts(const CurveKey& key);
  [[nodiscard]] static Estimate time(const Machine& machine, const Choice& choice,
                                     const Parameters& p, const Shape& s);

  // Of the learned residual.
  static constexpr std::array<std::string_view, 6> kFeatures = {
      "servers", "ranks_per_server", "log2_tokens",
      "top_k",   "log2_experts",     "log2_bytes_per_token"};
  [[nodiscard]] static std::array<double, kFeatures.size()> features(const Machine& /*machine*/,
                                                                     const Choice& /*choice*/,
                                                                     const Shape& s) {
    return {s.servers, s.ranks_per_server,    rough_log2(std::max(s.tokens, 1e-3)),
            s.top_k,   rough_log2(s.experts), rough_log2(s.bytes_per_token)};
  }
};

}  // namespace ridge::hw::calibrated
