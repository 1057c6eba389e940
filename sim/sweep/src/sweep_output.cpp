#include "ridge/sweep/sweep_output.hpp"

#include "ridge/base/format.hpp"
#include "ridge/base/ordered_json.hpp"
#include "ridge/base/parallel.hpp"
#include "ridge/view/answer_keys.hpp"
#include "ridge/view/text_table.hpp"
#include "sweep_plan.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::sweep {
namespace {

std::string json_text(std::string_view text) {
  return OrderedJson(text).dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

// The columns before the computed ones: one per pointer of every axis of the sweep.
struct AxisColumn {
  std::size_t axis;
  std::size_t pointer;
  std::string header;
};

std::vector<AxisColumn> axis_columns(const SweepScenario& scenario) {
  std::vector<AxisColumn> out;
  for (std::size_t a = 0; a < scenario.axes.size(); ++a) {
    for (std::size_t p = 0; p < scenario.axes[a].pointers.size(); ++p) {
      out.push_back({a, p, scenario.axes[a].headers[p]});
    }
  }
  return out;
}

// The axis of a reference that is this axis of the sweep, if it has it.
std::optional<std::size_t> same_axis(const SweepScenario& part, const Axis& axis) {
  for (std::size_t a = 0; a < part.axes.size(); ++a) {
    if (part.axes[a].location == axis.location) return a;
  }
  return std::nullopt;
}

// Writes the rows of a sweep or of one of its references as text: lines of CSV, or the elements of
// a JSON array, each with its comma before it.
class RowFormatter {
 public:
  RowFormatter(const SweepResult& sweep, const SweepResult& part, view::OutputFormat format)
      : part_(part),
        json_(format == view::OutputFormat::json),
        reference_(!sweep.references().empty()),
        subject_(json_ ? json_text(part.subject()) : view::csv_line({part.subject()})) {
    const SweepScenario& scenario = sweep.scenario();
    for (const AxisColumn& column : axis_columns(scenario)) {
      AxisCells cells{.header = json_text(column.header), .axis = {}, .cells = {}};
      cells.axis = same_axis(part.scenario(), scenario.axes[column.axis]);
      if (cells.axis) {
        const Axis& axis = part.scenario().axes[*cells.axis];
        for (std::size_t i = 0; i < axis.length; ++i) {
          cells.cells.push_back(cell(axis.at(i, column.pointer)));
        }
      }
      axes_.push_back(std::move(cells));
    }
    for (std::size_t c = 0; c < scenario.columns.size(); ++c) {
      headers_.push_back(json_text(scenario.column(c).name));
      is_label_.push_back(scenario.column(c).kind == view::FigureKind::label);
    }
    for (const std::string& name : sweep.labels().names()) {
      labels_.push_back(json_ ? json_text(name) : view::csv_line({name}));
    }
  }

  [[nodiscard]] std::string chunk(const SweepChunk& rows) const {
    const std::size_t width = headers_.size();
    std::string out;
    for (std::size_t row = 0; row < rows.offsets.size(); ++row) {
      const std::uint64_t point = rows.first + rows.offsets[row];
      Line line(out, json_);
      if (reference_) line.add("\"reference\"", part_.subject().empty() ? empty() : subject_);
      for (const AxisCells& cells : axes_) {
        line.add(cells.header,
                 cells.axis ? cells.cells[part_.position(point, *cells.axis)] : empty());
      }
      for (std::size_t c = 0; c < width; ++c) {
        const double value = rows.values[row * width + c];
        if (std::isnan(value)) {
          line.add(headers_[c], empty());
        } else if (is_label_[c]) {
          line.add(headers_[c], labels_[static_cast<std::size_t>(value)]);
        } else {
          line.add(headers_[c], value);
        }
      }
      if (!rows.pareto.empty()) line.add("\"pareto\"", rows.pareto[row] ? "true" : "false");
    }
    return out;
  }

 private:
  struct AxisCells {
    std::string header;
    std::optional<std::size_t> axis;  // of the part
    std::vector<std::string> cells;   // by position
  };

  // One row as it grows.
  class Line {
   public:
    Line(std::string& out, bool as_json) : out_(out), json_(as_json) {
      if (json_) out_ += ",\n    {";
    }
    Line(const Line&) = delete;
    Line& operator=(const Line&) = delete;
    ~Line() { out_ += json_ ? '}' : '\n'; }

    void add(std::string_view header, std::string_view cell) {
      begin(header);
      out_ += cell;
    }
    void add(std::string_view header, double value) {
      begin(header);
      fmt::format_to(std::back_inserter(out_), "{}", value);
    }

   private:
    void begin(std::string_view header) {
      if (!first_) out_ += json_ ? ", " : ",";
      first_ = false;
      if (json_) {
        out_ += header;
        out_ += ": ";
      }
    }

    std::string& out_;
    bool json_;
    bool first_ = true;
  };

  [[nodiscard]] std::string_view empty() const { return json_ ? "null" : ""; }

  [[nodiscard]] std::string cell(const AxisValue& value) const {
    std::string text = text_of(value);
    if (!std::holds_alternative<std::string>(value)) return text;
    return json_ ? json_text(text) : view::csv_line({text});
  }

  const SweepResult& part_;
  bool json_;
  bool reference_;
  std::string subject_;
  std::vector<AxisCells> axes_;
  std::vector<std::string> headers_;
  std::vector<bool> is_label_;
  std::vector<std::string> labels_;
};

// Formats chunks on all threads and passes them on in order.
void write_rows(const SweepResult& sweep, const SweepResult& part, view::OutputFormat format,
                const SweepOptions& options, const TextSink& sink) {
  const RowFormatter formatter(sweep, part, format);
  const auto& chunks = part.chunks();
  // Enough to keep every thread busy, and little enough to hold in memory.
  const std::size_t batch = std::size_t{options.threads} * 8;
  std::vector<std::string> texts(batch);
  bool first = format == view::OutputFormat::json;
  for (std::size_t begin = 0; begin < chunks.size(); begin += batch) {
    if (options.stop != nullptr && options.stop->load()) throw Interrupted();
    const std::size_t count = std::min(batch, chunks.size() - begin);
    parallel_for(options.threads, count, [&] {
      return [&](std::size_t i) {
        texts[i] = formatter.chunk(chunks[begin + i]);
        return true;
      };
    });
    for (std::size_t i = 0; i < count; ++i) {
      std::string_view text = texts[i];
      if (text.empty()) continue;
      if (first) text.remove_prefix(1);
      first = false;
      sink(text);
    }
  }
}

void write_csv(const SweepResult& result, const SweepOptions& options, const TextSink& sink) {
  const SweepScenario& scenario = result.scenario();
  std::vector<std::string> headers;
  if (!result.references().empty()) headers.emplace_back("reference");
  for (auto& column : axis_columns(scenario)) headers.push_back(std::move(column.header));
  for (std::size_t c = 0; c < scenario.columns.size(); ++c) {
    headers.emplace_back(scenario.column(c).name);
  }
  if (!scenario.pareto.objectives.empty()) headers.emplace_back("pareto");
  sink(view::csv_line(headers) + "\n");
  write_rows(result, result, view::OutputFormat::csv, options, sink);
  for (const SweepResult& reference : result.references()) {
    write_rows(result, reference, view::OutputFormat::csv, options, sink);
  }
}

constexpr const char* kRows = "rows";
constexpr const char* kReferences = "references";

}  // namespace

static const view::AnswerKeys<SweepResult>& answer_keys(const SweepResult* /*of*/) {
  using R = SweepResult;
  using Row = view::ByName<view::AnyCell>;
  static const view::AnswerKeys<R> keys(
      {{"title", "", [](const R& r) { return r.scenario().title; }},
       {"provenance", view::kProvenanceWords, &R::provenance},
       {"points", "How often the question was asked.", &R::points},
       {"invalid_points", "Of them that are no design.", &R::invalid},
       {"kept_points", "Of them that pass the filters.", &R::kept},
       {"notes", view::kNotesWords, &R::notes},
       {"columns", "What each column is.",
        [](const R& r) {
          view::ByName<std::string> out;
          for (std::size_t c = 0; c < r.scenario().columns.size(); ++c) {
            out.emplace_back(r.scenario().column(c).name, r.scenario().column(c).words);
          }
          return out;
        }},
       view::streamed<R, Row>(
           kRows, "A row each: what its axes say, its columns, and whether nothing beats it."),
       view::streamed<R, Row>(kReferences, "The same of what the designs are compared with.")});
  return keys;
}

const view::AnswerDescription& sweep_answer() {
  return answer_keys(static_cast<const SweepResult*>(nullptr));
}

namespace {

void write_json(const SweepResult& result, const SweepOptions& options, const TextSink& sink) {
  sink("{\n");
  const OrderedJson head =
      view::versioned_json([&](OrderedJson& out) { answer_keys(&result).write(result, out); });
  for (const auto& [key, value] : head.items()) {
    sink(fmt::format("  \"{}\": {},\n", key,
                     value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace)));
  }
  sink(fmt::format("  \"{}\": [", kRows));
  write_rows(result, result, view::OutputFormat::json, options, sink);
  sink(fmt::format("\n  ],\n  \"{}\": [", kReferences));
  bool first = true;
  for (const SweepResult& reference : result.references()) {
    if (reference.kept() == 0) continue;
    if (!first) sink(",");
    first = false;
    write_rows(result, reference, view::OutputFormat::json, options, sink);
  }
  sink("\n  ]\n}\n");
}

constexpr std::size_t kTableRows = 40;

// "attention_usd_per_Mtok" over three lines, so that a dozen columns fit a terminal.
std::string broken_header(std::string header) {
  std::replace(header.begin(), header.end(), '/', '\n');
  for (const char* unit : {"_usd_per_Mtok", "_per_token"}) {
    if (const auto at = header.find(unit); at != std::string::npos) header[at] = '\n';
  }
  const auto line = header.find('\n');
  if (const auto at = header.rfind('_', line); at != std::string::npos && header.size() > 10) {
    header[at] = '\n';
  }
  return header;
}

class SweepTable {
 public:
  explicit SweepTable(const SweepResult& sweep) : sweep_(sweep) {
    const SweepScenario& scenario = sweep.scenario();
    if (!sweep.references().empty()) table_.column("reference", view::Align::left);
    for (const AxisColumn& column : axis_columns(scenario)) {
      table_.column(broken_header(column.header));
    }
    for (std::size_t c = 0; c < scenario.columns.size(); ++c) {
      table_.column(broken_header(std::string(scenario.column(c).name)));
    }
    if (!scenario.pareto.objectives.empty()) table_.column("pareto", view::Align::left);
    whole_.assign(scenario.columns.size(), true);
    note_fractions(sweep);
    for (const SweepResult& reference : sweep.references()) note_fractions(reference);
  }

