#include "figure_table.hpp"
#include "ridge/base/format.hpp"
#include "ridge/report/pages.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>

namespace ridge::report {
namespace {

view::PageQuestion command_only(const Asked& asked) {
  return {.command = asked.command, .json = "", .file_name = "", .again = ""};
}

// Its columns are sorted by the numbers that their cells begin with.
view::PageTable page_table(const evidence::LedgerTable& table) {
  view::PageTable out;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    out.columns.push_back({table.columns[i], i >= table.names});
  }
  for (const auto& row : table.rows) {
    auto& cells = out.rows.emplace_back();
    for (const std::string& cell : row) cells.push_back({cell, std::strtod(cell.c_str(), nullptr)});
  }
  return out;
}

}  // namespace

std::string reproduction_page(const evidence::Reproduction& reproduction, const Asked& asked) {
  view::Page page(reproduction.title, asked.maker);
  page.lead(reproduction.source);
  const auto& cells = reproduction.cells;
  const auto matching =
      std::count_if(cells.begin(), cells.end(), [](const auto& cell) { return cell.matches; });
  page.badge(
      fmt::format("{} of {} figures as printed", matching, cells.size()),
      matching == static_cast<std::ptrdiff_t>(cells.size()) ? view::Tone::good : view::Tone::care);
  page.section("Tables");
  for (const auto& table : reproduction.tables) {
    page.subsection(fmt::format("{}: {}", table.id, table.title));
    view::PageTable shown{.columns = {{""}}, .rows = {}};
    for (const auto& column : table.columns) shown.columns.push_back({column, true});
    for (std::size_t r = 0; r < table.rows.size(); ++r) {
      auto& row = shown.rows.emplace_back();
      row.push_back({table.rows[r]});
      for (const int index : table.cells[r]) {
        if (index == evidence::ReproducedTable::none) {
          row.emplace_back();
          continue;
        }
        const auto& cell = cells[static_cast<std::size_t>(index)];
        row.push_back({cell.matches
                           ? cell.ridge_text + " ✓"
                           : fmt::format("{} (printed {})", cell.ridge_text, cell.paper_text),
                       cell.ridge});
      }
    }
    page.table(shown);
  }
  page.section("Assumptions");
  for (const auto& assumption : reproduction.assumptions) page.paragraph(assumption);
  std::vector<std::string> slips;
  for (const auto& cell : cells) {
    if (!cell.slip.empty() && std::find(slips.begin(), slips.end(), cell.slip) == slips.end()) {
      slips.push_back(cell.slip);
    }
  }
  if (!slips.empty()) {
    page.section("Slips of the report");
    for (const auto& slip : slips) page.paragraph(slip);
  }
  page.question(command_only(asked));
  return page.html();
}

std::string ledger_page(const evidence::Ledger& ledger, const Asked& asked) {
  view::Page page(ledger.title, asked.maker);
  page.lead(ledger.comment);
  const auto within = [&](double limit) {
    return std::count_if(ledger.rows.begin(), ledger.rows.end(),
                         [&](const auto& row) { return std::abs(row.error()) <= limit; });
  };
  page.badge(fmt::format("{} of {} within 10 %", within(0.10), ledger.rows.size()),
             view::Tone::plain);
  page.badge(fmt::format("{} within 15 %", within(0.15)), view::Tone::plain);
  page.warnings(ledger.warnings);

  page.section("Errors");
  view::ScatterPlot plot{.title = "Prediction over measurement, with its 90 % interval",
                         .x_label = "row of the table",
                         .y_label = "error in %"};
  view::PlotSeries dots{.radius = 4.0};
  view::PageTable table{.columns = {{"row", true},
                                    {.heading = "figure", .prose = true},
                                    {"measured", true},
                                    {"predicted", true},
                                    {"unit"},
                                    {"error", true},
                                    {"90 % interval"},
                                    {"kernel times"},
                                    {.heading = "source", .prose = true},
                                    {.heading = "why", .prose = true}},
                        .rows = {}};
  for (std::size_t r = 0; r < ledger.rows.size(); ++r) {
    const auto& row = ledger.rows[r];
    const auto number = static_cast<double>(r + 1);
    const auto error = [&](double predicted) { return 100.0 * (predicted / row.measured - 1.0); };
    dots.points.push_back({.x = number, .y = 100.0 * row.error(), .label = row.figure});
    if (row.interval) {
      dots.bars.push_back({number, error(row.interval->low), number, error(row.interval->high)});
    }
    table.rows.push_back({{fmt::format("{}", r + 1), number},
                          {row.figure},
                          {significant(row.measured, 4), row.measured},
                          {significant(row.predicted, 4), row.predicted},
                          {row.unit},
                          {fmt::format("{:+.1f} %", 100.0 * row.error()), row.error()},
                          {row.interval ? fmt::format("{} to {}", significant(row.interval->low, 4),
                                                      significant(row.interval->high, 4))
                                        : ""},
                          {row.provenance},
                          {row.source},
                          {row.explanation.empty() ? row.note : row.explanation}});
  }
  plot.series.push_back(std::move(dots));
  plot.lines.push_back({.across = true, .value = 0.0, .label = "as measured"});
  page.charts({plot});
  for (const evidence::LedgerTable& sums : evidence::ledger_tables(ledger)) {
    page.section(sums.heading);
    if (!sums.words.empty()) page.paragraph(sums.words);
    page.table(page_table(sums));
  }
  page.section("Figures");
  page.table(table);
  page.question(command_only(asked));
  return page.html();
}

