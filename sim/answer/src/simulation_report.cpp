#include "ridge/answer/simulation_report.hpp"

#include "chrome_trace.hpp"
#include "pipeline_picture.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/format.hpp"
#include "ridge/hwmodels/calibrated/calibrated_model.hpp"
#include "ridge/view/text_table.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace ridge::answer {
namespace {

using decode::Stage;
using Json = nlohmann::ordered_json;

constexpr std::size_t kTraceRecords = 2'000'000;

// The context that a request typically brings.
double usual_context(const decode::Workload& workload) {
  using Kind = decode::LengthDistribution::Kind;
  if (workload.kind == decode::Workload::Kind::trace) {
    double sum = 0.0;
    for (const auto& request : workload.trace) sum += static_cast<double>(request.context_tokens);
    return sum / static_cast<double>(workload.trace.size());
  }
  const auto& context = workload.context;
  return context.kind == Kind::uniform ? 0.5 * (context.min + context.max) : context.tokens;
}

// What the calibrations were asked beyond the shapes they were fitted on, at the mean batch of the
// run.
std::vector<std::string> range_warnings_of(const decode::SimulationInput& input,
                                           const decode::SimulationResult& result) {
  const decode::Deployment& d = input.deployment;
  const double requests =
      result.mean_requests / static_cast<double>(d.replicas * d.groups() * d.micro_batches);
  const models::DecodeShape shape{.sequences = std::max(1.0, requests),
                                  .context = usual_context(input.workload),
                                  .queries_per_sequence = d.queries_per_step()};
  const double tokens = shape.tokens() * static_cast<double>(d.groups());
  std::vector<std::string> warnings;
  const auto ask = [&](const decode::Pool& pool, const models::OperatorList& operators) {
    for (auto& warning : hw::range_warnings(*pool.kernels, operators.begin(), operators.end())) {
      if (std::find(warnings.begin(), warnings.end(), warning) == warnings.end()) {
        warnings.push_back(std::move(warning));
      }
    }
  };
  for (const auto& block : d.model.attentions) {
    models::OperatorList operators;
    models::attention_operators(
        block, d.model.precisions, d.model.hidden, shape,
        {.tensor_parallel = d.attention_tensor_parallel, .output_parallel = d.output_parallel},
        models::MlaCount::absorbed, operators);
    ask(d.pool(decode::Role::attention), operators);
  }
  for (const auto& block : d.model.ffns) {
    models::OperatorList operators;
    models::ffn_operators(block, d.model.precisions, d.model.hidden, tokens,
                          {.tensor_parallel = d.ffn_tensor_parallel,
                           .expert_parallel = d.ffn_expert_parallel,
                           .own_tokens = 1.0 / static_cast<double>(d.ffn_expert_parallel)},
                          operators);
    ask(d.pool(decode::Role::ffn), operators);
  }
  return warnings;
}

// Roofline kernels, links without overheads: what no implementation of this deployment beats.
std::optional<Seconds> floor_of(decode::SimulationInput input) {
  if (input.workload.kind != decode::Workload::Kind::closed_loop) return std::nullopt;
  for (auto& pool : input.deployment.pools) {
    pool.kernels = hw::theoretical_model(pool.kernels->chip());
  }
  input.deployment.step_overhead = {};
  input.deployment.collectives = decode::CollectiveTiming::links;
  input.deployment.network = {.overhead = {}, .efficiency = 1.0, .source = "theory"};
  input.deployment.scale_up = input.deployment.network;
  input.noise = {};
  input.max_trace_records = 0;
  input.measurement = {.warmup_steps = 0, .steps = 1};
  const auto result = decode::Simulation(std::move(input)).run();
  return std::max(result.path_floor, result.resource_floor);
}

}  // namespace

