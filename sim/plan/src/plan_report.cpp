#include "ridge/plan/plan_report.hpp"

#include "ridge/answer/drawn_inputs.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/format.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/view/answer_keys.hpp"
#include "ridge/view/scatter_plot.hpp"
#include "ridge/view/svg.hpp"
#include "ridge/view/text_table.hpp"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::plan {
namespace {

std::string ms(Seconds time) {
  return significant(time.value() * 1e3, 4);
}

std::string percent(double share) {
  return fmt::format("{:.0f} %", 100.0 * share);
}

// "4 x 8 h20 + 2 x 8 h800".
std::string gpus_words(const Stocktaking& stock, const Structure& s) {
  const auto pool = [&](std::int64_t instances, std::size_t chip) {
    const std::string& name = stock.chips()[chip].name;
    return instances == 1 ? fmt::format("{} {}", s.gpus_per_instance, name)
                          : fmt::format("{} x {} {}", instances, s.gpus_per_instance, name);
  };
  std::string out = pool(s.attention_instances, s.attention_chip);
  if (s.split()) out += " + " + pool(s.ffn_instances, s.ffn_chip);
  return out;
}

std::string name_in(const Stocktaking& stock, const Structure& s) {
  const std::string title = title_of(s);
  return stock.models().size() > 1 ? fmt::format("{} {}", stock.models()[s.model]->name, title)
                                   : title;
}

// What the exchanges of the ranking rest on, and of which rows where they differ.
std::vector<std::string> links_of(const Plan& plan) {
  std::map<std::string, std::vector<std::size_t>> rows_of;
  for (std::size_t i = 0; i < plan.ranking.size(); ++i) {
    rows_of[plan.ranking[i].report.link_provenance].push_back(i + 1);
  }
  std::vector<std::string> out;
  for (const auto& [provenance, rows] : rows_of) {
    out.push_back(rows_of.size() == 1
                      ? provenance
                      : fmt::format("of #{}: {}", fmt::join(rows, ", #"), provenance));
  }
  return out;
}

// What no key of a goal says, and the usual of those that say what is beside kernels and links.
std::string assumed(const Stocktaking& stock) {
  const Goal& goal = stock.goal();
  const Assumptions& a = goal.assumptions;
  const std::string requests =
      goal.workload
          ? fmt::format(
                "in the search, every request at {} of context, as those in decode have on "
                "average",
                tokens_words(stock.context()))
          : "every request at the goal's context";
  const std::string drafts = a.drafting ? fmt::format("drafts accepted with a chance of {}",
                                                      a.drafting->acceptance_by_position.empty()
                                                          ? significant(a.drafting->acceptance, 3)
                                                          : "their own")
                                        : "no drafts";
  std::string out = fmt::format(
      "{}, experts equally likely, {}; {} us a step beside its stages; weights and KV in {} of "
      "memory",
      requests, drafts, significant(a.step_overhead.value_or(Seconds{}).value() * 1e6, 3),
      percent(a.memory_utilization));
  if (a.attention_precision) out += "; attention in the precision of the goal";
  return out;
}

std::string workload_words(const Stocktaking& stock) {
  const Goal& goal = stock.goal();
  if (!goal.workload) return fmt::format("{} of context", tokens_words(stock.context()));
  if (const auto* poisson = std::get_if<scenario::Poisson>(&*goal.workload)) {
    return fmt::format("{} requests a second, which come at random",
                       significant(poisson->requests_per_second, 4));
  }
  if (const auto* trace = std::get_if<scenario::Trace>(&*goal.workload)) {
    return fmt::format("the requests of {}",
                       std::filesystem::path(trace->file).filename().string());
  }
  return "requests that differ";
}

std::string percentile_words(const Goal& goal) {
  return goal.sla_percentile == 95.0 ? "" : fmt::format(" (p{:g})", goal.sla_percentile);
}

// What the answer rests on.
std::string premises(const Plan& plan) {
  const Stocktaking& stock = *plan.stock;
  const Goal& goal = stock.goal();
  std::string out;
  const auto line = [&](const char* label, const std::string& text) {
    out += fmt::format("  {:<12} {}\n", label, text);
  };
  std::vector<std::string> models;
  for (const auto& model : stock.models()) models.push_back(model->name);
  std::vector<std::string> chips;
  for (std::size_t c = 0; c < stock.chips().size(); ++c) {
    const auto& chip = stock.chips()[c];
    std::string words = chip.name;
    if (goal.chips[c].gpus) words = fmt::format("{} {}", *goal.chips[c].gpus, words);
    if (chip.price) {
      words += fmt::format(" at {} USD an hour", significant(chip.price->value() * 3600.0, 3));
    }
    chips.push_back(words);
  }
  line("goal", fmt::format("{} within {} ms a token{} at {}, on up to {} GPUs ({})",
                           fmt::join(models, ", "), significant(goal.sla_tpot.value() * 1e3, 4),
                           percentile_words(goal), workload_words(stock), goal.gpus,
                           fmt::join(chips, ", ")));
  if (goal.sla_queueing) {
    line("queueing", fmt::format("within {} ms{}", significant(goal.sla_queueing->value() * 1e3, 4),
                                 percentile_words(goal)));
  }
  if (stock.rate()) line("rate", fmt::format("{} tokens/s", significant(*stock.rate(), 4)));
  if (goal.budget) {
    line("budget", fmt::format("{} USD an hour", significant(goal.budget->value() * 3600.0, 4)));
  }
  line("best is", std::string(name_of(objective_of(goal))));
  std::vector<std::string> kernels;
  for (const auto& chip : stock.chips()) {
    kernels.push_back(fmt::format("{}: {}", chip.name, chip.provenance));
  }
  line("kernels", fmt::format("{}", fmt::join(kernels, "; ")));
  for (const std::string& links : links_of(plan)) line("links", links);
  line("assumed", assumed(stock));
  return out;
}

std::string search_words(const SearchCounts& c) {
  return fmt::format(
      "{} structures considered, {} possible: {} left out by what attention takes, {} by the "
      "busiest stage or the path, {} judged with {} simulations and {} cycle ratios{}",
      c.considered, c.possible, c.pruned_by_attention, c.pruned_by_floor, c.judged,
      c.batches_simulated, c.batches_by_cycle,
      c.draws > 0 ? fmt::format(", {} draws", c.draws) : std::string());
}

std::string ranking_table(const Plan& plan) {
  const Stocktaking& stock = *plan.stock;
  const bool drawn = plan.samples > 0;
  const bool waits = requests_arrive(stock.goal());
  const bool priced = std::all_of(plan.ranking.begin(), plan.ranking.end(),
                                  [](const Ranked& r) { return r.price.has_value(); });
  view::TextTable table;
  table.column("#");
  table.column("deployment", view::Align::left);
  table.column("GPUs");
  if (stock.rate()) table.column("times");
  table.column("batch");
  table.column("TPOT\nms");
  if (waits) table.column("wait\nms");
  if (drawn) table.column("SLA met\nin");
  table.column("tokens/s\n/GPU");
  if (drawn) table.column("90 % of\ndraws");
  if (priced) table.column("USD/\nMtok");
  table.column("bound by", view::Align::left);
  int number = 0;
  for (const Ranked& r : plan.ranking) {
    const Structure& s = r.choice.structure;
    std::vector<std::string> cells = {fmt::format("{}", ++number), name_in(stock, s),
                                      fmt::format("{}", s.gpus())};
    if (stock.rate()) cells.push_back(fmt::format("{}", r.replicas));
    cells.push_back(fmt::format("{}", s.batch(r.choice.requests)));
    cells.push_back(ms(r.report.result.mean_tpot));
    if (waits) {
      cells.push_back(
          ms(Seconds{r.report.result.queueing.quantile(0.01 * stock.goal().sla_percentile)}));
    }
    if (drawn) cells.push_back(r.draws.empty() ? "" : percent(r.sla_share));
    cells.push_back(significant(r.report.tokens_per_second_per_gpu(), 4));
    if (drawn) {
      const auto interval = r.interval();
      cells.push_back(interval ? fmt::format("{}-{}", significant(interval->low, 3),
                                             significant(interval->high, 3))
                               : std::string());
    }
    if (priced) cells.push_back(significant(*r.report.usd_per_million_tokens(), 3));
    cells.push_back(r.binds);
    table.row(std::move(cells));
  }
  return table.text();
}

std::string details(const Plan& plan) {
  const Stocktaking& stock = *plan.stock;
  std::string out;
  int number = 0;
  for (const Ranked& r : plan.ranking) {
    const Structure& s = r.choice.structure;
    out += fmt::format("  #{} {} on {}: {}; {} sequences an attention launch", ++number,
                       name_in(stock, s), gpus_words(stock, s), words_of(s), r.choice.requests);
    if (r.choice.requests < r.as_fitted) {
      out += fmt::format(" ({} without room for draws)", r.as_fitted);
    }
    if (!r.enough) {
      out += fmt::format("; no batch meets the SLA{} often enough",
                         stock.rate() ? " and delivers the rate" : "");
    }
    out += stock.rate()
               ? fmt::format("; {} replica{} for the rate", r.replicas, r.replicas > 1 ? "s" : "")
               : fmt::format("; {} replica{}", r.replicas, r.replicas > 1 ? "s fit" : " fits");
    out += "\n";
  }
  return out;
}

std::string beaten_words(const Plan& plan) {
  return fmt::format("#1 beats #2 in {:.0f} of {} draws, the same for both.",
                     plan.ranking.front().beats_next * plan.samples, plan.samples);
}

std::string reasons(const Plan& plan) {
  if (plan.ranking.size() < 2) return {};
  std::string out;
  const Ranked& first = plan.ranking.front();
  if (first.beats_next >= 0.0) {
    out += beaten_words(plan) + "\n";
  }
  if (!plan.why.empty()) {
    out += "Why #1 is first:\n";
    for (const std::string& line : plan.why) out += fmt::format("  {}\n", line);
  }
  if (!plan.what_ifs.empty()) {
    out += "What would make #2 the first, with its batch as it is:\n";
    for (const WhatIf& what : plan.what_ifs) {
      out += what.share ? fmt::format("  its {} at {} of what {}\n", what.of, percent(*what.share),
                                      what.of == "price" ? "it is" : "they take")
                        : fmt::format("  not its {}, not even at 5 % of what they take\n", what.of);
    }
  }
  return out;
}

double per_user(const Verdict& verdict) {
  return 1.0 / verdict.mean_tpot.value();
}

std::string front_table(const Plan& plan) {
  view::TextTable table;
  table.column("within\nms");
  table.column("tokens/s\nper user");
  table.column("tokens/s\n/GPU");
  table.column("GPUs");
  table.column("deployment", view::Align::left);
  table.column("split", view::Align::left);
  for (const FrontPoint& point : plan.front) {
    const Choice& c = point.choice;
    table.row({ms(point.within), significant(per_user(c.verdict), 3),
               significant(c.tokens_per_second_per_gpu(), 4), fmt::format("{}", c.structure.gpus()),
               name_in(*plan.stock, c.structure), words_of(c.structure)});
  }
  return table.text();
}

std::string table(const Plan& plan) {
  const Goal& goal = plan.stock->goal();
  std::string out = fmt::format("{}\n", plan.title);
  out += premises(plan);
  out += "\n";
  if (plan.partial) out += "Interrupted: the best so far, not the best of all.\n\n";
  if (!plan.ranking.empty()) {
    out += ranking_table(plan) + "\n" + details(plan) + "\n";
    out += reasons(plan);
    if (plan.samples > 0) {
      out += fmt::format(
          "Each has the best batch that is within the SLA in {} of {} draws of "
          "the calibrations within their error{}{}.\n",
          percent(goal.confidence), plan.samples, plan.inputs.empty() ? "" : ", ",
          scenario::words_of(plan.inputs));
    }
  } else if (!plan.near_misses.empty()) {
    out += fmt::format(
        "Nothing decodes a token within {} ms. With one sequence an attention "
        "launch, these come nearest:\n",
        significant(goal.sla_tpot.value() * 1e3, 4));
    for (const NearMiss& miss : plan.near_misses) {
      out += fmt::format("  {} ms, {} times the SLA: {} on {}: {}\n", ms(miss.tpot),
                         significant(miss.tpot / goal.sla_tpot, 3),
                         name_in(*plan.stock, miss.structure),
                         gpus_words(*plan.stock, miss.structure), words_of(miss.structure));
    }
  } else if (!plan.partial) {
    out += "Nothing that the goal allows is possible.\n";
  }
  if (!plan.front.empty()) {
    out += "\nThe best at other speeds, with kernel times as fitted:\n" + front_table(plan);
  }
  if (!plan.impossible.empty()) {
    out += "\nImpossible:\n";
    for (const Impossible& one : plan.impossible) {
      out += fmt::format("  {} of {}: {}{}\n", one.structures, one.strategy, one.reason,
                         one.structures > 1 ? ", and the like" : "");
    }
  }
  out += fmt::format("\n{}\n", search_words(plan.counts));
  return out;
}

std::string csv(const Plan& plan) {
  std::string out =
      view::csv_line({"list", "rank", "name", "model", "strategy", "on", "split", "gpus",
                      "replicas", "batch", "tpot_ms", "tpot_p95_ms", "tokens_per_s_per_gpu",
                      "tokens_per_s_per_user", "usd_per_Mtok", "sla_met_share", "bound_by"}) +
      "\n";
  int number = 0;
  const auto number_of = [](double value) { return fmt::format("{}", value); };
  for (const Ranked& r : plan.ranking) {
    const Structure& s = r.choice.structure;
    const auto usd = r.report.usd_per_million_tokens();
    out += view::csv_line(
               {"ranking", fmt::format("{}", ++number), name_in(*plan.stock, s),
                plan.stock->models()[s.model]->name, s.strategy, gpus_words(*plan.stock, s),
                words_of(s), fmt::format("{}", s.gpus()), fmt::format("{}", r.replicas),
                fmt::format("{}", s.batch(r.choice.requests)),
                number_of(r.report.result.mean_tpot.value() * 1e3),
                number_of(r.report.result.tpot.quantile(0.95) * 1e3),
                number_of(r.report.tokens_per_second_per_gpu()),
                number_of(r.report.tokens_per_second_per_user()), usd ? number_of(*usd) : "",
                r.draws.empty() ? "" : number_of(r.sla_share), r.binds}) +
           "\n";
  }
  number = 0;
  for (const FrontPoint& point : plan.front) {
    const Choice& c = point.choice;
    const Structure& s = c.structure;
    out +=
        view::csv_line(
            {"front", fmt::format("{}", ++number), name_in(*plan.stock, s),
             plan.stock->models()[s.model]->name, s.strategy, gpus_words(*plan.stock, s),
             words_of(s), fmt::format("{}", s.gpus()), "", fmt::format("{}", s.batch(c.requests)),
             number_of(c.verdict.mean_tpot.value() * 1e3), number_of(c.verdict.tpot.value() * 1e3),
             number_of(c.tokens_per_second_per_gpu()), number_of(per_user(c.verdict)), "", "",
             ""}) +
        "\n";
  }
  return out;
}

// Of all chips, each once.
std::string provenances(const Plan& plan) {
  std::vector<std::string> out;
  for (const auto& chip : plan.stock->chips()) {
    if (std::find(out.begin(), out.end(), chip.provenance) == out.end()) {
      out.push_back(chip.provenance);
    }
  }
  return fmt::format("{}", fmt::join(out, ", "));
}

// A part of a plan's answer with the plan, which knows what its numbers mean.
template <typename Part>
struct Of {
  const Plan& plan;
  const Part& part;

