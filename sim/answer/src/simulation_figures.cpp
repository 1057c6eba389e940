#include "ridge/answer/simulation_figures.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace ridge::answer {
namespace {

using view::FigureKind;
using view::kNoGroup;
using view::kUnknown;
using Report = const SimulationReport&;

constexpr double kToMilliseconds = 1e3;

double known(const std::optional<Seconds>& time) {
  return time ? time->value() : kUnknown;
}

// Of a sample that may be empty, and then has no place in the JSON.
double quantile_if_any(const QuantileSketch& sketch, double q) {
  return sketch.count() > 0 ? sketch.quantile(q) : kNoGroup;
}

// Of the GPU time of a pool during the measurement.
double busy_share(Report report, std::size_t pool) {
  const double all =
      report.result.elapsed.seconds().value() * static_cast<double>(report.pool_gpus[pool]);
  return all > 0.0 ? report.result.pools[pool].busy / all : kUnknown;
}

bool drawn(Report report) {
  return report.uncertainty && report.uncertainty->samples > 0;
}
double end_of(Report report, std::string_view figure, double Interval::*end) {
  if (!drawn(report)) return kNoGroup;
  const auto found = report.uncertainty->intervals.find(figure);
  return found == report.uncertainty->intervals.end() ? kNoGroup : found->second.*end;
}

const std::array kSimulationFigures = {
    SimulationFigure{
        {"partial", "/partial", "", "", "whether the run was stopped early", FigureKind::truth},
        [](Report r) { return r.result.partial ? 1.0 : 0.0; }},
    SimulationFigure{{"stable", "/stable", "stable", "",
                      "whether what arrives is served, so that the queue does not grow for ever",
                      FigureKind::truth},
                     [](Report r) {
                       if (!r.result.load) return kUnknown;
                       return r.result.load->stable ? 1.0 : 0.0;
                     }},
    SimulationFigure{
        {"offered_tokens_per_s_per_gpu", "/offered_tokens_per_s_per_gpu", "offered tokens/s/GPU",
         "tok/s/GPU", "tokens per second and GPU that arriving requests ask for"},
        [](Report r) { return r.offered_tokens_per_second_per_gpu().value_or(kUnknown); }},
    SimulationFigure{
        {"gpus", "/gpus", "GPUs", "", "GPUs of all pools and replicas", FigureKind::count},
        [](Report r) { return static_cast<double>(r.gpus); }},
    SimulationFigure{{"micro_batches", "/micro_batches", "micro-batches", "",
                      "micro-batches in flight", FigureKind::count},
                     [](Report r) { return static_cast<double>(r.micro_batches); }},
    SimulationFigure{
        {"tpot_ms", "/tpot_ms/mean", "TPOT mean (ms)", "ms",
         "milliseconds between two tokens of a request, mean", FigureKind::number, kToMilliseconds},
        [](Report r) { return r.result.mean_tpot.value(); }},
    SimulationFigure{{"tpot_p50_ms", "/tpot_ms/p50", "TPOT p50 (ms)", "ms",
                      "milliseconds between two tokens of a request, median", FigureKind::number,
                      kToMilliseconds},
                     [](Report r) { return r.result.tpot.quantile(0.5); }},
    SimulationFigure{{"tpot_p95_ms", "/tpot_ms/p95", "TPOT p95 (ms)", "ms",
                      "milliseconds between two tokens of a request, 95th percentile",
                      FigureKind::number, kToMilliseconds},
                     [](Report r) { return r.result.tpot.quantile(0.95); }},
    SimulationFigure{{"tpot_p99_ms", "/tpot_ms/p99", "TPOT p99 (ms)", "ms",
                      "milliseconds between two tokens of a request, 99th percentile",
                      FigureKind::number, kToMilliseconds},
                     [](Report r) { return r.result.tpot.quantile(0.99); }},
    SimulationFigure{{"request_tpot_p50_ms", "/request_tpot_ms/p50", "TPOT of a request p50 (ms)",
                      "ms", "mean TPOT of a finished request in milliseconds, median",
                      FigureKind::number, kToMilliseconds},
                     [](Report r) { return quantile_if_any(r.result.request_tpot, 0.5); }},
    SimulationFigure{{"request_tpot_p95_ms", "/request_tpot_ms/p95", "TPOT of a request p95 (ms)",
                      "ms", "mean TPOT of a finished request in milliseconds, 95th percentile",
                      FigureKind::number, kToMilliseconds},
                     [](Report r) { return quantile_if_any(r.result.request_tpot, 0.95); }},
    SimulationFigure{{"request_tpot_p99_ms", "/request_tpot_ms/p99", "TPOT of a request p99 (ms)",
                      "ms", "mean TPOT of a finished request in milliseconds, 99th percentile",
                      FigureKind::number, kToMilliseconds},
                     [](Report r) { return quantile_if_any(r.result.request_tpot, 0.99); }},
    SimulationFigure{{"tokens_per_s", "/tokens_per_s", "tokens/s", "tok/s",
                      "tokens per second of the whole deployment"},
                     [](Report r) { return r.tokens_per_second(); }},
    SimulationFigure{{"tokens_per_s_per_gpu", "/tokens_per_s_per_gpu", "tokens/s/GPU", "tok/s/GPU",
                      "tokens per second and GPU, all pools counted"},
                     [](Report r) { return r.tokens_per_second_per_gpu(); }},
    SimulationFigure{{"tokens_per_s_per_user", "/tokens_per_s_per_user", "tokens/s per user",
                      "tok/s", "tokens per second of one request"},
                     [](Report r) { return r.tokens_per_second_per_user(); }},
    SimulationFigure{
        {"uncertainty_samples", "/uncertainty/samples", "", "",
         "runs with calibrations and seeds drawn again", FigureKind::count, 1.0, true},
        [](Report r) { return drawn(r) ? static_cast<double>(r.uncertainty->samples) : kNoGroup; }},
    SimulationFigure{
        {"uncertainty_share", "/uncertainty/share", "", "",
         "share of these runs that lie in the intervals", FigureKind::number, 1.0, true},
        [](Report r) { return drawn(r) ? 0.9 : kNoGroup; }},
    SimulationFigure{{"tpot_low_ms", "/uncertainty/tpot_ms/0", "", "ms",
                      "mean TPOT in milliseconds, low end of its 90 % interval", FigureKind::number,
                      kToMilliseconds},
                     [](Report r) { return end_of(r, "tpot_ms", &Interval::low); }},
    SimulationFigure{{"tpot_high_ms", "/uncertainty/tpot_ms/1", "", "ms",
                      "mean TPOT in milliseconds, high end of its 90 % interval",
                      FigureKind::number, kToMilliseconds},
                     [](Report r) { return end_of(r, "tpot_ms", &Interval::high); }},
    SimulationFigure{{"tokens_per_s_per_gpu_low", "/uncertainty/tokens_per_s_per_gpu/0", "",
                      "tok/s/GPU", "tokens per second and GPU, low end of the 90 % interval"},
                     [](Report r) { return end_of(r, "tokens_per_s_per_gpu", &Interval::low); }},
    SimulationFigure{{"tokens_per_s_per_gpu_high", "/uncertainty/tokens_per_s_per_gpu/1", "",
                      "tok/s/GPU", "tokens per second and GPU, high end of the 90 % interval"},
                     [](Report r) { return end_of(r, "tokens_per_s_per_gpu", &Interval::high); }},
    SimulationFigure{{"usd_per_Mtok", "/usd_per_Mtok", "USD per 1M tokens", "USD/Mtok",
                      "US dollars per million tokens"},
                     [](Report r) { return r.usd_per_million_tokens().value_or(kUnknown); }},
    SimulationFigure{
        {"sla_tpot_ms", "/sla_tpot_ms", "SLA (ms)", "ms",
         "the TPOT that is asked for, in milliseconds", FigureKind::number, kToMilliseconds},
        [](Report r) { return known(r.sla.tpot); }},
    SimulationFigure{{"sla_queueing_ms", "/sla_queueing_ms", "SLA of queueing (ms)", "ms",
                      "the wait for admission that is asked for, in milliseconds",
                      FigureKind::number, kToMilliseconds},
                     [](Report r) { return known(r.sla.queueing); }},
    SimulationFigure{
        {"sla_time_in_system_ms", "/sla_time_in_system_ms", "SLA of time in system (ms)", "ms",
         "the time from arrival to last token that is asked for, in milliseconds",
         FigureKind::number, kToMilliseconds},
        [](Report r) { return known(r.sla.time_in_system); }},
    SimulationFigure{
        {"sla_met", "/sla_met", "SLA met", "",
         "whether the deployment is stable and 95 % are within each SLA", FigureKind::truth},
        [](Report r) {
          const auto met = r.meets_sla();
          if (!met) return kUnknown;
          return *met ? 1.0 : 0.0;
        }},
    SimulationFigure{{"sla_met_share", "/uncertainty/sla_met_share", "SLA met in", "",
                      "share of the drawn runs that meet the SLA", FigureKind::number, 1.0, true},
                     [](Report r) {
                       if (!drawn(r)) return kNoGroup;
                       if (!r.meets_sla()) return kUnknown;
                       return static_cast<double>(r.uncertainty->within_sla) /
                              static_cast<double>(r.uncertainty->samples);
                     }},
    SimulationFigure{{"floor_ms", "/floor_ms/theory", "floor (ms)", "ms",
                      "TPOT in milliseconds with roofline kernels and ideal links, never waiting",
                      FigureKind::number, kToMilliseconds},
                     [](Report r) { return known(r.theoretical_floor); }},
    SimulationFigure{{"longest_path_ms", "/floor_ms/longest_path", "longest path (ms)", "ms",
                      "milliseconds of one micro-batch's own path, never waiting",
                      FigureKind::number, kToMilliseconds},
                     [](Report r) { return r.result.path_floor.value(); }},
    SimulationFigure{{"busiest_resource_ms", "/floor_ms/busiest_resource", "busiest resource (ms)",
                      "ms", "milliseconds that the busiest resource works in a step",
                      FigureKind::number, kToMilliseconds},
                     [](Report r) { return r.result.resource_floor.value(); }},
    SimulationFigure{{"requests", "/requests/mean_in_decode", "requests in decode", "",
                      "requests in decode, mean over time"},
                     [](Report r) { return r.result.mean_requests; }},
    SimulationFigure{{"requests_arrived", "/requests/arrived", "requests arrived", "",
                      "requests that arrived during the measurement", FigureKind::count},
                     [](Report r) { return static_cast<double>(r.result.requests_arrived); }},
    SimulationFigure{{"requests_finished", "/requests/finished", "requests finished", "",
                      "requests that finished during the measurement", FigureKind::count},
                     [](Report r) { return static_cast<double>(r.result.requests_finished); }},
    SimulationFigure{{"requests_refused", "/requests/refused", "requests refused", "",
                      "requests larger than a GPU's whole KV memory", FigureKind::count},
                     [](Report r) { return static_cast<double>(r.result.requests_refused); }},
    SimulationFigure{
        {"requests_preempted", "/requests/preempted", "requests preempted", "",
         "how often a request gave its place up for want of memory", FigureKind::count},
        [](Report r) { return static_cast<double>(r.result.requests_preempted); }},
    SimulationFigure{
        {"requests_waiting", "/requests/waiting", "requests waiting", "",
         "requests that waited for admission when the measurement ended", FigureKind::count},
        [](Report r) { return static_cast<double>(r.result.requests_waiting); }},
    SimulationFigure{{"longest_queue", "/requests/longest_queue", "longest queue", "",
                      "requests that waited for admission at once, at most", FigureKind::count},
                     [](Report r) { return static_cast<double>(r.result.longest_queue); }},
    SimulationFigure{{"queueing_p50_ms", "/requests/queueing_ms/p50", "queueing p50 (ms)", "ms",
                      "milliseconds that a request waits for admission, median", FigureKind::number,
                      kToMilliseconds},
                     [](Report r) { return quantile_if_any(r.result.queueing, 0.5); }},
    SimulationFigure{{"queueing_p95_ms", "/requests/queueing_ms/p95", "queueing p95 (ms)", "ms",
                      "milliseconds that a request waits for admission, 95th percentile",
                      FigureKind::number, kToMilliseconds},
                     [](Report r) { return quantile_if_any(r.result.queueing, 0.95); }},
    SimulationFigure{{"queueing_p99_ms", "/requests/queueing_ms/p99", "queueing p99 (ms)", "ms",
                      "milliseconds that a request waits for admission, 99th percentile",
                      FigureKind::number, kToMilliseconds},
                     [](Report r) { return quantile_if_any(r.result.queueing, 0.99); }},
    SimulationFigure{
        {"time_in_system_p50_ms", "/requests/time_in_system_ms/p50", "time in system p50 (ms)",
         "ms", "milliseconds from a request's arrival to its last token, median",
         FigureKind::number, kToMilliseconds},
        [](Report r) { return quantile_if_any(r.result.time_in_system, 0.5); }},
    SimulationFigure{
        {"time_in_system_p95_ms", "/requests/time_in_system_ms/p95", "time in system p95 (ms)",
         "ms", "milliseconds from a request's arrival to its last token, 95th percentile",
         FigureKind::number, kToMilliseconds},
        [](Report r) { return quantile_if_any(r.result.time_in_system, 0.95); }},
    SimulationFigure{
        {"time_in_system_p99_ms", "/requests/time_in_system_ms/p99", "time in system p99 (ms)",
         "ms", "milliseconds from a request's arrival to its last token, 99th percentile",
         FigureKind::number, kToMilliseconds},
        [](Report r) { return quantile_if_any(r.result.time_in_system, 0.99); }},
    SimulationFigure{{"kv_reserved", "/kv/reserved", "KV reserved", "",
                      "share of the KV memory set aside for requests, mean over time and GPUs"},
                     [](Report r) { return r.result.kv_reserved; }},
    SimulationFigure{{"kv_filled", "/kv/filled", "KV filled", "",
                      "share of the KV memory in pages that hold tokens, mean over time and GPUs"},
                     [](Report r) { return r.result.kv_filled; }},
    SimulationFigure{{"kv_peak", "/kv/peak", "KV, fullest", "",
                      "share of the KV memory that the fullest GPUs set aside at most"},
                     [](Report r) { return r.result.kv_peak; }},
    // Where one pool does both, the two shares are the same.
    SimulationFigure{{"attention_busy", "", "attention busy", "",
                      "share of time that the GPUs holding the attention run kernels"},
                     [](Report r) { return busy_share(r, r.attention_pool); }},
    SimulationFigure{
        {"ffn_busy", "", "FFN busy", "", "share of time that the GPUs holding the FFN run kernels"},
        [](Report r) { return busy_share(r, r.ffn_pool); }},
    // Which operators these are, `ridge simulate` tells.
    SimulationFigure{{"warnings", "", "warnings", "",
                      "warnings about the point, such as of operators outside their calibration",
                      FigureKind::count},
                     [](Report r) { return static_cast<double>(r.warnings.size()); }},
    SimulationFigure{{"elapsed_s", "/elapsed_s", "", "s", "seconds measured, of simulated time"},
                     [](Report r) { return r.result.elapsed.seconds().value(); }},
    SimulationFigure{
        {"tokens", "/tokens", "tokens", "", "tokens decoded in that time", FigureKind::count},
        [](Report r) { return static_cast<double>(r.result.tokens); }},
    SimulationFigure{
        {"steps", "/steps", "steps", "", "steps of a micro-batch in that time", FigureKind::count},
        [](Report r) { return static_cast<double>(r.result.steps); }},
    SimulationFigure{{"events", "/events", "events", "", "events simulated", FigureKind::count},
                     [](Report r) { return static_cast<double>(r.result.events); }},
};

}  // namespace

std::span<const SimulationFigure> simulation_figures() {
  return kSimulationFigures;
}

bool of_one_run(const SimulationFigure& figure) {
  return !figure.spec.pointer.starts_with("/uncertainty/");
}

const SimulationFigure& simulation_figure(std::string_view name) {
  return view::figure_named(simulation_figures(), name);
}

}  // namespace ridge::answer
