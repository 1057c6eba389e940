#include "pieces.hpp"

#include <nlohmann/json.hpp>

namespace ridge::plan {
namespace {

using Fields = nlohmann::json;

// JSON has no infinity: nothing is null.
Fields worth_json(double worth) {
  return worth == kNothing ? Fields() : Fields(worth);
}
double worth_of(const Fields& fields) {
  return fields.is_null() ? kNothing : fields.get<double>();
}

Fields verdict_json(const Verdict& verdict) {
  return {verdict.tpot.value(), verdict.mean_tpot.value()};
}
Verdict verdict_of(const Fields& fields) {
  return {.tpot = Seconds{fields.at(0).get<double>()},
          .mean_tpot = Seconds{fields.at(1).get<double>()}};
}

// But for its structure and what fits.
Fields choice_json(const Choice& choice) {
  return {{"requests", choice.requests},
          {"verdict", verdict_json(choice.verdict)},
          {"tokens_per_second", choice.tokens_per_second}};
}
void put_choice(const Fields& fields, Choice& choice) {
  choice.requests = fields.at("requests");
  choice.verdict = verdict_of(fields.at("verdict"));
  choice.tokens_per_second = fields.at("tokens_per_second");
}

Choice choice_of(const Candidates::One& candidate) {
  return {.structure = candidate.structure, .most_requests = candidate.most_requests};
}

}  // namespace

std::string piece_to_judge(std::size_t candidate, double needed, Seconds limit) {
  return Fields{{"judge", candidate}, {"needed", worth_json(needed)}, {"limit", limit.value()}}
      .dump();
}
std::string piece_to_reach(std::size_t candidate, std::int64_t requests, Seconds limit) {
  return Fields{{"reach", candidate}, {"requests", requests}, {"limit", limit.value()}}.dump();
}
std::string piece_to_draw(std::size_t candidate, const Choice& choice) {
  return Fields{{"draw", candidate}, {"choice", choice_json(choice)}}.dump();
}

std::string PieceWorker::answer(const std::string& piece) const {
  const Fields fields = Fields::parse(piece);
  if (fields.contains("judge")) {
    const std::size_t candidate = fields.at("judge");
    const Seconds limit{fields.at("limit").get<double>()};
    const Judged judged = evaluation_.judge(candidate, evaluation_.of_attention(candidate, limit),
                                            worth_of(fields.at("needed")), limit);
    return Fields{{"choice", judged.choice ? choice_json(*judged.choice) : Fields()},
                  {"pruned", judged.pruned},
                  {"simulated", judged.simulated},
                  {"by_cycle", judged.by_cycle}}
        .dump();
  }
  if (fields.contains("reach")) {
    const Reached reached = evaluation_.reach(fields.at("reach"), fields.at("requests"),
                                              Seconds{fields.at("limit").get<double>()});
    return Fields{{"worth", worth_json(reached.worth)}, {"by_cycle", reached.by_cycle}}.dump();
  }
  Choice choice = choice_of(candidates_.all.at(fields.at("draw").get<std::size_t>()));
  put_choice(fields.at("choice"), choice);
  const Drawn drawn = drawing_().draw(std::move(choice), 1);
  Fields draws = Fields::array();
  for (const Verdict& verdict : drawn.draws) draws.push_back(verdict_json(verdict));
  return Fields{{"choice", choice_json(drawn.choice)},
                {"draws", std::move(draws)},
                {"enough", drawn.enough},
                {"more_would_hold", drawn.more_would_hold},
                {"judged", drawn.judged}}
      .dump();
}

Judged judged_of(std::string_view answer, const Candidates::One& candidate) {
  const Fields fields = Fields::parse(answer);
  Judged out{.choice = {},
             .pruned = fields.at("pruned"),
             .simulated = fields.at("simulated"),
             .by_cycle = fields.at("by_cycle")};
  if (!fields.at("choice").is_null()) {
    put_choice(fields.at("choice"), out.choice.emplace(choice_of(candidate)));
  }
  return out;
}

Reached reached_of(std::string_view answer) {
  const Fields fields = Fields::parse(answer);
  return {.worth = worth_of(fields.at("worth")), .by_cycle = fields.at("by_cycle")};
}

Drawn drawn_of(std::string_view answer, Choice choice) {
  const Fields fields = Fields::parse(answer);
  Drawn out{.choice = std::move(choice),
            .draws = {},
            .enough = fields.at("enough"),
            .more_would_hold = fields.at("more_would_hold"),
            .judged = fields.at("judged")};
  put_choice(fields.at("choice"), out.choice);
  for (const Fields& verdict : fields.at("draws")) out.draws.push_back(verdict_of(verdict));
  return out;
}

}  // namespace ridge::plan