  [[nodiscard]] const Stocktaking& stock() const { return *plan.stock; }
};
template <typename Part>
std::vector<Of<Part>> each_of(const Plan& plan, const std::vector<Part>& parts) {
  std::vector<Of<Part>> out;
  for (const Part& part : parts) out.push_back({plan, part});
  return out;
}

const Structure& structure_of(const Ranked& ranked) {
  return ranked.choice.structure;
}
const Structure& structure_of(const NearMiss& miss) {
  return miss.structure;
}
const Structure& structure_of(const FrontPoint& point) {
  return point.choice.structure;
}

// What is said of the structure, then `more`.
template <typename Part>
view::AnswerKeys<Of<Part>> with_structure(std::vector<view::AnswerKey<Of<Part>>> more) {
  using O = Of<Part>;
  std::vector<view::AnswerKey<O>> all = {
      {"name", "", [](const O& o) { return name_in(o.stock(), structure_of(o.part)); }},
      {"model", "",
       [](const O& o) { return o.stock().models()[structure_of(o.part).model]->name; }},
      {"strategy", "", [](const O& o) { return structure_of(o.part).strategy; }},
      {"gpus", "Of a replica.", [](const O& o) { return structure_of(o.part).gpus(); }},
      {"on", "Instances and their chips.",
       [](const O& o) { return gpus_words(o.stock(), structure_of(o.part)); }},
      {"split", "How it is split, in words.",
       [](const O& o) { return words_of(structure_of(o.part)); }}};
  for (auto& key : more) all.push_back(std::move(key));
  return view::AnswerKeys<O>(std::move(all));
}

constexpr const char* kLaunchWords = "Requests in each group and micro-batch.";

}  // namespace

