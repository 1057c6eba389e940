#include "ridge/answer/simulation_report.hpp"

#include "chrome_trace.hpp"
#include "disaggregation_factors.hpp"
#include "pipeline_picture.hpp"
#include "ridge/answer/drawn_inputs.hpp"
#include "ridge/answer/simulation_figures.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/format.hpp"
#include "ridge/hwmodels/calibrated/calibrated_model.hpp"
#include "ridge/view/answer_keys.hpp"
#include "ridge/view/terminal.hpp"
#include "ridge/view/text_table.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::answer {
namespace {

using decode::Stage;
// Some hundred megabytes of JSON, which a browser still opens.
constexpr std::size_t kTraceRecords = 200'000;

// Tells `ask(role, block, layers, operators)` of every kind of block: what it launches at the mean
// batch of the run.
template <typename Ask>
void for_each_block(const decode::SimulationInput& input, const decode::SimulationResult& result,
                    Ask&& ask) {
  const decode::Deployment& d = input.deployment;
  const double requests =
      result.mean_requests / static_cast<double>(d.replicas * d.groups() * d.micro_batches);
  const models::DecodeShape shape{.sequences = std::max(1.0, requests),
                                  .context = context_of_steps(input, result),
                                  .queries_per_sequence = d.queries_per_step()};
  const double tokens = shape.tokens() * static_cast<double>(d.groups());
  for (std::size_t b = 0; b < d.model.attentions.size(); ++b) {
    models::OperatorList all;
    models::attention_operators(d.model.attentions[b], d.model.precisions, d.model.hidden, shape,
                                {.tensor_parallel = d.attention_tensor_parallel,
                                 .output_parallel = d.output_parallel,
                                 .context_parallel = d.context_parallel},
                                models::MlaCount::absorbed, all);
    models::OperatorList operators;
    for (const models::Operator& op : all) {
      const bool on_links = d.collectives == decode::CollectiveTiming::links &&
                            std::holds_alternative<models::Collective>(op.shape);
      if (!on_links) operators.add(op.name, op.part, op.shape, op.purpose);
    }
    ask(decode::Role::attention, b, d.model.layers_with_attention(b), operators);
  }
  for (std::size_t b = 0; b < d.model.ffns.size(); ++b) {
    models::OperatorList operators;
    models::ffn_operators(d.model.ffns[b], d.model.precisions, d.model.hidden, tokens,
                          {.tensor_parallel = d.ffn_tensor_parallel,
                           .expert_parallel = d.ffn_expert_parallel,
                           .own_tokens = 1.0 / static_cast<double>(d.ffn_expert_parallel),
                           .gathered = gathers(d.exchange)},
                          operators);
    ask(decode::Role::ffn, b, d.model.layers_with_ffn(b), operators);
  }
}

// What the calibrations were asked beyond the shapes they were fitted on.
void add_range_warnings(const decode::SimulationInput& input, SimulationReport& report) {
  std::vector<std::string>& warnings = report.warnings;
  for_each_block(input, report.result,
                 [&](decode::Role role, std::size_t /*block*/, std::int64_t /*layers*/,
                     const models::OperatorList& operators) {
                   const decode::Pool& pool = input.deployment.pool(role);
                   for (const auto& op : operators) {
                     const hw::Timing timing = pool.kernels->time(op);
                     ++report.out_of_range.operators;
                     if (timing.within_range) continue;
                     ++report.out_of_range.outside;
                     report.out_of_range.worst_error =
                         std::max(report.out_of_range.worst_error, timing.error);
                   }
                   for (auto& warning :
                        hw::range_warnings(*pool.kernels, operators.begin(), operators.end())) {
                     if (std::find(warnings.begin(), warnings.end(), warning) == warnings.end()) {
                       warnings.push_back(std::move(warning));
                     }
                   }
                 });
}

// Checkpoints in FP8 mostly have a scale for each block of 128 x 128 weights (arXiv 2412.19437
// section 3.3.2), and engines refuse a split through a block.
void add_format_warnings(const decode::Deployment& d, SimulationReport& report) {
  constexpr std::int64_t kBlock = 128;
  const auto check = [&](const models::FfnBlock& block, std::int64_t columns,
                         std::string_view what) {
    const std::int64_t each = columns / d.ffn_tensor_parallel;
    if (columns == 0 || each % kBlock == 0 ||
        block.weight_format().precision != models::Precision::fp8) {
      return;
    }
    report.warnings.push_back(fmt::format(
        "\"{}\": {} columns of {} on each of {} GPUs are no multiple of {}: engines refuse a split "
        "through the blocks of {} that share an FP8 scale; expert parallelism does not split them",
        block.name, each, what, d.ffn_tensor_parallel, kBlock, kBlock));
  };
  if (d.ffn_tensor_parallel == 1) return;
  for (const auto& block : d.model.ffns) {
    if (const auto* moe = std::get_if<models::MoeFfn>(&block.kind)) {
      check(block, moe->expert_intermediate, "an expert");
      check(block, moe->shared_intermediate, "the shared experts");
    } else if (const auto* dense = std::get_if<models::DenseFfn>(&block.kind)) {
      check(block, dense->intermediate, "it");
    }
  }
}

// The longest context that a request may reach, beside what the model was made for.
void add_context_warning(const decode::SimulationInput& input, SimulationReport& report) {
  const decode::Workload& work = input.workload;
  std::int64_t longest = 0;
  if (work.kind == decode::Workload::Kind::trace) {
    for (const decode::TraceRequest& request : work.trace) {
      longest = std::max(longest, request.context_tokens + request.output_tokens);
    }
  } else {
    longest = work.context.largest() + (work.steady ? 0 : work.output.largest());
  }
  std::string remark = models::context_remark(input.deployment.model, static_cast<double>(longest));
  if (!remark.empty()) report.warnings.push_back(std::move(remark));
}

// What the measured time does not show.
void add_load_warnings(const decode::SimulationInput& input, SimulationReport& report) {
  const decode::SimulationResult& r = report.result;
  if (r.trace_over) {
    report.warnings.push_back(fmt::format(
        "the trace is over: measured until its last request was served, {} of the {}",
        si(r.elapsed.seconds().value(), "s"), si(input.measurement.duration.value(), "s")));
  }
  if (input.workload.kind != decode::Workload::Kind::poisson || report.overloaded()) return;
  const auto before = static_cast<double>(r.requests_in_decode_before);
  const auto after = static_cast<double>(r.requests_in_decode);
  constexpr double kMuch = 0.1;
  if (after - before <= std::max(3.0 * std::sqrt(after), kMuch * after)) return;
  report.warnings.push_back(
      fmt::format("requests in decode grew from {} to {} while it was measured: a longer warm-up "
                  "shows what lasts",
                  r.requests_in_decode_before, r.requests_in_decode));
}

// Roofline kernels, links without overheads: what no implementation of this deployment beats.
std::optional<Seconds> floor_of(decode::SimulationInput input) {
  if (input.workload.kind != decode::Workload::Kind::closed_loop) return std::nullopt;
  for (auto& pool : input.deployment.pools) {
    pool.kernels = hw::theoretical_model(pool.whole_chip());
    pool.communication_units = 0;
  }
  input.deployment.step_overhead = {};
  input.deployment.execution.host_stagger = {};
  input.deployment.collectives = decode::CollectiveTiming::links;
  input.deployment.network.transport = {.overhead = {}, .efficiency = 1.0, .source = "theory"};
  input.deployment.scale_up = input.deployment.network;
  input.noise = {};
  input.noise.experts.counts = decode::ExpertPopularity::Counts::expected;
  input.max_trace_records = 0;
  input.measurement = {.warmup_steps = 0, .steps = 1};
  const auto result = decode::Simulation(std::move(input)).run();
  return std::max(result.path_floor, result.resource_floor);
}

}  // namespace

