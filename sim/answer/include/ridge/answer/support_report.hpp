// What the times of a model's operators would rest on, chip by chip, before a week is planned
// around them.
#pragma once

#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/hwmodels/kernel_model.hpp"
#include "ridge/models/model_spec.hpp"
#include "ridge/view/figure.hpp"
#include "ridge/view/output_format.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ridge::view {
class AnswerDescription;
}

namespace ridge::answer {

// A chip as it is to be asked: with the kernel times of a calibration, or those of theory.
struct SupportedChip {
  std::string name;
  std::shared_ptr<const hw::KernelModel> kernels;  // null where no operator can be priced
  std::string unknown;                             // why, then
  std::string way_on;  // where theory answers: the calibrations that could; may be empty
};

// As `calibration` (a name or a path) has it; without one, as its own calibration does, or theory
// where nobody measured it. Throws UserError for a calibration that is none.
[[nodiscard]] SupportedChip supported_chip(const hw::ChipSpec& chip,
                                           const std::string& calibration = {});

struct SupportQuestion {
  models::ModelSpec model;
  std::vector<SupportedChip> chips;
  double context = 8192;  // cached tokens per request
  double batch = 64;      // requests that a launch serves, whole layers on one chip
};

// An operator of a block of layers.
struct SupportRow {
  std::string part;  // "attention", "FFN", "LM head"
  std::string block;
  std::string op;
  std::int64_t layers = 0;
  Seconds time;  // in all of these layers
  hw::Basis basis = hw::Basis::theory;
  std::string kernel;
  std::optional<double> held_out_error;
  double octaves_outside = 0;
  double share = 0;  // of the time of all rows of the chip
};

struct ChipSupport {
  std::string chip;
  std::string kernels;  // what they are, in words
  std::string unknown;
  std::string way_on;
  std::vector<SupportRow> rows;

  // Share of the operators' time that rests on this.
  [[nodiscard]] double share_of(hw::Basis basis) const;
  // On what was fitted on this chip, within the shapes that it was fitted to.
  [[nodiscard]] double measured_within() const;
};

struct SupportReport {
  std::string model;
  double context = 0;
  double batch = 0;
  std::string remark;  // where the context is more than the model was made for
  std::vector<ChipSupport> chips;
};

// The figures of an operator, once.
[[nodiscard]] std::span<const view::Figure<SupportRow>> support_figures();

[[nodiscard]] SupportReport answer(const SupportQuestion& question);
[[nodiscard]] std::string render(const SupportReport& report, view::OutputFormat format);
[[nodiscard]] const view::AnswerDescription& support_answer();

}  // namespace ridge::answer
