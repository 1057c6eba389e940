#include "ridge/plan/plan.hpp"

#include "drawing.hpp"
#include "pieces.hpp"
#include "ridge/answer/explanation.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/format.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/base/parallel.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::plan {
namespace {

double tokens_per_second(const Structure& s, std::int64_t requests, const Verdict& verdict) {
  return static_cast<double>(s.batch(requests)) / verdict.mean_tpot.value();
}

// Why the batch is not larger: memory, a worth that falls, or the SLA and what most of the critical
// path waits for.
std::string binding(const Ranked& ranked) {
  if (ranked.choice.requests == ranked.choice.most_requests) return "KV memory";
  if (ranked.more_would_hold) return "more is worth less";
  return fmt::format("SLA: {}", name_of(answer::bottleneck_of(ranked.report.result)));
}

// Among the candidates.
std::size_t number_of(const Choice& choice, const Candidates& all) {
  const auto same = std::find_if(all.all.begin(), all.all.end(), [&](const Candidates::One& one) {
    return one.structure == choice.structure;
  });
  return static_cast<std::size_t>(same - all.all.begin());
}

// What decides the answer: the goal, and all that its names stand for.
std::string question_of(const Stocktaking& stock, const scenario::Library& library, int samples,
                        const std::vector<std::string>& fixed) {
  std::string text = fmt::format("{}{} draws of all but {}", json_text(stock.goal()), samples,
                                 fmt::join(fixed, ", "));
  for (const std::string& file : library.contents()) text += "\n" + file;
  return digest_of(text);
}

int samples_of(const Stocktaking& stock, const PlanOptions& options) {
  return stock.calibrated() ? options.samples : 0;
}

class Planner {
 public:
  Planner(LocatedGoal located, scenario::Library& library, const PlanOptions& options)
      : library_(library), options_(options), file_(located.file) {
    plan_.title = located.goal.title;
    plan_.stock = std::make_shared<const Stocktaking>(std::move(located), library);
    plan_.samples = samples_of(stock(), options);
    inputs_.emplace(stock().ranges(), options.fixed);
    if (plan_.samples > 0) plan_.inputs = drawn_inputs(stock(), *inputs_);
    std::vector<scenario::DrawnInput> drawn;
    if (plan_.samples > 0 && !options.fixed.empty()) {
      drawn = drawn_inputs(stock(), inputs_->with_nothing_fixed());
    }
    plan_.warnings =
        scenario::fixed_in_vain(options.fixed, drawn,
                                plan_.samples > 0 ? "the goal states it, or a plan draws none of it"
                                : stock().calibrated() ? "no draws are asked for"
                                                       : "draws need calibrated kernels");
  }

  Plan run() {
    const auto start = std::chrono::steady_clock::now();
    Candidates all = candidates(stock());
    plan_.impossible = std::move(all.impossible);
    Bounds bounds(stock(), all);
    if (options_.ranks != nullptr) begin_with_ranks();
    const auto choices = search(stock(), all, bounds, stock().goal().sla_tpot, options_,
                                plan_.counts, plan_.partial);
    for (const Choice& choice : choices) {
      plan_.ranking.push_back({.choice = choice, .as_fitted = choice.requests});
    }
    if (plan_.ranking.empty() && !plan_.partial) {
      plan_.near_misses = nearest(stock(), all, bounds, options_);
    }
    draw(all, bounds);
    rank();
    explain();
    if (options_.front) front(all, bounds);
    if (options_.ranks != nullptr) options_.ranks->end();
    plan_.counts.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return std::move(plan_);
  }

 private:
  [[nodiscard]] const Stocktaking& stock() const { return *plan_.stock; }
  [[nodiscard]] bool stopped() const {
    return options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed);
  }

  // Whom a mistake in the goal would end, as it ends this one.
  void begin_with_ranks() {
    options_.ranks->begin(question_of(stock(), library_, plan_.samples, options_.fixed));
    options_.ranks->lead({}, {}, {}, options_.stop);
  }

