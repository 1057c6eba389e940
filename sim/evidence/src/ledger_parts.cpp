#include "ledger_parts.hpp"

#include "ridge/view/text_table.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::evidence {

// The critical path of a step by stage, and what waited before it.
void add_stage_parts(const answer::SimulationReport& report, LedgerRow& row) {
  const decode::SimulationResult& r = report.result;
  if (r.critical_steps == 0) return;
  row.parts_unit = "ms of a step's critical path";
  const auto add = [&](const std::array<double, decode::kStages>& seconds, const char* suffix) {
    for (std::size_t stage = 0; stage < decode::kStages; ++stage) {
      if (seconds[stage] <= 0.0) continue;
      row.parts.push_back({fmt::format("{}{}", name_of(static_cast<decode::Stage>(stage)), suffix),
                           1e3 * seconds[stage] / static_cast<double>(r.critical_steps)});
    }
  };
  add(r.critical_service, "");
  add(r.critical_queue, ": waiting for it");
}

std::vector<GroupError> group_errors(const Ledger& ledger) {
  struct By {
    const char* what;
    std::string LedgerGroup::*of;
  };
  constexpr std::array kBy = {By{"kind", &LedgerGroup::kind}, By{"model", &LedgerGroup::model},
                              By{"chip", &LedgerGroup::chip}, By{"engine", &LedgerGroup::engine}};
  std::vector<GroupError> out;
  const auto add = [&](const char* by, const std::string& name, auto&& belongs) {
    GroupError group{.by = by, .name = name};
    std::vector<double> errors;
    std::vector<double> sizes;
    for (const LedgerRow& row : ledger.rows) {
      if (!belongs(row)) continue;
      errors.push_back(row.error());
      sizes.push_back(std::abs(row.error()));
      if (!row.interval) continue;
      ++group.intervals;
      const bool covered = row.interval->low <= row.measured && row.measured <= row.interval->high;
      group.covered += covered ? 1 : 0;
    }
    group.rows = errors.size();
    group.median = quantile(sizes, 0.5);
    group.p90 = quantile(sizes, 0.9);
    group.worst = quantile(sizes, 1.0);
    group.bias = quantile(std::move(errors), 0.5);
    out.push_back(std::move(group));
  };
  const bool grouped = std::any_of(ledger.rows.begin(), ledger.rows.end(),
                                   [](const LedgerRow& row) { return !row.group.kind.empty(); });
  if (!grouped) return out;
  for (const By& by : kBy) {
    std::set<std::string> names;
    for (const LedgerRow& row : ledger.rows) names.insert(row.group.*by.of);
    for (const auto& name : names) {
      add(by.what, name, [&](const LedgerRow& row) { return row.group.*by.of == name; });
    }
  }
  add("all", "", [](const LedgerRow&) { return true; });
  return out;
}

namespace {

constexpr std::array kGroupColumns = {"by",  "",      "rows", "median error",
                                      "p90", "worst", "bias", "in interval"};

std::vector<std::string> group_cells(const GroupError& group) {
  const auto percent = [](double share) { return fmt::format("{:.1f} %", 100.0 * share); };
  return {group.by,
          group.name,
          fmt::format("{}", group.rows),
          percent(group.median),
          percent(group.p90),
          percent(group.worst),
          fmt::format("{:+.1f} %", 100.0 * group.bias),
          group.intervals == 0 ? "-" : fmt::format("{} of {}", group.covered, group.intervals)};
}

// Each reason once, with the figures that it keeps from being asked.
std::vector<std::pair<std::string, std::vector<const LedgerGap*>>> gaps_by_reason(
    const Ledger& ledger) {
  std::vector<std::pair<std::string, std::vector<const LedgerGap*>>> out;
  for (const LedgerGap& gap : ledger.left_out) {
    auto found = std::find_if(out.begin(), out.end(),
                              [&](const auto& entry) { return entry.first == gap.reason; });
    if (found == out.end()) found = out.insert(out.end(), {gap.reason, {}});
    found->second.push_back(&gap);
  }
  return out;
}

std::vector<std::string_view> figures_of(const std::vector<const LedgerGap*>& gaps) {
  std::vector<std::string_view> out;
  for (const LedgerGap* gap : gaps) out.emplace_back(gap->figure);
  return out;
}

}  // namespace