static const view::AnswerKeys<TimePerToken>& answer_keys(const TimePerToken* /*of*/) {
  using T = TimePerToken;
  static const view::AnswerKeys<T> keys(
      {{"attention", "", [](const T& t) { return t.attention * 1e6; }},
       {"ffn", "", [](const T& t) { return t.ffn * 1e6; }},
       {"head", "", [](const T& t) { return t.head * 1e6; }},
       {"waiting", "For another stage, the network or links.",
        [](const T& t) { return t.waiting * 1e6; }}});
  return keys;
}

namespace {

const view::AnswerKeys<Of<Ranked>>& answer_keys(const Of<Ranked>* /*of*/) {
  using O = Of<Ranked>;
  static const auto keys = with_structure<Ranked>(
      {{"replicas", "That the goal allows, or that its rate takes.",
        [](const O& o) { return o.part.replicas; }},
       {"batch", "Requests that a replica decodes at once.",
        [](const O& o) { return structure_of(o.part).batch(o.part.choice.requests); }},
       {"requests_per_launch", kLaunchWords, [](const O& o) { return o.part.choice.requests; }},
       {"requests_per_launch_as_fitted", "The same before draws asked for room.",
        [](const O& o) { return o.part.as_fitted; }},
       {"requests_per_launch_in_memory", "The most that fit.",
        [](const O& o) { return o.part.choice.most_requests; }},
       {"tpot_ms", "Mean.",
        [](const O& o) { return o.part.report.result.mean_tpot.value() * 1e3; }},
       {"tpot_p95_ms", "95th percentile.",
        [](const O& o) { return o.part.report.result.tpot.quantile(0.95) * 1e3; }},
       {"queueing_ms", "At the SLA's percentile, of a workload that arrives.",
        [](const O& o) -> std::optional<double> {
          const Goal& goal = o.stock().goal();
          if (!requests_arrive(goal)) return std::nullopt;
          return o.part.report.result.queueing.quantile(0.01 * goal.sla_percentile) * 1e3;
        }},
       {"tokens_per_s_per_gpu", "",
        [](const O& o) { return o.part.report.tokens_per_second_per_gpu(); }},
       {"tokens_per_s_per_user", "",
        [](const O& o) { return o.part.report.tokens_per_second_per_user(); }},
       {"usd_per_Mtok", "", [](const O& o) { return o.part.report.usd_per_million_tokens(); }},
       {"sla_met_share", "Of the draws.",
        [](const O& o) {
          return o.part.draws.empty() ? std::nullopt : std::optional(o.part.sla_share);
        }},
       {"sla_met_often_enough", "As often as the goal wants.",
        [](const O& o) { return o.part.enough; }},
       {"tokens_per_s_per_gpu_90", "90 % of the draws.",
        [](const O& o) { return o.part.interval(); }},
       {"beats_next_share", "Share of draws in which it beats the one after it.",
        [](const O& o) {
          return o.part.beats_next >= 0.0 ? std::optional(o.part.beats_next) : std::nullopt;
        }},
       {"bound_by", "What keeps it from delivering more.", [](const O& o) { return o.part.binds; }},
       {"kernel_times", view::kProvenanceWords,
        [](const O& o) { return o.part.report.provenance; }},
       {"links", view::kLinkWords, [](const O& o) { return o.part.report.link_provenance; }},
       {"warnings", "", [](const O& o) { return o.part.report.warnings; }},
       {"gpu_us_per_token", "Of a GPU's time per token.", [](const O& o) { return o.part.time; }}});
  return keys;
}

const view::AnswerKeys<Of<NearMiss>>& answer_keys(const Of<NearMiss>* /*of*/) {
  using O = Of<NearMiss>;
  static const auto keys = with_structure<NearMiss>(
      {{"tpot_ms", "", [](const O& o) { return o.part.tpot.value() * 1e3; }},
       {"times_sla", "", [](const O& o) { return o.part.tpot / o.stock().goal().sla_tpot; }}});
  return keys;
}

const view::AnswerKeys<Of<FrontPoint>>& answer_keys(const Of<FrontPoint>* /*of*/) {
  using O = Of<FrontPoint>;
  static const auto keys = with_structure<FrontPoint>(
      {{"within_ms", "The TPOT allowed.", [](const O& o) { return o.part.within.value() * 1e3; }},
       {"requests_per_launch", kLaunchWords, [](const O& o) { return o.part.choice.requests; }},
       {"tpot_ms", "", [](const O& o) { return o.part.choice.verdict.mean_tpot.value() * 1e3; }},
       {"tokens_per_s_per_user", "", [](const O& o) { return per_user(o.part.choice.verdict); }},
       {"tokens_per_s_per_gpu", "",
        [](const O& o) { return o.part.choice.tokens_per_second_per_gpu(); }}});
  return keys;
}

}  // namespace

