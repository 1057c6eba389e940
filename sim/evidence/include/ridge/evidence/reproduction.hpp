// A published report's figures beside ours, cell by cell. The cells are data
// (scenarios/reproduce/*.json, docs/schema/reproduction.schema.json); the code knows only a
// vocabulary of quantities.
#pragma once

#include "ridge/view/output_format.hpp"

#include <string>
#include <vector>

namespace ridge {
class KeyTable;
}
namespace ridge::view {
class AnswerDescription;
}

namespace ridge::evidence {

struct ReproducedCell {
  std::string table;
  std::string row;
  std::string column;
  std::string unit;
  double paper = 0;        // as printed, in `unit`
  double ridge = 0;        // at full precision, in `unit`
  std::string paper_text;  // both to the printed digits
  std::string ridge_text;
  bool matches = false;
  std::string slip;  // the report's own mistake, in words, where that is why they differ
};

// One block of a published table, as it is shown.
struct ReproducedTable {
  std::string id;     // "table 6"
  std::string title;  // of this block
  std::vector<std::string> columns;
  std::vector<std::string> rows;
  // cells[row][column] is an index into Reproduction::cells, or none where nothing was printed.
  std::vector<std::vector<int>> cells;
  static constexpr int none = -1;
};

struct Reproduction {
  std::string title;
  std::string source;
  std::vector<std::string> assumptions;
  std::vector<ReproducedTable> tables;
  std::vector<ReproducedCell> cells;
};

// Of a file (docs/schema/reproduction.schema.json).
[[nodiscard]] const KeyTable& reproduction_keys();
// The shipped reproduction of this name, or the file at this path. Throws UserError.
[[nodiscard]] Reproduction reproduce(const std::string& name_or_path);
[[nodiscard]] const std::vector<std::string>& reproduction_names();
[[nodiscard]] std::string render(const Reproduction& reproduction, view::OutputFormat format);
[[nodiscard]] const view::AnswerDescription& reproduction_answer();

}  // namespace ridge::evidence
