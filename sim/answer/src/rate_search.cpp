#include "ridge/answer/rate_search.hpp"

#include "ridge/answer/simulation_figures.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/format.hpp"
#include "ridge/view/answer_keys.hpp"
#include "ridge/view/text_table.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace ridge::answer {
namespace {

using Workload = decode::Workload;
constexpr double kNearEnough = 1.02;
// A verdict at p95 needs some requests in the measured time.
constexpr double kLeastRequests = 20.0;
constexpr int kMostDoublings = 20;

double rate_of(const scenario::SimulationScenario& scenario) {
  const Workload& workload = scenario.input.workload;
  if (workload.kind == Workload::Kind::poisson) return workload.requests_per_second;
  const Seconds span = workload.trace.back().arrival - workload.trace.front().arrival;
  return static_cast<double>(workload.trace.size() - 1) / span.value();
}

void set_rate(scenario::SimulationScenario& scenario, double rate) {
  Workload& workload = scenario.input.workload;
  if (workload.kind == Workload::Kind::poisson) {
    workload.requests_per_second = rate;
    return;
  }
  const double factor = rate_of(scenario) / rate;
  for (auto& request : workload.trace) request.arrival = request.arrival * factor;
}

void check(const scenario::LocatedScenario& located, const scenario::SimulationScenario& scenario) {
  const Workload& workload = scenario.input.workload;
  if (workload.kind == Workload::Kind::closed_loop) {
    throw scenario::mistake_in(
        located, "/workload",
        "a rate needs requests that arrive (kind \"poisson\" or \"trace\"), found a closed loop; a "
        "sweep over its requests asks the same of it");
  }
  if (workload.kind == Workload::Kind::trace &&
      workload.trace.back().arrival <= workload.trace.front().arrival) {
    throw scenario::mistake_in(located, "/workload",
                               "a trace whose requests all arrive at once has no rate to change");
  }
  if (!scenario.sla.tpot && !scenario.sla.queueing && !scenario.sla.time_in_system) {
    throw scenario::mistake_in(located, "",
                               "a largest rate needs an SLA to hold: sla_tpot_ms, sla_queueing_ms "
                               "or sla_time_in_system_ms");
  }
}

}  // namespace

RateSearch largest_rate(const scenario::LocatedScenario& located, scenario::Library& library,
                        std::optional<std::uint64_t> seed, const std::atomic<bool>* stop) {
  scenario::SimulationScenario scenario = scenario::resolve(located, library);
  check(located, scenario);
  if (seed) scenario.input.seed = *seed;
  RateSearch out{.title = scenario.title, .tries = {}, .largest_held = {}, .smallest_missed = {}};
  const auto holds = [&](double rate) {
    scenario::SimulationScenario asked = scenario;
    set_rate(asked, rate);
    RateTry& one = out.tries.emplace_back();
    one.rate = rate;
    try {
      one.report = simulate(std::move(asked), {.stop = stop, .floor = false});
    } catch (const UserError& e) {
      throw scenario::told_where_it_stands(located, e);
    }
    return one.holds() && !one.report.result.partial;
  };
  const auto stopped = [&] { return stop != nullptr && stop->load(std::memory_order_relaxed); };
  const double start = rate_of(scenario);
  const double least = kLeastRequests / scenario.input.measurement.duration.value();
  const bool first = holds(start);
  double held = first ? start : 0.0;
  double missed = first ? 0.0 : start;
  // A trace that comes this fast comes as good as at once.
  constexpr double kAtOnce = 0.01;
  const bool ends = scenario.input.workload.kind == Workload::Kind::trace;
  const double most =
      ends ? static_cast<double>(scenario.input.workload.trace.size()) /
                 (kAtOnce * out.tries.front().report.result.elapsed.seconds().value())
           : std::numeric_limits<double>::infinity();
  for (int i = 0; i < kMostDoublings && !stopped() && (held == 0.0 || missed == 0.0); ++i) {
    const double rate = first ? 2.0 * held : 0.5 * missed;
    if (rate < least || rate > most) break;
    (holds(rate) ? held : missed) = rate;
  }
  while (held > 0.0 && missed > kNearEnough * held && !stopped()) {
    const double rate = std::sqrt(held * missed);
    (holds(rate) ? held : missed) = rate;
  }
  std::sort(out.tries.begin(), out.tries.end(),
            [](const RateTry& a, const RateTry& b) { return a.rate < b.rate; });
  for (std::size_t i = 0; i < out.tries.size(); ++i) {
    if (out.tries[i].rate == held) out.largest_held = i;
    if (out.tries[i].rate == missed) out.smallest_missed = i;
  }
  return out;
}

