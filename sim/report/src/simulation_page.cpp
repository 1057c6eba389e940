#include "ridge/answer/latency_plots.hpp"
#include "ridge/answer/simulation_figures.hpp"
#include "ridge/base/format.hpp"
#include "ridge/report/pages.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include <fmt/format.h>

namespace ridge::report {
namespace {

using answer::SimulationReport;
using decode::Stage;

std::string percent(double share) {
  return fmt::format("{:.1f} %", 100.0 * share);
}

std::string shown(const view::FigureSpec& spec, double value) {
  if (spec.kind == view::FigureKind::truth) return value != 0.0 ? "yes" : "no";
  if (spec.kind == view::FigureKind::count) return fmt::format("{:.0f}", value);
  return significant(value, 4);
}

// "TPOT mean (ms)" has its unit beside the value.
std::string heading_of(const view::FigureSpec& spec) {
  std::string heading(spec.heading.empty() ? spec.words : spec.heading);
  if (!spec.heading.empty()) heading = heading.substr(0, heading.find(" ("));
  return heading;
}

// Worth a tile, as far as they are known.
constexpr std::array kTiles = {"tpot_ms",
                               "tpot_p95_ms",
                               "tokens_per_s_per_gpu",
                               "tokens_per_s_per_user",
                               "usd_per_Mtok",
                               "gpus",
                               "requests",
                               "floor_ms",
                               "attention_busy",
                               "ffn_busy"};

std::vector<view::PageFigure> tiles(const SimulationReport& report) {
  std::vector<view::PageFigure> out;
  for (const char* name : kTiles) {
    const auto& figure = answer::simulation_figure(name);
    const double value = figure.shown(report);
    if (!std::isfinite(value)) continue;
    // "tokens/s/GPU" says its unit already.
    const bool named = figure.spec.heading.find('(') == std::string_view::npos;
    view::PageFigure tile{.label = heading_of(figure.spec),
                          .value = shown(figure.spec, value),
                          .unit = named ? "" : std::string(figure.spec.unit),
                          .below = "",
                          .words = std::string(figure.spec.words)};
    if (report.uncertainty && report.uncertainty->samples > 0) {
      if (const auto interval = report.uncertainty->interval(name);
          interval && interval->low < interval->high) {
        tile.below = fmt::format("90 %: {} to {}", significant(interval->low, 4),
                                 significant(interval->high, 4));
      }
    }
    out.push_back(std::move(tile));
  }
  return out;
}

void add_verdicts(const SimulationReport& report, view::Page& page) {
  if (report.result.partial) page.badge("partial: stopped early", view::Tone::care);
  if (report.overloaded()) page.badge("overloaded", view::Tone::bad);
  const auto met = report.meets_sla();
  if (!met) return;
  std::string words = *met ? "meets its SLA" : "misses its SLA";
  if (report.sla.tpot) {
    words += fmt::format(" of {} ms TPOT", significant(report.sla.tpot->value() * 1e3, 4));
  }
  page.badge(words + " at p95", *met ? view::Tone::good : view::Tone::bad);
  if (report.uncertainty && report.uncertainty->samples > 0) {
    page.badge(fmt::format("in {} of {} draws", report.uncertainty->within_sla,
                           report.uncertainty->samples),
               view::Tone::plain);
  }
}

void add_pools(const SimulationReport& report, view::Page& page) {
  page.section("Where GPU time goes");
  std::vector<view::StackedBar> bars;
  for (std::size_t p = 0; p < report.pool_titles.size(); ++p) {
    const auto& times = report.result.pools[p];
    const double all =
        report.result.elapsed.seconds().value() * static_cast<double>(report.pool_gpus[p]);
    view::StackedBar bar{.what = report.pool_titles[p], .parts = {}};
    const auto part = [&](std::string what, double seconds) {
      const double share = all > 0.0 ? std::max(0.0, seconds / all) : 0.0;
      bar.parts.push_back({.what = std::move(what), .share = share, .words = percent(share)});
    };
    part("kernels", times.busy);
    part("waiting for the slowest GPU", times.slowest_rank);
    for (std::size_t s = 0; s < decode::kStages; ++s) {
      const bool any =
          std::any_of(report.result.pools.begin(), report.result.pools.end(),
                      [&](const decode::PoolTimes& pool) { return pool.waiting_for[s] > 0.0; });
      if (!any) continue;
      part(fmt::format("waiting for {}", name_of(static_cast<Stage>(s))), times.waiting_for[s]);
    }
    part("no requests", times.empty);
    bars.push_back(std::move(bar));
  }
  page.stacked_bars(bars);
}

void add_critical_path(const SimulationReport& report, view::Page& page) {
  const auto& r = report.result;
  if (r.critical_steps == 0) return;
  const auto steps = static_cast<double>(r.critical_steps);
  double all = 0.0;
  for (std::size_t s = 0; s < decode::kStages; ++s)
    all += r.critical_service[s] + r.critical_queue[s];
  std::vector<view::BarPart> bars;
  const auto add = [&](std::string what, double seconds) {
    constexpr double kWorthTelling = 0.005;
    if (seconds < kWorthTelling * all) return;
    bars.push_back({.what = std::move(what),
                    .share = seconds / all,
                    .words = fmt::format("{} ms, {}", significant(seconds / steps * 1e3, 3),
                                         percent(seconds / all))});
  };
  for (std::size_t s = 0; s < decode::kStages; ++s) {
    const auto stage = name_of(static_cast<Stage>(s));
    add(fmt::format("in {}", stage), r.critical_service[s]);
    add(fmt::format("queueing for {}", stage), r.critical_queue[s]);
  }
  std::stable_sort(bars.begin(), bars.end(),
                   [](const auto& a, const auto& b) { return a.share > b.share; });
  page.section("Critical path");
  page.paragraph(fmt::format("A step takes {} ms. Queueing is waiting behind another micro-batch.",
                             significant(all / steps * 1e3, 4)),
                 true);
  page.bars(bars);
}

void add_operators(const SimulationReport& report, const decode::SimulationInput& input,
                   view::Page& page) {
  page.section("Operators");
  page.paragraph(
      "One launch of each, on one GPU at the mean batch, and what all layers take together. Error: "
      "relative standard error of a calibrated time.",
      true);
  view::PageTable table{
      .columns = {{"pool"},
                  {"block"},
                  {"operator"},
                  {"kernel"},
                  {"us", true},
                  {"layers", true},
                  {"ms per step", true},
                  {"waits for"},
                  {"error", true},
                  {"range", false,
                   "whether the shape is within what the calibration was measured on"}},
      .rows = {}};
  const auto numbered = [](const char* block, std::size_t number, std::size_t of) {
    return of > 1 ? fmt::format("{} {}", block, number) : std::string(block);
  };
  const std::size_t attentions = input.deployment.model.attentions.size();
  const std::size_t ffns = input.deployment.model.ffns.size();
  for (const auto& op : answer::operator_times(input, report.result)) {
    const double seconds = op.timing.time.value();
    const auto layers = static_cast<double>(op.layers);
    table.rows.push_back(
        {{input.deployment.pools[op.pool].name},
         {op.role == decode::Role::attention ? numbered("attention", op.block, attentions)
                                             : numbered("FFN", op.block, ffns)},
         {op.name},
         {op.kernel.empty() && op.timing.error == 0.0 ? "roofline" : op.kernel},
         {significant(seconds * 1e6, 3), seconds},
         {fmt::format("{}", op.layers), layers},
         {significant(seconds * layers * 1e3, 3), seconds * layers},
         {std::string(hw::name_of(op.timing.bound))},
         {op.timing.error > 0.0 ? percent(op.timing.error) : "", op.timing.error},
         {op.timing.within_range ? "" : "outside"}});
  }
  page.table(table);
}

void add_links_and_memory(const SimulationReport& report, view::Page& page) {
  page.section("Links and memory");
  std::vector<view::BarPart> bars;
  for (const auto& link : report.result.links) {
    bars.push_back({.what = link.name,
                    .share = link.utilization,
                    .words = percent(link.utilization) + " of the time"});
  }
  page.bars(bars);
  std::vector<view::StackedBar> memory;
  for (const auto& pool : report.memory.pools) {
    const double all = pool.capacity.value();
    const double kv = pool.kv_budget.value();
    view::StackedBar bar{.what = pool.pool + ", " + si(all, "B") + " a GPU", .parts = {}};
    const auto part = [&](const char* what, double bytes) {
      bar.parts.push_back({.what = what, .share = bytes / all, .words = si(bytes, "B")});
    };
    part("weights", pool.weights.value());
    part("reserve", pool.reserve.value());
    if (kv > 0.0) {
      part("KV, set aside at most", kv * report.result.kv_peak);
      part("KV, never used", kv * (1.0 - report.result.kv_peak));
    }
    memory.push_back(std::move(bar));
  }
  page.subsection("Memory");
  page.stacked_bars(memory);
}

void add_latencies(const SimulationReport& report, view::Page& page) {
  const auto plots = answer::latency_plots(report);
  if (plots.empty()) return;
  page.section("Latencies");
  page.charts(plots);
}

// Requests in decode and waiting, at a few hundred moments of the whole run.
void add_load(const SimulationReport& report, view::Page& page) {
  const auto& requests = report.result.requests;
  if (requests.empty()) return;
  // +1 where one begins, -1 where it ends.
  std::map<double, std::array<std::int64_t, 2>> changes;
  double end = 0.0;
  const auto from_to = [&](std::size_t what, des::SimTime from,
                           const std::optional<des::SimTime>& to) {
    ++changes[from.seconds().value()][what];
    if (to) --changes[to->seconds().value()][what];
  };
  for (const auto& request : requests) {
    if (request.refused) continue;
    from_to(0, request.arrival, request.admitted);
    if (request.admitted) from_to(1, *request.admitted, request.finished);
  }
  for (const auto& [time, change] : changes) end = std::max(end, time);
  std::array<view::PlotSeries, 2> series = {
      view::PlotSeries{.name = "waiting", .color = "#d55e00", .radius = 0.0, .connected = true},
      view::PlotSeries{.name = "in decode", .color = "#0072b2", .radius = 0.0, .connected = true}};
  constexpr int kMoments = 400;
  std::array<std::int64_t, 2> now{};
  auto next = changes.begin();
  for (int i = 0; i <= kMoments; ++i) {
    const double at = end * i / kMoments;
    for (; next != changes.end() && next->first <= at; ++next) {
      for (std::size_t k = 0; k < now.size(); ++k) now[k] += next->second[k];
    }
    for (std::size_t k = 0; k < now.size(); ++k) {
      series[k].points.push_back({.x = at, .y = static_cast<double>(now[k]), .label = ""});
    }
  }
  view::ScatterPlot plot{.title = "Requests over the run, warm-up included",
                         .x_label = "s of simulated time",
                         .y_label = "requests"};
  plot.series = {std::move(series[0]), std::move(series[1])};
  page.section("Load over time");
  page.charts({plot});
}

void add_every_figure(const SimulationReport& report, const SimulationReport* other,
                      view::Page& page) {
  page.section(other == nullptr ? "Every figure" : "Every figure, side by side");
  view::PageTable table{.columns = {{"figure"}, {other == nullptr ? "value" : report.name, true}},
                        .rows = {}};
  if (other != nullptr) {
    table.columns.push_back({other->name, true});
    table.columns.push_back({"ratio", true});
  }
  table.columns.insert(table.columns.end(), {{"unit"}, {.heading = "in full", .prose = true}});
  for (const auto& figure : answer::simulation_figures()) {
    if (figure.label != nullptr) continue;
    const double value = figure.shown(report);
    const double beside = other == nullptr ? value : figure.shown(*other);
    if (!std::isfinite(value) && !std::isfinite(beside)) continue;
    const auto cell = [&](double x) {
      return std::isfinite(x) ? view::PageCell{shown(figure.spec, x), x} : view::PageCell{};
    };
    std::vector<view::PageCell> row = {{std::string(figure.spec.name)}, cell(value)};
    if (other != nullptr) {
      row.push_back(cell(beside));
      const double ratio = beside / value;
      row.push_back(std::isfinite(ratio) ? view::PageCell{significant(ratio, 3), ratio}
                                         : view::PageCell{});
    }
    row.push_back({std::string(figure.spec.unit)});
    row.push_back({std::string(figure.spec.words)});
    table.rows.push_back(std::move(row));
  }
  page.table(table);
}

void add_sources(const SimulationReport& report, const decode::SimulationInput& input,
                 view::Page& page) {
  page.section("Sources");
  view::PageTable table{.columns = {{"of"}, {"what"}, {.heading = "source", .prose = true}},
                        .rows = {}};
  table.rows.push_back({{"kernels"}, {"times"}, {report.provenance}});
  table.rows.push_back({{"links"}, {"overheads and efficiencies"}, {report.link_provenance}});
  if (report.uncertainty) {
    for (const scenario::DrawnInput& drawn : report.uncertainty->inputs) {
      table.rows.push_back(
          {{"interval"}, {fmt::format("{}: {}", drawn.what, drawn.from)}, {drawn.source}});
    }
  }
  const auto& model = input.deployment.model;
  if (!model.claims.source.empty()) {
    table.rows.push_back({{model.title}, {"architecture, as published"}, {model.claims.source}});
  }
  std::vector<std::string> told;
  for (const auto& pool : input.deployment.pools) {
    const hw::ChipSpec chip = pool.whole_chip();
    if (std::find(told.begin(), told.end(), chip.name) != told.end()) continue;
    told.push_back(chip.name);
    const auto fact = [&](const char* what, std::string value, const auto& one) {
      if (!one.value) return;
      table.rows.push_back({{chip.title},
                            {fmt::format("{}: {}", what, value)},
                            {one.source + (one.unconfirmed ? " (unconfirmed)" : "")}});
    };
    fact("memory bandwidth",
         si(chip.memory_bandwidth.value.value_or(BytesPerSecond{}).value(), "B/s"),
         chip.memory_bandwidth);
    fact("memory", si(chip.memory.value.value_or(Bytes{}).value(), "B"), chip.memory);
    for (std::size_t p = 0; p < chip.matrix_rate.size(); ++p) {
      const auto& rate = chip.matrix_rate[p];
      fact(fmt::format("matrix rate, {}", models::name_of(static_cast<models::Precision>(p)))
               .c_str(),
           si(rate.value.value_or(FlopPerSecond{}).value(), "FLOP/s"), rate);
    }
    fact("NIC bandwidth", si(chip.nic_bandwidth.value.value_or(BytesPerSecond{}).value(), "B/s"),
         chip.nic_bandwidth);
    fact("scale-up bandwidth",
         si(chip.scale_up_bandwidth.value.value_or(BytesPerSecond{}).value(), "B/s"),
         chip.scale_up_bandwidth);
    if (const hw::Price* price = chip.price(); price != nullptr) {
      table.rows.push_back(
          {{chip.title},
           {fmt::format("price: {:g} USD/h ({})", price->rate.value() * 3600.0, price->name)},
           {price->source}});
    }
  }
  page.table(table);
}

}  // namespace

std::string simulation_page(const SimulationReport& report, const decode::SimulationInput& input,
                            const SimulationReport* other, const view::PageQuestion& question,
                            const Asked& asked) {
  view::Page page(report.title, asked.maker);
  page.lead("simulated; kernel times: " + report.provenance);
  add_verdicts(report, page);
  page.figures(tiles(report));
  page.warnings(report.warnings);
  add_pools(report, page);
  add_critical_path(report, page);
  if (!report.picture.empty()) {
    page.section("Pipeline");
    page.picture(
        report.picture,
        "A few layers of the measurement on the first instance of each pool; rest on a bar "
        "for what it is.",
        true);
  }
  add_operators(report, input, page);
  add_links_and_memory(report, page);
  add_latencies(report, page);
  add_load(report, page);
  add_every_figure(report, other, page);
  add_sources(report, input, page);
  page.question(question);
  return page.html();
}

}  // namespace ridge::report