  // Every row, in the order of the sweep, up to `limit`. Returns how many there were in all.
  std::uint64_t add(const SweepResult& part, std::size_t limit) {
    std::uint64_t seen = 0;
    for (const SweepChunk& chunk : part.chunks()) {
      for (std::size_t row = 0; row < chunk.offsets.size(); ++row) {
        if (seen++ < limit) add_row(part, chunk, row);
      }
    }
    return seen;
  }
  // The rows on the front, those that are compared with each other together, the best in the first
  // objective first.
  std::uint64_t add_front(const SweepResult& part, std::size_t limit) {
    struct FrontRow {
      std::size_t group;
      double objective;
      const SweepChunk* chunk;
      std::size_t row;
    };
    const SweepScenario& scenario = part.scenario();
    const Objective& first = scenario.pareto.objectives.front();
    std::vector<FrontRow> rows;
    for (const SweepChunk& chunk : part.chunks()) {
      for (std::size_t row = 0; row < chunk.offsets.size(); ++row) {
        if (!chunk.pareto[row]) continue;
        const double value = chunk.values[row * scenario.columns.size() + first.column];
        std::size_t group = 0;
        for (const std::size_t a : scenario.pareto.within) {
          group =
              group * scenario.axes[a].length + part.position(chunk.first + chunk.offsets[row], a);
        }
        rows.push_back({group, first.maximize ? -value : value, &chunk, row});
      }
    }
    std::stable_sort(rows.begin(), rows.end(), [](const FrontRow& a, const FrontRow& b) {
      return a.group != b.group ? a.group < b.group : a.objective < b.objective;
    });
    for (std::size_t i = 0; i < std::min(limit, rows.size()); ++i) {
      if (i > 0 && rows[i].group != rows[i - 1].group) table_.rule();
      add_row(part, *rows[i].chunk, rows[i].row);
    }
    return rows.size();
  }
  void rule() { table_.rule(); }
  [[nodiscard]] std::string text() const { return table_.text(); }