double context_of_steps(const decode::SimulationInput& input,
                        const decode::SimulationResult& result) {
  if (result.mean_context > 0.0) return result.mean_context;
  const decode::Workload& workload = input.workload;
  using Kind = decode::LengthDistribution::Kind;
  if (workload.kind == decode::Workload::Kind::trace) {
    double sum = 0.0;
    for (const auto& request : workload.trace) sum += static_cast<double>(request.context_tokens);
    return sum / static_cast<double>(workload.trace.size());
  }
  const auto& context = workload.context;
  return context.kind == Kind::uniform ? 0.5 * (context.min + context.max) : context.tokens;
}

std::string kernel_provenance(const decode::Deployment& d) {
  std::map<std::string, std::string> pools_of;  // with these words
  std::vector<std::string> all;
  for (const auto& pool : d.pools) {
    auto words = pool.kernels->provenance();
    const auto [place, added] = pools_of.try_emplace(words, pool.name);
    if (added) {
      all.push_back(std::move(words));
    } else {
      place->second += ", " + pool.name;
    }
  }
  if (all.size() == 1) return all.front();
  for (std::string& words : all) words = fmt::format("{}: {}", pools_of[words], words);
  return fmt::format("{}", fmt::join(all, "; "));
}

std::vector<OperatorTime> operator_times(const decode::SimulationInput& input,
                                         const decode::SimulationResult& result) {
  std::vector<OperatorTime> out;
  for_each_block(input, result,
                 [&](decode::Role role, std::size_t block, std::int64_t layers,
                     const models::OperatorList& operators) {
                   const decode::Pool& pool = input.deployment.pool(role);
                   for (const auto& op : operators) {
                     out.push_back({.role = role,
                                    .pool = input.deployment.index_of(role),
                                    .block = block,
                                    .layers = layers,
                                    .name = std::string(op.name),
                                    .part = op.part,
                                    .purpose = op.purpose,
                                    .kernel = std::string(pool.kernels->kernel(op)),
                                    .timing = pool.kernels->time(op)});
                   }
                 });
  return out;
}

