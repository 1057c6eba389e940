#include "ridge/sweep/sweep_designs.hpp"

#include "ridge/sweep/sweep_picture.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::sweep {
namespace {

// "context_tokens = 8192, chip = h800": where a point stands on some of the axes.
std::string words(const SweepResult& part, std::uint64_t point,
                  const std::vector<std::size_t>& axes) {
  std::vector<std::string> parts;
  for (const std::size_t a : axes) {
    const Axis& axis = part.scenario().axes[a];
    for (std::size_t p = 0; p < axis.headers.size(); ++p) {
      parts.push_back(
          fmt::format("{} = {}", axis.headers[p], text_of(axis.at(part.position(point, a), p))));
    }
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

// The axes of a part (the sweep itself, or a reference) that are these axes of the sweep.
std::vector<std::size_t> same_axes(const SweepScenario& part, const SweepScenario& sweep,
                                   const std::vector<std::size_t>& axes) {
  std::vector<std::size_t> out;
  for (const std::size_t a : axes) {
    for (std::size_t b = 0; b < part.axes.size(); ++b) {
      if (part.axes[b].location == sweep.axes[a].location) out.push_back(b);
    }
  }
  return out;
}

class Builder {
 public:
  Builder(const SweepResult& result, const DesignsWanted& wanted)
      : result_(result), scenario_(result.scenario()), wanted_(wanted) {
    out_.title = scenario_.title;
    out_.provenance = result.provenance();
    out_.labels = result.labels().names();
    for (std::size_t a = 0; a < scenario_.axes.size(); ++a) every_axis_.push_back(a);
    add_columns();
    const auto& objectives = scenario_.pareto.objectives;
    out_.x = column_of(objectives[0].column).value();
    out_.y = column_of(objectives[1].column).value();
    out_.more_x_is_better = objectives[0].maximize;
    out_.more_y_is_better = objectives[1].maximize;
    out_.front_is_a_line = objectives.size() == 2;
    for (const Bound& bound : result.bounds()) {
      for (std::size_t c = 0; c < scenario_.columns.size(); ++c) {
        const auto shown = column_of(c);
        if (!shown || scenario_.column(c).name != bound.column) continue;
        out_.bounds.push_back({*shown, bound.value, bound.label});
      }
    }
  }

  view::Designs build() {
    std::uint64_t beaten = 0;
    for_each_row(result_, [&](const SweepChunk& chunk, std::size_t row) {
      if (!chunk.pareto[row]) ++beaten;
    });
    const std::uint64_t kept = result_.kept() - beaten;
    const std::uint64_t room = wanted_.most_rows > kept ? wanted_.most_rows - kept : 0;
    const std::uint64_t every =
        room == 0 ? beaten + 1 : (beaten + room - 1) / std::max<std::uint64_t>(room, 1);
    std::uint64_t seen = 0;
    for_each_row(result_, [&](const SweepChunk& chunk, std::size_t row) {
      if (!chunk.pareto[row] && every > 1 && seen++ % every != 0) return;
      add(result_, chunk, row);
    });
    for (const SweepResult& reference : result_.references()) {
      for_each_row(reference,
                   [&](const SweepChunk& chunk, std::size_t row) { add(reference, chunk, row); });
    }
    return std::move(out_);
  }

 private:
  template <typename Do>
  static void for_each_row(const SweepResult& part, Do&& act) {
    for (const SweepChunk& chunk : part.chunks()) {
      for (std::size_t row = 0; row < chunk.offsets.size(); ++row) act(chunk, row);
    }
  }

  void add_columns() {
    const auto& objectives = scenario_.pareto.objectives;
    for (std::size_t a = 0; a < scenario_.axes.size(); ++a) {
      for (std::size_t p = 0; p < scenario_.axes[a].pointers.size(); ++p) {
        const std::string& header = scenario_.axes[a].headers[p];
        if (wanted_.objectives_only && header != wanted_.and_column) continue;
        const auto& values = scenario_.axes[a].values;
        const bool label = std::any_of(values.begin(), values.end(), [](const AxisValue& value) {
          return !std::holds_alternative<double>(value);
        });
        columns_.push_back({.axis = a, .pointer = p});
        out_.columns.push_back({.name = header,
                                .words = scenario_.axes[a].pointers[p],
                                .unit = "",
                                .axis = true,
                                .label = label});
      }
    }
    for (std::size_t c = 0; c < scenario_.columns.size(); ++c) {
      const view::FigureSpec& spec = scenario_.column(c);
      const bool objective = std::any_of(objectives.begin(), objectives.end(),
                                         [&](const Objective& one) { return one.column == c; });
      if (wanted_.objectives_only && !objective && spec.name != wanted_.and_column) continue;
      columns_.push_back({.figure = c});
      out_.columns.push_back({.name = std::string(spec.name),
                              .words = std::string(spec.words),
                              .unit = std::string(spec.unit),
                              .label = spec.kind == view::FigureKind::label});
    }
    if (!wanted_.and_column.empty()) (void)out_.column_named(wanted_.and_column, "--color");
  }

  // Of a figure, where it is shown.
  [[nodiscard]] std::optional<std::size_t> column_of(std::size_t figure) const {
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      if (columns_[c].figure == figure) return c;
    }
    return std::nullopt;
  }

  double label(const std::string& name) {
    const auto [found, is_new] = axis_labels_.emplace(name, out_.labels.size());
    if (is_new) out_.labels.push_back(name);
    return static_cast<double>(found->second);
  }

  double value_at(const SweepResult& part, std::uint64_t point, std::size_t axis,
                  std::size_t pointer, bool as_label) {
    const auto same = same_axes(part.scenario(), scenario_, {axis});
    if (same.empty()) return std::nan("");
    const AxisValue& value =
        part.scenario().axes[same[0]].at(part.position(point, same[0]), pointer);
    return as_label ? label(text_of(value)) : std::get<double>(value);
  }

  void add(const SweepResult& part, const SweepChunk& chunk, std::size_t row) {
    const std::uint64_t point = chunk.first + chunk.offsets[row];
    const bool reference = &part != &result_;
    const std::size_t number = out_.rows.size();
    const std::string group =
        words(part, point, same_axes(part.scenario(), scenario_, scenario_.pareto.within));
    const auto [found, is_new] = groups_.emplace(group, groups_.size());
    if (is_new) {
      out_.groups.resize(groups_.size());
      out_.groups[found->second] = group;
    }
    out_.rows.push_back({.group = static_cast<std::uint32_t>(found->second),
                         .front = chunk.pareto[row],
                         .reference = reference});
    if (reference) {
      out_.names[number] = part.subject();
    } else if (wanted_.objectives_only && chunk.pareto[row]) {
      out_.names[number] = words(part, point, every_axis_);
    }
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const Source& source = columns_[c];
      out_.values.push_back(
          source.figure
              ? chunk.values[row * scenario_.columns.size() + *source.figure]
              : value_at(part, point, source.axis, source.pointer, out_.columns[c].label));
    }
  }

  // Where a column's values come from: a figure, or an axis.
  struct Source {
    std::size_t axis = 0;
    std::size_t pointer = 0;
    std::optional<std::size_t> figure{};
  };

  const SweepResult& result_;
  const SweepScenario& scenario_;
  const DesignsWanted& wanted_;
  std::vector<std::size_t> every_axis_;
  std::vector<Source> columns_;
  std::map<std::string, std::size_t> groups_;
  std::map<std::string, std::size_t> axis_labels_;
  view::Designs out_;
};

}  // namespace

view::Designs designs_of(const SweepResult& result, const DesignsWanted& wanted) {
  check_picture(result.scenario());
  return Builder(result, wanted).build();
}

}  // namespace ridge::sweep
