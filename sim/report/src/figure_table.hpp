// An answer's figures as columns and cells of a page's table.
#pragma once

#include "ridge/view/figure.hpp"
#include "ridge/view/page.hpp"

#include <span>
#include <string>

namespace ridge::report {

[[nodiscard]] std::string heading_of(const view::FigureSpec& spec);
[[nodiscard]] view::PageCell cell_of(const view::FigureValue& value);

template <typename Answer>
void add_columns(std::span<const view::Figure<Answer>> figures, view::PageTable& table) {
  for (const auto& figure : figures) {
    table.columns.push_back({.heading = heading_of(figure.spec),
                             .number = figure.spec.kind != view::FigureKind::label,
                             .words = std::string(figure.spec.words)});
  }
}

template <typename Answer>
void add_cells(std::span<const view::Figure<Answer>> figures, const Answer& answer,
               std::vector<view::PageCell>& row) {
  for (const auto& value : view::figure_values(figures, answer)) row.push_back(cell_of(value));
}

}  // namespace ridge::report
