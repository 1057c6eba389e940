// Measurements of kernels beside a calibration that was not made from them.
#pragma once

#include "ridge/evidence/modules.hpp"
#include "ridge/hwmodels/calibrated/judge.hpp"
#include "ridge/view/figure.hpp"
#include "ridge/view/output_format.hpp"

#include <span>
#include <string>
#include <vector>

namespace ridge::view {
class AnswerDescription;
}

namespace ridge::evidence {

struct KernelMeasurements {
  hw::calibrated::Calibration calibration;  // transferred where `elsewhere`
  std::string fitted_for;                   // the chip's name
  std::string chip;        // that was measured, as asked for; empty where it is not
  bool elsewhere = false;  // whether it is another than the calibration's
  hw::calibrated::MeasurementSet set;
};

struct KernelLedger {
  std::string calibration;
  std::string chip;            // that it was fitted for
  std::string transferred_to;  // empty where it was not
  std::vector<std::string> files;
  std::string device;  // as the files name it; empty where they do not
  std::vector<hw::calibrated::Judgment> rows;
  std::vector<ModuleJudgment> modules;
  // What was left aside, and what makes a row no prediction.
  std::vector<std::string> notes;
};

// The figures of a row, once.
[[nodiscard]] std::span<const view::Figure<hw::calibrated::Judgment>> kernel_figures();

// `files` are CSV files, ridge-bench's JSON, or folders of them; `calibration` is a name or a path,
// transferred to `chip` where one is named.
// Throws UserError: docs/calibration.md lists the columns.
[[nodiscard]] KernelMeasurements read_kernels(std::span<const std::string> files,
                                              const std::string& calibration,
                                              const std::string& chip = {});
[[nodiscard]] KernelLedger judge_kernels(const KernelMeasurements& measured);
[[nodiscard]] std::string render(const KernelLedger& ledger, view::OutputFormat format);
// As a page of Markdown that says which command made it.
[[nodiscard]] std::string kernels_page(const KernelLedger& ledger, const std::string& command);

// What these measurements say a transfer of the calibration to their chip adds to its errors,
// family by family and without the part of the change of balance, into the file of such errors at
// `path`, which exists (docs/calibration.md); on the calibration's own chip, what it adds that
// another kernel answers than was measured. Throws UserError where nothing tells.
void write_transfer_errors(const KernelMeasurements& measured, const std::string& path);
[[nodiscard]] const view::AnswerDescription& kernels_answer();

}  // namespace ridge::evidence
