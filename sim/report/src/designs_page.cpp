#include "ridge/plan/plan_report.hpp"
#include "ridge/report/pages.hpp"
#include "ridge/sweep/sweep_designs.hpp"

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

std::string designs_page(const view::Designs& designs, const std::vector<std::string>& words,
                         const std::vector<std::string>& warnings,
                         const view::PageQuestion& question, const Asked& asked) {
  view::Page page(designs.title, asked.maker);
  page.lead(designs.provenance);
  for (const std::string& line : words) page.lead(line);
  const auto best = std::count_if(designs.rows.begin(), designs.rows.end(),
                                  [](const auto& row) { return row.front && !row.reference; });
  page.badge(best > 0 ? fmt::format("{} on the Pareto front", best) : "the Pareto front is empty",
             best > 0 ? view::Tone::good : view::Tone::care);
  page.warnings(warnings);
  page.section("Designs");
  page.paragraph("Rest on a dot for its figures; choose it, or a row, for all of them.", true);
  page.designs(designs);
  if (best > 0) {
    page.section("Pareto front");
    const bool grouped = designs.groups.size() > 1;
    page.paragraph(fmt::format("No design{} is as good in {} and {} and better in one.",
                               grouped ? " of the same group (of the same color above)" : "",
                               designs.columns[designs.x].name, designs.columns[designs.y].name),
                   true);
    page.table(front_table(designs));
  }
  page.section("What the columns mean");
  view::PageTable columns{.columns = {{"column"}, {"unit"}, {.heading = "in full", .prose = true}},
                          .rows = {}};
  for (const auto& column : designs.columns) {
    columns.rows.push_back(
        {{column.name}, {column.unit}, {column.axis ? "set: " + column.words : column.words}});
  }
  page.table(columns);
  page.question(question);
  return page.html();
}

std::string sweep_page(const sweep::SweepResult& result, const view::PageQuestion& question,
                       const Asked& asked) {
  // A browser moves so many dots at once, and the page stays small enough to send.
  constexpr std::size_t kMostRows = 20000;
  const view::Designs designs = sweep::designs_of(result, {.most_rows = kMostRows});
  std::string words = fmt::format("{} points, {} kept", result.points(), result.kept());
  if (designs.rows.size() < result.kept()) {
    words += fmt::format("; here are {} of them, all of the front", designs.rows.size());
  }
  std::vector<std::string> warnings = result.notes();
  if (result.invalid() > 0) {
    warnings.insert(warnings.begin(),
                    fmt::format("{} points left out as invalid", result.invalid()));
  }
  return designs_page(designs, {words}, warnings, question, asked);
}

std::string plan_page(const plan::Plan& plan, const view::PageQuestion& question,
                      const Asked& asked) {
  std::vector<std::string> warnings = plan.warnings;
  for (const auto& ranked : plan.ranking) {
    for (const std::string& warning : ranked.report.warnings) {
      if (std::find(warnings.begin(), warnings.end(), warning) == warnings.end()) {
        warnings.push_back(warning);
      }
    }
  }
  return designs_page(plan::designs_of(plan), plan::page_words(plan), warnings, question, asked);
}

}  // namespace ridge::report
