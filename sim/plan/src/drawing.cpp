#include "drawing.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

namespace ridge::plan {

Drawn Drawing::draw(Choice choice, unsigned threads) const {
  const Goal& goal = stock_.goal();
  const Structure s = choice.structure;
  const auto wanted =
      static_cast<std::size_t>(std::ceil(goal.confidence * static_cast<double>(samples_) - 1e-9));
  Judge judge(stock_, s, draws_.of(s), threads);
  const auto worth = [&](double tokens) { return value_of(stock_, s, tokens); };
  Drawn out{.choice = std::move(choice), .draws = {}};
  for (const auto& [at_most, requests] : batches(judge, out.choice)) {
    if ((out.enough && at_most < worth(out.choice.tokens_per_second)) || stopped()) break;
    const Verdict as_fitted = judge.verdict(requests);
    const double tokens = static_cast<double>(s.batch(requests)) / as_fitted.mean_tpot.value();
    // Worth nothing where a goal's GPUs do not suffice for its rate.
    if (as_fitted.tpot > goal.sla_tpot || !std::isfinite(worth(tokens))) continue;
    if (out.enough && worth(tokens) <= worth(out.choice.tokens_per_second)) continue;
    auto verdicts = judge.drawn_verdicts(requests, goal.sla_tpot, wanted);
    ++out.judged;
    if (verdicts.empty()) continue;
    out.enough = true;
    out.draws = std::move(verdicts);
    out.choice.requests = requests;
    out.choice.verdict = as_fitted;
    out.choice.tokens_per_second = tokens;
  }
  if (!out.enough && !stopped()) out.draws = judge.drawn_verdicts(out.choice.requests);
  if (out.enough && out.choice.requests < out.choice.most_requests && !stopped()) {
    out.more_would_hold =
        judge.verdict(out.choice.requests + 1).tpot <= goal.sla_tpot &&
        !judge.drawn_verdicts(out.choice.requests + 1, goal.sla_tpot, wanted).empty();
  }
  return out;
}

std::vector<std::pair<double, std::int64_t>> Drawing::batches(Judge& judge,
                                                              const Choice& choice) const {
  std::vector<std::pair<double, std::int64_t>> out;
  for (std::int64_t requests = 1; requests <= choice.most_requests; ++requests) {
    const Structure& s = choice.structure;
    const Seconds step = judge.floor(requests);
    if (stock_.tpot_floor(s, step) > stock_.goal().sla_tpot) continue;
    const double tokens =
        static_cast<double>(s.batch(requests)) / (stock_.per_token(s).mean * step).value();
    out.emplace_back(value_of(stock_, s, tokens), requests);
  }
  std::sort(out.begin(), out.end(), std::greater<>());
  return out;
}

}  // namespace ridge::plan