std::string kernel_provenance(const decode::Deployment& d) {
  std::vector<std::string> all;
  for (const auto& pool : d.pools) {
    auto words = pool.kernels->provenance();
    if (std::find(all.begin(), all.end(), words) == all.end()) all.push_back(std::move(words));
  }
  return fmt::format("{}", fmt::join(all, "; "));
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
std::optional<double> SimulationReport::usd_per_million_tokens() const {
  if (!price || tokens_per_second() <= 0.0) return std::nullopt;
  return price->value() / tokens_per_second() * 1e6;
}

SimulationReport simulate(scenario::SimulationScenario scenario, const RunOptions& options) {
  decode::SimulationInput& input = scenario.input;
  if (options.seed) input.seed = *options.seed;
  if (!options.trace_path.empty() || !options.picture_path.empty()) {
    input.max_trace_records = kTraceRecords;
  }

  SimulationReport report;
  report.name = scenario.name;
  report.title = scenario.title;
  report.sla_tpot = scenario.sla_tpot;
  report.warnings = scenario.warnings;
  report.provenance = kernel_provenance(input.deployment);
  const auto& d = input.deployment;
  report.link_provenance =
      d.network.source == d.scale_up.source
          ? d.network.source
          : fmt::format("{}; within a node: {}", d.network.source, d.scale_up.source);
  report.gpus = d.gpus();
  report.micro_batches = input.deployment.micro_batches;
  report.price = input.deployment.price();
  for (const auto& pool : input.deployment.pools) {
    report.pool_gpus.push_back(pool.gpus() * input.deployment.replicas);
    report.pool_titles.push_back(fmt::format("{} ({} x {} {})", pool.name,
                                             pool.instances * input.deployment.replicas,
                                             pool.gpus_per_instance, pool.kernels->chip().name));
  }
  report.theoretical_floor = floor_of(input);

  const auto start = std::chrono::steady_clock::now();
  decode::Simulation simulation(input);
  report.memory = simulation.memory();
  report.result = simulation.run(options.stop, options.progress);
  report.wall_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (auto& warning : range_warnings_of(input, report.result)) {
    report.warnings.push_back(std::move(warning));
  }
  if (!options.picture_path.empty()) {
    write_file(options.picture_path,
               pipeline_picture(simulation.graph(), input.deployment, report));
  }
  if (!options.trace_path.empty()) {
    write_file(options.trace_path, chrome_trace(simulation.graph(), input.deployment, report));
    if (report.result.trace_full) {
      report.warnings.push_back(
          fmt::format("the trace holds the first {} tasks of the measurement, not all",
                      report.result.trace.size()));
    }
  }
  return report;
}

Uncertainty uncertainty_of(const scenario::LocatedScenario& located, scenario::Library& library,
                           int samples, const std::atomic<bool>* stop) {
  Uncertainty uncertainty;
  std::vector<double> tpot;
  std::vector<double> throughput;
  for (int i = 1; i <= samples; ++i) {
    const auto seed = static_cast<std::uint64_t>(i);
    auto scenario = scenario::resolve(located, library, scenario::CalibrationDraw{seed});
    scenario.input.seed += seed;
    const auto gpus = static_cast<double>(scenario.input.deployment.gpus());
    const auto result = decode::Simulation(std::move(scenario.input)).run(stop);
    if (result.partial || result.tokens == 0) break;
    tpot.push_back(result.mean_tpot.value());
    throughput.push_back(static_cast<double>(result.tokens) / result.elapsed.seconds().value() /
                         gpus);
    ++uncertainty.samples;
  }
  if (uncertainty.samples > 0) {
    uncertainty.tpot_seconds = interval_90(std::move(tpot));
    uncertainty.tokens_per_second_per_gpu = interval_90(std::move(throughput));
  }
  return uncertainty;
}

namespace {

std::string ms(Seconds time) {
  return fmt::format("{} ms", significant(time.value() * 1e3, 4));
}
std::string ms(double seconds) {
  return ms(Seconds{seconds});
}
std::string percent(double share) {
  return fmt::format("{:.1f} %", 100.0 * share);
}

double sum(const std::array<double, decode::kStages>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

std::string tpot_words(const SimulationReport& report) {
  const auto& r = report.result;
  std::string out =
      fmt::format("  TPOT           mean {}, p50 {}, p95 {}, p99 {}\n", ms(r.mean_tpot),
                  ms(r.tpot.quantile(0.5)), ms(r.tpot.quantile(0.95)), ms(r.tpot.quantile(0.99)));
  if (report.sla_tpot) {
    const bool met = r.tpot.quantile(0.95) <= report.sla_tpot->value();
    out += fmt::format("                 {} the {} SLA at p95\n", met ? "meets" : "misses",
                       ms(*report.sla_tpot));
  }
  return out;
}

// "  (49.1 to 53.2 ms in nine of ten draws of calibration and seed)".
std::string uncertainty_words(const SimulationReport& report) {
  if (!report.uncertainty || report.uncertainty->samples == 0) return {};
  const Uncertainty& u = *report.uncertainty;
  return fmt::format(
      "  uncertainty    TPOT {} to {}, {:.0f} to {:.0f} tokens/s/GPU: nine of ten of {} runs\n"
      "                 with calibrations drawn anew within their error, and other seeds\n",
      ms(u.tpot_seconds.low), ms(u.tpot_seconds.high), u.tokens_per_second_per_gpu.low,
      u.tokens_per_second_per_gpu.high, u.samples);
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
                       ms(*report.theoretical_floor));
  }
  const Seconds own = std::max(r.path_floor, r.resource_floor);
  out += fmt::format(
      "  {}          {} with these kernel times, if nothing ever waited ({})\n",
      report.theoretical_floor ? "     " : "floor", ms(own),
      r.path_floor > r.resource_floor ? "one micro-batch's own path" : "the busiest resource");
  return out;
}

std::string request_words(const SimulationReport& report) {
  const auto& r = report.result;
  std::string out =
      fmt::format("  requests       {} in decode on average", significant(r.mean_requests, 4));
  if (r.requests_finished > 0) {
    out += fmt::format(", {} finished (their TPOT: p50 {}, p95 {})", r.requests_finished,
                       ms(r.request_tpot.quantile(0.5)), ms(r.request_tpot.quantile(0.95)));
  }
  out += "\n";
  if (r.queueing.count() > 0) {
    out += fmt::format("  admission      {} waited: p50 {}, p99 {}; queue up to {}\n",
                       r.queueing.count(), ms(r.queueing.quantile(0.5)),
                       ms(r.queueing.quantile(0.99)), r.longest_queue);
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
    out += fmt::format("  memory         {}: {} of weights on {}", pool.pool,
                       si(pool.weights.value(), "B"), si(pool.capacity.value(), "B"));
    if (pool.kv_budget.value() > 0.0) {
      out += fmt::format("; KV {} (mean {}, fullest {})", si(pool.kv_budget.value(), "B"),
                         percent(report.result.kv_mean), percent(report.result.kv_peak));
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
  std::string out = fmt::format("Critical path: a step of {} spends\n", ms(all));
  constexpr double kWorthTelling = 0.005;
  for (const Span& span : spans) {
    if (span.seconds < kWorthTelling * all) continue;
    out += fmt::format("  {:>9} ({:>2.0f} %) {}\n", ms(span.seconds), 100.0 * span.seconds / all,
                       span.words);
  }
  return out;
}

std::string table(const SimulationReport& report) {
  const auto& r = report.result;
  std::string out = fmt::format("{}\n", report.title);
  if (r.partial) {
    out += "PARTIAL: stopped before the measurement was over; the figures cover what ran.\n";
  }
  out += fmt::format("Simulated; kernel times: {}\nlinks: {}\n\n", report.provenance,
                     report.link_provenance);
  out += tpot_words(report) + throughput_words(report) + uncertainty_words(report) +
         floor_words(report) + request_words(report) + memory_words(report);
  for (const auto& link : r.links) {
    out +=
        fmt::format("  links          {}: {} of the time\n", link.name, percent(link.utilization));
  }
  out += "\n" + pools_table(report) + "\n" + critical_path_words(report);
  out += fmt::format(
      "\n{} steps of a micro-batch in {} simulated; {} events in {} s; checksum {:016x}\n", r.steps,
      si(r.elapsed.seconds().value(), "s"), r.events, significant(report.wall_seconds, 2),
      r.checksum);
  return out;
}

Json stages_json(const std::array<double, decode::kStages>& values, double scale) {
  Json out = Json::object();
  for (std::size_t s = 0; s < decode::kStages; ++s) {
    out[std::string(name_of(static_cast<Stage>(s)))] = values[s] * scale;
  }
  return out;
}

Json json_of(const SimulationReport& report) {
  const auto& r = report.result;
  const auto quantiles = [](const QuantileSketch& sketch) {
    return Json{{"p50", sketch.quantile(0.5) * 1e3},
                {"p95", sketch.quantile(0.95) * 1e3},
                {"p99", sketch.quantile(0.99) * 1e3}};
  };
  Json tpot{{"mean", r.mean_tpot.value() * 1e3}};
  tpot.update(quantiles(r.tpot));
  const auto usd = report.usd_per_million_tokens();
  Json pools = Json::array();
  for (std::size_t p = 0; p < report.pool_titles.size(); ++p) {
    const auto& times = r.pools[p];
    const double all = r.elapsed.seconds().value() * static_cast<double>(report.pool_gpus[p]);
    const double scale = all > 0.0 ? 1.0 / all : 0.0;
    pools.push_back({{"pool", report.memory.pools[p].pool},
                     {"gpus", report.pool_gpus[p]},
                     {"busy", times.busy * scale},
                     {"waiting_for_slowest_gpu", times.slowest_rank * scale},
                     {"waiting_for", stages_json(times.waiting_for, scale)},
                     {"empty", times.empty * scale},
                     {"weight_bytes_per_gpu", report.memory.pools[p].weights.value()},
                     {"kv_budget_bytes_per_gpu", report.memory.pools[p].kv_budget.value()}});
  }
  Json links = Json::array();
  for (const auto& link : r.links) {
    links.push_back({{"name", link.name}, {"utilization", link.utilization}});
  }
  const double per_step = r.critical_steps > 0 ? 1e3 / static_cast<double>(r.critical_steps) : 0.0;
  Json uncertainty;
  if (report.uncertainty && report.uncertainty->samples > 0) {
    const Uncertainty& u = *report.uncertainty;
    uncertainty = {{"samples", u.samples},
                   {"share", 0.9},
                   {"tpot_ms", {u.tpot_seconds.low * 1e3, u.tpot_seconds.high * 1e3}},
                   {"tokens_per_s_per_gpu",
                    {u.tokens_per_second_per_gpu.low, u.tokens_per_second_per_gpu.high}}};
  }
  Json out{
      {"scenario", report.name},
      {"title", report.title},
      {"provenance", fmt::format("simulated; kernel times: {}", report.provenance)},
      {"link_provenance", report.link_provenance},
      {"partial", r.partial},
      {"gpus", report.gpus},
      {"micro_batches", report.micro_batches},
      {"tpot_ms", tpot},
      {"request_tpot_ms", r.request_tpot.count() > 0 ? quantiles(r.request_tpot) : Json(nullptr)},
      {"tokens_per_s", report.tokens_per_second()},
      {"tokens_per_s_per_gpu", report.tokens_per_second_per_gpu()},
      {"tokens_per_s_per_user", report.tokens_per_second_per_user()},
      {"uncertainty", uncertainty},
      {"usd_per_Mtok", usd ? Json(*usd) : Json(nullptr)},
      {"sla_tpot_ms", report.sla_tpot ? Json(report.sla_tpot->value() * 1e3) : Json(nullptr)},
      {"sla_met",
       report.sla_tpot ? Json(r.tpot.quantile(0.95) <= report.sla_tpot->value()) : Json(nullptr)},
      {"floor_ms",
       Json{{"theory", report.theoretical_floor ? Json(report.theoretical_floor->value() * 1e3)
                                                : Json(nullptr)},
            {"longest_path", r.path_floor.value() * 1e3},
            {"busiest_resource", r.resource_floor.value() * 1e3}}},
      {"requests",
       Json{{"mean_in_decode", r.mean_requests},
            {"arrived", r.requests_arrived},
            {"finished", r.requests_finished},
            {"refused", r.requests_refused},
            {"longest_queue", r.longest_queue},
            {"queueing_ms", r.queueing.count() > 0 ? quantiles(r.queueing) : Json(nullptr)}}},
      {"kv", Json{{"mean", r.kv_mean}, {"peak", r.kv_peak}}},
      {"pools", pools},
      {"links", links},
      {"critical_path_ms", Json{{"service", stages_json(r.critical_service, per_step)},
                                {"queueing", stages_json(r.critical_queue, per_step)}}},
      {"elapsed_s", r.elapsed.seconds().value()},
      {"tokens", r.tokens},
      {"steps", r.steps},
      {"events", r.events},
      {"wall_s", report.wall_seconds},
      {"checksum", fmt::format("{:016x}", r.checksum)},
      {"warnings", report.warnings}};
  return out;
}

std::string comparison_table(const SimulationReport& a, const SimulationReport& b) {
  view::TextTable table;
  table.column("", view::Align::left);
  table.column(a.name);
  table.column(b.name);
  table.column("ratio");
  const auto row = [&](const std::string& what, double x, double y) {
    table.row({what, significant(x, 4), significant(y, 4),
               y != 0.0 ? significant(x / y, 3) : std::string("-")});
  };
  table.row({"GPUs", fmt::format("{}", a.gpus), fmt::format("{}", b.gpus), ""});
  table.row({"requests in decode", significant(a.result.mean_requests, 4),
             significant(b.result.mean_requests, 4), ""});
  row("TPOT mean (ms)", a.result.mean_tpot.value() * 1e3, b.result.mean_tpot.value() * 1e3);
  row("TPOT p99 (ms)", a.result.tpot.quantile(0.99) * 1e3, b.result.tpot.quantile(0.99) * 1e3);
  row("tokens/s/GPU", a.tokens_per_second_per_gpu(), b.tokens_per_second_per_gpu());
  row("tokens/s per user", a.tokens_per_second_per_user(), b.tokens_per_second_per_user());
  const auto usd_a = a.usd_per_million_tokens();
  const auto usd_b = b.usd_per_million_tokens();
  if (usd_a && usd_b) row("USD per 1M tokens", *usd_a, *usd_b);
  return table.text();
}

}  // namespace

std::string render(const SimulationReport& report, view::OutputFormat format) {
  return format == view::OutputFormat::json ? json_of(report).dump(2) + "\n" : table(report);
}

std::string render_comparison(const SimulationReport& report, const SimulationReport& other,
                              view::OutputFormat format) {
  if (format == view::OutputFormat::json) {
    return Json{{"scenario", json_of(report)}, {"compare", json_of(other)}}.dump(2) + "\n";
  }
  return table(report) + "\n" + table(other) + "\n" + comparison_table(report, other);
}

}  // namespace ridge::answer