 private:
  void note_fractions(const SweepResult& part) {
    for (const SweepChunk& chunk : part.chunks()) {
      for (std::size_t i = 0; i < chunk.values.size(); ++i) {
        if (chunk.values[i] != std::floor(chunk.values[i])) whole_[i % whole_.size()] = false;
      }
    }
  }

  void add_row(const SweepResult& part, const SweepChunk& chunk, std::size_t row) {
    const SweepScenario& scenario = sweep_.scenario();
    std::vector<std::string> cells;
    if (!sweep_.references().empty()) cells.push_back(part.subject());
    for (const AxisColumn& column : axis_columns(scenario)) {
      const auto axis = same_axis(part.scenario(), scenario.axes[column.axis]);
      cells.push_back(
          axis ? text_of(part.scenario().axes[*axis].at(
                     part.position(chunk.first + chunk.offsets[row], *axis), column.pointer))
               : "");
    }
    const std::size_t width = scenario.columns.size();
    for (std::size_t c = 0; c < width; ++c) {
      const double value = chunk.values[row * width + c];
      if (std::isnan(value)) {
        // A name that is unknown is mostly one that there is not.
        cells.emplace_back(scenario.column(c).kind == view::FigureKind::label ? "" : "unknown");
      } else if (scenario.column(c).kind == view::FigureKind::label) {
        cells.push_back(sweep_.labels().names()[static_cast<std::size_t>(value)]);
      } else {
        // Counts of a few digits are exact (ranks, layers), large ones are magnitudes.
        cells.push_back(std::abs(value) >= 1e6 ? si(value, "")
                        : whole_[c]            ? fmt::format("{:.0f}", value)
                                               : significant(value, 3));
      }
    }
    if (!chunk.pareto.empty()) cells.emplace_back(chunk.pareto[row] ? "yes" : "");
    table_.row(std::move(cells));
  }

