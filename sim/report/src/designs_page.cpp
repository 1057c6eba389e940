#include "ridge/report/pages.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace ridge::report {
namespace {

// The designs that nothing beats, each with all of its columns.
view::PageTable front_table(const view::Designs& designs) {
  view::PageTable table;
  const bool named = !designs.names.empty();
  if (named) table.columns.push_back({.heading = "name"});
  for (const auto& column : designs.columns) {
    table.columns.push_back(
        {.heading = column.name, .number = !column.label, .words = column.words});
  }
  for (std::size_t row = 0; row < designs.rows.size(); ++row) {
    if (!designs.rows[row].front || designs.rows[row].reference) continue;
    auto& cells = table.rows.emplace_back();
    if (named) {
      const auto name = designs.names.find(row);
      cells.push_back({name == designs.names.end() ? "" : name->second});
    }
    for (std::size_t c = 0; c < designs.columns.size(); ++c) {
      const double value = designs.value(row, c);
      if (!(value == value)) {
        cells.push_back({"unknown"});
      } else if (designs.columns[c].label) {
        cells.push_back({designs.labels[static_cast<std::size_t>(value)]});
      } else {
        cells.push_back({fmt::format("{:.4g}", value), value});
      }
    }
  }
  return table;
}

}  // namespace

std::string designs_page(const view::Designs& designs, const std::string& words,
                         const std::vector<std::string>& warnings,
                         const view::PageQuestion& question, const Asked& asked) {
  view::Page page(designs.title, asked.maker);
  page.lead(designs.provenance);
  page.lead(words);
  const auto best = std::count_if(designs.rows.begin(), designs.rows.end(),
                                  [](const auto& row) { return row.front && !row.reference; });
  page.badge(best > 0 ? fmt::format("{} on the Pareto front", best) : "the Pareto front is empty",
             best > 0 ? view::Tone::good : view::Tone::care);
  page.warnings(warnings);
  page.section("Designs");
  page.paragraph("Rest on a dot for its figures, choose it for all of them.", true);
  page.designs(designs);
  if (best > 0) {
    page.section("Pareto front");
    page.paragraph(fmt::format("No design is as good in {} and {} and better in one.",
                               designs.columns[designs.x].name, designs.columns[designs.y].name),
                   true);
    page.table(front_table(designs));
  }
  page.section("What the columns mean");
  view::PageTable columns{.columns = {{"column"}, {"unit"}, {"in full"}}, .rows = {}};
  for (const auto& column : designs.columns) {
    columns.rows.push_back(
        {{column.name}, {column.unit}, {column.axis ? "set: " + column.words : column.words}});
  }
  page.table(columns);
  page.question(question);
  return page.html();
}

}  // namespace ridge::report