namespace {

std::string name_of_kernel(const std::string& name) {
  return name.empty() ? "no name" : name;
}

// `most` is the greatest median error.
void kernels_of(const evidence::KernelLedger& ledger, double most, view::Page& page) {
  page.section("Median error by kernel");
  page.paragraph("Of |predicted / measured - 1|, over all measurements of a kernel.", true);
  std::vector<view::BarPart> bars;
  for (const auto& row : ledger.rows) {
    if (!row.answered) continue;
    bars.push_back({.what = fmt::format("{}, {}", row.key.slot(), name_of_kernel(row.key.kernel)),
                    .share = most > 0.0 ? row.p50 / most : 0.0,
                    .words = fmt::format("{:.1f} %", 100.0 * row.p50)});
  }
  page.bars(bars);

  page.section("Every kernel");
  view::PageTable table{
      .columns = {{"operator"}, {"kernel"}, {.heading = "answered by", .prose = true}}, .rows = {}};
  add_columns(evidence::kernel_figures(), table);
  for (const auto& row : ledger.rows) {
    auto& cells = table.rows.emplace_back();
    cells = {{row.key.slot()},
             {name_of_kernel(row.key.kernel)},
             {row.answered ? name_of_kernel(row.answered_by) : "no curve"}};
    add_cells(evidence::kernel_figures(), row, cells);
  }
  page.table(table);
}

void modules_of(const evidence::KernelLedger& ledger, view::Page& page) {
  page.section("Whole modules of attention");
  page.paragraph("Beside the sum of their operators' kernels, each by itself.", true);
  view::PageTable table{.columns = {{"module"}, {"kernel"}, {.heading = "where", .prose = true}},
                        .rows = {}};
  add_columns(evidence::module_figures(), table);
  for (const auto& row : ledger.modules) {
    auto& cells = table.rows.emplace_back();
    cells = {{row.what()}, {name_of_kernel(row.kernel)}, {row.where()}};
    add_cells(evidence::module_figures(), row, cells);
  }
  page.table(table);
}

}  // namespace

std::string kernels_page(const evidence::KernelLedger& ledger, const Asked& asked) {
  view::Page page(fmt::format("{} beside measured kernels", ledger.calibration), asked.maker);
  page.lead(fmt::format("fitted for {}; measured{}", ledger.chip,
                        ledger.device.empty() ? "" : fmt::format(" on {}", ledger.device)));
  double most = 0.0;
  std::ptrdiff_t answered = 0;
  for (const auto& row : ledger.rows) {
    if (!row.answered) continue;
    ++answered;
    most = std::max(most, row.p50);
  }
  if (!ledger.rows.empty()) {
    page.badge(fmt::format("{} of {} kernels have a curve", answered, ledger.rows.size()),
               answered == std::ssize(ledger.rows) ? view::Tone::plain : view::Tone::care);
  }
  page.warnings(ledger.notes);
  if (!ledger.rows.empty()) kernels_of(ledger, most, page);
  if (!ledger.modules.empty()) modules_of(ledger, page);
  page.section("Files");
  for (const auto& file : ledger.files) page.paragraph(file);
  page.question(command_only(asked));
  return page.html();
}

}  // namespace ridge::report