static const view::AnswerKeys<WhatIf>& answer_keys(const WhatIf* /*of*/) {
  static const view::AnswerKeys<WhatIf> keys(
      {{"of", "", &WhatIf::of},
       {"share", "They would have to take this share of what they do.", &WhatIf::share}});
  return keys;
}

static const view::AnswerKeys<Impossible>& answer_keys(const Impossible* /*of*/) {
  static const view::AnswerKeys<Impossible> keys(
      {{"strategy", "", &Impossible::strategy},
       {"structures", "How many share the reason.", &Impossible::structures},
       {"reason", "Of the first.", &Impossible::reason}});
  return keys;
}

static const view::AnswerKeys<SearchCounts>& answer_keys(const SearchCounts* /*of*/) {
  using C = SearchCounts;
  static const view::AnswerKeys<C> keys({{"considered", "", &C::considered},
                                         {"possible", "", &C::possible},
                                         {"pruned_by_attention", "", &C::pruned_by_attention},
                                         {"pruned_by_floor", "", &C::pruned_by_floor},
                                         {"judged", "", &C::judged},
                                         {"simulations", "Of a batch.", &C::batches_simulated},
                                         {"cycle_ratios", "Of a batch.", &C::batches_by_cycle},
                                         {"draws", "Of a batch.", &C::draws}});
  return keys;
}