  // The batch that is within the SLA often enough.
  void draw(const Candidates& all, Bounds& bounds) {
    if (plan_.samples == 0 || plan_.ranking.empty()) return;
    const Drawing drawing(stock(), library_, file_, plan_.samples, *inputs_, options_.stop);
    std::atomic<std::size_t> done{0};
    std::vector<Drawn> drawn(plan_.ranking.size());
    const auto tell = [&] {
      if (!options_.progress) return;
      options_.progress(static_cast<double>(++done) / static_cast<double>(drawn.size()),
                        "drawing calibrations");
    };
    const auto draw_of = [&](std::size_t i, unsigned threads) {
      drawn[i] = drawing.draw(plan_.ranking[i].choice, threads);
      tell();
    };
    // Cycle ratios are found of all draws together. Simulations take longer: the draws of one
    // deployment are spread over the threads, so that none is left alone with the longest.
    std::vector<std::size_t> by_cycle;
    std::vector<std::size_t> simulated;
    for (std::size_t i = 0; i < drawn.size(); ++i) {
      const Structure& s = plan_.ranking[i].choice.structure;
      (s.schedule == decode::Schedule::cyclic ? by_cycle : simulated).push_back(i);
    }
    if (options_.ranks != nullptr) {
      const Evaluation evaluation(stock(), all, bounds, options_);
      const PieceWorker worker(all, evaluation, [&]() -> const Drawing& { return drawing; });
      std::vector<std::string> pieces;
      for (std::size_t i = 0; i < drawn.size(); ++i) {
        drawn[i].choice = plan_.ranking[i].choice;  // which an interrupt leaves
        pieces.push_back(piece_to_draw(number_of(drawn[i].choice, all), drawn[i].choice));
      }
      options_.ranks->lead(
          pieces, [&](const std::string& piece) { return worker.answer(piece); },
          [&](std::size_t i, std::string_view answer) {
            drawn[i] = drawn_of(answer, plan_.ranking[i].choice);
            tell();
          },
          options_.stop);
    } else {
      parallel_for(options_.threads, by_cycle.size(), [&] {
        return [&](std::size_t i) {
          draw_of(by_cycle[i], 1);
          return true;
        };
      });
      for (const std::size_t i : simulated) draw_of(i, options_.threads);
    }
    for (std::size_t i = 0; i < drawn.size(); ++i) {
      Ranked& ranked = plan_.ranking[i];
      ranked.choice = std::move(drawn[i].choice);
      ranked.draws = std::move(drawn[i].draws);
      ranked.enough = drawn[i].enough;
      ranked.more_would_hold = drawn[i].more_would_hold;
      const auto within = std::count_if(
          ranked.draws.begin(), ranked.draws.end(),
          [&](const Verdict& verdict) { return verdict.tpot <= stock().goal().sla_tpot; });
      ranked.sla_share = static_cast<double>(within) / static_cast<double>(plan_.samples);
      plan_.counts.draws += drawn[i].judged * static_cast<std::size_t>(plan_.samples);
    }
    plan_.partial = plan_.partial || stopped();
    if (!plan_.partial) return;
    // What was not drawn to the end is told as fitted.
    for (Ranked& ranked : plan_.ranking) {
      if (ranked.draws.empty()) ranked.enough = true;
    }
  }

  [[nodiscard]] double worth(const Ranked& ranked) const {
    return value_of(stock(), ranked.choice.structure, ranked.choice.tokens_per_second);
  }

