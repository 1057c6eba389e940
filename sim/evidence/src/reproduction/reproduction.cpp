#include "ridge/evidence/reproduction.hpp"

#include "file.hpp"
#include "quantities.hpp"
#include "ridge/base/catalog.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/format.hpp"
#include "ridge/base/json.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/evidence/ledger.hpp"
#include "ridge/scenario/scenario_files.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::evidence {
namespace {

const Catalog& catalog() {
  static const Catalog reproductions("the name of a reproduction", "scenarios/reproduce");
  return reproductions;
}

// Works out the cells of a file, so that what a cell lacks is reported at its place there.
class Worker {
 public:
  explicit Worker(const JsonDocument& document)
      : context_{.file = document.name(), .diagnostics = &diagnostics_} {
    const JsonNode node(document.json(), context_);
    ReproductionFile file;
    read_keys(node, file);
    diagnostics_.throw_if_errors();
    out_.title = file.title;
    out_.source = file.source;
    assume(file.assumptions);
    for (std::size_t i = 0; i < file.tables.size(); ++i) {
      work_out(node.child("tables").child(i), file.tables[i]);
    }
    diagnostics_.throw_if_errors();
  }

  Reproduction finish() { return std::move(out_); }

 private:
  void assume(const ReproductionAssumptions& stated) {
    assumptions_ = stated;
    assumptions_.fit.stage_budget = stated.tpot / static_cast<double>(stated.stages);
    for (auto* names : {&assumptions_.afd_chips, &assumptions_.compared_models}) {
      for (std::string& name : *names) name = scenario::reference_from(context_.file, name);
    }
    out_.assumptions.push_back(fmt::format("a token takes {} ms in a pipeline of {} stages",
                                           significant(stated.tpot.value() * 1e3), stated.stages));
    if (assumptions_.cost.mla_count == models::MlaCount::step3) {
      out_.assumptions.emplace_back(
          "MLA's value product counts kv_rank + rope values, as in the report");
    }
    if (assumptions_.fit.messages == models::MessageCount::values) {
      out_.assumptions.emplace_back(
          "messages count values only, without scales and expert numbers");
    }
    if (!assumptions_.afd_chips.empty()) {
      out_.assumptions.push_back(
          fmt::format("AFD pairs the best of {}", fmt::join(assumptions_.afd_chips, ", ")));
    }
  }

  void work_out(const JsonNode& node, const FileTable& asked) {
    ReproducedTable& table = out_.tables.emplace_back();
    table.id = asked.id;
    table.title = asked.title;
    for (const FileColumn& column : asked.columns) table.columns.push_back(column.name);
    std::vector<bool> used(asked.slips.size());
    for (std::size_t r = 0; r < asked.rows.size(); ++r) {
      const FileRow& row = asked.rows[r];
      table.rows.push_back(row.name);
      auto& indices = table.cells.emplace_back(asked.columns.size(), ReproducedTable::none);
      const JsonNode paper = node.child("rows").child(r).child("paper");
      if (row.paper.size() != asked.columns.size()) {
        paper.error(fmt::format("expected {} figures, one for each column, got {}",
                                asked.columns.size(), row.paper.size()));
        continue;
      }
      for (std::size_t c = 0; c < row.paper.size(); ++c) {
        if (!row.paper[c].figure) continue;  // the report prints nothing here
        const FileColumn& column = asked.columns[c];
        ReproducedCell cell{.table = table.id,
                            .row = row.name,
                            .column = asked.part.empty()
                                          ? column.name
                                          : fmt::format("{}, {}", column.name, asked.part),
                            .unit = {},
                            .paper = *row.paper[c].figure,
                            .paper_text = {},
                            .ridge_text = {},
                            .slip = {}};
        CellQuestion question = asked.question.refined_by(column.question).refined_by(row.question);
        question.locate(context_.file);
        if (!work_out(paper.child(c), question, cell)) continue;
        for (std::size_t s = 0; s < asked.slips.size(); ++s) {
          const Slip& slip = asked.slips[s];
          if (cell.matches || slip.row != row.name || slip.column != column.name) continue;
          cell.slip = slip.why;
          used[s] = true;
        }
        indices[c] = static_cast<int>(out_.cells.size());
        out_.cells.push_back(std::move(cell));
      }
    }
    for (std::size_t s = 0; s < used.size(); ++s) {
      if (used[s]) continue;
      node.child("slips").child(s).error(
          fmt::format("no figure at row \"{}\", column \"{}\" differs from ours",
                      asked.slips[s].row, asked.slips[s].column));
    }
  }

  bool work_out(const JsonNode& figure, const CellQuestion& question, ReproducedCell& cell) {
    if (const auto problem = question_problem(question); !problem.empty()) {
      figure.error(problem);
      return false;
    }
    if (!question.digits) {
      figure.error("missing \"digits\" here, in the column and in the table");
      return false;
    }
    try {
      cell.ridge = evaluate(question, assumptions_, library_);
    } catch (const UserError& e) {
      figure.error(e.what());
      return false;
    }
    cell.unit = question.unit.value_or("");
    cell.paper_text = question.digits->text(cell.paper);
    cell.ridge_text = question.digits->text(cell.ridge);
    cell.matches = cell.paper_text == cell.ridge_text;
    return true;
  }

  Diagnostics diagnostics_;
  JsonContext context_;
  Library library_;
  ReproductionAssumptions assumptions_;
  Reproduction out_;
};

}  // namespace

Reproduction reproduce(const std::string& name_or_path) {
  const auto is_in = [&](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), name_or_path) != names.end();
  };
  if (!is_in(catalog().names()) && is_in(ledger_names())) {
    throw UserError(fmt::format(
        "\"{0}\" names measured figures, not a report whose cells can be worked out again: "
        "expected ridge reproduce {0} --measured (measured=True in Python), or the name of such a "
        "report ({1})",
        name_or_path, fmt::join(catalog().names(), ", ")));
  }
  const JsonDocument document = JsonDocument::read(catalog().resolve(name_or_path));
  return Worker(document).finish();
}

const KeyTable& reproduction_keys() {
  return keys_of(static_cast<const ReproductionFile*>(nullptr));
}

const std::vector<std::string>& reproduction_names() {
  return catalog().names();
}

}  // namespace ridge::evidence