static const view::AnswerKeys<Plan>& answer_keys(const Plan* /*of*/) {
  using P = Plan;
  static const view::AnswerKeys<P> keys(
      {{"title", "", &P::title},
       {"partial", "Whether the search was stopped.", &P::partial},
       {"objective", "What the best has most, or least, of.",
        [](const P& p) { return name_of(objective_of(p.stock->goal())); }},
       {"sla_tpot_ms", "", [](const P& p) { return p.stock->goal().sla_tpot.value() * 1e3; }},
       {"sla_percentile", "That the SLA is compared with.",
        [](const P& p) { return p.stock->goal().sla_percentile; }},
       {"context_tokens", view::kContextWords, [](const P& p) { return p.stock->context(); }},
       {"confidence", "Share of draws in which the SLA shall be met.",
        [](const P& p) { return p.stock->goal().confidence; }},
       {"samples", "Draws of the calibrations.", &P::samples},
       view::left_out<P>(
           "drawn", "The inputs that the goal leaves open and draws draw, beside calibrations.",
           [](const P& p) {
             using Inputs = std::vector<scenario::DrawnInput>;
             return p.inputs.empty() ? std::nullopt : std::optional<Inputs>(p.inputs);
           }),
       view::left_out<P>("warnings", "Of the question.",
                         [](const P& p) {
                           using Lines = std::vector<std::string>;
                           return p.warnings.empty() ? std::nullopt
                                                     : std::optional<Lines>(p.warnings);
                         }),
       {"kernel_times", "Of each chip.",
        [](const P& p) {
          view::ByName<std::string> out;
          for (const auto& chip : p.stock->chips()) out.emplace_back(chip.name, chip.provenance);
          return out;
        }},
       {"assumed", "What no key of a goal says.", [](const P& p) { return assumed(*p.stock); }},
       {"ranking", "Best first.", [](const P& p) { return each_of(p, p.ranking); }},
       {"why", "Why the first is first.", &P::why},
       {"what_would_make_2_first", "", &P::what_ifs},
       {"near_misses", "Where nothing meets the SLA: what comes nearest.",
        [](const P& p) { return each_of(p, p.near_misses); }},
       {"front", "The best within other TPOTs than the SLA's, as fitted.",
        [](const P& p) { return each_of(p, p.front); }},
       {"impossible", "", &P::impossible},
       {"search", "What became of the structures.", &P::counts}});
  return keys;
}