std::string groups_text(const Ledger& ledger) {
  const auto groups = group_errors(ledger);
  if (groups.empty()) return {};
  view::TextTable errors;
  for (std::size_t i = 0; i < kGroupColumns.size(); ++i) {
    errors.column(kGroupColumns[i], i < 2 ? view::Align::left : view::Align::right);
  }
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (i > 0 && groups[i].by != groups[i - 1].by) errors.rule();
    errors.row(group_cells(groups[i]));
  }
  return "\n" + errors.text();
}

namespace {

// One line for the predictions as they are, and one without each thing; a column for each kind.
struct WithoutTable {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
};

WithoutTable without_table(const Ledger& ledger) {
  WithoutTable table{{"median error, bias"}, {}};
  const auto add = [&](const std::string& what, const std::vector<GroupError>& groups) {
    auto& row = table.rows.emplace_back(1, what);
    for (const GroupError& group : groups) {
      if (group.by != "kind" && group.by != "all") continue;
      row.push_back(fmt::format("{:.1f} %, {:+.1f} %", 100.0 * group.median, 100.0 * group.bias));
      if (table.rows.size() == 1) table.columns.push_back(group.by == "all" ? "all" : group.name);
    }
  };
  add("as predicted", group_errors(ledger));
  for (const LedgerWithout& without : ledger.without) {
    add("without " + without.what, without.groups);
  }
  return table;
}

}  // namespace

std::string without_text(const Ledger& ledger) {
  if (ledger.without.empty()) return {};
  const WithoutTable table = without_table(ledger);
  view::TextTable text;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    text.column(table.columns[i], i == 0 ? view::Align::left : view::Align::right);
  }
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    text.row(table.rows[i]);
    if (i == 0) text.rule();
  }
  return "\n" + text.text();
}

std::string without_page(const Ledger& ledger) {
  if (ledger.without.empty()) return {};
  const WithoutTable table = without_table(ledger);
  std::string out = fmt::format("\n## What each part of the prediction is worth\n\n| {} |\n| --- |",
                                fmt::join(table.columns, " | "));
  for (std::size_t i = 1; i < table.columns.size(); ++i) out += " ---: |";
  for (const auto& row : table.rows) out += fmt::format("\n| {} |", fmt::join(row, " | "));
  return out + "\n";
}

std::string gaps_text(const Ledger& ledger) {
  if (ledger.left_out.empty()) return {};
  std::string out = fmt::format("\n{} measured figures cannot be asked\n", ledger.left_out.size());
  for (const auto& [reason, gaps] : gaps_by_reason(ledger)) {
    out += fmt::format("  {}: {}\n", gaps.size(), reason);
  }
  return out;
}

std::string groups_page(const Ledger& ledger) {
  const auto groups = group_errors(ledger);
  if (groups.empty()) return {};
  std::string out = fmt::format("\n## By kind, model, chip and engine\n\n| {} |\n",
                                fmt::join(kGroupColumns, " | "));
  out += "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n";
  for (const GroupError& group : groups) {
    out += fmt::format("| {} |\n", fmt::join(group_cells(group), " | "));
  }
  return out;
}

std::string gaps_page(const Ledger& ledger) {
  if (ledger.left_out.empty()) return {};
  std::string out = "\n## What cannot be asked\n\n";
  for (const auto& [reason, gaps] : gaps_by_reason(ledger)) {
    out += fmt::format("- {} ({}): {}\n", reason, gaps.size(), fmt::join(figures_of(gaps), ", "));
  }
  return out;
}

}  // namespace ridge::evidence
