// A reproduction as its file says it: the tables of a report, and what their figures ask.
#pragma once

#include "quantities.hpp"

#include <optional>
#include <string>
#include <vector>

namespace ridge::evidence {

// A figure that the report itself has wrong.
struct Slip {
  std::string row;
  std::string column;
  std::string why;
};

struct FileColumn {
  std::string name;
  CellQuestion question;
};

// What the report prints: nothing where it prints none.
struct Printed {
  std::optional<double> figure;
};

struct FileRow {
  std::string name;
  std::vector<Printed> paper;
  CellQuestion question;
};

struct FileTable {
  std::string id;
  std::string title;
  std::string part;
  CellQuestion question;
  std::vector<Slip> slips;
  std::vector<FileColumn> columns;
  std::vector<FileRow> rows;
};

struct ReproductionFile {
  std::string title;
  std::string source;
  ReproductionAssumptions assumptions;
  std::vector<FileTable> tables;
};
[[nodiscard]] const KeyTable& keys_of(const ReproductionFile*);

}  // namespace ridge::evidence
