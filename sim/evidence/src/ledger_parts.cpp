#include "ledger_parts.hpp"

#include "ridge/view/text_table.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::evidence {

void name_figure(const view::FigureSpec& figure, LedgerRow& row) {
  row.unit = figure.unit;
  row.more_is_better = figure.unit.starts_with("tok/s");
}

void add_stage_parts(const answer::SimulationReport& report, LedgerRow& row, double share) {
  const decode::SimulationResult& r = report.result;
  if (r.critical_steps == 0) return;
  row.parts_unit = "ms of a step's critical path";
  const auto add = [&](const std::array<double, decode::kStages>& seconds, const char* suffix) {
    for (std::size_t stage = 0; stage < decode::kStages; ++stage) {
      if (seconds[stage] <= 0.0) continue;
      const std::string what =
          fmt::format("{}{}", name_of(static_cast<decode::Stage>(stage)), suffix);
      auto part = std::find_if(row.parts.begin(), row.parts.end(),
                               [&](const LedgerPart& each) { return each.what == what; });
      if (part == row.parts.end()) part = row.parts.insert(part, {what, 0.0});
      part->value += share * 1e3 * seconds[stage] / static_cast<double>(r.critical_steps);
    }
  };
  add(r.critical_service, "");
  add(r.critical_queue, ": waiting for it");
}

std::string short_provenance(const LedgerRow& row) {
  return row.provenance.substr(0, row.provenance.find(' '));
}

namespace {

// Each once, in the order of the rows.
struct Provenances {
  std::vector<std::string> kernels;  // those with more to say than their short names
  std::vector<std::string> links;
};

Provenances provenances(const Ledger& ledger) {
  Provenances out;
  const auto add = [](std::vector<std::string>& list, const std::string& words) {
    if (std::find(list.begin(), list.end(), words) == list.end()) list.push_back(words);
  };
  for (const LedgerRow& row : ledger.rows) {
    if (row.provenance != short_provenance(row)) add(out.kernels, row.provenance);
    if (!row.links.empty()) add(out.links, row.links);
  }
  return out;
}

// a to z, aa, ab, ...
std::string letter(std::size_t i) {
  const std::string last(1, static_cast<char>('a' + i % 26));
  return i < 26 ? last : letter(i / 26 - 1) + last;
}

// The list with its letters, unless rows are many and their columns have short names.
std::vector<std::string> lettered(const Ledger& ledger, std::vector<std::string> kernels) {
  if (!group_errors(ledger).empty()) return kernels;
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    kernels[i] = fmt::format("{}: {}", letter(i), kernels[i]);
  }
  return kernels;
}

}  // namespace

std::string provenance_letter(const Ledger& ledger, const LedgerRow& row) {
  const std::vector<std::string> all = provenances(ledger).kernels;
  const auto found = std::find(all.begin(), all.end(), row.provenance);
  return found == all.end() ? row.provenance
                            : letter(static_cast<std::size_t>(found - all.begin()));
}

std::string provenance_text(const Ledger& ledger) {
  const Provenances all = provenances(ledger);
  std::string out;
  for (const std::string& kernels : lettered(ledger, all.kernels)) out += kernels + "\n";
  for (const std::string& links : all.links) out += fmt::format("links: {}\n", links);
  return out;
}