  void rank() {
    auto& ranking = plan_.ranking;
    std::stable_sort(ranking.begin(), ranking.end(), [&](const Ranked& a, const Ranked& b) {
      if (a.enough != b.enough) return a.enough;
      return worth(a) > worth(b);
    });
    parallel_for(options_.threads, ranking.size(), [&] {
      return [&](std::size_t i) {
        Ranked& ranked = ranking[i];
        const Choice& choice = ranked.choice;
        ranked.price = stock().price_of(choice.structure);
        ranked.replicas = stock().replicas_of(choice.structure);
        if (const auto rate = stock().rate()) {
          const double needed = std::ceil(*rate / choice.tokens_per_second);
          ranked.replicas = std::min(ranked.replicas, static_cast<std::int64_t>(needed));
        }
        if (stock().goal().workload) {
          serve(ranked);
        } else {
          simulate(ranked, stock().scenario_of(choice.structure, choice.requests));
        }
        Judge judge(stock(), choice.structure);
        ranked.time = judge.time_per_token(choice.requests, choice.verdict);
        if (stock().goal().workload) return true;
        if (plan_.samples == 0 && choice.requests < choice.most_requests) {
          ranked.more_would_hold =
              judge.verdict(choice.requests + 1).tpot <= stock().goal().sla_tpot;
        }
        ranked.binds = binding(ranked);
        return true;
      };
    });
    if (stock().goal().workload) {
      rank_as_served();
      return;
    }
    for (std::size_t i = 0; i + 1 < ranking.size(); ++i) {
      const Ranked& one = ranking[i];
      const Ranked& other = ranking[i + 1];
      if (one.draws.empty() || one.draws.size() != other.draws.size()) continue;
      std::size_t beaten = 0;
      for (std::size_t d = 0; d < one.draws.size(); ++d) {
        const auto drawn = [&](const Ranked& r) {
          return value_of(stock(), r.choice.structure,
                          tokens_per_second(r.choice.structure, r.choice.requests, r.draws[d]));
        };
        beaten += drawn(one) > drawn(other) ? 1 : 0;
      }
      ranking[i].beats_next = static_cast<double>(beaten) / static_cast<double>(one.draws.size());
    }
  }

  void simulate(Ranked& ranked, scenario::LocatedScenario scenario) {
    ranked.scenario = std::move(scenario);
    ranked.report =
        answer::simulate(scenario::resolve(ranked.scenario, library_), {.floor = false});
  }

  // What of the goal's SLA is not kept; empty where all is.
  [[nodiscard]] std::string missed(const answer::SimulationReport& report) const {
    const Goal& goal = stock().goal();
    const double percentile = 0.01 * goal.sla_percentile;
    if (report.overloaded()) return "overload";
    if (report.result.tpot.quantile(percentile) > goal.sla_tpot.value()) return "SLA: TPOT";
    const bool waits = goal.sla_queueing &&
                       report.result.queueing.quantile(percentile) > goal.sla_queueing->value();
    return waits ? "SLA: queueing" : "";
  }

  // With the goal's own requests: on as few replicas as serve those that arrive, or as many of them
  // as keep the SLA.
  void serve(Ranked& ranked) {
    Choice& choice = ranked.choice;
    const Structure& s = choice.structure;
    std::string why;
    if (requests_arrive(stock().goal())) {
      const std::int64_t most = stock().replicas_of(s);
      const auto least = static_cast<std::int64_t>(*stock().rate() / choice.tokens_per_second);
      ranked.replicas = std::clamp<std::int64_t>(least, 1, most);
      ranked.binds = "load";
      for (;; ++ranked.replicas) {
        simulate(ranked, stock().served_scenario(s, choice.requests, ranked.replicas));
        why = missed(ranked.report);
        if (why.empty() || ranked.replicas == most || stopped()) break;
        ranked.binds = fmt::format("one less: {}", why);
      }
    } else {
      ranked.binds = choice.requests == choice.most_requests ? "KV memory" : "more is worth less";
      for (;;) {
        simulate(ranked, stock().served_scenario(s, choice.requests, 1));
        why = missed(ranked.report);
        if (why.empty() || choice.requests == 1 || stopped()) break;
        ranked.binds = why;
        const double share =
            stock().goal().sla_tpot.value() /
            ranked.report.result.tpot.quantile(0.01 * stock().goal().sla_percentile);
        choice.requests = std::clamp<std::int64_t>(
            std::llround(share * static_cast<double>(choice.requests)), 1, choice.requests - 1);
      }
      choice.verdict = Judge(stock(), s).verdict(choice.requests);
      choice.tokens_per_second = ranked.report.tokens_per_second();
    }
    if (!why.empty()) ranked.binds = why;
    ranked.enough = why.empty();
  }