const view::AnswerDescription& plan_answer() {
  return answer_keys(static_cast<const Plan*>(nullptr));
}

std::string render(const Plan& plan, view::OutputFormat format) {
  return view::written(format, plan, table, csv, view::answer_json);
}

std::string plan_picture(const Plan& plan) {
  view::PlotSeries front{
      .name = "best at each speed, as fitted", .color = view::svg::kColors[0], .connected = true};
  for (auto point = plan.front.rbegin(); point != plan.front.rend(); ++point) {
    const Choice& c = point->choice;
    front.points.push_back(
        {per_user(c.verdict), c.tokens_per_second_per_gpu(),
         fmt::format("{}: {}", name_in(*plan.stock, c.structure), words_of(c.structure))});
  }
  view::PlotSeries ranked{.name = "ranked, with room for draws",
                          .color = view::svg::kColors[1],
                          .radius = 5.0,
                          .marker = view::PlotSeries::Marker::diamond,
                          .labeled = true};
  for (const Ranked& r : plan.ranking) {
    ranked.points.push_back({r.report.tokens_per_second_per_user(),
                             r.report.tokens_per_second_per_gpu(),
                             name_in(*plan.stock, r.choice.structure)});
  }
  view::ScatterPlot plot{.title = plan.title,
                         .subtitle = fmt::format("simulated; kernel times: {}", provenances(plan)),
                         .x_label = "tokens/s per user",
                         .y_label = "tokens/s per GPU"};
  plot.series.push_back(std::move(front));
  plot.series.push_back(std::move(ranked));
  return plot.svg();
}

