// Can these chips serve this model's attention, or its FFN, within one pipeline stage, and with how
// many cards? Theory: ridge/hwmodels/theory/fit.hpp.
#pragma once

#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/hwmodels/theory/fit.hpp"
#include "ridge/models/model_spec.hpp"
#include "ridge/view/figure.hpp"
#include "ridge/view/output_format.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ridge::view {
class AnswerDescription;
}

namespace ridge::answer {

struct FitRow {
  std::string chip;
  std::int64_t chips_per_server = 0;
  std::string unknown;  // why there is no answer; empty if there is one
  std::optional<hw::theory::AttentionFit> attention;
  std::optional<hw::theory::FfnFit> ffn;
};

struct FitQuestion {
  models::ModelSpec model;
  std::vector<hw::ChipSpec> chips;
  bool attention = true;
  bool ffn = true;
  hw::theory::FitAssumptions assumptions;
};

struct FitReport {
  std::string model;
  std::int64_t layers = 0;
  hw::theory::FitAssumptions assumptions;
  std::vector<FitRow> rows;
  std::vector<std::string> notes;
};

// The figures of a fit, once.
[[nodiscard]] std::span<const view::Figure<hw::theory::AttentionFit>> attention_fit_figures();
[[nodiscard]] std::span<const view::Figure<hw::theory::FfnFit>> ffn_fit_figures();

// Throws UserError where the output projection cannot be split as asked.
[[nodiscard]] FitReport answer(const FitQuestion& question);
[[nodiscard]] std::string render(const FitReport& report, view::OutputFormat format);
[[nodiscard]] const view::AnswerDescription& fit_answer();

}  // namespace ridge::answer