std::string provenance_page(const Ledger& ledger) {
  const Provenances all = provenances(ledger);
  std::string out = "\n## What the predictions rest on\n";
  const auto list = [&](std::string_view what, const std::vector<std::string>& entries) {
    if (!entries.empty()) out += fmt::format("\n{}:\n\n- {}\n", what, fmt::join(entries, "\n- "));
  };
  list("Kernel times", lettered(ledger, all.kernels));
  list("Links, where messages go over wires that no collective was measured on", all.links);
  std::vector<std::string> drawn;
  for (const scenario::DrawnInput& each : ledger.drawn) {
    drawn.push_back(fmt::format("{}: {}", each.what, each.source));
  }
  list("What intervals draw", drawn);
  return out;
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
      errors.push_back(row.time_error());
      sizes.push_back(std::abs(row.time_error()));
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

std::string percent(double share) {
  return fmt::format("{:.1f} %", 100.0 * share);
}
std::string signed_percent(double share) {
  return fmt::format("{:+.1f} %", 100.0 * share);
}

LedgerTable groups_table(const Ledger& ledger) {
  LedgerTable table{
      .heading = "By kind, model, chip and engine",
      .words =
          "Errors of groups are of time, a throughput counted by its inverse. Bias of time is "
          "their median; below 0: Ridge is too fast.",
      .columns = {"by", "", "rows", "median error", "p90", "worst", "bias of time", "in interval"},
      .names = 2};
  for (const GroupError& group : group_errors(ledger)) {
    if (!table.rows.empty() && table.rows.back().front() != group.by) {
      table.rules.push_back(table.rows.size());
    }
    table.rows.push_back(
        {group.by, group.name, fmt::format("{}", group.rows), percent(group.median),
         percent(group.p90), percent(group.worst), signed_percent(group.bias),
         group.intervals == 0 ? "-" : fmt::format("{} of {}", group.covered, group.intervals)});
  }
  return table;
}

// One line for the predictions as they are, and one without each thing; a column for each kind.
LedgerTable without_table(const Ledger& ledger) {
  LedgerTable table{.heading = "What each part of the prediction is worth",
                    .columns = {"median error, bias of time"},
                    .rules = {1}};
  if (ledger.without.empty()) return table;
  const auto add = [&](const std::string& what, const std::vector<GroupError>& groups) {
    auto& row = table.rows.emplace_back(1, what);
    for (const GroupError& group : groups) {
      if (group.by != "kind" && group.by != "all") continue;
      row.push_back(fmt::format("{}, {}", percent(group.median), signed_percent(group.bias)));
      if (table.rows.size() == 1) table.columns.push_back(group.by == "all" ? "all" : group.name);
    }
  };
  add("as predicted", group_errors(ledger));
  for (const LedgerWithout& without : ledger.without) {
    add("without " + without.what, without.groups);
  }
  return table;
}

// Each reason once, with the figures that it keeps from being asked.
LedgerTable gaps_table(const Ledger& ledger) {
  LedgerTable table{.heading = "What cannot be asked", .columns = {"why", "figures"}, .names = 2};
  for (const LedgerGap& gap : ledger.left_out) {
    const auto found = std::find_if(table.rows.begin(), table.rows.end(),
                                    [&](const auto& row) { return row.front() == gap.reason; });
    if (found == table.rows.end()) {
      table.rows.push_back({gap.reason, gap.figure});
    } else {
      found->back() += ", " + gap.figure;
    }
  }
  return table;
}

LedgerTable drawn_table(const Ledger& ledger) {
  LedgerTable table{.heading = "What intervals draw",
                    .words =
                        "Beside the curves of calibrations, each on its own, a range evenly; "
                        "--fixed leaves one as it is.",
                    .columns = {"input", "from"},
                    .names = 2};
  for (const scenario::DrawnInput& drawn : ledger.drawn)
    table.rows.push_back({drawn.what, drawn.from});
  return table;
}

}  // namespace

std::vector<LedgerTable> ledger_tables(const Ledger& ledger) {
  std::vector<LedgerTable> out = {groups_table(ledger), without_table(ledger), drawn_table(ledger),
                                  gaps_table(ledger)};
  std::erase_if(out, [](const LedgerTable& table) { return table.rows.empty(); });
  return out;
}

std::string tables_text(const Ledger& ledger) {
  std::string out;
  for (const LedgerTable& table : ledger_tables(ledger)) {
    view::TextTable text;
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      text.column(table.columns[i], i < table.names ? view::Align::left : view::Align::right);
    }
    for (std::size_t i = 0; i < table.rows.size(); ++i) {
      if (std::count(table.rules.begin(), table.rules.end(), i) > 0) text.rule();
      text.row(table.rows[i]);
    }
    out += fmt::format("\n{}\n\n{}", table.heading, text.text());
    if (!table.words.empty()) out += table.words + "\n";
  }
  return out;
}

std::string notes_text(const Ledger& ledger) {
  std::string out;
  for (const LedgerNote& note : ledger.notes) {
    out += fmt::format("\n{}\n\n", note.heading);
    for (const std::string& point : note.points) out += fmt::format("- {}\n", point);
  }
  return out;
}

std::string notes_page(const Ledger& ledger) {
  std::string out;
  for (const LedgerNote& note : ledger.notes) {
    out += fmt::format("\n## {}\n\n- {}\n", note.heading, fmt::join(note.points, "\n- "));
  }
  return out;
}

std::string tables_page(const Ledger& ledger) {
  std::string out;
  for (const LedgerTable& table : ledger_tables(ledger)) {
    out += fmt::format("\n## {}\n\n", table.heading);
    if (!table.words.empty()) out += table.words + "\n\n";
    out += fmt::format("| {} |\n|", fmt::join(table.columns, " | "));
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      out += i < table.names ? " --- |" : " ---: |";
    }
    for (const auto& row : table.rows) out += fmt::format("\n| {} |", fmt::join(row, " | "));
    out += "\n";
  }
  return out;
}

}  // namespace ridge::evidence