view::Designs designs_of(const Plan& plan) {
  view::Designs out{.title = plan.title,
                    .provenance = fmt::format("simulated; kernel times: {}", provenances(plan))};
  out.columns = {
      {.name = "tokens_per_s_per_user", .words = "tokens per second of a request", .unit = "1/s"},
      {.name = "tokens_per_s_per_gpu",
       .words = "tokens per second and GPU",
       .unit = "1/s",
       .low = 2,
       .high = 3},
      {.name = "tokens_per_s_per_gpu_p5",
       .words = "below it in 5 % of the draws of the calibrations",
       .unit = "1/s"},
      {.name = "tokens_per_s_per_gpu_p95",
       .words = "above it in 5 % of the draws of the calibrations",
       .unit = "1/s"},
      {.name = "tpot_ms", .words = "mean time per output token", .unit = "ms"},
      {.name = "sla_met_share", .words = "share of draws in which the SLA is met", .unit = ""},
      {.name = "gpus", .words = "GPUs of a replica", .unit = ""},
      {.name = "batch", .words = "requests that a replica decodes at once", .unit = ""},
      {.name = "usd_per_Mtok", .words = "USD per 1M tokens", .unit = "USD"}};
  out.groups = {"ranked", "best at each speed, as fitted"};
  out.names_are_shown = true;
  out.y = 1;
  out.more_x_is_better = true;
  out.more_y_is_better = true;
  out.bounds.push_back({.column = 0,
                        .value = 1.0 / plan.stock->goal().sla_tpot.value(),
                        .label = fmt::format("SLA {} ms", ms(plan.stock->goal().sla_tpot))});
  const double unknown = std::numeric_limits<double>::quiet_NaN();
  const auto add = [&](const Choice& c, std::uint32_t group, std::string name, const Ranked* r) {
    out.names[out.rows.size()] = std::move(name);
    out.rows.push_back({.group = group});
    const auto interval = r != nullptr ? r->interval() : std::nullopt;
    const auto usd = r != nullptr ? r->report.usd_per_million_tokens() : std::nullopt;
    out.values.insert(
        out.values.end(),
        {per_user(c.verdict), c.tokens_per_second_per_gpu(), interval ? interval->low : unknown,
         interval ? interval->high : unknown, c.verdict.mean_tpot.value() * 1e3,
         interval ? r->sla_share : unknown, static_cast<double>(c.structure.gpus()),
         static_cast<double>(c.structure.batch(c.requests)), usd.value_or(unknown)});
  };
  for (std::size_t i = 0; i < plan.ranking.size(); ++i) {
    const Ranked& r = plan.ranking[i];
    add(r.choice, 0, fmt::format("#{} {}", i + 1, name_in(*plan.stock, r.choice.structure)), &r);
  }
  for (const FrontPoint& point : plan.front) {
    add(point.choice, 1, name_in(*plan.stock, point.choice.structure), nullptr);
  }
  // What no other of its group is as good as in both and better in one.
  for (std::size_t a = 0; a < out.rows.size(); ++a) {
    out.rows[a].front = true;
    for (std::size_t b = 0; b < out.rows.size(); ++b) {
      if (out.rows[a].group != out.rows[b].group) continue;
      const double speed = out.value(b, out.x) - out.value(a, out.x);
      const double throughput = out.value(b, out.y) - out.value(a, out.y);
      if (speed >= 0 && throughput >= 0 && speed + throughput > 0) out.rows[a].front = false;
    }
  }
  return out;
}