namespace {

// What the tries are told by, beside their rate.
constexpr std::array kTold = {"tokens_per_s_per_gpu", "tpot_p95_ms", "queueing_p95_ms",
                              "time_in_system_p95_ms"};

std::string verdict_words(const RateSearch& search) {
  if (!search.largest_held) {
    return fmt::format("No rate from {} requests/s on holds the SLA.\n",
                       significant(search.tries.front().rate, 3));
  }
  const double held = search.tries[*search.largest_held].rate;
  if (!search.smallest_missed) {
    return fmt::format("Every rate that was tried holds the SLA, up to {} requests/s.\n",
                       significant(held, 3));
  }
  return fmt::format("The SLA holds up to {} requests/s, and no longer at {}.\n",
                     significant(held, 3),
                     significant(search.tries[*search.smallest_missed].rate, 3));
}

}  // namespace

static const view::AnswerKeys<RateTry>& answer_keys(const RateTry* /*of*/) {
  using T = RateTry;
  static const view::AnswerKeys<T> keys = [] {
    std::vector<view::AnswerKey<T>> all = {{"requests_per_second", "", &T::rate},
                                           {"holds", "Whether the SLA is met.", &T::holds}};
    for (const char* name : kTold) {
      const SimulationFigure& figure = simulation_figure(name);
      all.emplace_back(name, std::string(figure.spec.words), [&figure](const T& one) {
        const double value = figure.shown(one.report);
        return std::isfinite(value) ? std::optional(value) : std::nullopt;
      });
    }
    return view::AnswerKeys<T>(std::move(all));
  }();
  return keys;
}

static const view::AnswerKeys<RateSearch>& answer_keys(const RateSearch* /*of*/) {
  using S = RateSearch;
  static const auto rate = [](std::optional<std::size_t> S::*index) {
    return [index](const S& search) {
      return search.*index ? std::optional(search.tries[*(search.*index)].rate) : std::nullopt;
    };
  };
  static const view::AnswerKeys<S> keys(
      {{"title", "", &S::title},
       {"largest_rate_held", "Requests per second at which the SLA is met.",
        rate(&S::largest_held)},
       {"smallest_rate_missed", "Requests per second at which it no longer is.",
        rate(&S::smallest_missed)},
       {"tries", "", &S::tries}});
  return keys;
}

const view::AnswerDescription& rate_answer() {
  return answer_keys(static_cast<const RateSearch*>(nullptr));
}

std::string render(const RateSearch& search, view::OutputFormat format) {
  if (format == view::OutputFormat::json) return view::answer_json(search);
  view::TextTable table;
  table.column("requests/s");
  for (const char* name : kTold) table.column(std::string(simulation_figure(name).spec.heading));
  table.column("SLA", view::Align::left);
  for (const RateTry& one : search.tries) {
    std::vector<std::string> cells = {significant(one.rate, 3)};
    for (const char* name : kTold) {
      const double value = simulation_figure(name).shown(one.report);
      cells.push_back(std::isfinite(value) ? significant(value, 4) : "");
    }
    cells.emplace_back(one.holds()               ? "holds"
                       : one.report.overloaded() ? "misses: overloaded"
                                                 : "misses");
    table.row(std::move(cells));
  }
  return fmt::format("{}\n{}\n{}", search.title, verdict_words(search), table.text());
}

}  // namespace ridge::answer
