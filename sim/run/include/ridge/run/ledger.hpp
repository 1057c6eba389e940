// The error ledger: publicly measured figures beside what Ridge predicts, and by how much it is
// off.
#pragma once

#include "ridge/run/output_format.hpp"
#include "ridge/run/simulation_report.hpp"

#include <optional>
#include <string>
#include <vector>

namespace ridge::run {

struct LedgerRow {
  std::string figure;
  std::string unit;
  double measured = 0;
  double predicted = 0;
  std::optional<Interval> interval;  // nine of ten draws of calibrations and seeds
  std::string provenance;            // "theory", "calibrated:h800"
  std::string source;                // of the measured figure
  std::string explanation;

  // (predicted - measured) / measured.
  [[nodiscard]] double error() const { return predicted / measured - 1.0; }
};

struct Ledger {
  std::string title;
  std::vector<LedgerRow> rows;
};

// Reads the ledger of a report (docs/schema/ledger.schema.json) by name or path and predicts each
// of its figures, `samples` times over for the intervals. Throws UserError.
[[nodiscard]] Ledger predict_ledger(const std::string& name_or_path, int samples);

[[nodiscard]] std::string render(const Ledger& ledger, OutputFormat format);
// The page docs/accuracy.md.
[[nodiscard]] std::string ledger_page(const Ledger& ledger, const std::string& command);

}  // namespace ridge::run
