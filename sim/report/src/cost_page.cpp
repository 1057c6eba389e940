#include "figure_table.hpp"
#include "ridge/base/format.hpp"
#include "ridge/report/pages.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

namespace ridge::report {
std::string cost_page(const answer::CostReport& report, const std::string& title,
                      const view::PageQuestion& question, const Asked& asked) {
  view::Page page(title, asked.maker);
  page.lead("theory: rooflines at the data sheets' rates, no overheads; what no deployment beats");
  page.warnings(report.notes);

  const auto& usd = view::figure_named(answer::chip_figures(), "total_usd_per_Mtok");
  std::map<double, std::vector<std::pair<double, std::string>>> by_context;
  for (const auto& row : report.rows) {
    const double cost = usd.shown(row.figures);
    if (std::isfinite(cost)) {
      by_context[row.context].emplace_back(cost, row.model + " on " + row.chip);
    }
  }
  for (auto& [context, costs] : by_context) {
    std::stable_sort(costs.begin(), costs.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    page.section(fmt::format("A million tokens at {} of context", tokens_words(context)));
    std::vector<view::BarPart> bars;
    for (const auto& [cost, what] : costs) {
      bars.push_back({.what = what,
                      .share = cost / costs.back().first,
                      .words = fmt::format("{} USD", significant(cost, 3))});
    }
    page.bars(bars);
  }

  page.section("Each model on each chip");
  view::PageTable rows{.columns = {{"model"}, {"chip"}, {"context", true}}, .rows = {}};
  add_columns(answer::chip_figures(), rows);
  for (const auto& row : report.rows) {
    auto& cells = rows.rows.emplace_back();
    cells = {{row.model}, {row.chip}, {tokens_words(row.context), row.context}};
    add_cells(answer::chip_figures(), row.figures, cells);
  }
  page.table(rows);
  if (!report.pairings.empty()) {
    page.section("The cheapest pairing of chips");
    page.paragraph("Attention on one chip, the FFN on another.", true);
    view::PageTable pairs{.columns = {{"model"}, {"context", true}}, .rows = {}};
    add_columns(answer::pairing_figures(), pairs);
    for (const auto& pairing : report.pairings) {
      auto& cells = pairs.rows.emplace_back();
      cells = {{pairing.model}, {tokens_words(pairing.context), pairing.context}};
      add_cells(answer::pairing_figures(), pairing.figures, cells);
    }
    page.table(pairs);
  }
  page.section("Sources");
  view::PageTable prices{.columns = {{"price"}}, .rows = {}};
  for (const auto& price : report.prices) prices.rows.push_back({{price}});
  page.table(prices);
  page.question(question);
  return page.html();
}

}  // namespace ridge::report