  const SweepResult& sweep_;
  std::vector<bool> whole_;  // columns that hold whole numbers only
  view::TextTable table_;
};

void write_table(const SweepResult& result, const TextSink& sink) {
  const bool front = !result.scenario().pareto.objectives.empty();
  SweepTable table(result);
  const std::uint64_t rows =
      front ? table.add_front(result, kTableRows) : table.add(result, kTableRows);
  table.rule();
  for (const SweepResult& reference : result.references()) {
    (void)table.add(reference, kTableRows);
  }
  const std::string which = front && rows == 0 ? std::string("nothing: the Pareto front is empty")
                            : front            ? fmt::format("the {} on the Pareto front", rows)
                                               : std::string("each of them");
  const std::string shown =
      rows > kTableRows ? fmt::format(", of which the first {} are shown", kTableRows) : "";
  sink(fmt::format("{}\n{}: {} points, {} kept; below {}{}. CSV and JSON hold them all.\n\n{}",
                   result.scenario().title, result.provenance(), result.points(), result.kept(),
                   which, shown, table.text()));
}

}  // namespace

void write_sweep(const SweepResult& result, view::OutputFormat format, const SweepOptions& options,
                 const TextSink& sink) {
  switch (format) {
    case view::OutputFormat::csv:
      return write_csv(result, options, sink);
    case view::OutputFormat::json:
      return write_json(result, options, sink);
    case view::OutputFormat::table:
      return write_table(result, sink);
  }
}

}  // namespace ridge::sweep