double SimulationReport::tokens_per_second() const {
  const double seconds = result.elapsed.seconds().value();
  return seconds > 0.0 ? static_cast<double>(result.tokens) / seconds : 0.0;
}
double SimulationReport::tokens_per_second_per_gpu() const {
  return tokens_per_second() / static_cast<double>(gpus);
}
double SimulationReport::tokens_per_second_per_user() const {
  return result.mean_tpot.value() > 0.0 ? 1.0 / result.mean_tpot.value() : 0.0;
}
std::optional<bool> SimulationReport::meets_sla() const {
  if (!sla.tpot && !sla.queueing && !sla.time_in_system) return std::nullopt;
  const auto within = [](const QuantileSketch& times, const std::optional<Seconds>& asked) {
    return !asked || times.quantile(0.95) <= asked->value();
  };
  return !overloaded() && within(result.tpot, sla.tpot) && within(result.queueing, sla.queueing) &&
         within(result.time_in_system, sla.time_in_system);
}
std::optional<double> SimulationReport::offered_tokens_per_second_per_gpu() const {
  if (!result.load) return std::nullopt;
  return result.load->offered_tokens_per_second / static_cast<double>(gpus);
}
std::optional<double> SimulationReport::usd_per_million_tokens() const {
  if (!price || tokens_per_second() <= 0.0) return std::nullopt;
  return price->value() / tokens_per_second() * 1e6;
}

SimulationReport simulate(scenario::SimulationScenario scenario, const RunOptions& options) {
  decode::SimulationInput& input = scenario.input;
  if (options.seed) input.seed = *options.seed;
  if (!options.trace_path.empty() || options.picture) {
    input.max_trace_records = kTraceRecords;
  }

  input.record_requests = (options.requests || !options.trace_path.empty()) &&
                          input.workload.kind != decode::Workload::Kind::closed_loop;

  SimulationReport report;
  report.name = scenario.name;
  report.title = scenario.title;
  report.sla = scenario.sla;
  report.warnings = scenario.warnings;
  report.provenance = kernel_provenance(input.deployment);
  const auto& d = input.deployment;
  report.link_provenance = d.network.transport.source == d.scale_up.transport.source
                               ? d.network.transport.source
                               : fmt::format("{}; within a node: {}", d.network.transport.source,
                                             d.scale_up.transport.source);
  report.gpus = d.gpus();
  report.micro_batches = input.deployment.micro_batches;
  report.price = input.deployment.price();
  for (const auto& pool : input.deployment.pools) {
    report.pool_gpus.push_back(pool.gpus() * input.deployment.replicas);
    report.pool_titles.push_back(fmt::format("{} ({} x {} {})", pool.name,
                                             pool.instances * input.deployment.replicas,
                                             pool.gpus_per_instance, pool.kernels->chip().name));
  }
  report.attention_pool = d.index_of(decode::Role::attention);
  report.ffn_pool = d.index_of(decode::Role::ffn);
  report.calibrated = std::any_of(d.pools.begin(), d.pools.end(), [](const decode::Pool& pool) {
    return pool.kernels->calibrated();
  });
  if (options.floor) report.theoretical_floor = floor_of(input);

  const auto start = std::chrono::steady_clock::now();
  decode::Simulation simulation(input);
  report.memory = simulation.memory();
  report.result = simulation.run(options.stop, options.progress);
  report.wall_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  add_range_warnings(input, report);
  add_load_warnings(input, report);
  add_format_warnings(input.deployment, report);
  add_context_warning(input, report);
  if (options.picture) {
    report.picture = pipeline_picture(simulation.graph(), input.deployment, report);
  }
  if (!options.trace_path.empty()) {
    write_file(options.trace_path, chrome_trace(simulation.graph(), input, report));
    if (report.result.trace_full) {
      report.warnings.push_back(
          fmt::format("the trace holds the first {} tasks of the measurement, not all",
                      report.result.trace.size()));
    }
  }
  return report;
}

void check_requests(const scenario::LocatedScenario& located, std::string_view option) {
  if (!std::holds_alternative<scenario::ClosedLoop>(located.scenario.workload)) return;
  throw scenario::mistake_in(
      located, "/workload",
      fmt::format("{} needs requests that arrive (kind \"poisson\" or \"trace\"), found a closed "
                  "loop, whose requests are always there",
                  option));
}

std::string provenance_words(const SimulationReport& report) {
  std::string out = fmt::format("Simulated; kernel times: {}\n", report.provenance);
  if (!report.link_provenance.empty()) out += fmt::format("links: {}\n", report.link_provenance);
  return out + "\n";
}

std::string requests_csv(const SimulationReport& report) {
  std::string out =
      "arrival_s,admitted_s,first_token_s,finish_s,context_tokens,output_tokens,tpot_ms,refused\n";
  const auto seconds = [](const std::optional<des::SimTime>& time) {
    return time ? fmt::format("{:.6f}", time->seconds().value()) : std::string();
  };
  for (const decode::RequestRecord& r : report.result.requests) {
    const bool done = r.finished && r.admitted && r.output_tokens > 0;
    const double tpot = done ? (*r.finished - *r.admitted).seconds().value() * 1e3 /
                                   static_cast<double>(r.output_tokens)
                             : 0.0;
    out += fmt::format("{},{},{},{},{},{},{},{}\n", seconds(r.arrival), seconds(r.admitted),
                       seconds(r.first_token), seconds(r.finished), r.context_tokens,
                       r.output_tokens, done ? fmt::format("{:.4f}", tpot) : "", r.refused ? 1 : 0);
  }
  return out;
}

