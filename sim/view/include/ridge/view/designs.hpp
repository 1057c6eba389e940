// Designs side by side: what sets them apart, what each of them achieves, and which of them nothing
// beats. Sweeps and plans are drawn from this, on pages and in pictures.
#pragma once

#include "ridge/view/scatter_plot.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ridge::view {

struct DesignColumn {
  std::string name;   // "tpot_ms"
  std::string words;  // in full
  std::string unit;
  bool axis = false;   // sets designs apart, rather than coming of them
  bool label = false;  // its values are numbers of Designs::labels
  // The columns that hold the ends of its 90 % interval.
  std::optional<std::size_t> low{};
  std::optional<std::size_t> high{};
};

struct Design {
  std::uint32_t group = 0;  // compared with the designs of its group only
  bool front = false;       // no design of its group beats it
  bool reference = false;   // of the world, not of the family under study
};

// A bound that a column must keep: an SLA.
struct DesignBound {
  std::size_t column = 0;
  double value = 0.0;
  std::string label;
};

struct Designs {
  std::string title;
  std::string provenance;
  std::vector<DesignColumn> columns;
  std::vector<std::string> labels;
  std::vector<Design> rows;
  std::vector<double> values;                // rows x columns; NaN where unknown
  std::map<std::size_t, std::string> names;  // of rows: all, or those worth naming
  bool names_are_shown = false;              // beside the points, and not only of references
  std::vector<std::string> groups = {""};
  std::vector<DesignBound> bounds;
  // The two that are traded off, and which way is better; with more than two objectives the front
  // is no line.
  std::size_t x = 0;
  std::size_t y = 0;
  bool more_x_is_better = false;
  bool more_y_is_better = false;
  bool front_is_a_line = true;

  [[nodiscard]] double value(std::size_t row, std::size_t column) const {
    return values[row * columns.size() + column];
  }
  // The column of this name; throws UserError naming those there are, with `option` before it.
  [[nodiscard]] std::size_t column_named(std::string_view name, std::string_view option) const;
};

// x against y: every design a dot, the front a line, references as named diamonds. Colored by
// group, or by what stands in `color_by`.
[[nodiscard]] ScatterPlot plot_of(const Designs& designs, std::optional<std::size_t> color_by = {});

}  // namespace ridge::view