std::vector<std::string> page_words(const Plan& plan) {
  std::vector<std::string> out;
  if (!plan.ranking.empty() && plan.ranking.front().beats_next >= 0.0) {
    out.push_back(beaten_words(plan));
  }
  if (!plan.why.empty()) out.push_back(fmt::format("Why: {}.", fmt::join(plan.why, "; ")));
  if (plan.ranking.empty()) {
    out.push_back(plan.near_misses.empty()
                      ? "Nothing that the goal allows is possible."
                      : fmt::format("Nothing is within the SLA; the nearest takes {} ms.",
                                    ms(plan.near_misses.front().tpot)));
  }
  if (const auto links = links_of(plan); !links.empty()) {
    out.push_back(fmt::format("Links: {}.", fmt::join(links, "; ")));
  }
  out.push_back(fmt::format("Assumed: {}.", assumed(*plan.stock)));
  out.push_back(search_words(plan.counts));
  return out;
}

std::vector<std::string> write_scenarios(const Plan& plan, const std::string& folder) {
  make_folder(folder);
  std::vector<std::string> out;
  for (const Ranked& r : plan.ranking) {
    const auto path = std::filesystem::path(folder) /
                      fmt::format("{}-{}.json", out.size() + 1,
                                  file_name_of(name_in(*plan.stock, r.choice.structure)));
    write_file(path.string(), json_text(r.scenario.scenario));
    out.push_back(path.string());
  }
  return out;
}

}  // namespace ridge::plan