bool SimulationReport::lies_in_interval() const {
  const auto tpot = uncertainty ? uncertainty->interval("tpot_ms") : std::nullopt;
  const double predicted = 1e3 * result.mean_tpot.value();
  return !tpot || (tpot->low <= predicted && predicted <= tpot->high);
}

std::optional<Interval> Uncertainty::interval(std::string_view figure) const {
  const auto found = intervals.find(figure);
  if (found == intervals.end()) return std::nullopt;
  const double scale = simulation_figure(figure).spec.scale;
  return Interval{found->second.low * scale, found->second.high * scale};
}

namespace {

void check_samples(int samples) {
  if (samples < 0) {
    throw UserError(fmt::format("samples: expected a whole number of at least 0, got {}", samples));
  }
}

// Hands out a report for each of the draws, until one has nothing to tell.
template <typename Take>
void each_draw(const scenario::LocatedScenario& located, scenario::Library& library,
               const scenario::InputDraws& draws, int samples, const std::atomic<bool>* stop,
               const scenario::OpenInputs& open, Take&& take) {
  check_samples(samples);
  scenario::LocatedScenario again = located;
  for (int i = 1; i <= samples; ++i) {
    const auto seed = static_cast<std::uint64_t>(i);
    again.scenario = draws.drawn(located, open, library, seed);
    auto scenario = scenario::resolve(again, library, draws.calibrations(seed));
    scenario.input.seed += seed;
    const SimulationReport report = simulate(std::move(scenario), {.stop = stop, .floor = false});
    if (!report.calibrated || report.result.partial || report.result.tokens == 0) return;
    take(report);
  }
}

}  // namespace

Uncertainty uncertainty_of(const scenario::LocatedScenario& located, scenario::Library& library,
                           const scenario::InputDraws& draws, int samples,
                           const std::atomic<bool>* stop, const scenario::OpenInputs* open) {
  Uncertainty uncertainty;
  const scenario::OpenInputs drawn_inputs =
      open != nullptr ? *open : scenario::open_inputs(located, library);
  std::map<std::string, std::vector<double>, std::less<>> drawn;
  each_draw(located, library, draws, samples, stop, drawn_inputs,
            [&](const SimulationReport& report) {
              for (const auto& figure : simulation_figures()) {
                if (figure.spec.kind != view::FigureKind::number || !of_one_run(figure)) continue;
                const double value = figure.value(report);
                if (std::isfinite(value)) drawn[std::string(figure.spec.name)].push_back(value);
              }
              if (report.meets_sla().value_or(false)) ++uncertainty.within_sla;
              ++uncertainty.samples;
            });
  for (auto& [name, values] : drawn) uncertainty.intervals[name] = interval_90(std::move(values));
  if (uncertainty.samples > 0) {
    uncertainty.inputs = draws.inputs(located, drawn_inputs, library);
  }
  return uncertainty;
}

std::vector<double> drawn_figure(const scenario::LocatedScenario& located,
                                 scenario::Library& library, const scenario::InputDraws& draws,
                                 int samples, std::string_view figure,
                                 const scenario::OpenInputs* open) {
  const SimulationFigure& asked = simulation_figure(figure);
  std::vector<double> out;
  each_draw(located, library, draws, samples, nullptr,
            open != nullptr ? *open : scenario::open_inputs(located, library),
            [&](const SimulationReport& report) {
              if (const double value = asked.shown(report); std::isfinite(value))
                out.push_back(value);
            });
  return out;
}

namespace {

void add_fixed_warnings(const scenario::LocatedScenario& located, scenario::Library& library,
                        const scenario::InputDraws& draws, const std::vector<std::string>& fixed,
                        SimulationReport& report) {
  std::vector<scenario::DrawnInput> drawn;
  if (report.uncertainty && report.uncertainty->samples > 0) {
    drawn = draws.with_nothing_fixed().inputs(located, scenario::open_inputs(located, library),
                                              library);
  }
  for (std::string& warning :
       scenario::fixed_in_vain(fixed, drawn,
                               !report.uncertainty ? "no interval is asked for"
                               : drawn.empty()     ? "an interval needs calibrated kernels"
                                               : "the scenario states it, or has no use for it")) {
    report.warnings.push_back(std::move(warning));
  }
}

}  // namespace

SimulationReport answer(const scenario::LocatedScenario& located, scenario::Library& library,
                        const RunOptions& options, std::optional<int> samples,
                        const std::vector<std::string>& fixed,
                        const std::vector<std::string>& others) {
  if (samples) check_samples(*samples);
  auto resolved = scenario::resolve(located, library);
  std::optional<scenario::InputDraws> draws;
  if (samples.value_or(1) > 0 || !fixed.empty()) {
    draws.emplace(scenario::ranges_of(located, library), fixed, others);
  }
  SimulationReport report = [&] {
    try {
      return simulate(std::move(resolved), options);
    } catch (const UserError& e) {
      throw scenario::told_where_it_stands(located, e);
    }
  }();
  constexpr int kUsualSamples = 20;
  const bool quick = report.theoretical_floor.has_value() && report.calibrated;
  const int wanted = samples.value_or(quick ? kUsualSamples : 0);
  if (wanted > 0 && !report.result.partial) {
    report.uncertainty = uncertainty_of(located, library, *draws, wanted, options.stop);
  }
  if (!fixed.empty()) add_fixed_warnings(located, library, *draws, fixed, report);
  return report;
}

