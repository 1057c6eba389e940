#include "pipeline_picture.hpp"

#include "ridge/base/format.hpp"
#include "ridge/view/scatter_plot.hpp"
#include "ridge/view/svg.hpp"
#include "task_words.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include <fmt/format.h>

namespace ridge::answer {
namespace {

constexpr double kWidth = 960.0;
constexpr double kLeft = 190.0;
constexpr double kRight = 16.0;
constexpr double kLegend = 48.0;  // its first line
constexpr double kLegendEntry = 100.0;
constexpr double kLegendLine = 16.0;
constexpr double kRow = 26.0;
constexpr double kBar = 20.0;
constexpr double kBottom = 40.0;
constexpr double kLeastForText = 18.0;  // width of a bar that can hold a layer's number

struct Bar {
  std::size_t pool;
  TaskKind kind;
  const decode::TraceRecord* record;
};

std::uint32_t layers_of(const decode::StepGraph& graph) {
  std::uint32_t layers = 1;
  for (const decode::Task& task : graph.tasks()) layers = std::max(layers, task.layer + 1);
  return layers;
}

// The mean time of one layer of a step.
des::SimTime layer_time(std::uint32_t layers, const decode::Deployment& d,
                        const decode::SimulationResult& result) {
  const auto lanes = static_cast<double>(d.replicas * d.micro_batches);
  const auto steps = static_cast<double>(std::max<std::uint64_t>(result.steps, 1));
  return des::SimTime::from(result.elapsed.seconds() * (lanes / steps / layers));
}

// When the first micro-batch is half-way through its layers: the first layers are often of another
// kind, and the last is followed by the LM head.
des::SimTime half_way(const decode::StepGraph& graph, std::uint32_t layers,
                      const std::vector<decode::TraceRecord>& trace) {
  std::optional<des::SimTime> first;
  std::optional<des::SimTime> half;
  for (const auto& record : trace) {
    if (record.replica != 0) continue;
    first = std::min(first.value_or(record.begin), record.begin);
    if (record.micro_batch == 0 && graph.tasks()[record.task].layer == layers / 2) {
      half = std::min(half.value_or(record.begin), record.begin);
    }
  }
  return half ? *half : first.value_or(des::SimTime());
}

}  // namespace

std::string pipeline_picture(const decode::StepGraph& graph, const decode::Deployment& deployment,
                             const SimulationReport& report) {
  const auto& trace = report.result.trace;
  const std::uint32_t layers = layers_of(graph);
  const des::SimTime begin = half_way(graph, layers, trace);
  const des::SimTime window = kPictureLayers * layer_time(layers, deployment, report.result);
  const double per_second = (kWidth - kLeft - kRight) / std::max(window.seconds().value(), 1e-12);
  const auto x = [&](des::SimTime at) {
    const des::SimTime shown = std::min(std::max(at, begin), begin + window);
    return kLeft + per_second * (shown - begin).seconds().value();
  };

  std::vector<Bar> bars;
  std::vector<std::array<bool, kTaskKinds>> used(deployment.pools.size());
  // The kernels of a pool's roles have rows, so that an idle pool shows.
  for (std::size_t p = 0; p < deployment.pools.size(); ++p) {
    const decode::Roles roles = deployment.pools[p].roles;
    used[p][static_cast<std::size_t>(TaskKind::attention)] = roles.has(decode::Role::attention);
    used[p][static_cast<std::size_t>(TaskKind::ffn)] = roles.has(decode::Role::ffn);
  }
  for (const auto& record : trace) {
    const decode::Task& task = graph.tasks()[record.task];
    const decode::Place at = place_of(graph.works()[task.work]);
    const bool shown = record.end > begin && record.begin < begin + window;
    if (record.replica != 0 || at.instance != 0 || !shown) continue;
    const TaskKind kind = task_kind(graph.works()[task.work]);
    used[at.pool][static_cast<std::size_t>(kind)] = true;
    bars.push_back({at.pool, kind, &record});
  }
  const auto per_line = static_cast<std::int64_t>((kWidth - kRight) / kLegendEntry);
  const double top_row =
      kLegend + 24.0 + kLegendLine * static_cast<double>((deployment.micro_batches - 1) / per_line);
  std::vector<std::array<double, kTaskKinds>> row_of(deployment.pools.size());
  std::string labels;
  double y = top_row;
  for (std::size_t p = 0; p < deployment.pools.size(); ++p) {
    for (std::size_t k = 0; k < kTaskKinds; ++k) {
      row_of[p][k] = y;
      if (!used[p][k]) continue;
      labels += fmt::format(
          "<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n"
          "<rect x=\"{}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{}\" fill=\"#f3f3f3\"/>\n",
          kLeft - 8.0, y + 14.0,
          view::svg::escaped(
              fmt::format("{} 0: {}", deployment.pools[p].name, name_of(static_cast<TaskKind>(k)))),
          kLeft, y, kWidth - kLeft - kRight, kBar);
      y += kRow;
    }
    y += 6.0;
  }

  std::string out = view::svg::opening(kWidth, y + kBottom);
  out += fmt::format(
      "<text x=\"16\" y=\"20\" font-size=\"14\">{}</text>\n"
      "<text x=\"16\" y=\"38\" fill=\"#555\">{}</text>\n",
      view::svg::escaped(report.title),
      view::svg::escaped(fmt::format("{} layers; {}", kPictureLayers, report.provenance)));
  for (std::int64_t m = 0; m < deployment.micro_batches; ++m) {
    const double legend = 16.0 + kLegendEntry * static_cast<double>(m % per_line);
    const double line = kLegend + kLegendLine * static_cast<double>(m / per_line);
    out += fmt::format(
        "<rect x=\"{0:.0f}\" y=\"{4:.0f}\" width=\"12\" height=\"12\" fill=\"{1}\"/>"
        "<text x=\"{2:.0f}\" y=\"{5:.0f}\">micro-batch {3}</text>\n",
        legend, view::svg::kColors[static_cast<std::size_t>(m) % view::svg::kColors.size()],
        legend + 16.0, m, line, line + 10.0);
  }
  out += labels;
  for (const double tick : view::round_ticks(0.0, window.seconds().value() * 1e6, 8)) {
    const double at = kLeft + per_second * tick * 1e-6;
    if (at > kWidth - kRight + 0.5) break;
    out += fmt::format(
        "<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2:.1f}\" stroke=\"#ccc\"/>\n"
        "<text x=\"{0:.1f}\" y=\"{3:.1f}\" text-anchor=\"middle\">{4:g} us</text>\n",
        at, top_row - 4.0, y, y + 14.0, tick);
  }
  for (const Bar& bar : bars) {
    const decode::Task& task = graph.tasks()[bar.record->task];
    const double from = x(bar.record->begin);
    const double width = x(bar.record->end) - from;
    const double top = row_of[bar.pool][static_cast<std::size_t>(bar.kind)];
    // Messages of one sender overlap: one is still arriving while the next leaves.
    const double opacity = bar.kind == TaskKind::sending ? 0.5 : 0.9;
    out += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{}\" fill=\"{}\" "
        "fill-opacity=\"{}\" stroke=\"white\" stroke-width=\"0.5\"><title>{}</title></rect>\n",
        from, top, std::max(width, 0.5), kBar,
        view::svg::kColors[bar.record->micro_batch % view::svg::kColors.size()], opacity,
        view::svg::escaped(
            fmt::format("{} of layer {}, micro-batch {}: {}", name_of(bar.kind), task.layer,
                        bar.record->micro_batch,
                        si((bar.record->end - bar.record->begin).seconds().value(), "s"))));
    if (width >= kLeastForText) {
      out += fmt::format(
          "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\" fill=\"white\">{}</text>\n",
          from + 0.5 * width, top + 14.0, task.layer);
    }
  }
  return out +
         fmt::format("<text x=\"{}\" y=\"{:.1f}\">numbers are layers; gray is waiting</text>\n",
                     kLeft, y + 32.0) +
         "</svg>\n";
}

}  // namespace ridge::answer