  void rank_as_served() {
    const auto cost = [&](const Ranked& r) {
      if (!requests_arrive(stock().goal())) return -worth(r);
      const double each = objective_of(stock().goal()) == Objective::usd_per_million_tokens
                              ? r.price->value()
                              : static_cast<double>(r.choice.structure.gpus());
      return static_cast<double>(r.replicas) * each;
    };
    std::stable_sort(plan_.ranking.begin(), plan_.ranking.end(),
                     [&](const Ranked& a, const Ranked& b) {
                       if (a.enough != b.enough) return a.enough;
                       if (cost(a) != cost(b)) return cost(a) < cost(b);
                       return a.report.result.mean_tpot < b.report.result.mean_tpot;
                     });
  }

  // The best at a ladder of speeds around the SLA's. One that another beats at a higher speed is
  // left out.
  void front(const Candidates& all, Bounds& bounds) {
    constexpr std::array kTimesSla = {0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8};
    PlanOptions options = options_;
    options.layouts = 1;
    options.each_strategy = false;
    double worth = -std::numeric_limits<double>::infinity();
    for (const double times : kTimesSla) {
      if (stopped()) return;
      const Seconds within = times * stock().goal().sla_tpot;
      SearchCounts counts;
      const auto best = search(stock(), all, bounds, within, options, counts, plan_.partial);
      if (best.empty()) continue;
      const double value = value_of(stock(), best[0].structure, best[0].tokens_per_second);
      if (value <= worth) continue;
      worth = value;
      plan_.front.push_back({within, best[0]});
    }
  }

  void explain() {
    // What differs where all requests are alike says little of those that come.
    if (plan_.ranking.size() < 2 || stopped() || stock().goal().workload) return;
    why();
    what_if();
  }

  // A GPU's time per token adds up to what a token costs, so that its differences do, too.
  void why() {
    const Ranked& first = plan_.ranking[0];
    const Ranked& second = plan_.ranking[1];
    const auto us = [](double seconds) {
      return fmt::format("{} us", significant(std::abs(seconds) * 1e6, 3));
    };
    plan_.why.push_back(fmt::format("a token takes {} of a GPU's time with #1 and {} with #2",
                                    us(first.time.all()), us(second.time.all())));
    struct Part {
      const char* name;
      double difference;
    };
    std::array<Part, 4> parts = {
        {{"in attention kernels", second.time.attention - first.time.attention},
         {"in FFN kernels", second.time.ffn - first.time.ffn},
         {"in the LM head", second.time.head - first.time.head},
         {"waiting for each other and for the wires", second.time.waiting - first.time.waiting}}};
    std::stable_sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) {
      return std::abs(a.difference) > std::abs(b.difference);
    });
    for (const Part& part : parts) {
      constexpr double kTelling = 0.01;
      if (std::abs(part.difference) < kTelling * first.time.all()) continue;
      std::string line = fmt::format("#2 spends {} {} {}", us(part.difference),
                                     part.difference > 0 ? "more" : "less", part.name);
      line += reason(part.name, first.choice, second.choice);
      plan_.why.push_back(std::move(line));
    }
    if (first.price && second.price) {
      const auto each = [](const Ranked& r) {
        return r.price->value() * 3600.0 / static_cast<double>(r.choice.structure.gpus());
      };
      if (std::abs(each(first) / each(second) - 1.0) > 1e-9) {
        plan_.why.push_back(
            fmt::format("a GPU costs {} USD an hour on average with #1 and {} "
                        "with #2",
                        significant(each(first), 3), significant(each(second), 3)));
      }
    }
  }

  // What both launch, where that differs.
  static std::string reason(std::string_view part, const Choice& a, const Choice& b) {
    const auto launches = [](const Structure& s) {
      return fmt::format("{} launch{}", s.micro_batches, s.micro_batches > 1 ? "es" : "");
    };
    if (part == "in attention kernels") {
      return fmt::format(": {} a layer of {} sequences each, where #1 has {} of {}",
                         launches(b.structure), b.requests, launches(a.structure), a.requests);
    }
    if (part == "in FFN kernels") {
      const auto tokens = [](const Choice& c) { return c.requests * c.structure.groups(); };
      return fmt::format(": {} a layer for {} tokens each on {} GPUs, where #1 has {} for {} on {}",
                         launches(b.structure), tokens(b), ffn_gpus(b.structure),
                         launches(a.structure), tokens(a), ffn_gpus(a.structure));
    }
    return {};
  }
  static std::int64_t ffn_gpus(const Structure& s) {
    return (s.split() ? s.ffn_instances : s.attention_instances) * s.gpus_per_instance;
  }

  // By how much what the second uses would have to become faster or cheaper, its batch the same.
  void what_if() {
    const Ranked& first = plan_.ranking[0];
    const Ranked& second = plan_.ranking[1];
    const double to_beat = worth(first);
    // The second may be so for meeting the SLA too seldom.
    if (first.enough != second.enough || worth(second) >= to_beat) return;
    const Structure& s = second.choice.structure;
    const auto kernels = [&](const char* of, bool (*faster)(models::Part)) {
      // At every percent of what they take.
      const decode::SimulationInput input = stock().input_of(s, second.choice.requests);
      std::vector<decode::KernelDraw> draws;
      for (int percent = 0; percent <= 100; ++percent) {
        decode::KernelDraw& draw = draws.emplace_back();
        draw.seed = input.seed;
        for (const auto& pool : input.deployment.pools) {
          draw.kernels.push_back(
              hw::scaled_model(pool.kernels, [faster, percent](const models::Operator& op) {
                return faster(op.part) ? 0.01 * percent : 1.0;
              }));
        }
      }
      Judge judge(stock(), s, std::move(draws));
      const auto worth_at = [&](int percent) {
        const Verdict verdict =
            judge.drawn_verdict(static_cast<std::size_t>(percent), second.choice.requests);
        return value_of(stock(), s, tokens_per_second(s, second.choice.requests, verdict));
      };
      plan_.what_ifs.push_back({of, least_change(worth_at, to_beat)});
    };
    kernels("attention kernels", [](models::Part part) {
      return part == models::Part::attention || part == models::Part::attention_linear;
    });
    kernels("FFN kernels", [](models::Part part) { return part == models::Part::ffn; });
    if (objective_of(stock().goal()) == Objective::usd_per_million_tokens) {
      plan_.what_ifs.push_back({"price", worth(second) / to_beat});
    }
  }

  // The largest share of its time with which it is worth more, in whole percents.
  template <typename WorthAt>
  static std::optional<double> least_change(WorthAt&& worth_at, double to_beat) {
    int enough = 5;
    if (worth_at(enough) <= to_beat) return std::nullopt;
    int too_little = 100;
    while (too_little - enough > 1) {
      const int middle = (enough + too_little) / 2;
      (worth_at(middle) > to_beat ? enough : too_little) = middle;
    }
    return 0.01 * enough;
  }

  scenario::Library& library_;
  const PlanOptions& options_;
  std::string file_;
  std::optional<scenario::InputDraws> inputs_;
  Plan plan_;
};

}  // namespace

