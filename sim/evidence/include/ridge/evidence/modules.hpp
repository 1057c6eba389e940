// Whole attention modules that were measured, beside the sum of the operators that the models emit
// for them: what a kernel alone does not tell.
#pragma once

#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/hwmodels/calibrated/measurement.hpp"
#include "ridge/hwmodels/kernel_model.hpp"
#include "ridge/view/figure.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ridge::evidence {

// Of one operator, over the modules of a judgment.
struct ModuleOperator {
  std::string name;
  double share = 0;  // of the sum: the median
  double us = 0;     // likewise
  std::string
      kernel;  // whose curve answers; empty where it has no name or there is none; "several"
  hw::Basis basis = hw::Basis::measured;  // the least sure of them
};

// Modules of one kernel, part, model and number formats.
struct ModuleJudgment {
  using Kind = hw::calibrated::MeasuredModule::Kind;

  Kind kind = Kind::sparse_latent;
  std::string model;  // as the tables call it
  hw::calibrated::Format products = hw::calibrated::Format::any;
  hw::calibrated::Format cache = hw::calibrated::Format::any;
  std::string kernel;  // as its engine calls it
  // Kernels that it calls, then its engine's; empty where the calibration has none of them.
  std::string preferred;
  std::int64_t measurements = 0;
  // Of |predicted / measured - 1|, and the median of predicted / measured - 1.
  double p50 = 0;
  double p90 = 0;
  double worst = 0;
  double bias = 0;
  double off_us = 0;                      // the median of predicted - measured
  double measured_us = 0;                 // likewise
  std::vector<ModuleOperator> operators;  // the greatest share first

  [[nodiscard]] std::string what() const;  // "module_shared_index of MODEL, fp8_block, cache fp8"
  // The three that take most of the time: "attention 41 %, q_up 12 %, output 9 %".
  [[nodiscard]] std::string where() const;
};

struct JudgedModules {
  std::vector<ModuleJudgment> rows;
  std::vector<std::string> notes;  // what was not asked, and why
};

// The figures of a row, once.
[[nodiscard]] std::span<const view::Figure<ModuleJudgment>> module_figures();

// Each module as the sum of its operators on `chip`, timed as any user gets them, by its engine's
// own kernels where the calibration has some. The norm ahead of the attention and the streams of
// the residual are not in it, nor is the time between launches. `measured_on` is the chip that the
// rows are of (hw::calibrated::ran_without_graph).
[[nodiscard]] JudgedModules judge_modules(std::span<const hw::calibrated::MeasuredModule> modules,
                                          const hw::calibrated::Calibration& calibration,
                                          const hw::ChipSpec& chip, std::string_view measured_on);

}  // namespace ridge::evidence
