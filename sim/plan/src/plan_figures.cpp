#include "ridge/plan/plan_figures.hpp"

#include "ridge/base/format.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace ridge::plan {
namespace {

using view::FigureKind;
using view::kUnknown;

constexpr double kToMilliseconds = 1e3;
constexpr double kToMicroseconds = 1e6;

template <typename Get>
double of_best(const Plan& plan, Get get) {
  const Ranked* best = best_of(plan);
  return best == nullptr ? kUnknown : static_cast<double>(get(*best));
}
template <typename Get>
std::string words_of_best(const Plan& plan, Get get) {
  const Ranked* best = best_of(plan);
  return best == nullptr ? std::string() : std::string(get(*best));
}

// The best with attention and FFN on GPUs of their own, or the best of the others.
const Ranked* best_of(const Plan& plan, bool split) {
  for (const Ranked& ranked : plan.ranking) {
    if (ranked.enough && ranked.choice.structure.split() == split) return &ranked;
  }
  return nullptr;
}
template <typename Get>
double of_best(const Plan& plan, bool split, Get get) {
  const Ranked* best = best_of(plan, split);
  return best == nullptr ? kUnknown : get(*best);
}

double tokens_per_gpu(const Ranked& ranked) {
  return ranked.report.tokens_per_second_per_gpu();
}
double usd(const Ranked& ranked) {
  return ranked.report.usd_per_million_tokens().value_or(kUnknown);
}

// By what the goal counts; tokens per GPU where that is how many GPUs there are.
double afd_gain(const Plan& plan) {
  const Ranked* afd = best_of(plan, true);
  const Ranked* other = best_of(plan, false);
  if (afd == nullptr || other == nullptr) return kUnknown;
  switch (objective_of(plan.stock->goal())) {
    case Objective::usd_per_million_tokens:
      return usd(*other) / usd(*afd);
    case Objective::tokens_per_second: {
      const auto all = [](const Ranked& r) {
        return r.report.tokens_per_second() * static_cast<double>(r.replicas);
      };
      return all(*afd) / all(*other);
    }
    case Objective::tokens_per_second_per_gpu:
    case Objective::gpus:
      break;
  }
  return tokens_per_gpu(*afd) / tokens_per_gpu(*other);
}

double end_of_interval(const Plan& plan, double Interval::*end) {
  const Ranked* best = best_of(plan);
  const auto interval = best == nullptr ? std::nullopt : best->interval();
  return interval ? (*interval).*end : kUnknown;
}

std::string chip_of(const Plan& plan, std::size_t Structure::*chip) {
  return words_of_best(
      plan, [&](const Ranked& r) { return plan.stock->chips()[r.choice.structure.*chip].name; });
}

using P = const Plan&;

const std::array kFigures = {
    PlanFigure{{"deployment", "", "", "", "the best deployment: its strategy and instances",
                FigureKind::label},
               nullptr,
               [](P p) {
                 return words_of_best(p,
                                      [](const Ranked& r) { return title_of(r.choice.structure); });
               }},
    PlanFigure{{"strategy", "", "", "", "its strategy", FigureKind::label},
               nullptr,
               [](P p) {
                 return words_of_best(p,
                                      [](const Ranked& r) { return r.choice.structure.strategy; });
               }},
    PlanFigure{{"split", "", "", "", "how it is split, in words", FigureKind::label},
               nullptr,
               [](P p) {
                 return words_of_best(p,
                                      [](const Ranked& r) { return words_of(r.choice.structure); });
               }},
    PlanFigure{{"planned_model", "", "", "", "its model", FigureKind::label},
               nullptr,
               [](P p) {
                 return words_of_best(p, [&](const Ranked& r) {
                   return p.stock->models()[r.choice.structure.model]->name;
                 });
               }},
    PlanFigure{{"attention_chip", "", "", "", "its chip for the attention", FigureKind::label},
               nullptr,
               [](P p) { return chip_of(p, &Structure::attention_chip); }},
    PlanFigure{{"ffn_chip", "", "", "", "its chip for the FFN", FigureKind::label},
               nullptr,
               [](P p) { return chip_of(p, &Structure::ffn_chip); }},
    PlanFigure{
        {"gpus", "", "", "", "GPUs of a replica", FigureKind::count},
        [](P p) { return of_best(p, [](const Ranked& r) { return r.choice.structure.gpus(); }); }},
    PlanFigure{{"replicas", "", "", "", "replicas that the goal allows, or that its rate takes",
                FigureKind::count},
               [](P p) { return of_best(p, [](const Ranked& r) { return r.replicas; }); }},
    PlanFigure{{"batch", "", "", "", "requests that a replica decodes at once", FigureKind::count},
               [](P p) {
                 return of_best(p, [](const Ranked& r) {
                   return r.choice.structure.batch(r.choice.requests);
                 });
               }},
    PlanFigure{
        {"requests_per_launch", "", "", "", "sequences of an attention launch", FigureKind::count},
        [](P p) { return of_best(p, [](const Ranked& r) { return r.choice.requests; }); }},
    PlanFigure{{"tpot_ms", "", "", "ms", "milliseconds between two tokens of a request, mean",
                FigureKind::number, kToMilliseconds},
               [](P p) {
                 return of_best(p,
                                [](const Ranked& r) { return r.report.result.mean_tpot.value(); });
               }},
    PlanFigure{{"tpot_p95_ms", "", "", "ms",
                "milliseconds between two tokens of a request, 95th percentile", FigureKind::number,
                kToMilliseconds},
               [](P p) {
                 return of_best(
                     p, [](const Ranked& r) { return r.report.result.tpot.quantile(0.95); });
               }},
    PlanFigure{{"tokens_per_s_per_gpu", "", "", "tok/s/GPU", "tokens per second and GPU"},
               [](P p) { return of_best(p, tokens_per_gpu); }},
    PlanFigure{{"tokens_per_s_per_user", "", "", "tok/s", "tokens per second of one request"},
               [](P p) {
                 return of_best(
                     p, [](const Ranked& r) { return r.report.tokens_per_second_per_user(); });
               }},
    PlanFigure{{"usd_per_Mtok", "", "", "USD/Mtok", "US dollars per million tokens"},
               [](P p) { return of_best(p, usd); }},
    PlanFigure{{"sla_tpot_ms", "", "", "ms", "the TPOT that is asked for, in milliseconds",
                FigureKind::number, kToMilliseconds},
               [](P p) { return p.stock->goal().sla_tpot.value(); }},
    PlanFigure{
        {"sla_met_share", "", "", "", "share of draws of the calibrations that meet the SLA"},
        [](P p) {
          return of_best(p,
                         [](const Ranked& r) { return r.draws.empty() ? kUnknown : r.sla_share; });
        }},
    PlanFigure{{"tokens_per_s_per_gpu_low", "", "", "tok/s/GPU",
                "tokens per second and GPU, low end of 90 % of the draws"},
               [](P p) { return end_of_interval(p, &Interval::low); }},
    PlanFigure{{"tokens_per_s_per_gpu_high", "", "", "tok/s/GPU",
                "tokens per second and GPU, high end of 90 % of the draws"},
               [](P p) { return end_of_interval(p, &Interval::high); }},
    PlanFigure{{"attention_gpu_us_per_token", "", "", "us",
                "microseconds of a GPU that a token's attention takes", FigureKind::number,
                kToMicroseconds},
               [](P p) { return of_best(p, [](const Ranked& r) { return r.time.attention; }); }},
    PlanFigure{
        {"ffn_gpu_us_per_token", "", "", "us", "microseconds of a GPU that a token's FFN takes",
         FigureKind::number, kToMicroseconds},
        [](P p) { return of_best(p, [](const Ranked& r) { return r.time.ffn; }); }},
    PlanFigure{
        {"head_gpu_us_per_token", "", "", "us",
         "microseconds of a GPU that a token's LM head takes", FigureKind::number, kToMicroseconds},
        [](P p) { return of_best(p, [](const Ranked& r) { return r.time.head; }); }},
    PlanFigure{{"waiting_gpu_us_per_token", "", "", "us",
                "microseconds of a GPU that a token waits for another stage or for links",
                FigureKind::number, kToMicroseconds},
               [](P p) { return of_best(p, [](const Ranked& r) { return r.time.waiting; }); }},
    PlanFigure{{"bound_by", "", "", "", "what keeps it from delivering more", FigureKind::label},
               nullptr,
               [](P p) { return words_of_best(p, [](const Ranked& r) { return r.binds; }); }},
    PlanFigure{
        {"plan_warnings", "", "", "",
         "warnings about it, such as of operators outside their calibration", FigureKind::count},
        [](P p) { return of_best(p, [](const Ranked& r) { return r.report.warnings.size(); }); }},
    PlanFigure{{"afd_tokens_per_s_per_gpu", "", "", "tok/s/GPU",
                "tokens per second and GPU of the best with attention and FFN apart"},
               [](P p) { return of_best(p, true, tokens_per_gpu); }},
    PlanFigure{{"other_tokens_per_s_per_gpu", "", "", "tok/s/GPU",
                "tokens per second and GPU of the best without"},
               [](P p) { return of_best(p, false, tokens_per_gpu); }},
    PlanFigure{{"afd_gain", "", "", "",
                "what the best with attention and FFN apart is worth, over the best without"},
               afd_gain},
    PlanFigure{{"reason", "", "", "", "why nothing meets the goal", FigureKind::label},
               nullptr,
               [](P p) { return why_nothing(p); }},
};

}  // namespace

