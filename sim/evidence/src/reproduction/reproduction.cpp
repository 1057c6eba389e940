#include "ridge/evidence/reproduction.hpp"

#include "quantities.hpp"
#include "ridge/base/catalog.hpp"
#include "ridge/base/format.hpp"
#include "ridge/base/json.hpp"
#include "ridge/scenario/scenario_files.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace ridge::evidence {
namespace {

const Catalog& catalog() {
  static const Catalog reproductions("the name of a reproduction", "scenarios/reproduce");
  return reproductions;
}

struct Slip {
  std::string row;
  std::string column;
  std::string why;
  std::string pointer;
  bool used = false;
};

constexpr std::array<Named<models::MessageCount>, 2> kMessageCounts = {
    {{"whole", models::MessageCount::whole}, {"values", models::MessageCount::values}}};
constexpr std::array<Named<models::MlaCount>, 2> kMlaCounts = {
    {{"absorbed", models::MlaCount::absorbed}, {"step3", models::MlaCount::step3}}};

// Reads a reproduction file and works its cells out on the way, so that what a cell lacks is
// reported at its place in the file.
class Reader {
 public:
  explicit Reader(const JsonDocument& document)
      : context_{.file = document.name(), .diagnostics = &diagnostics_} {
    JsonObject object(JsonNode(document.json(), context_));
    object.ignore("$schema");
    object.ignore("comment");
    scenario::require_kind(object, "reproduction");
    object.required("title", out_.title);
    object.required("source", out_.source);
    if (const auto node = object.required("assumptions")) read_assumptions(*node);
    if (const auto tables = object.required("tables")) {
      for (const JsonNode& table : tables->elements()) read_table(table);
    }
  }

  Reproduction finish() {
    diagnostics_.throw_if_errors();
    return std::move(out_);
  }

 private:
  static void read_references(JsonObject& object, std::string_view key,
                              std::vector<std::string>& out) {
    const auto node = object.optional(key);
    if (!node) return;
    for (const JsonNode& element : node->elements()) {
      std::string reference;
      if (element.read(reference))
        out.push_back(scenario::reference_from(element.file(), reference));
    }
  }

  void read_assumptions(const JsonNode& node) {
    JsonObject object(node);
    object.required("mla_count", assumptions_.cost.mla_count,
                    std::span<const Named<models::MlaCount>>(kMlaCounts));
    object.required("message_count", assumptions_.fit.messages,
                    std::span<const Named<models::MessageCount>>(kMessageCounts));
    Seconds tpot;
    std::int64_t stages = 0;
    if (object.required("tpot_ms", tpot) & object.required("stages", stages, between(1, 64))) {
      assumptions_.fit.stage_budget = tpot / static_cast<double>(stages);
      out_.assumptions.push_back(fmt::format("a token takes {} ms in a pipeline of {} stages",
                                             significant(tpot.value() * 1e3), stages));
    }
    object.optional("ffn_weights_share", assumptions_.fit.weights_share, between(0.01, 1));
    read_references(object, "afd_chips", assumptions_.afd_chips);
    read_references(object, "compared_models", assumptions_.compared_models);
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

  static std::vector<Slip> read_slips(JsonObject& table) {
    std::vector<Slip> slips;
    const auto node = table.optional("slips");
    if (!node) return slips;
    for (const JsonNode& element : node->elements()) {
      JsonObject fields(element);
      Slip& slip = slips.emplace_back();
      slip.pointer = element.pointer();
      fields.required("row", slip.row);
      fields.required("column", slip.column);
      fields.required("why", slip.why);
    }
    return slips;
  }

  void read_table(const JsonNode& node) {
    JsonObject object(node);
    object.ignore("comment");
    ReproducedTable& table = out_.tables.emplace_back();
    object.required("id", table.id);
    object.required("title", table.title);
    std::string part;
    object.optional("part", part);
    CellQuestion common;
    common.read(object);
    std::vector<Slip> slips = read_slips(object);
    std::vector<CellQuestion> columns;
    if (const auto list = object.required("columns")) {
      for (const JsonNode& element : list->elements()) {
        JsonObject column(element);
        column.required("name", table.columns.emplace_back());
        columns.emplace_back().read(column);
      }
    }
    const auto rows = object.required("rows");
    for (const JsonNode& element : rows ? rows->elements() : std::vector<JsonNode>{}) {
      JsonObject row(element);
      row.ignore("comment");
      row.required("name", table.rows.emplace_back());
      CellQuestion own;
      own.read(row);
      auto& indices = table.cells.emplace_back(columns.size(), ReproducedTable::none);
      const auto paper = row.required("paper");
      if (!paper) continue;
      const auto figures = paper->elements();
      if (paper->is_array() && figures.size() != columns.size()) {
        paper->error(fmt::format("expected {} figures, one for each column, got {}", columns.size(),
                                 figures.size()));
        continue;
      }
      for (std::size_t c = 0; c < figures.size(); ++c) {
        if (figures[c].json().is_null()) continue;  // the report prints nothing here
        const std::string column =
            part.empty() ? table.columns[c] : fmt::format("{}, {}", table.columns[c], part);
        ReproducedCell cell{.table = table.id,
                            .row = table.rows.back(),
                            .column = column,
                            .unit = {},
                            .paper_text = {},
                            .ridge_text = {},
                            .slip = {}};
        if (work_out(figures[c], common.refined_by(columns[c]).refined_by(own), table.columns[c],
                     slips, cell)) {
          indices[c] = static_cast<int>(out_.cells.size());
          out_.cells.push_back(std::move(cell));
        }
      }
    }
    for (const Slip& slip : slips) {
      if (slip.used) continue;
      diagnostics_.error(context_.file, slip.pointer,
                         fmt::format("no figure at row \"{}\", column \"{}\" differs from ours",
                                     slip.row, slip.column));
    }
  }

  bool work_out(const JsonNode& figure, const CellQuestion& question, const std::string& column,
                std::vector<Slip>& slips, ReproducedCell& cell) {
    if (!figure.read(cell.paper)) return false;
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
    for (Slip& slip : slips) {
      if (cell.matches || slip.row != cell.row || slip.column != column) continue;
      cell.slip = slip.why;
      slip.used = true;
    }
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
  const JsonDocument document = JsonDocument::read(catalog().resolve(name_or_path));
  return Reader(document).finish();
}

const std::vector<std::string>& reproduction_names() {
  return catalog().names();
}

}  // namespace ridge::evidence