double Choice::tokens_per_second_per_gpu() const {
  return tokens_per_second / static_cast<double>(structure.gpus());
}

std::optional<Interval> Ranked::interval() const {
  if (draws.empty()) return std::nullopt;
  std::vector<double> values;
  for (const Verdict& verdict : draws) {
    values.push_back(tokens_per_second(choice.structure, choice.requests, verdict) /
                     static_cast<double>(choice.structure.gpus()));
  }
  return interval_90(std::move(values));
}

Plan make_plan(LocatedGoal located, scenario::Library& library, const PlanOptions& options) {
  return Planner(std::move(located), library, options).run();
}

void help_plan(LocatedGoal located, scenario::Library& library, const PlanOptions& options) {
  const std::string file = located.file;
  const Stocktaking stock(std::move(located), library);
  const Candidates all = candidates(stock);
  Bounds bounds(stock, all);
  const Evaluation evaluation(stock, all, bounds, options);
  const int samples = samples_of(stock, options);
  const std::string question = question_of(stock, library, samples, options.fixed);
  const scenario::InputDraws inputs(stock.ranges(), options.fixed);
  std::optional<Drawing> drawing;
  const PieceWorker worker(all, evaluation, [&]() -> const Drawing& {
    if (!drawing) drawing.emplace(stock, library, file, samples, inputs, options.stop);
    return *drawing;
  });
  options.ranks->follow(question, [&](const std::string& piece) { return worker.answer(piece); });
}

}  // namespace ridge::plan
