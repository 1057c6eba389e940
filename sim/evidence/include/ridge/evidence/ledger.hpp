// The error ledger: publicly measured figures beside what Ridge predicts, and by how much it is
// off.
#pragma once

#include "ridge/answer/simulation_report.hpp"
#include "ridge/view/output_format.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace ridge {
class KeyTable;
}
namespace ridge::view {
class AnswerDescription;
}

namespace ridge::evidence {

// A share of a prediction: an operator, a stage, or what one imperfection of a kernel costs.
struct LedgerPart {
  std::string what;
  double value = 0;  // in the unit of `parts_unit`
};

// What a row is of, where a ledger sums up by these.
struct LedgerGroup {
  std::string kind;  // "one node", "wide EP"
  std::string model;
  std::string chip;
  std::string engine;
};

struct LedgerRow {
  std::string figure;
  LedgerGroup group;
  std::string unit;
  double measured = 0;
  double predicted = 0;
  std::optional<Interval> interval;  // 90 % of the draws of calibrations and seeds
  bool more_is_better = false;       // a rate: what is too high is too fast
  std::string provenance;            // of kernel times: "theory", "calibrated:h800"
  std::string links;                 // of messages: their overheads and efficiencies
  std::string source;                // of the measured figure
  std::string explanation;
  std::string note;  // in a few words, where rows are many
  // Of a line of serving: its name; what it leaves open and was assumed, also part of `note`; and
  // what was simulated, each the text of a scenario's file. Of two, the batch lies between two
  // whole numbers.
  std::string id;
  std::vector<std::string> assumed;
  std::vector<std::string> scenarios;
  // What the predicted time is made of, by the models; the values add up to it.
  std::vector<LedgerPart> parts;
  std::string parts_unit;
  // Of `predicted`, what attention kernels spend on query rows that only fill up their tiles.
  double padding = 0;

  // Inputs that the interval draws, of which the prediction takes an end or lies outside.
  std::vector<std::string> one_sided;
  // What it draws where nothing is fixed.
  std::vector<scenario::DrawnInput> open;

  // Whether the interval lies wholly to one side of the prediction.
  [[nodiscard]] bool is_beside_interval() const {
    return interval && (predicted < interval->low || predicted > interval->high);
  }
  // (predicted - measured) / measured.
  [[nodiscard]] double error() const { return predicted / measured - 1.0; }
  // The same of the time behind the figure, so that a sign says the same of times and of rates:
  // below 0, Ridge is too fast.
  [[nodiscard]] double time_error() const {
    return more_is_better ? measured / predicted - 1.0 : error();
  }
};

// A measured figure that Ridge cannot be asked.
struct LedgerGap {
  std::string figure;
  std::string source;
  std::string reason;
};

// How far off the rows of one group are, in time.
struct GroupError {
  std::string by;  // "kind", "model", "chip", "engine"; "all"
  std::string name;
  std::size_t rows = 0;
  double median = 0.0;  // of |time_error()|, as p90 and worst
  double p90 = 0.0;
  double worst = 0.0;
  double bias = 0.0;  // median of time_error(): below 0, Ridge is too fast
  std::size_t intervals = 0;
  std::size_t covered = 0;  // rows that lie in theirs
};

// How far off they would be without one thing that the predictions count.
struct LedgerWithout {
  std::string what;
  std::vector<GroupError> groups;
};

// What to know of a ledger's figures: a list under a heading.
struct LedgerNote {
  std::string heading;
  std::vector<std::string> points;
};

struct Ledger {
  std::string title;
  std::string comment;  // what the figures have in common
  std::vector<LedgerNote> notes;
  std::vector<LedgerRow> rows;
  std::vector<LedgerGap> left_out;
  std::vector<LedgerWithout> without;
  std::vector<scenario::DrawnInput> drawn;  // that intervals draw, beside the calibrations
  std::vector<std::string> warnings;        // of the question
};

// None where the rows are of no group.
[[nodiscard]] std::vector<GroupError> group_errors(const Ledger& ledger);

// What many rows say together, and what is left out, in words: the first columns are names.
struct LedgerTable {
  std::string heading;
  std::string words;  // what the columns mean
  std::vector<std::string> columns;
  std::size_t names = 1;
  std::vector<std::vector<std::string>> rows;
  std::vector<std::size_t> rules;  // rows that begin something new
};
// Those that have rows.
[[nodiscard]] std::vector<LedgerTable> ledger_tables(const Ledger& ledger);

// Told the share done before each entry, from any thread: whether to go on.
using GoOn = std::function<bool(double share)>;

// Of those that ship, sorted.
[[nodiscard]] const std::vector<std::string>& ledger_names();
// Of a file (docs/schema/ledger.schema.json).
[[nodiscard]] const KeyTable& ledger_keys();
// Reads the ledger of a report by name or path and predicts each
// of its figures, `samples` times over for the intervals. `fixed`: names of inputs that they draw,
// to be left as they are. Throws UserError.
[[nodiscard]] Ledger predict_ledger(const std::string& name_or_path, int samples,
                                    const GoOn& go_on = {},
                                    const std::vector<std::string>& fixed = {});
// The same of a table of serving measurements of one's own (docs/serving.md), read on the terms of
// the ledger that ships.
[[nodiscard]] Ledger predict_serving_table(const std::string& path, int samples,
                                           const GoOn& go_on = {},
                                           const std::vector<std::string>& fixed = {});

[[nodiscard]] std::string render(const Ledger& ledger, view::OutputFormat format);

// Writes what was simulated for each row into a folder, which is made where it is missing, as files
// that `ridge simulate` and `ridge explain` read; their paths. Throws UserError, also where no row
// has any.
std::vector<std::string> write_scenarios(const Ledger& ledger, const std::string& folder);
[[nodiscard]] const view::AnswerDescription& ledger_answer();
// The figures as a page, with the parts of every prediction that is more than
// kExplainedInParts off.
inline constexpr double kExplainedInParts = 0.10;
[[nodiscard]] std::string ledger_page(const Ledger& ledger, const std::string& command);

}  // namespace ridge::evidence
