// The error ledger: publicly measured figures beside what Ridge predicts, and by how much it is
// off.
#pragma once

#include "ridge/answer/simulation_report.hpp"
#include "ridge/view/output_format.hpp"

#include <optional>
#include <string>
#include <vector>

namespace ridge::evidence {

// A share of a prediction: an operator, a stage, or what one imperfection of a kernel costs.
struct LedgerPart {
  std::string what;
  double value = 0;  // in the unit of `parts_unit`
};

struct LedgerRow {
  std::string figure;
  std::string unit;
  double measured = 0;
  double predicted = 0;
  std::optional<Interval> interval;  // 90 % of the draws of calibrations and seeds
  std::string provenance;            // "theory", "calibrated:h800"
  std::string source;                // of the measured figure
  std::string explanation;
  // What the predicted time is made of, by the models; the values add up to it.
  std::vector<LedgerPart> parts;
  std::string parts_unit;
  // Of `predicted`, what attention kernels spend on query rows that only fill up their tiles.
  double padding = 0;

  // (predicted - measured) / measured.
  [[nodiscard]] double error() const { return predicted / measured - 1.0; }
};

struct Ledger {
  std::string title;
  std::string comment;  // what the figures have in common
  std::vector<LedgerRow> rows;
};

// Reads the ledger of a report (docs/schema/ledger.schema.json) by name or path and predicts each
// of its figures, `samples` times over for the intervals. Throws UserError.
[[nodiscard]] Ledger predict_ledger(const std::string& name_or_path, int samples);

[[nodiscard]] std::string render(const Ledger& ledger, view::OutputFormat format);
// The figures as a page, with the parts of every prediction that is more than
// kExplainedInParts off.
inline constexpr double kExplainedInParts = 0.10;
[[nodiscard]] std::string ledger_page(const Ledger& ledger, const std::string& command);

}  // namespace ridge::evidence
