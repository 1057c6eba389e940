// A figure of an answer, described once: its name, unit and words, and how it is computed from the
// answer. Tables, CSV, JSON, comparisons, the columns of sweeps and the quantities of ledgers and
// reproductions all draw on such tables of figures.
#pragma once

#include "ridge/base/ordered_json.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::view {

enum class FigureKind : std::uint8_t {
  number,
  count,  // a whole number
  truth,  // 0 or 1
  label,  // a name: of a chip, a resource
};

inline constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
// Unknown, and so is all that stands beside it under the same key of the JSON: that key is null.
inline constexpr double kNoGroup = -std::numeric_limits<double>::infinity();

struct FigureSpec {
  std::string_view name;     // in CSV, sweeps and ledgers: "tpot_p95_ms"
  std::string_view pointer;  // in JSON: "/tpot_ms/p95"; empty where it is not there
  std::string_view heading;  // in a table of text: "TPOT p95 (ms)"; empty where none shows it
  std::string_view unit;     // "ms"; empty for counts, shares and names
  std::string_view words;    // in full, with its unit
  FigureKind kind = FigureKind::number;
  double scale = 1.0;  // from base units to `unit`
  // Says kNoGroup where groups within its own group are still there, so that its key is not.
  bool may_be_left_out = false;
};

template <typename Answer>
struct Figure {
  FigureSpec spec;
  double (*value)(const Answer& answer) = nullptr;  // in base units; kUnknown, kNoGroup
  std::string (*label)(const Answer& answer) = nullptr;

  // In `spec.unit`.
  [[nodiscard]] double shown(const Answer& answer) const { return value(answer) * spec.scale; }
};

// A figure of one answer.
struct FigureValue {
  const FigureSpec* spec = nullptr;
  double number = 0.0;  // in spec->unit
  std::string label;    // of a label; empty where unknown
};

template <typename Answer>
std::vector<FigureValue> figure_values(std::span<const Figure<Answer>> figures,
                                       const Answer& answer) {
  std::vector<FigureValue> out;
  out.reserve(figures.size());
  for (const Figure<Answer>& figure : figures) {
    FigureValue& value = out.emplace_back();
    value.spec = &figure.spec;
    if (figure.label != nullptr) {
      value.label = figure.label(answer);
    } else {
      value.number = figure.shown(answer);
    }
  }
  return out;
}

// The figure of this name. A name that is none is a fault of ours.
[[nodiscard]] std::size_t figure_index(std::span<const FigureSpec* const> specs,
                                       std::string_view name);
template <typename Answer>
const Figure<Answer>& figure_named(std::span<const Figure<Answer>> figures, std::string_view name) {
  std::vector<const FigureSpec*> specs;
  for (const auto& figure : figures) specs.push_back(&figure.spec);
  return figures[figure_index(specs, name)];
}

// Puts each value at its pointer in `out`, in order; null where unknown.
void put_figures(const std::vector<FigureValue>& values, OrderedJson& out);
// The names, and the cells of one line; empty where unknown.
[[nodiscard]] std::vector<std::string> csv_names(const std::vector<FigureValue>& values);
[[nodiscard]] std::vector<std::string> csv_cells(const std::vector<FigureValue>& values);
// A whole line: what it is of, then its figures.
[[nodiscard]] std::string csv_row(std::vector<std::string> of,
                                  const std::vector<std::string>& figures);

}  // namespace ridge::view
