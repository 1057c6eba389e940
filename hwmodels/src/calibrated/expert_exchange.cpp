#include "ridge/hwmodels/calibrated/expert_exchange.hpp"

#include <cmath>
#include <string>

namespace ridge::hw::calibrated {

std::span<const Named<TokenCopies>> copies_names() {
  static constexpr std::array<Named<TokenCopies>, 3> kNames = {
      {{"per_expert", TokenCopies::per_expert},
       {"per_rank", TokenCopies::per_rank},
       {"per_other_rank", TokenCopies::per_other_rank}}};
  return kNames;
}

double ExpertExchangeForm::ranks_reached_at_random(double ranks, double top_k) {
  return ranks <= 1.0 ? ranks : ranks * -std::expm1(top_k * std::log1p(-1.0 / ranks));
}

std::span<const ParameterInfo> ExpertExchangeForm::parameters() {
  static constexpr std::array<ParameterInfo, kParameterCount> kInfo = {{
      {"launch_us", "launch, and the handshake within a server", 0.5, 9.0, 100.0, Role::launch},
      {"server_us", "each doubling of the servers", 1e-2, 5.0, 50.0},
      {"expert_us", "each expert held: counters to poll", 1e-4, 0.05, 1.0},
      {"message_ns", "issuing one message to one expert", 0.01, 2.0, 200.0},
      {"scale_up_GBps", "bandwidth within the server, each rank and direction", 5.0, 200.0, 1000.0,
       Role::scale_up_rate},
      {"network_GBps", "bandwidth to other servers, each rank and direction", 1.0, 44.0, 400.0,
       Role::network_rate},
      {"connection_GBps", "bandwidth of one connection: to one expert on one peer", 0.01, 1.0,
       1000.0, Role::scale_up_rate},
      {"softness", "how far the two limits add up", 1e-3, 0.3, 1.0, Role::overlap},
  }};
  return kInfo;
}

Facts<ExpertExchangeForm::Choice> ExpertExchangeForm::facts(const CurveKey& key) {
  // DeepEP's low-latency kernels (which tables without a name are of) issue a message for every
  // expert: deepseek-ai/DeepEP, csrc/kernels/internode_ll.cu.
  if (key.kernel.empty() || key.kernel.find("deepep") != std::string::npos) {
    return {.choices = {{}}};
  }
  return {.choices = {{.copies = TokenCopies::per_expert},
                      {.copies = TokenCopies::per_rank},
                      {.copies = TokenCopies::per_other_rank}}};
}

Estimate ExpertExchangeForm::time(const Machine& /*machine*/, const Choice& choice,
                                  const Parameters& p, const Shape& s) {
  const double messages = s.tokens * s.top_k;
  const double ranks = s.servers * s.ranks_per_server;
  const double copies = choice.copies == TokenCopies::per_expert ? s.top_k
                        : choice.copies == TokenCopies::per_rank
                            ? s.ranks_reached
                            : s.ranks_reached * (ranks - 1.0) / ranks;
  const double KB = 1e-3 * s.tokens * copies * s.bytes_per_token;
  const double far = (s.servers - 1.0) / s.servers;
  const double link = KB * ((1.0 - far) / p[scale_up_GBps] + far / p[network_GBps]);
  // DeepEP opens a queue pair for every expert on every peer, so that each carries an equal share:
  // the limit does not tighten as the same experts spread over more ranks.
  const double held = std::max(1.0, s.experts / ranks);
  const double connection = KB / (held * ranks) / p[connection_GBps];
  const double fixed = p[launch_us] + p[server_us] * std::log2(s.servers) + p[expert_us] * held;
  const double work = 1e-3 * p[message_ns] * messages + soft_max(link, connection, p[softness]);
  return {.us = fixed + work, .bound = fixed > work ? Resource::launch : Resource::link};
}

}  // namespace ridge::hw::calibrated