namespace {

std::string in_ms(Seconds time) {
  return fmt::format("{} ms", significant(time.value() * 1e3, 4));
}
std::string in_ms(double seconds) {
  return in_ms(Seconds{seconds});
}
std::string percent(double share) {
  return fmt::format("{:.1f} %", 100.0 * share);
}

double sum(const std::array<double, decode::kStages>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

// "meets the 50.0 ms SLA at p95 in 83 of 100 draws".
std::string sla_words(const SimulationReport& report) {
  const auto met = report.meets_sla();
  if (!met) return {};
  std::vector<std::string> asked;
  const auto ask = [&](const std::optional<Seconds>& time, std::string_view of) {
    if (time) asked.push_back(fmt::format("{}{}", in_ms(*time), of));
  };
  ask(report.sla.tpot, report.sla.queueing || report.sla.time_in_system ? " of TPOT" : "");
  ask(report.sla.queueing, " of queueing");
  ask(report.sla.time_in_system, " in the system");
  const std::string sla = fmt::format("{}", fmt::join(asked, " and "));
  if (report.overloaded()) {
    return fmt::format("  SLA            {} {}: what waits grows without end\n",
                       view::colored("misses", view::Color::red), sla);
  }
  if (report.uncertainty && report.uncertainty->samples > 0) {
    const auto& drawn = *report.uncertainty;
    const view::Color color = drawn.within_sla == drawn.samples ? view::Color::green
                              : drawn.within_sla == 0           ? view::Color::red
                                                                : view::Color::yellow;
    return fmt::format(
        "  SLA            meets {} at p95 {}\n", sla,
        view::colored(fmt::format("in {} of {} draws", drawn.within_sla, drawn.samples), color));
  }
  return fmt::format(
      "  SLA            {} {} at p95\n",
      *met ? view::colored("meets", view::Color::green) : view::colored("misses", view::Color::red),
      sla);
}

// First of all: figures of an overloaded deployment are those of its first minutes.
std::string overload_words(const SimulationReport& report) {
  if (!report.overloaded()) return {};
  const auto& r = report.result;
  return fmt::format(
      "{}: {:.0f} tokens/s/GPU are asked for and {:.0f} served; {} requests wait after {}, "
      "and more with every second.\n",
      view::colored("OVERLOADED", view::Color::red), *report.offered_tokens_per_second_per_gpu(),
      report.tokens_per_second_per_gpu(), r.requests_waiting, si(r.elapsed.seconds().value(), "s"));
}

std::string tpot_words(const SimulationReport& report) {
  const auto& r = report.result;
  return fmt::format("  TPOT           mean {}, p50 {}, p95 {}, p99 {}\n", in_ms(r.mean_tpot),
                     in_ms(r.tpot.quantile(0.5)), in_ms(r.tpot.quantile(0.95)),
                     in_ms(r.tpot.quantile(0.99))) +
         sla_words(report);
}

// Why the draws lie to one side of the prediction.
std::string beside_words(const SimulationReport& report) {
  const Uncertainty& u = *report.uncertainty;
  std::vector<std::string> ends;
  for (const scenario::DrawnInput& input : u.inputs) {
    if (input.one_sided) ends.push_back(input.what);
  }
  const bool slower = u.interval("tpot_ms")->low > 1e3 * report.result.mean_tpot.value();
  return fmt::format("nearly all runs are {} than the prediction. {}{}",
                     slower ? "slower" : "faster", scenario::one_sided_words(ends),
                     ends.empty() ? "" : " State in the scenario what you know of it.");
}

std::string uncertainty_words(const SimulationReport& report) {
  if (!report.calibrated) {
    return "  interval       none: a roofline is a bound, not an estimate\n";
  }
  if (!report.uncertainty || report.uncertainty->samples == 0) return {};
  const Uncertainty& u = *report.uncertainty;
  const auto tpot = u.interval("tpot_ms");
  const auto throughput = u.interval("tokens_per_s_per_gpu");
  if (!tpot || !throughput) return {};
  const bool whole = report.lies_in_interval();
  std::string out = fmt::format(
      "  90 % interval  TPOT {} to {}{}, {:.0f} to {:.0f} tokens/s/GPU: of {} runs\n"
      "  drawn          calibrations within their error{}{}, and other seeds\n",
      in_ms(tpot->low / 1e3), in_ms(tpot->high / 1e3), whole ? "" : " *", throughput->low,
      throughput->high, u.samples, u.inputs.empty() ? "" : ", ", scenario::words_of(u.inputs));
  if (!whole) out += "                 * " + beside_words(report) + "\n";
  return out;
}

std::string throughput_words(const SimulationReport& report) {
  const auto usd = report.usd_per_million_tokens();
  return fmt::format(
      "  throughput     {:.0f} tokens/s/GPU on {} GPUs; {} tokens/s per user\n"
      "  cost           {}\n",
      report.tokens_per_second_per_gpu(), report.gpus,
      significant(report.tokens_per_second_per_user(), 3),
      usd ? fmt::format("{} USD per 1M tokens", significant(*usd, 3))
          : std::string("unknown: a chip has no price"));
}

std::string floor_words(const SimulationReport& report) {
  const auto& r = report.result;
  std::string out;
  if (report.theoretical_floor) {
    out += fmt::format("  floor          {} in theory (roofline kernels, ideal links)\n",
                       in_ms(*report.theoretical_floor));
  }
  const Seconds own = std::max(r.path_floor, r.resource_floor);
  out += fmt::format(
      "  {}          {} with these kernel times, if nothing ever waited ({})\n",
      report.theoretical_floor ? "     " : "floor", in_ms(own),
      r.path_floor > r.resource_floor ? "one micro-batch's own path" : "the busiest resource");
  return out;
}

std::string request_words(const SimulationReport& report) {
  const auto& r = report.result;
  std::string out =
      fmt::format("  requests       {} in decode on average", significant(r.mean_requests, 4));
  if (r.requests_finished > 0) {
    out += fmt::format(", {} finished (their TPOT: p50 {}, p95 {})", r.requests_finished,
                       in_ms(r.request_tpot.quantile(0.5)), in_ms(r.request_tpot.quantile(0.95)));
  }
  out += "\n";
  const auto percentiles = [](const QuantileSketch& times) {
    return fmt::format("p50 {}, p95 {}, p99 {}", in_ms(times.quantile(0.5)),
                       in_ms(times.quantile(0.95)), in_ms(times.quantile(0.99)));
  };
  if (r.load && r.queueing.count() > 0) {
    out += fmt::format("  queueing       {}; up to {} waited, {} at the end\n",
                       percentiles(r.queueing), r.longest_queue, r.requests_waiting);
  }
  if (r.load && r.time_in_system.count() > 0) {
    out += fmt::format("  in the system  {}, from arrival to last token\n",
                       percentiles(r.time_in_system));
  }
  if (r.requests_preempted > 0) {
    out += fmt::format("  preempted      {} times a request gave its place up for want of memory\n",
                       r.requests_preempted);
  }
  if (r.requests_refused > 0) {
    out += fmt::format("  refused        {} requests larger than a GPU's whole KV memory\n",
                       r.requests_refused);
  }
  return out;
}

std::string memory_words(const SimulationReport& report) {
  std::string out;
  for (const auto& pool : report.memory.pools) {
    out += fmt::format("  memory         {}: {} of weights, {} beside them, on {}", pool.pool,
                       si(pool.weights.value(), "B"), si(pool.reserve.value(), "B"),
                       si(pool.capacity.value(), "B"));
    if (pool.kv_budget.value() > 0.0) {
      out += fmt::format("; KV {} ({} set aside, {} filled, fullest {})",
                         si(pool.kv_budget.value(), "B"), percent(report.result.kv_reserved),
                         percent(report.result.kv_filled), percent(report.result.kv_peak));
    }
    out += "\n";
  }
  return out;
}

std::string pools_table(const SimulationReport& report) {
  view::TextTable table;
  table.column("where GPU time goes", view::Align::left);
  for (const auto& title : report.pool_titles) {
    // "attention (2 x 8 h800)": the pool above, what it is made of below.
    const std::size_t bracket = title.find(" (");
    table.column(title.substr(0, bracket) + "\n" +
                 title.substr(bracket + 2, title.size() - bracket - 3));
  }
  const auto row = [&](const std::string& what, auto&& seconds_of) {
    std::vector<std::string> cells = {what};
    for (std::size_t p = 0; p < report.pool_titles.size(); ++p) {
      const double all =
          report.result.elapsed.seconds().value() * static_cast<double>(report.pool_gpus[p]);
      // Rounding can leave a zero a few attoseconds short.
      const double share =
          all > 0.0 ? std::max(0.0, seconds_of(report.result.pools[p]) / all) : 0.0;
      cells.push_back(percent(share));
    }
    table.row(cells);
  };
  row("kernels", [](const auto& times) { return times.busy; });
  row("waiting for the slowest GPU of the instance",
      [](const auto& times) { return times.slowest_rank; });
  for (std::size_t s = 0; s < decode::kStages; ++s) {
    const bool any = std::any_of(report.result.pools.begin(), report.result.pools.end(),
                                 [&](const auto& times) { return times.waiting_for[s] > 0.0; });
    if (!any) continue;
    row(fmt::format("waiting for {}", name_of(static_cast<Stage>(s))),
        [&](const auto& times) { return times.waiting_for[s]; });
  }
  row("no requests", [](const auto& times) { return times.empty; });
  return table.text();
}

// "A step spends 21.1 ms (44 %) in attention, ... and 3.2 ms (7 %) queueing for the FFN."
std::string critical_path_words(const SimulationReport& report) {
  const auto& r = report.result;
  if (r.critical_steps == 0) return {};
  struct Span {
    double seconds;
    std::string words;
  };
  std::vector<Span> spans;
  const auto steps = static_cast<double>(r.critical_steps);
  for (std::size_t s = 0; s < decode::kStages; ++s) {
    const auto stage = name_of(static_cast<Stage>(s));
    spans.push_back({r.critical_service[s] / steps, fmt::format("in {}", stage)});
    spans.push_back({r.critical_queue[s] / steps,
                     fmt::format("queueing for {} behind another micro-batch", stage)});
  }
  std::stable_sort(spans.begin(), spans.end(),
                   [](const Span& a, const Span& b) { return a.seconds > b.seconds; });
  const double all = (sum(r.critical_service) + sum(r.critical_queue)) / steps;
  std::string out = fmt::format("Critical path: a step of {} spends\n", in_ms(all));
  constexpr double kWorthTelling = 0.005;
  for (const Span& span : spans) {
    if (span.seconds < kWorthTelling * all) continue;
    out += fmt::format("  {:>9} ({:>2.0f} %) {}\n", in_ms(span.seconds), 100.0 * span.seconds / all,
                       span.words);
  }
  return out;
}

std::string table(const SimulationReport& report) {
  const auto& r = report.result;
  std::string out = fmt::format("{}\n", report.title) + overload_words(report);
  if (r.partial) {
    out += view::colored("PARTIAL", view::Color::yellow) +
           ": stopped before the measurement was over; the figures cover what ran.\n";
  }
  out += provenance_words(report);
  out += tpot_words(report) + throughput_words(report) + uncertainty_words(report) +
         floor_words(report) + request_words(report) + memory_words(report);
  for (const auto& link : r.links) {
    out +=
        fmt::format("  links          {}: {} of the time\n", link.name, percent(link.utilization));
  }
  out += "\n" + pools_table(report) + "\n" + critical_path_words(report);
  out += fmt::format("\n{} steps of a micro-batch in {} simulated; {} events; checksum {:016x}\n",
                     r.steps, si(r.elapsed.seconds().value(), "s"), r.events, r.checksum);
  return out;
}

// A value for each stage of a step.
struct StageValues {
  std::array<double, decode::kStages> values;
  double scale = 1.0;
};

const view::AnswerKeys<StageValues>& answer_keys(const StageValues* /*of*/) {
  static const view::AnswerKeys<StageValues> keys = [] {
    std::vector<view::AnswerKey<StageValues>> all;
    for (std::size_t s = 0; s < decode::kStages; ++s) {
      all.emplace_back(std::string(name_of(static_cast<Stage>(s))), "",
                       [s](const StageValues& of) { return of.values[s] * of.scale; });
    }
    return view::AnswerKeys<StageValues>(std::move(all));
  }();
  return keys;
}

struct PoolAnswer {
  const SimulationReport& report;
  std::size_t pool;

  [[nodiscard]] const decode::PoolMemory& memory() const { return report.memory.pools[pool]; }
  [[nodiscard]] const decode::PoolTimes& times() const { return report.result.pools[pool]; }
  // To a share of the pool's GPU time.
  [[nodiscard]] double scale() const {
    const double all =
        report.result.elapsed.seconds().value() * static_cast<double>(report.pool_gpus[pool]);
    return all > 0.0 ? 1.0 / all : 0.0;
  }
};

const view::AnswerKeys<PoolAnswer>& answer_keys(const PoolAnswer* /*of*/) {
  using P = PoolAnswer;
  static const view::AnswerKeys<P> keys(
      {{"pool", "", [](const P& p) { return p.memory().pool; }},
       {"gpus", "", [](const P& p) { return p.report.pool_gpus[p.pool]; }},
       {"busy", "Of the pool's GPU time: kernels.",
        [](const P& p) { return p.times().busy * p.scale(); }},
       {"waiting_for_slowest_gpu", "Of the pool's GPU time: for others of the instance.",
        [](const P& p) { return p.times().slowest_rank * p.scale(); }},
       {"waiting_for", "Of the pool's GPU time: idle because of this stage.",
        [](const P& p) {
          return StageValues{p.times().waiting_for, p.scale()};
        }},
       {"empty", "Of the pool's GPU time: no requests.",
        [](const P& p) { return p.times().empty * p.scale(); }},
       {"memory_bytes_per_gpu", "", [](const P& p) { return p.memory().capacity.value(); }},
       {"weight_bytes_per_gpu", "", [](const P& p) { return p.memory().weights.value(); }},
       {"reserve_bytes_per_gpu", "Beside weights and KV.",
        [](const P& p) { return p.memory().reserve.value(); }},
       {"kv_budget_bytes_per_gpu", "", [](const P& p) { return p.memory().kv_budget.value(); }}});
  return keys;
}

struct LinkAnswer {
  std::string name;
  double utilization = 0.0;
};

const view::AnswerKeys<LinkAnswer>& answer_keys(const LinkAnswer* /*of*/) {
  static const view::AnswerKeys<LinkAnswer> keys(
      {{"name", "", &LinkAnswer::name}, {"utilization", "Of the time.", &LinkAnswer::utilization}});
  return keys;
}

struct PathAnswer {
  const decode::SimulationResult& result;

  // To milliseconds of a step.
  [[nodiscard]] StageValues per_step(const std::array<double, decode::kStages>& seconds) const {
    const auto steps = static_cast<double>(result.critical_steps);
    return {seconds, result.critical_steps > 0 ? 1e3 / steps : 0.0};
  }
};

const view::AnswerKeys<PathAnswer>& answer_keys(const PathAnswer* /*of*/) {
  using P = PathAnswer;
  static const view::AnswerKeys<P> keys(
      {{"service", "Milliseconds that a step is served.",
        [](const P& p) { return p.per_step(p.result.critical_service); }},
       {"queueing", "Milliseconds that a step waits behind another.",
        [](const P& p) { return p.per_step(p.result.critical_queue); }}});
  return keys;
}

}  // namespace

static const view::AnswerKeys<SimulationReport>& answer_keys(const SimulationReport* /*of*/) {
  using R = SimulationReport;
  static const view::AnswerKeys<R> keys(
      {{"scenario", "Its name.", &R::name},
       {"title", "", &R::title},
       {"provenance", view::kProvenanceWords,
        [](const R& r) { return fmt::format("simulated; kernel times: {}", r.provenance); }},
       {"link_provenance", view::kLinkWords, &R::link_provenance},
       view::figures_of(simulation_figures()),
       view::left_out<R>("drawn",
                         "The inputs that the scenario leaves open and the interval draws, beside "
                         "calibrations and seeds.",
                         [](const R& r) {
                           using Inputs = std::vector<scenario::DrawnInput>;
                           return r.uncertainty && !r.uncertainty->inputs.empty()
                                      ? std::optional<Inputs>(r.uncertainty->inputs)
                                      : std::nullopt;
                         }),
       {"pools", "",
        [](const R& r) {
          std::vector<PoolAnswer> out;
          for (std::size_t p = 0; p < r.pool_titles.size(); ++p) out.push_back({r, p});
          return out;
        }},
       {"links", "",
        [](const R& r) {
          std::vector<LinkAnswer> out;
          for (const auto& link : r.result.links) out.push_back({link.name, link.utilization});
          return out;
        }},
       {"critical_path_ms", "What a step is made of.",
        [](const R& r) { return PathAnswer{r.result}; }},
       {"checksum", "Of all events: the same for the same question and seed.",
        [](const R& r) { return fmt::format("{:016x}", r.result.checksum); }},
       {"warnings", "", &R::warnings}},
      "simulation");
  return keys;
}

namespace {

struct Comparison {
  const SimulationReport& report;
  const SimulationReport& other;
  std::optional<DisaggregationFactors> factors;
};

const view::AnswerKeys<Comparison>& answer_keys(const Comparison* /*of*/) {
  using C = Comparison;
  static const view::AnswerKeys<C> keys(
      {{"scenario", "", [](const C& c) -> const SimulationReport& { return c.report; }},
       {"compare", "", [](const C& c) -> const SimulationReport& { return c.other; }},
       view::left_out<C>("disaggregation", "Why the split one delivers more per GPU, or less.",
                         &C::factors)});
  return keys;
}

// What two deployments are compared by.
constexpr std::array kCompared = {"gpus",
                                  "requests",
                                  "tpot_ms",
                                  "tpot_p99_ms",
                                  "tokens_per_s_per_gpu",
                                  "tokens_per_s_per_user",
                                  "usd_per_Mtok"};

std::string comparison_table(const SimulationReport& a, const SimulationReport& b) {
  view::TextTable table;
  table.column("", view::Align::left);
  table.column(a.name);
  table.column(b.name);
  table.column("ratio");
  for (const char* name : kCompared) {
    const auto& figure = simulation_figure(name);
    const double x = figure.shown(a);
    const double y = figure.shown(b);
    if (!std::isfinite(x) || !std::isfinite(y)) continue;
    const bool count = figure.spec.kind == view::FigureKind::count;
    const auto cell = [&](double value) {
      return count ? fmt::format("{:.0f}", value) : significant(value, 4);
    };
    // How many serve how much is told; only what they achieve is compared.
    const bool achieved = !figure.spec.unit.empty();
    table.row({std::string(figure.spec.heading), cell(x), cell(y),
               achieved && y != 0.0 ? significant(x / y, 3) : std::string()});
  }
  return table.text();
}

}  // namespace

const view::AnswerDescription& simulation_answer() {
  return answer_keys(static_cast<const SimulationReport*>(nullptr));
}
const view::AnswerDescription& comparison_answer() {
  return answer_keys(static_cast<const Comparison*>(nullptr));
}

std::string render(const SimulationReport& report, view::OutputFormat format) {
  return format == view::OutputFormat::json ? view::answer_json(report) : table(report);
}

std::string render_comparison(const SimulationReport& report, const SimulationReport& other,
                              view::OutputFormat format) {
  const auto factors = disaggregation_factors(report, other);
  if (format == view::OutputFormat::json) {
    return view::answer_json(Comparison{report, other, factors});
  }
  return table(report) + "\n" + table(other) + "\n" + comparison_table(report, other) +
         (factors ? "\n" + table_of(*factors) : std::string());
}

}  // namespace ridge::answer
