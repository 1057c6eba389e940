#include "ridge/evidence/reproduction.hpp"
#include "ridge/view/answer_keys.hpp"
#include "ridge/view/text_table.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace ridge::evidence {
namespace {

struct Count {
  std::string table;
  int cells = 0;
  int matches = 0;
  int slips = 0;

  void add(const ReproducedCell& cell) {
    ++cells;
    if (cell.matches) ++matches;
    if (!cell.slip.empty()) ++slips;
  }
  [[nodiscard]] int unexplained() const { return cells - matches - slips; }
};

// One per table, in the order of first appearance.
std::vector<Count> count_tables(const Reproduction& reproduction) {
  std::vector<Count> counts;
  for (const auto& cell : reproduction.cells) {
    auto found = std::find_if(counts.begin(), counts.end(),
                              [&](const Count& count) { return count.table == cell.table; });
    if (found == counts.end()) {
      found = counts.insert(counts.end(), Count{.table = cell.table});
    }
    found->add(cell);
  }
  return counts;
}

Count count_all(const Reproduction& reproduction) {
  Count count{.table = "all"};
  for (const auto& cell : reproduction.cells) count.add(cell);
  return count;
}

std::string_view mark(const ReproducedCell& cell) {
  if (cell.matches) return "";
  return cell.slip.empty() ? "?" : "*";
}

// Where a table's units stand: beside its title where all cells share one, else above the columns
// where each column has one, else at the end of the rows.
struct Units {
  std::string title;
  std::vector<std::string> columns;
  bool per_row = false;
};

Units units_of(const Reproduction& reproduction, const ReproducedTable& table) {
  std::set<std::string> all;
  std::vector<std::set<std::string>> by_column(table.columns.size());
  for (const auto& row : table.cells) {
    for (std::size_t c = 0; c < row.size(); ++c) {
      if (row[c] == ReproducedTable::none) continue;
      const auto& unit = reproduction.cells[static_cast<std::size_t>(row[c])].unit;
      all.insert(unit);
      by_column[c].insert(unit);
    }
  }
  Units units;
  if (all.size() == 1) {
    units.title = *all.begin();
  } else if (std::all_of(by_column.begin(), by_column.end(),
                         [](const auto& units_here) { return units_here.size() <= 1; })) {
    for (const auto& unit : by_column) units.columns.push_back(unit.empty() ? "" : *unit.begin());
  } else {
    units.per_row = true;
  }
  return units;
}

std::string block(const Reproduction& reproduction, const ReproducedTable& table) {
  const Units units = units_of(reproduction, table);
  view::TextTable text;
  text.column("", view::Align::left);
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const std::string unit = units.columns.empty() ? "" : units.columns[c] + "\n";
    text.column(fmt::format("{}\n{}paper", table.columns[c], unit));
    text.column(units.columns.empty() ? "\nours" : "\n\nours");
  }
  if (units.per_row) text.column("", view::Align::left);
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    std::vector<std::string> line{table.rows[r]};
    std::string unit;
    for (const int index : table.cells[r]) {
      if (index == ReproducedTable::none) {
        line.insert(line.end(), {"-", "-"});
        continue;
      }
      const auto& cell = reproduction.cells[static_cast<std::size_t>(index)];
      unit = cell.unit;
      line.push_back(cell.paper_text);
      line.push_back(cell.ridge_text + std::string(mark(cell)));
    }
    if (units.per_row) line.push_back(unit);
    text.row(std::move(line));
  }
  return fmt::format("\n{}: {}{}\n\n{}", table.id, table.title,
                     units.title.empty() ? "" : fmt::format(" ({})", units.title), text.text());
}

std::string summary(const Reproduction& reproduction) {
  view::TextTable text;
  text.column("", view::Align::left);
  text.column("figures");
  text.column("match");
  text.column("the report's\nown slips");
  text.column("differ\nunexplained");
  const auto row = [&](const Count& count) {
    text.row({count.table, fmt::format("{}", count.cells), fmt::format("{}", count.matches),
              fmt::format("{}", count.slips), fmt::format("{}", count.unexplained())});
  };
  for (const auto& count : count_tables(reproduction)) row(count);
  text.rule();
  row(count_all(reproduction));
  return text.text();
}

std::string table(const Reproduction& reproduction) {
  std::string out = fmt::format(
      "{} ({})\n\nThe report's figures beside ours, matched to the printed digits. All of them "
      "are\n"
      "theory: rooflines and prices, nothing measured. Assumed, as in the report:\n",
      reproduction.title, reproduction.source);
  for (const auto& assumption : reproduction.assumptions) {
    out += fmt::format("  - {}\n", assumption);
  }
  for (const auto& entry : reproduction.tables) out += block(reproduction, entry);
  bool any_slip = false;
  for (const auto& cell : reproduction.cells) {
    if (cell.slip.empty()) continue;
    if (!any_slip) out += "\n* The report's own slips\n";
    any_slip = true;
    out += fmt::format("  {}, {}, {}: printed {}, computed {}{}\n      {}\n", cell.table, cell.row,
                       cell.column, cell.paper_text, cell.ridge_text,
                       cell.unit.empty() ? "" : " " + cell.unit, cell.slip);
  }
  return out + "\n" + summary(reproduction);
}

const view::AnswerKeys<Count>& answer_keys(const Count* /*of*/) {
  using C = Count;
  static const view::AnswerKeys<C> keys({{"table", "", &C::table},
                                         {"cells", "", &C::cells},
                                         {"matches", "", &C::matches},
                                         {"slips", "That differ for a known reason.", &C::slips},
                                         {"unexplained", "", &C::unexplained}});
  return keys;
}

std::string csv(const Reproduction& reproduction) {
  std::string out = "table,row,column,unit,paper,ridge,matches,slip\n";
  for (const auto& cell : reproduction.cells) {
    out += view::csv_line({cell.table, cell.row, cell.column, cell.unit,
                           fmt::format("{}", cell.paper), fmt::format("{}", cell.ridge),
                           cell.matches ? "true" : "false", cell.slip}) +
           "\n";
  }
  return out;
}

}  // namespace

static const view::AnswerKeys<ReproducedCell>& answer_keys(const ReproducedCell* /*of*/) {
  using C = ReproducedCell;
  static const view::AnswerKeys<C> keys(
      {{"table", "", &C::table},
       {"row", "", &C::row},
       {"column", "", &C::column},
       {"unit", "", &C::unit},
       {"paper", "As printed.", &C::paper},
       {"ridge", "As computed.", &C::ridge},
       {"matches", "To the digits that are printed.", &C::matches},
       {"slip", "Why it differs.", [](const C& c) { return view::told(c.slip); }}});
  return keys;
}

static const view::AnswerKeys<Reproduction>& answer_keys(const Reproduction* /*of*/) {
  using R = Reproduction;
  static const view::AnswerKeys<R> keys(
      {{"provenance", view::kProvenanceWords, [](const R&) { return "theory"; }},
       {"title", "", &R::title},
       {"source", "", &R::source},
       {"assumptions", "", &R::assumptions},
       {"cells", "", &R::cells},
       {"tables", "", [](const R& r) { return count_tables(r); }},
       {"summary", "", [](const R& r) { return count_all(r); }}});
  return keys;
}

const view::AnswerDescription& reproduction_answer() {
  return answer_keys(static_cast<const Reproduction*>(nullptr));
}

std::string render(const Reproduction& reproduction, view::OutputFormat format) {
  return view::written(format, reproduction, table, csv, view::answer_json);
}

}  // namespace ridge::evidence