std::span<const PlanFigure> plan_figures() {
  return kFigures;
}

bool compares_strategies(const PlanFigure& figure) {
  return figure.spec.name.starts_with("afd_") || figure.spec.name.starts_with("other_");
}

const Ranked* best_of(const Plan& plan) {
  if (plan.ranking.empty() || !plan.ranking.front().enough) return nullptr;
  return &plan.ranking.front();
}

std::string why_nothing(const Plan& plan) {
  if (best_of(plan) != nullptr) return {};
  const Goal& goal = plan.stock->goal();
  const auto ms = [](Seconds time) {
    return fmt::format("{} ms", significant(time.value() * 1e3, 4));
  };
  const std::string sla = fmt::format("{:g} ms", goal.sla_tpot.value() * 1e3);
  if (!plan.ranking.empty()) {
    return fmt::format("no batch is within {} in {:.0f} % of {} draws of the calibrations", sla,
                       100.0 * goal.confidence, plan.samples);
  }
  if (!plan.near_misses.empty()) {
    const NearMiss& nearest = plan.near_misses.front();
    const std::string name = title_of(nearest.structure);
    if (nearest.tpot <= goal.sla_tpot && plan.stock->rate()) {
      return fmt::format("nothing gives {} tokens/s on up to {} GPUs",
                         significant(*plan.stock->rate(), 4), goal.gpus);
    }
    return fmt::format("nothing is within {}: {} comes nearest with {}, {} times as long", sla,
                       name, ms(nearest.tpot), significant(nearest.tpot / goal.sla_tpot, 3));
  }
  const auto most = std::max_element(
      plan.impossible.begin(), plan.impossible.end(),
      [](const Impossible& a, const Impossible& b) { return a.structures < b.structures; });
  if (most == plan.impossible.end()) return "the goal allows nothing";
  return fmt::format("nothing is possible; {} of {}: {}", most->structures, most->strategy,
                     most->reason);
}

}  // namespace ridge::plan
