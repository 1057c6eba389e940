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

class PipelinePicture {
 public:
  PipelinePicture(const decode::StepGraph& graph, const decode::Deployment& deployment,
                  const SimulationReport& report)
      : graph_(graph), deployment_(deployment), report_(report) {
    const std::uint32_t layers = layers_of(graph);
    begin_ = half_way(graph, layers, report.result.trace);
    window_ = kPictureLayers * layer_time(layers, deployment, report.result);
    per_second_ = (kWidth - kLeft - kRight) / std::max(window_.seconds().value(), 1e-12);
    collect();
  }

  std::string svg() {
    const std::string labels = place_rows();
    std::string out = view::svg::opening(kWidth, bottom_ + kBottom);
    out += fmt::format(
        "<text x=\"16\" y=\"20\" font-size=\"14\">{}</text>\n"
        "<text x=\"16\" y=\"38\" fill=\"#555\">{}</text>\n",
        view::svg::escaped(report_.title),
        view::svg::escaped(fmt::format("{} layers; {}", kPictureLayers, report_.provenance)));
    out += legend() + labels + ticks();
    for (const Bar& bar : bars_) out += drawn(bar);
    return out +
           fmt::format("<text x=\"{}\" y=\"{:.1f}\">numbers are layers; gray is waiting</text>\n",
                       kLeft, bottom_ + 32.0) +
           "</svg>\n";
  }

 private:
  // What the first instance of each pool does in the window.
  void collect() {
    used_.resize(deployment_.pools.size());
    // The kernels of a pool's roles have rows, so that an idle pool shows.
    for (std::size_t p = 0; p < deployment_.pools.size(); ++p) {
      const decode::Roles roles = deployment_.pools[p].roles;
      used_[p][static_cast<std::size_t>(TaskKind::attention)] = roles.has(decode::Role::attention);
      used_[p][static_cast<std::size_t>(TaskKind::ffn)] = roles.has(decode::Role::ffn);
    }
    for (const auto& record : report_.result.trace) {
      const decode::Task& task = graph_.tasks()[record.task];
      const decode::Place at = place_of(graph_.works()[task.work]);
      const bool shown = record.end > begin_ && record.begin < begin_ + window_;
      if (record.replica != 0 || at.instance != 0 || !shown) continue;
      const TaskKind kind = task_kind(graph_.works()[task.work]);
      used_[at.pool][static_cast<std::size_t>(kind)] = true;
      bars_.push_back({at.pool, kind, &record});
    }
  }

  // Entries of the legend in a line.
  static constexpr auto kPerLine = static_cast<std::int64_t>((kWidth - kRight) / kLegendEntry);

  [[nodiscard]] double top_row() const {
    return kLegend + 24.0 +
           kLegendLine * static_cast<double>((deployment_.micro_batches - 1) / kPerLine);
  }

  // A row for each kind of task that a pool has, and its label.
  std::string place_rows() {
    row_of_.resize(deployment_.pools.size());
    std::string labels;
    double y = top_row();
    for (std::size_t p = 0; p < deployment_.pools.size(); ++p) {
      for (std::size_t k = 0; k < kTaskKinds; ++k) {
        row_of_[p][k] = y;
        if (!used_[p][k]) continue;
        labels += fmt::format(
            "<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n"
            "<rect x=\"{}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{}\" fill=\"#f3f3f3\"/>\n",
            kLeft - 8.0, y + 14.0,
            view::svg::escaped(fmt::format("{} 0: {}", deployment_.pools[p].name,
                                           name_of(static_cast<TaskKind>(k)))),
            kLeft, y, kWidth - kLeft - kRight, kBar);
        y += kRow;
      }
      y += 6.0;
    }
    bottom_ = y;
    return labels;
  }

  [[nodiscard]] std::string legend() const {
    std::string out;
    for (std::int64_t m = 0; m < deployment_.micro_batches; ++m) {
      const double at = 16.0 + kLegendEntry * static_cast<double>(m % kPerLine);
      const double line = kLegend + kLegendLine * static_cast<double>(m / kPerLine);
      out += fmt::format(
          "<rect x=\"{0:.0f}\" y=\"{4:.0f}\" width=\"12\" height=\"12\" fill=\"{1}\"/>"
          "<text x=\"{2:.0f}\" y=\"{5:.0f}\">micro-batch {3}</text>\n",
          at, color(static_cast<std::size_t>(m)), at + 16.0, m, line, line + 10.0);
    }
    return out;
  }

  [[nodiscard]] std::string ticks() const {
    std::string out;
    for (const double tick : view::round_ticks(0.0, window_.seconds().value() * 1e6, 8)) {
      const double at = kLeft + per_second_ * tick * 1e-6;
      if (at > kWidth - kRight + 0.5) break;
      out += fmt::format(
          "<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2:.1f}\" stroke=\"#ccc\"/>\n"
          "<text x=\"{0:.1f}\" y=\"{3:.1f}\" text-anchor=\"middle\">{4:g} us</text>\n",
          at, top_row() - 4.0, bottom_, bottom_ + 14.0, tick);
    }
    return out;
  }

  [[nodiscard]] std::string drawn(const Bar& bar) const {
    const decode::TraceRecord& record = *bar.record;
    const std::uint32_t layer = graph_.tasks()[record.task].layer;
    const double from = x(record.begin);
    const double width = x(record.end) - from;
    const double top = row_of_[bar.pool][static_cast<std::size_t>(bar.kind)];
    // Messages of one sender overlap: one is still arriving while the next leaves.
    const double opacity = bar.kind == TaskKind::sending ? 0.5 : 0.9;
    std::string out = fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{}\" fill=\"{}\" "
        "fill-opacity=\"{}\" stroke=\"white\" stroke-width=\"0.5\"><title>{}</title></rect>\n",
        from, top, std::max(width, 0.5), kBar, color(record.micro_batch), opacity,
        view::svg::escaped(fmt::format("{} of layer {}, micro-batch {}: {}", name_of(bar.kind),
                                       layer, record.micro_batch,
                                       si((record.end - record.begin).seconds().value(), "s"))));
    if (width >= kLeastForText) {
      out += fmt::format(
          "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\" fill=\"white\">{}</text>\n",
          from + 0.5 * width, top + 14.0, layer);
    }
    return out;
  }

  [[nodiscard]] double x(des::SimTime at) const {
    const des::SimTime shown = std::min(std::max(at, begin_), begin_ + window_);
    return kLeft + per_second_ * (shown - begin_).seconds().value();
  }
  static std::string_view color(std::size_t micro_batch) {
    return view::svg::kColors[micro_batch % view::svg::kColors.size()];
  }

  const decode::StepGraph& graph_;
  const decode::Deployment& deployment_;
  const SimulationReport& report_;
  des::SimTime begin_;
  des::SimTime window_;
  double per_second_ = 0.0;
  std::vector<Bar> bars_;
  std::vector<std::array<bool, kTaskKinds>> used_;  // by pool
  std::vector<std::array<double, kTaskKinds>> row_of_;
  double bottom_ = 0.0;  // of the rows
};

}  // namespace

std::string pipeline_picture(const decode::StepGraph& graph, const decode::Deployment& deployment,
                             const SimulationReport& report) {
  return PipelinePicture(graph, deployment, report).svg();
}

}  // namespace ridge::answer
